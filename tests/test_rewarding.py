"""The reward that a run has learned, against its network's arrays put through NumPy."""

import dataclasses

import numpy as np
import pytest

import credo
from credo import run_folder
from credo.config import DiscriminatorConfig
from credo.demonstrations import generate_demonstrations
from credo.environments.probes import PointMass, point_mass_expert
from credo.files import read_json
from credo.storage import read_tensors
from credo.training.checkpoint import FORMAT, VERSION, all_checkpoints
from credo.types import CredoError
from training.training_runs import SMALL

SHORT = dataclasses.replace(SMALL, environment="", steps=64, evaluation_interval=32, checkpoint_interval=32, seeds=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    demonstrations = generate_demonstrations(PointMass, point_mass_expert, episodes=4)

    def train(name, **changes):
        config = dataclasses.replace(SHORT, **changes)
        out = tmp_path_factory.mktemp("rewards") / name
        return credo.imitate(config, environment=PointMass, demonstrations=demonstrations, out=out)

    return train


@pytest.fixture(scope="module")
def plain(trained):
    """Its demonstrations are normalised by means that are not 0, its actions are in units of their own."""
    settings = DiscriminatorConfig(
        hidden=(8,), batch_size=8, action_cost=0.5, reward_factor=3.0, reward_normalisation=True
    )
    return trained("plain", discriminator=settings)


def stored(run, seed):
    (*_, newest) = all_checkpoints(run.folder)
    tensors, _ = read_tensors(newest / f"seed-{seed}.safetensors", format=FORMAT, version=VERSION)
    return {name.removeprefix("state/"): array.astype(np.float64) for name, array in tensors.items()}


def through(tensors, prefix, inputs, activation=np.tanh):
    """One hidden layer by hand."""
    weights = [tensors[f"{prefix}[{layer}].{part}"] for layer in (0, 1) for part in ("weight", "bias")]
    hidden = activation(inputs @ weights[0] + weights[1])
    return (hidden @ weights[2] + weights[3])[:, 0]


def steps(run, count=7):
    generator = np.random.default_rng(0)
    policy = run.policy(0, "last")
    observation, following = generator.normal(size=(2, count, len(policy.observation_mean)))
    share = generator.uniform(size=(count, len(policy.action_low)))
    return policy, observation, policy.action_low + share * (policy.action_high - policy.action_low), following


def normalised(policy, observation):
    return (observation - policy.observation_mean) / policy.observation_std


def test_the_reward_is_the_networks_with_all_that_the_settings_add(plain):
    policy, observation, action, _ = steps(plain)
    assert np.abs(policy.observation_mean).max() > 0.01
    unit = 2 * (action - policy.action_low) / (policy.action_high - policy.action_low) - 1
    relu = lambda x: np.maximum(x, 0)  # noqa: E731
    activation = {"tanh": np.tanh, "relu": relu}[plain.config.discriminator.activation]
    rewards = []
    for seed in (0, 1):
        inputs = np.concatenate([normalised(policy, observation), unit], axis=1)
        logit = through(stored(plain, seed), ".discriminator.network", inputs, activation)
        learned = plain.reward(seed)
        np.testing.assert_allclose(learned.logit(observation, action), logit, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(learned.expert_probability(observation, action), 1 / (1 + np.exp(-logit)), rtol=1e-4)
        # SMALL has CREDO's cap at logit 0, where the reward is log 2.
        of = stored(plain, seed)
        deviation = np.sqrt(of[".discriminator.rewards.squares"] / of[".discriminator.rewards.count"])
        scaled = 3.0 * np.minimum(np.log1p(np.exp(logit)), np.log(2)) / deviation
        wanted = scaled - 0.5 * np.mean(unit**2, axis=1)
        rewards.append(learned(observation, action))
        np.testing.assert_allclose(rewards[-1], wanted, rtol=1e-4, atol=1e-5)
        assert learned(observation[0], action[0]) == pytest.approx(rewards[-1][0], rel=1e-5)
        assert (learned.step, learned.needs_next, learned.needs_action) == (64, False, True)
    assert not np.allclose(*rewards), "each seed has its own"


def test_airls_reward_with_its_shaping_and_without(trained):
    settings = DiscriminatorConfig(hidden=(8,), batch_size=8, kind="airl-state", regularisers=())
    run = trained("airl", learner="sac", reward="cr", credo=dataclasses.replace(SMALL.credo, mode="off"),
                  discriminator=settings)  # fmt: skip
    policy, observation, action, following = steps(run)
    learned, tensors = run.reward(0), stored(run, 0)
    relu = lambda x: np.maximum(x, 0)  # noqa: E731
    activation = {"tanh": np.tanh, "relu": relu}[run.config.discriminator.activation]
    g, before = (through(tensors, f".discriminator.network.{name}", normalised(policy, observation), activation)
                 for name in ("reward", "shaping"))  # fmt: skip
    after = through(tensors, ".discriminator.network.shaping", normalised(policy, following), activation)
    np.testing.assert_allclose(learned.without_shaping(observation, action), g, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(learned.without_shaping(observation), learned.without_shaping(observation, action))
    (run.folder / "policies" / "seed-0" / "last.safetensors").unlink()  # as while it trains
    np.testing.assert_array_equal(run.reward(0).without_shaping(observation), learned.without_shaping(observation))
    ended = np.arange(7) < 3
    whole = learned.logit(observation, action, following)
    cut = learned.logit(observation, action, following, ended)
    # The density is the same on both sides: what differs is the worth of what follows.
    np.testing.assert_allclose(whole - cut, ended * run.config.discount * after, rtol=1e-3, atol=1e-4)
    elsewhere = learned.logit(observation, action, observation)
    np.testing.assert_allclose(whole - elsewhere, run.config.discount * (after - before), rtol=1e-3, atol=1e-4)
    assert learned.needs_next
    with pytest.raises(CredoError, match="next_observation: none given, and this discriminator looks at it"):
        learned(observation, action)


def test_a_discriminator_of_states_needs_no_action(trained):
    run = trained("states", discriminator=DiscriminatorConfig(hidden=(8,), batch_size=8, inputs="s"))
    _, observation, action, _ = steps(run)
    np.testing.assert_array_equal(run.reward(0)(observation), run.reward(0)(observation, action))


def test_what_does_not_fit_is_named(plain, tmp_path):
    _, observation, action, _ = steps(plain)
    learned = plain.reward()
    for given, line in (
        ((observation, None), "action: none given, and this discriminator looks at it"),
        ((observation[:, :1], action), r"observation: shape \[7, 1\] does not fit"),
        ((observation, action[:3]), r"action: shape \[3, .*\] does not fit"),
        ((observation[None], action), r"observation: shape \[1, 7, .*\]; \[n, size\] or \[size\] expected"),
        (("north", action), "observation: str found; an array of numbers expected"),
        (([[1.0, 2.0], [3.0]], action), "observation: list found; an array of numbers expected"),
        ((observation * np.inf, action), "observation: not finite"),
        ((observation, action + 100), r"action: .* is outside the bounds that the run had"),
        ((observation, action, None, [True]), r"terminated: shape \[1\] does not fit; \[7\] expected"),
        ((observation, action, None, np.full(7, 0.5)), "terminated: True and False"),
        ((observation, action, None, ["no"] * 7), "terminated: list found; an array of numbers expected"),
    ):
        with pytest.raises(CredoError, match=line):
            learned(*given)
    with pytest.raises(CredoError, match=r"discriminator\.kind: 'gail' has no shaping to leave out"):
        learned.without_shaping(observation, action)
    for seed in ("0", True, 0.0):
        with pytest.raises(CredoError, match=r"seed: .* is not possible; a whole number expected"):
            plain.reward(seed)
    with pytest.raises(CredoError, match="has no evaluated policy of seed 7"):
        plain.reward(7)
    expert = credo.train_expert("Pendulum-v1", steps=64, seeds=1, out=tmp_path / "expert", sac={"hidden": (8,)},
                                evaluation_episodes=1)  # fmt: skip
    with pytest.raises(CredoError, match="has learned no reward"):
        expert.reward()


def test_absorbing_states_ask_for_no_successor_and_plug_ins_must_be_there(trained):
    run = trained("absorbing", discriminator=DiscriminatorConfig(hidden=(8,), batch_size=8, absorbing_states=True))
    _, observation, action, following = steps(run)
    learned = run.reward(0)
    assert not learned.needs_next
    np.testing.assert_array_equal(learned(observation, action), learned(observation, action, following))
    stored_config = read_json(run.folder / "config.json")
    stored_config["config"]["reward"] = "theirs"
    run_folder.write_json(run.folder / "config.json", stored_config)
    with pytest.raises(CredoError, match="theirs"):
        run.reward(0)


def test_a_very_wide_action_box_does_not_overflow(plain):
    _, observation, action, _ = steps(plain)
    learned, bound = plain.reward(0), np.full(2, 3e38, np.float32)
    wide = dataclasses.replace(learned, action_low=-bound, action_high=bound)
    rewards = wide(observation, bound * (action / learned.action_high))
    np.testing.assert_allclose(rewards, learned(observation, action), rtol=1e-5)


@pytest.mark.parametrize("learner", ["td3", "ppo"])
def test_another_process_may_compute_in_float64(plain, trained, in_float64, learner):
    run = plain
    if learner == "ppo":
        settings = DiscriminatorConfig(hidden=(8,), batch_size=8, kind="airl-state", regularisers=())
        changes = {"reward": "cr", "credo": dataclasses.replace(SMALL.credo, mode="off"), "discriminator": settings}
        run = trained("rollouts", learner="ppo", environments_per_seed=2, **changes)
    _, *step = steps(run)
    before = run.policy(0)(step[0]), run.reward(0)(*step)
    in_float64()
    for now, then in zip((run.policy(0)(step[0]), run.reward(0)(*step)), before, strict=True):
        np.testing.assert_allclose(now, then, rtol=1e-5)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(trained):
    run = trained("damaged", seeds=1)
    older, newest = all_checkpoints(run.folder)
    state = newest / "seed-0.safetensors"
    state.write_bytes(state.read_bytes()[:-4] + b"\0\1\2\3")
    assert run.reward(0).step == 32
    for path in (older, newest):
        (path / "seed-0.safetensors").unlink()
    with pytest.raises(CredoError, match="has no checkpoint to read; its newest is damaged"):
        run.reward(0)
