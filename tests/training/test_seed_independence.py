"""A seed's numbers come from the seed alone: not from its group, its process or the other seeds."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from credo import run_folder
from credo.training.seed import draw_experience, make_seed, random_actions
from training.training_runs import (
    REWARDED,
    SMALL,
    assert_same_seed,
    changed,
    demonstrations,
    rows,
    run,
    states,
)

SEEDS = 3


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    folder = tmp_path_factory.mktemp("group") / "run"
    assert run(folder, changed(seeds=SEEDS), data=demonstrations()) == "done"
    return folder


def test_the_run_is_one_that_learns_explores_and_filters(group):
    for seed in range(SEEDS):
        metrics = rows(group, run_folder.METRICS, seed)
        assert np.array_equal(metrics["step"], np.arange(16, 257, 16))
        learned = ~np.isnan(metrics["critic_loss"])
        assert np.array_equal(learned, metrics["step"] >= SMALL.learning_starts)
        assert ((metrics["filtered_share"][learned] >= 0) & (metrics["filtered_share"][learned] <= 1)).all()
        assert metrics["filtered_share"][learned].max() > 0
        assert np.array_equal(rows(group, run_folder.EVALUATIONS, seed)["step"], [128, 256])


@pytest.mark.parametrize("seed", [0, 2])
def test_alone_as_in_a_group_bitwise(group, tmp_path, seed):
    run(tmp_path / "alone", changed(first_seed=seed), data=demonstrations())
    assert_same_seed(tmp_path / "alone", group, seed)


def test_vmap_agrees_with_threads(group, tmp_path):
    """To rounding, over a short run, after which rounding has grown."""
    short = changed(steps=64, seeds=2, checkpoint_interval=64, evaluation_interval=64)
    run(tmp_path / "threads", short, data=demonstrations())
    run(tmp_path / "vmap", changed(short, execution="vmap"), data=demonstrations())
    for seed in range(2):
        assert_same_seed(tmp_path / "vmap", tmp_path / "threads", seed, tolerance=2e-3)


def test_vmap_alone_as_in_a_group(tmp_path):
    short = changed(REWARDED, steps=64, execution="vmap")
    run(tmp_path / "group", changed(short, seeds=2))
    run(tmp_path / "alone", changed(short, first_seed=1))
    assert_same_seed(tmp_path / "alone", tmp_path / "group", 1, tolerance=2e-3)


def in_another_process(call, before="", **environment):
    tests, source = Path(__file__).parents[1], Path(run_folder.__file__).parents[1]
    script = (
        f"import sys; sys.path[:0] = [{str(tests)!r}, {str(source)!r}]\n"
        "import conftest\n"
        "from pathlib import Path\n"
        "from training.training_runs import REWARDED, changed, demonstrations, run\n"
        f"{before}\n{call}\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300, env=os.environ | environment)


@pytest.mark.parametrize("learner", ["sd3", "sac", "ppo"])
def test_vmap_acts_on_the_cpu_and_learns_elsewhere(learner, tmp_path):
    """The state lies on another device, as on a GPU; here on a second that JAX makes of the CPU. TD3 acts as SD3."""
    settings = {"steps": 64, "seeds": 2, "checkpoint_interval": 64, "evaluation_interval": 64, "learner": learner}
    run(tmp_path / "here", changed(**settings, execution="vmap"), data=demonstrations())
    in_another_process(
        f"run(Path({str(tmp_path / 'elsewhere')!r}), changed(**{settings}, execution='vmap'), data=demonstrations())\n"
        "assert {next(iter(getattr(d, 'device_set', [d]))) for d in moved} == {cpu, elsewhere}, moved",
        before=(
            "import jax\n"
            "cpu, elsewhere = jax.devices()\n"
            "jax.config.update('jax_default_device', elsewhere)\n"
            "moved = []\n"
            "put = jax.device_put\n"
            "jax.device_put = lambda tree, device: (moved.append(device), put(tree, device))[1]\n"
        ),
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    for seed in range(2):
        assert_same_seed(tmp_path / "elsewhere", tmp_path / "here", seed)


def test_twice_in_two_processes_bitwise(group, tmp_path):
    in_another_process(f"run(Path({str(tmp_path / 'again')!r}), changed(seeds={SEEDS}), data=demonstrations())")
    for seed in range(SEEDS):
        assert_same_seed(tmp_path / "again", group, seed)


def test_seeds_differ_in_every_draw(group):
    found = states(group)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        one, other = found[first], found[second]
        for name in one:
            if name.startswith("state/") and "weight" in name:
                assert not np.array_equal(one[name], other[name]), name
        for name in ("replay/observation", "replay/action"):
            assert not np.any(np.all(one[name] == other[name], axis=1)), name


def test_the_streams_of_each_seed_are_its_own():
    config = changed(seeds=2)
    seeds = [make_seed(config, "Pendulum-v1", number, None) for number in (0, 1)]
    again = make_seed(config, "Pendulum-v1", 1, None)
    try:
        resets = [seed.environments.observation for seed in (*seeds, again)]
        warm_up = [random_actions(config, seed, 0) for seed in (*seeds, again)]
        next_round = random_actions(config, seeds[1], 1)
        for seed in (*seeds, again):
            chunk = _chunk(seeds[0].environments.spec)
            seed.replay.add(chunk, np.zeros(chunk.reward.shape, bool))
        drawn = [draw_experience(config, seed, _chunk(seed.environments.spec), 3) for seed in (*seeds, again)]
        later = draw_experience(config, seeds[1], _chunk(seeds[1].environments.spec), 4)
        for zero, one, repeated in (resets, warm_up):
            assert not np.any(zero == one)
            np.testing.assert_array_equal(one, repeated)
        assert not np.any(warm_up[1] == next_round)
        replayed = [experience.batches.reward for experience in (*drawn, later)]
        assert not np.array_equal(replayed[0], replayed[1])
        np.testing.assert_array_equal(replayed[1], replayed[2])
        assert not np.array_equal(replayed[1], replayed[3])
        policy_side = drawn[0].policy_observation[:, :, 0]
        assert not np.array_equal(policy_side, drawn[0].batches.observation[:, :, 0]), "one draw for two uses"
    finally:
        for seed in (*seeds, again):
            seed.environments.close()
            seed.evaluator.close()


def _chunk(spec, steps=200):
    from credo.types import Transition

    numbers = np.arange(steps, dtype=np.float32)[:, None]
    return Transition(
        observation=np.repeat(numbers[..., None], spec.observation_size, axis=2),
        action=np.zeros((steps, 1, spec.action_size), np.float32),
        reward=numbers,
        next_observation=np.repeat(numbers[..., None] + 1, spec.observation_size, axis=2),
        terminated=np.zeros((steps, 1), bool),
    )


@pytest.mark.parametrize("execution", ["threads", "vmap"])
def test_exploration_noise_differs_between_seeds_steps_and_rounds(execution, tmp_path):
    """The policies are the same constant here, so that what differs in the actions is the noise."""
    import jax

    from credo.environments import environment_spec, make_environment
    from credo.training.execution import make_execution
    from credo.training.state import initial_state, make_constants, make_parts

    config = changed(reward="environment", random_steps=0, updates_per_round=0, execution=execution, seeds=2, steps=48)
    environment = make_environment("Pendulum-v1")
    parts = make_parts(config, environment_spec(environment, "Pendulum-v1"))
    environment.close()
    constants = make_constants(parts, None, np.zeros((0, 3)), np.zeros((0, 1)))
    silent = jax.tree.map(lambda x: 0 * x, initial_state(parts, 0))
    seeds = [make_seed(config, "Pendulum-v1", n, jax.tree.map(np.array, silent)) for n in (0, 1)]
    made = make_execution(parts, constants, seeds)
    try:
        made.advance(seeds, range(3), lambda round_number: None)
        actions = np.concatenate([seed.replay.action[:48, 0] for seed in seeds])
    finally:
        made.close()
        for seed in seeds:
            seed.environments.close()
            seed.evaluator.close()
    assert len(np.unique(actions)) == 96
    assert np.std(actions) == pytest.approx(config.td3.exploration_noise, rel=0.25)


def test_a_seed_beyond_32_bits_is_refused():
    from credo.config import validate
    from credo.types import CredoError

    validate(changed(first_seed=2**31 - 1))
    with pytest.raises(CredoError, match="first_seed"):
        validate(changed(first_seed=2**31 - 1, seeds=2))
