"""Runs on chosen keys and stacked frames, on logged transitions, and on environments without seeds."""

import dataclasses

import gymnasium
import numpy as np
import pytest

import credo
from credo import run_folder
from credo.cli.runs import source_of
from credo.demonstrations import from_episodes, save_demonstrations
from credo.environments import rollout_episodes, viewed
from credo.environments.probes import PointMass, point_mass_expert
from credo.files import read_json
from credo.presets import DEFAULT
from credo.training.seed import logged_steps
from credo.training.watching import Watcher
from credo.types import CredoError
from training.training_runs import REWARDED, SMALL, changed, states


class Robot(PointMass):
    """The point mass with Dict observations, and a seed that it ignores."""

    def __init__(self):
        super().__init__()
        box = gymnasium.spaces.Box(-10, 10, (2,), np.float32)
        self.observation_space = gymnasium.spaces.Dict(velocity=box, position=box)

    def _observe(self):
        position, velocity = np.split(super()._observe(), 2)
        return {"position": position, "velocity": velocity}


@pytest.fixture(scope="module")
def log():
    return from_episodes(rollout_episodes(PointMass, point_mass_expert, 3, seed=0), "PointMass")


def test_a_run_on_keys_and_frames_leaves_a_policy_that_says_so(log, tmp_path):
    settings = {"observation_keys": ("position", "velocity"), "frame_stack": 2}
    config = changed(SMALL, environment="Robot", steps=64, **settings)
    run = credo.imitate(config, environment=Robot, demonstrations=log, out=tmp_path / "run")
    policy = run.policy(0, "last")
    assert policy.observation_size == 8
    with pytest.raises(CredoError, match="registered"):
        rollout_episodes(source_of(policy, None), policy.normalised_action, 1, seed=0)
    policy = dataclasses.replace(policy, environment=policy.environment)
    source = source_of(policy, "given")
    assert (source.keys, source.frames) == (("position", "velocity"), 2)
    (episode,) = rollout_episodes(dataclasses.replace(source, source=Robot), policy.normalised_action, 1, seed=0)
    np.testing.assert_array_equal(episode.observation[1:, :4], episode.observation[:-1, 4:])
    with pytest.raises(CredoError, match="another run"):
        credo.imitate(changed(config, frame_stack=1), environment=Robot, demonstrations=log, out=tmp_path / "run")


def test_logged_transitions_follow_one_another_where_they_did(log):
    for lanes in (1, 2, 4):
        steps, ended = logged_steps(log, lanes)
        rows = len(log) // lanes
        assert steps.observation.shape == (rows, lanes, 4)
        expected = log.transitions(np.arange(rows * lanes).reshape(lanes, rows).T)
        np.testing.assert_array_equal(steps.next_observation, expected.next_observation)
        follows = (steps.next_observation[:-1] == steps.observation[1:]).all(axis=-1)
        assert (follows | ended[:-1]).all()
        assert ended[-1].all()


def test_a_mapping_changes_the_settings_it_names_and_no_others(tmp_path):
    arguments = {"environment": PointMass, "reward": "environment", "steps": 64, "random_steps": 64, "seeds": 1}
    arguments |= {"learning_starts": 64, "evaluation_episodes": 1, "out": tmp_path / "run"}
    run = credo.imitate(td3={"hidden": (8,)}, **arguments)
    assert run.config.td3 == dataclasses.replace(credo.preset(DEFAULT).td3, hidden=(8,))
    with pytest.raises(CredoError, match=r"^td3.hiden: no such setting; did you mean td3.hidden"):
        credo.imitate(td3={"hiden": (8,)}, **arguments)
    with pytest.raises(CredoError, match=r"^colour: no such setting"):
        credo.imitate(colour="red", **arguments)


def test_a_replay_begins_with_the_log(log, tmp_path):
    path = tmp_path / "log.safetensors"
    save_demonstrations(path, log)
    config = changed(REWARDED, environment="PointMass", steps=64, environments_per_seed=2, seed_replay=str(path))
    run = credo.imitate(config, environment=PointMass, out=tmp_path / "run")
    arrays = states(run.folder)[0]
    half = len(log) // 2
    assert arrays["replay/reward"].shape == (half + 32, 2)
    np.testing.assert_array_equal(arrays["replay/observation"][:half, 0], log.observation[:half])
    np.testing.assert_array_equal(arrays["replay/reward"][:half, 1], log.reward[half:])
    stored = read_json(run.folder / run_folder.CONFIG)["identity"]
    assert stored["seed_replay_sha256"] == log.sha256
    assert "seed_replay" not in stored
    longer = credo.imitate(changed(config, steps=96), environment=PointMass, out=run.folder)
    assert states(longer.folder)[0]["replay/reward"].size == len(log) + 96
    save_demonstrations(path, log.select_episodes([0, 1]), overwrite=True)
    with pytest.raises(CredoError, match="seed_replay_sha256"):
        credo.imitate(config, environment=PointMass, out=run.folder)
    with pytest.raises(CredoError, match=rf"^seed_replay: not what .* began with \({log.sha256[:12]}, not .{{12}}\); "):
        credo.resume(run.folder, environment=PointMass)
    path.unlink()
    with pytest.raises(CredoError, match=r"^seed_replay: .*log.safetensors, which its replay .* is not there"):
        credo.resume(run.folder, environment=PointMass)
    moved = tmp_path / "moved.safetensors"
    save_demonstrations(moved, log)
    again = credo.resume(run.folder, environment=PointMass, seed_replay=moved)
    assert again.config.seed_replay == str(moved)


def test_logs_and_demonstrations_that_do_not_fit_are_refused_before_anything_is_written(log, tmp_path):
    path = tmp_path / "log.safetensors"
    save_demonstrations(path, log)
    with pytest.raises(CredoError, match=r"^seed_replay: .*observation has 4 dimensions, but Pendulum-v1 has 3"):
        credo.imitate(changed(REWARDED, seed_replay=str(path)), out=tmp_path / "run")
    with pytest.raises(CredoError, match=r"^seed_replay: 'nofile' is neither a file nor a shipped expert"):
        credo.imitate(changed(REWARDED, seed_replay="nofile"), out=tmp_path / "run")
    unknown = dataclasses.replace(log, action=log.action[:, :0], action_bounds=None)
    with pytest.raises(CredoError, match="have no actions"):
        credo.imitate(SMALL, environment=PointMass, demonstrations=unknown, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Unseeded(PointMass):
    def reset(self):
        return super().reset()


def test_an_environment_without_seeds_trains_with_a_note(tmp_path):
    lines = []
    watcher = Watcher(line=lines.append)
    config = changed(REWARDED, environment="Unseeded", steps=64)
    run = credo.imitate(config, environment=Unseeded, out=tmp_path / "run", watcher=watcher)
    assert run.summary["state"] == "done"
    (note,) = [line for line in lines if "seed" in line]
    assert note.startswith("note: Unseeded does not take a seed: runs cannot be reproduced")
    credo.imitate(changed(config, steps=96), environment=Unseeded, out=tmp_path / "run", watcher=watcher)
    assert any("cannot be restored: it goes on from the start of episode" in line for line in lines)


def test_viewed_is_what_the_command_line_uses(tmp_path):
    """The options reach the environment: one line says what is wrong with them."""
    with pytest.raises(CredoError, match="has no Dict observations"):
        credo.imitate(changed(REWARDED, observation_keys=("position",)), out=tmp_path / "run")
    with pytest.raises(CredoError, match="no observation 'speed'"):
        rollout_episodes(viewed(Robot, ("speed",)), point_mass_expert, 1, seed=0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"credo": {"mode": "Filter"}}, "credo.mode: 'Filter' is not one of"),
        ({"seeds": 2.0}, "seeds: 2.0 is not of type int"),
        ({"steps": 1e5}, "steps: 100000.0 is not of type int"),
        ({"td3": None}, "td3: expected a table of settings"),
        ({"execution": "gpu"}, "execution: 'gpu' is not one of"),
        ({"td3": {"actor_learning_rate": "1e-3"}}, "actor_learning_rate: '1e-3'"),
        ({"seed_replay": object}, "is no setting"),
    ],
)
def test_a_setting_of_another_type_is_refused_before_anything_is_written(settings, expected, tmp_path):
    with pytest.raises(CredoError, match=expected):
        credo.imitate(environment=PointMass, out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_numbers_of_numpy_and_paths_are_taken_as_what_they_say(log, tmp_path):
    save_demonstrations(tmp_path / "log.safetensors", log)
    config = changed(REWARDED, environment="PointMass", steps=np.int64(64), seed_replay=tmp_path / "log.safetensors")
    run = credo.imitate(config, environment=PointMass, out=tmp_path / "run")
    assert type(run.config.steps) is int
    assert run.config.seed_replay == str(tmp_path / "log.safetensors")
