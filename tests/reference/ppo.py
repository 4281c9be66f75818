"""A whole PPO update in NumPy float64, with the order of the minibatches given. No JAX."""

import numpy as np

from reference.multilayer import adam, backward, forward


def advantages(rollout, value, next_value, discount, gae_lambda):
    """Every advantage as the sum that defines it, up to the end of its episode."""
    steps, lanes = value.shape
    found = np.zeros((steps, lanes))
    for lane in range(lanes):
        for start in range(steps):
            weight = 1.0
            for t in range(start, steps):
                bootstrap = 0.0 if rollout["terminated"][t, lane] else next_value[t, lane]
                error = rollout["reward"][t, lane] + discount * bootstrap - value[t, lane]
                found[start, lane] += weight * error
                if rollout["ended"][t, lane]:
                    break
                weight *= discount * gae_lambda
    return found


def discounted_returns(reward, ended, discount):
    """What the episode under way had brought at each step, [steps, lanes], all rollouts in one."""
    totals, carried = np.zeros_like(reward), np.zeros(reward.shape[1])
    for t in range(len(reward)):
        totals[t] = carried = discount * carried + reward[t]
        carried = np.where(ended[t], 0.0, carried)
    return totals


def log_density(mean, log_std, action):
    deviation = np.exp(log_std)
    density = np.exp(-0.5 * ((action - mean) / deviation) ** 2) / (np.sqrt(2 * np.pi) * deviation)
    return np.log(density).sum(axis=1)


def shortened(gradients, largest):
    if largest is None:
        return gradients
    norm = np.sqrt(sum(np.sum(array**2) for layer in gradients for array in layer))
    return [tuple(array * min(1.0, largest / norm) for array in layer) for layer in gradients]


class PPO:
    """Schulman et al. 2017, Algorithm 1, for one rollout."""

    def __init__(self, config, actor, log_std, critic):
        self.config, self.actor, self.log_std, self.critic = config, actor, log_std, critic
        self.actor_moments, self.critic_moments, self.count = None, None, 0
        self.skipped_kls = []
        self.kls, self.clip_fractions, self.actor_gradients = [], [], []

    def update(self, rollout, orders):
        """``rollout``: name to [steps, lanes, ...]; ``orders``: [epochs, steps * lanes] row numbers."""
        config = self.config
        rows = {name: x.reshape(-1, *x.shape[2:]) for name, x in rollout.items()}
        shape = rollout["reward"].shape
        if config.normalise_rewards:
            returns = discounted_returns(rollout["reward"], rollout["ended"], config.discount)
            rollout = rollout | {"reward": np.clip(rollout["reward"] / np.sqrt(returns.var() + 1e-8), -10, 10)}
        value = self._value(rows["observation"])[0]
        next_value = self._value(rows["next_observation"])[0]
        advantage = advantages(
            rollout, value.reshape(shape), next_value.reshape(shape), config.discount, config.gae_lambda
        ).ravel()
        rows |= {
            "value": value,
            "advantage": advantage,
            "target": advantage + value,
            "log_prob": log_density(self._mean(rows["observation"])[0], self.log_std, rows["raw_action"]),
        }
        self.explained_variance = 1 - np.var(rows["target"] - value) / np.var(rows["target"])
        for order in orders:
            for start in range(0, len(order), config.minibatch_size):
                chosen = order[start : start + config.minibatch_size]
                self._minibatch({name: x[chosen] for name, x in rows.items()})

    def _mean(self, observation):
        before, kept = forward(self.actor, observation, self.config.activation)
        return np.tanh(before), kept

    def _value(self, observation):
        output, kept = forward(self.critic, observation, self.config.activation)
        return output[:, 0], kept

    def _minibatch(self, batch):
        config, size = self.config, len(batch["value"])
        mean, kept = self._mean(batch["observation"])
        deviation = np.exp(self.log_std)
        log_ratio = log_density(mean, self.log_std, batch["raw_action"]) - batch["log_prob"]
        ratio = np.exp(log_ratio)
        kl = np.mean(ratio - 1 - log_ratio)
        if self.skipped_kls or (config.target_kl is not None and kl > config.target_kl):
            self.skipped_kls.append(kl)
            return
        self.kls.append(kl)
        self.clip_fractions.append(np.mean(np.abs(ratio - 1) > config.clip))
        advantage = batch["advantage"]
        if config.normalise_advantages:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        beyond = np.where(advantage > 0, ratio > 1 + config.clip, ratio < 1 - config.clip)
        into_log_prob = np.where(beyond, 0.0, -advantage * ratio / size)[:, None]
        normal = (batch["raw_action"] - mean) / deviation
        gradient, _ = backward(self.actor, kept, into_log_prob * normal / deviation * (1 - mean**2), config.activation)
        into_log_std = np.sum(into_log_prob * (normal**2 - 1), axis=0) - config.entropy_coefficient
        gradient = [*gradient, (into_log_std, np.zeros(()))]
        self.actor_gradients.append(gradient)
        self.count += 1
        policy, self.actor_moments = adam(
            [*self.actor, (self.log_std, np.zeros(()))],
            shortened(gradient, config.gradient_clip),
            self.actor_moments,
            config.actor_learning_rate,
            self.count,
        )
        self.actor, self.log_std = policy[:-1], policy[-1][0]

        value, kept = self._value(batch["observation"])
        slope = value - batch["target"]
        if config.value_clip is not None:
            near = batch["value"] + np.clip(value - batch["value"], -config.value_clip, config.value_clip)
            slope = np.where((near - batch["target"]) ** 2 > slope**2, 0.0, slope)
        gradient, _ = backward(self.critic, kept, slope[:, None] / size, config.activation)
        self.critic, self.critic_moments = adam(
            self.critic,
            shortened(gradient, config.gradient_clip),
            self.critic_moments,
            config.critic_learning_rate,
            self.count,
        )
