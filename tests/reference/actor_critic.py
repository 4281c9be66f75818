"""DDPG, TD3, SD3 and SAC updates in NumPy float64, with every random number given. No JAX."""

import numpy as np

from reference.multilayer import adam, backward, forward, moved


def value(critic, observation, action):
    output, kept = forward(critic, np.concatenate([observation, action], axis=1))
    return output[:, 0], kept


def critic_step(critics, moments, batch, target, rate, count):
    """Both critics one Adam step down the sum of their mean squared errors."""
    updated, new_moments, gradients = [], [], []
    for index, critic in enumerate(critics):
        output, kept = value(critic, batch["observation"], batch["action"])
        slope = (2.0 * (output - target) / len(target))[:, None]
        gradient, _ = backward(critic, kept, slope)
        network, moment = adam(critic, gradient, moments and moments[index], rate, count)
        updated.append(network)
        new_moments.append(moment)
        gradients.append(gradient)
    return updated, new_moments, gradients


def bellman(reward, terminated, discount, next_value):
    return np.where(terminated, reward, reward + discount * next_value)


class TD3:
    """Fujimoto et al. 2018, Algorithm 1, with given smoothing noise."""

    def __init__(self, config, actor, critics):
        self.config = config
        self.actor, self.critics = actor, critics
        self.target_actor, self.target_critics = actor, critics
        self.actor_moments, self.critic_moments = None, None
        self.critic_count, self.actor_count = 0, 0

    def update(self, batch, normal):
        config = self.config
        noise = np.clip(config.target_noise * normal, -config.target_noise_clip, config.target_noise_clip)
        proposed = np.tanh(forward(self.target_actor, batch["next_observation"])[0])
        next_action = np.clip(proposed + noise, -1.0, 1.0)
        next_value = np.minimum(
            *(value(critic, batch["next_observation"], next_action)[0] for critic in self.target_critics)
        )
        target = bellman(batch["reward"], batch["terminated"], config.discount, next_value)
        self.critic_count += 1
        self.critics, self.critic_moments, self.critic_gradients = critic_step(
            self.critics, self.critic_moments, batch, target, config.critic_learning_rate, self.critic_count
        )
        if self.critic_count % config.actor_delay == 0:
            self._update_actor(batch)

    def _update_actor(self, batch):
        config = self.config
        self.actor_gradient = ascent(self.actor, self.critics[0], batch, config)
        self.actor_count += 1
        self.actor, self.actor_moments = adam(
            self.actor, self.actor_gradient, self.actor_moments, config.actor_learning_rate, self.actor_count
        )
        self.target_actor = moved(self.target_actor, self.actor, config.target_rate)
        self.target_critics = [
            moved(target, online, config.target_rate)
            for target, online in zip(self.target_critics, self.critics, strict=True)
        ]


def ascent(actor, critic, batch, config):
    """The deterministic policy gradient of an actor, for minimisation, with what pulls it back and to the expert."""
    observation = batch["observation"]
    before, kept = forward(actor, observation)
    action = np.tanh(before)
    values, value_kept = value(critic, observation, action)
    _, into = backward(critic, value_kept, np.full((len(observation), 1), -1.0 / len(observation)))
    slope = into[:, observation.shape[1] :] * (1.0 - action**2)
    slope = slope + 2.0 * config.preactivation_penalty * before / before.size
    gradient = backward(actor, kept, slope)[0]
    return added(gradient, clone_gradient(actor, batch, config.cloning_weight * np.mean(np.abs(values))))


def clone_gradient(actor, batch, weight):
    """Of ``weight`` times the mean squared error of an actor's tanh to demonstrated actions; None without any."""
    if "demonstrated_action" not in batch:
        return None
    before, kept = forward(actor, batch["demonstrated_observation"])
    action = np.tanh(before)
    error = action - batch["demonstrated_action"]
    return backward(actor, kept, 2.0 * weight * error * (1.0 - action**2) / error.size)[0]


def added(gradient, other):
    if other is None:
        return gradient
    return [tuple(x + y for x, y in zip(*layers, strict=True)) for layers in zip(gradient, other, strict=True)]


def cut(gradient, limit):
    """Scaled down to a global norm of ``limit`` (0: left alone)."""
    length = np.sqrt(sum(np.sum(array**2) for layer in gradient for array in layer))
    if limit == 0 or length <= limit:
        return gradient
    return [tuple(array * limit / length for array in layer) for layer in gradient]


class Pair:
    """An actor and its critic, each with a target and Adam of its own."""

    def __init__(self, config, actor, critic):
        self.config, self.count = config, 0
        self.actor, self.critic, self.target_actor, self.target_critic = actor, critic, actor, critic
        self.actor_moments, self.critic_moments, self.actor_count = None, None, 0

    def update(self, batch, target):
        config = self.config
        self.count += 1
        (self.critic,), self.critic_moments, (self.critic_gradient,) = critic_step(
            [self.critic], self.critic_moments, batch, target, config.critic_learning_rate, self.count
        )
        self.actor_gradient = ascent(self.actor, self.critic, batch, config)
        if self.count > config.actor_starts:
            self.actor_count += 1
            gradient = cut(self.actor_gradient, config.actor_gradient_clip)
            self.actor, self.actor_moments = adam(
                self.actor, gradient, self.actor_moments, config.actor_learning_rate, self.actor_count
            )
        self.target_actor = moved(self.target_actor, self.actor, config.target_rate)
        self.target_critic = moved(self.target_critic, self.critic, config.target_rate)


class DDPG(Pair):
    """Lillicrap et al. 2016, Algorithm 1."""

    def learn(self, batch):
        next_action = np.tanh(forward(self.target_actor, batch["next_observation"])[0])
        next_value = value(self.target_critic, batch["next_observation"], next_action)[0]
        self.update(batch, bellman(batch["reward"], batch["terminated"], self.config.discount, next_value))


class SD3:
    """Pan et al. 2020, Algorithm 2, with given noise [B, K, A] for each of the two pairs."""

    def __init__(self, config, actors, critics):
        self.config = config
        self.pairs = [Pair(config, *networks) for networks in zip(actors, critics, strict=True)]

    def learn(self, batches, noises):
        for pair, batch, normal in zip(self.pairs, batches, noises, strict=True):
            value_of_next = [
                self._softmax(pair, batch["next_observation"][[row]], normal[row]) for row in range(len(normal))
            ]
            target = bellman(batch["reward"], batch["terminated"], self.config.discount, np.array(value_of_next))
            pair.update(batch, target)

    def _softmax(self, pair, observation, normal):
        config = self.config
        proposed = np.tanh(forward(pair.target_actor, observation)[0])
        noise = np.clip(config.target_noise * normal, -config.target_noise_clip, config.target_noise_clip)
        actions = np.clip(proposed + noise, -1.0, 1.0)
        repeated = np.repeat(observation, len(actions), axis=0)
        values = np.minimum(*(value(judge.target_critic, repeated, actions)[0] for judge in self.pairs))
        weights = np.exp(config.beta * values)
        if config.importance_weights:
            deviation = config.target_noise
            density = np.exp(-((deviation * normal) ** 2) / (2 * deviation**2)) / (deviation * np.sqrt(2 * np.pi))
            weights = weights / np.prod(density, axis=1)
        return np.sum(weights * values) / np.sum(weights)


def gaussian(actor, observation):
    output, kept = forward(actor, observation)
    mean, log_std = np.split(output, 2, axis=1)
    return mean, np.clip(log_std, -20.0, 2.0), log_std, kept


def log_density(mean, log_std, normal):
    """The squashed action and its log density, written as the density of a change of variables."""
    raw = mean + np.exp(log_std) * normal
    gaussian_density = np.exp(-0.5 * normal**2) / np.sqrt(2 * np.pi * np.exp(2 * log_std))
    return np.tanh(raw), np.sum(np.log(gaussian_density) - np.log(1.0 / np.cosh(raw) ** 2), axis=1)


class SAC:
    """Haarnoja et al. 2018 ("Algorithms and Applications"), Algorithm 1, with given noise."""

    def __init__(self, config, actor, critics, target_entropy):
        self.config, self.target_entropy = config, target_entropy
        self.actor, self.critics, self.target_critics = actor, critics, critics
        self.log_temperature = np.log(config.initial_temperature)
        self.actor_moments, self.critic_moments, self.temperature_moments = None, None, None
        self.count = 0

    def update(self, batch, next_normal, normal):
        config = self.config
        self.count += 1
        temperature = np.exp(self.log_temperature)
        mean, log_std, _, _ = gaussian(self.actor, batch["next_observation"])
        next_action, next_log_prob = log_density(mean, log_std, next_normal)
        next_value = np.minimum(
            *(value(critic, batch["next_observation"], next_action)[0] for critic in self.target_critics)
        )
        target = bellman(
            batch["reward"], batch["terminated"], config.discount, next_value - temperature * next_log_prob
        )
        self.critics, self.critic_moments, _ = critic_step(
            self.critics, self.critic_moments, batch, target, config.critic_learning_rate, self.count
        )
        log_prob = self._update_actor(batch, normal, temperature)
        slope = -(log_prob + self.target_entropy)
        (((self.log_temperature, _),), self.temperature_moments) = adam(
            [(self.log_temperature, np.zeros(()))],
            [(slope, np.zeros(()))],
            self.temperature_moments,
            config.temperature_learning_rate,
            self.count,
        )
        self.target_critics = [
            moved(target, online, config.target_rate)
            for target, online in zip(self.target_critics, self.critics, strict=True)
        ]

    def _update_actor(self, batch, normal, temperature):
        observation, rows = batch["observation"], len(batch["observation"])
        mean, log_std, unclipped, kept = gaussian(self.actor, observation)
        action, log_prob = log_density(mean, log_std, normal)
        values, slopes = [], []
        for critic in self.critics:
            output, value_kept = value(critic, observation, action)
            _, into = backward(critic, value_kept, np.ones((rows, 1)))
            values.append(output)
            slopes.append(into[:, observation.shape[1] :])
        value_slope = np.where((values[0] < values[1])[:, None], *slopes)
        # d log_prob / d raw = 2 tanh(raw), from the squashing; the Gaussian part depends on log_std alone.
        raw_slope = (temperature * 2 * action - value_slope * (1.0 - action**2)) / rows
        std_slope = raw_slope * np.exp(log_std) * normal - temperature / rows
        std_slope = std_slope * ((unclipped > -20.0) & (unclipped < 2.0))
        self.actor_gradient, _ = backward(self.actor, kept, np.concatenate([raw_slope, std_slope], axis=1))
        weight = self.config.cloning_weight * np.mean(np.abs(np.minimum(*values)))
        last, width = self.actor[-1], action.shape[1]
        clone = clone_gradient([*self.actor[:-1], (last[0][:, :width], last[1][:width])], batch, weight)
        if clone is not None:
            # The deviations' half of the last layer is not the mean's.
            clone[-1] = tuple(np.concatenate([x, np.zeros_like(x)], axis=-1) for x in clone[-1])
        self.actor_gradient = added(self.actor_gradient, clone)
        self.actor, self.actor_moments = adam(
            self.actor, self.actor_gradient, self.actor_moments, self.config.actor_learning_rate, self.count
        )
        return log_prob.mean()
