"""What clones: it stops by held-out samples, keeps the best network, and sees every sample once an epoch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo.config import BCConfig, SACConfig, TD3Config
from credo.learners import LEARNERS
from credo.learners.cloning import negative_log_likelihood
from credo.training import clone as clone_training
from credo.training.clone import Data, make_cloner
from training.training_runs import unwatched


def tiny_data(noise=0.0, count=40):
    generator = np.random.default_rng(0)
    observation = generator.standard_normal((2 * count, 3)).astype(np.float32)
    action = np.tanh(observation[:, :2] + noise * generator.standard_normal((2 * count, 2))).astype(np.float32)
    return Data(*(jnp.asarray(x) for x in (observation[:count], action[:count], observation[count:], action[count:])))


def test_the_network_of_the_least_held_out_loss_is_kept_and_patience_ends():
    """Noisy actions and a wide network: the held-out loss falls, then rises."""
    learner = LEARNERS["td3"](TD3Config(hidden=(64,)), 3, 2)
    data = tiny_data(noise=1.0)
    settings = BCConfig(batch_size=8, epochs=60, patience=4, learning_rate=1e-2)
    found = make_cloner(learner.cloning, settings, data)(learner.init(jax.random.key(0)).actor, 0, unwatched)
    losses = [epoch.held_out_loss for epoch in found.epochs]
    assert found.best.number == int(np.argmin(losses))
    assert len(losses) == found.best.number + 1 + 4 < 60
    kept = learner.cloning.loss(found.network, data.held_observation, data.held_action)
    assert float(kept) == pytest.approx(min(losses), rel=1e-5)


def test_a_held_out_loss_that_is_no_number_is_never_the_least():
    """NaN as soon as it would be low: the epoch before is kept, and patience ends as for any other loss."""
    learner = LEARNERS["td3"](TD3Config(hidden=(64,)), 3, 2)
    data = tiny_data(noise=0.1)
    settings = BCConfig(batch_size=8, epochs=60, patience=4, learning_rate=1e-3)

    def spoiled(network, observation, action):
        loss = learner.cloning.loss(network, observation, action)
        return loss if len(action) == settings.batch_size else jnp.where(loss < 0.2, jnp.nan, loss)

    found = make_cloner(learner.cloning._replace(loss=spoiled), settings, data)(
        learner.init(jax.random.key(0)).actor, 0, unwatched
    )
    losses = [epoch.held_out_loss for epoch in found.epochs]
    assert np.isnan(losses[-1])
    assert found.best.number == int(np.nanargmin(losses))
    assert len(losses) == found.best.number + 1 + 4 < 60


def test_a_gaussian_clone_learns_mean_and_spread():
    # Standard Gaussian at 1 of a mean of 0: z = 1, log 1 = 0: half; twice as wide: 1/8 + log 2.
    action = jnp.full((1, 1), float(np.tanh(1.0)))
    for log_std, expected in ((0.0, 0.5), (np.log(2.0), 0.125 + np.log(2.0))):
        found = negative_log_likelihood(jnp.zeros((1, 1)), jnp.full((1, 1), log_std, jnp.float32), action)
        assert float(found) == pytest.approx(expected, rel=1e-5)
    bound = negative_log_likelihood(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.ones((1, 1)))
    assert np.isfinite(float(bound))
    learner = LEARNERS["sac"](SACConfig(hidden=(16,)), 3, 2)
    settings = BCConfig(batch_size=50, epochs=60, patience=60, learning_rate=1e-2)
    data = tiny_data(noise=0.3, count=500)
    state = learner.init(jax.random.key(0))
    found = make_cloner(learner.cloning, settings, data)(learner.cloning.get(state), 0, unwatched)
    from credo.learners.sac import gaussian

    mean, log_std = gaussian(found.network, data.held_observation)
    assert float(jnp.sqrt(jnp.mean(jnp.square(mean - data.held_observation[:, :2])))) < 0.2
    assert float(jnp.mean(jnp.exp(log_std))) == pytest.approx(0.3, rel=0.25)


def test_every_pass_has_its_own_order(monkeypatch):
    drawn, make = [], clone_training.host_generator

    def spied(*name):
        drawn.append(make(*name).permutation(40).tolist())
        return make(*name)

    monkeypatch.setattr(clone_training, "host_generator", spied)
    learner = LEARNERS["td3"](TD3Config(hidden=(4,)), 3, 2)
    cloner = make_cloner(learner.cloning, BCConfig(batch_size=8, epochs=2), tiny_data())
    cloner(learner.init(jax.random.key(0)).actor, 0, unwatched)
    assert len(drawn) == 2
    assert drawn[0] != drawn[1]


def test_the_held_out_loss_is_of_all_rows(monkeypatch):
    learner = LEARNERS["td3"](TD3Config(hidden=(4,)), 3, 2)

    def loss():
        cloner = make_cloner(learner.cloning, BCConfig(batch_size=8, epochs=2), tiny_data())
        return cloner(learner.init(jax.random.key(0)).actor, 0, unwatched).best.held_out_loss

    whole = loss()
    monkeypatch.setattr(clone_training, "VALIDATION_CHUNK", 7)
    assert loss() == pytest.approx(whole, rel=1e-5)
