"""The discriminator's loss, its gradient and its update in NumPy float64. No JAX."""

import numpy as np

from reference.multilayer import adam, backward, forward, sigmoid, softplus


def loss_and_gradient(network, expert, weight, policy, activation):
    """-(sum of weight log D over expert samples + mean of log(1 - D) over policy samples)."""
    expert_logit, expert_kept = forward(network, expert, activation)
    policy_logit, policy_kept = forward(network, policy, activation)
    loss = np.sum(weight * softplus(-expert_logit[:, 0])) + np.mean(softplus(policy_logit))
    expert_slope = -weight[:, None] * sigmoid(-expert_logit)
    policy_slope = sigmoid(policy_logit) / len(policy)
    first, _ = backward(network, expert_kept, expert_slope, activation)
    second, _ = backward(network, policy_kept, policy_slope, activation)
    return loss, [(a + c, b + d) for (a, b), (c, d) in zip(first, second, strict=True)]


def penalty(network, points, activation):
    """Mean of (|d logit / d x| - 1)^2 over the points."""
    output, kept = forward(network, points, activation)
    _, slope = backward(network, kept, np.ones_like(output), activation)
    return np.mean((np.sqrt(np.sum(slope**2, axis=1) + 1e-12) - 1.0) ** 2)


def penalty_gradient(network, points, activation, step=1e-5):
    """By central differences: an independent check of a gradient of a gradient (small networks only)."""
    gradients = []
    for layer in range(len(network)):
        pair = []
        for part in range(2):
            array = network[layer][part]
            slope = np.zeros_like(array)
            for index in np.ndindex(array.shape):
                ends = []
                for sign in (1.0, -1.0):
                    changed = [[a.copy() for a in pair] for pair in network]
                    changed[layer][part][index] += sign * step
                    ends.append(penalty(changed, points, activation))
                slope[index] = (ends[0] - ends[1]) / (2 * step)
            pair.append(slope)
        gradients.append(tuple(pair))
    return gradients


class Adversary:
    """A discriminator that is given its batches, weights and interpolation points."""

    def __init__(self, network, rate, activation, coefficient=None):
        self.network, self.rate, self.activation, self.coefficient = network, rate, activation, coefficient
        self.moments, self.count = None, 0

    def logit(self, inputs):
        return forward(self.network, inputs, self.activation)[0][:, 0]

    def update(self, expert, weight, policy, share):
        loss, gradient = loss_and_gradient(self.network, expert, weight, policy, self.activation)
        if self.coefficient is not None:
            # On the way to a sample that counts nothing: at the policy's own.
            points = np.where(weight[:, None] > 0, share * expert + (1.0 - share) * policy, policy)
            loss += self.coefficient * penalty(self.network, points, self.activation)
            extra = penalty_gradient(self.network, points, self.activation)
            gradient = [
                (a + self.coefficient * c, b + self.coefficient * d)
                for (a, b), (c, d) in zip(gradient, extra, strict=True)
            ]
        self.count += 1
        self.network, self.moments = adam(self.network, gradient, self.moments, self.rate, self.count)
        return loss, gradient
