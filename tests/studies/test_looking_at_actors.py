"""What autopsy.py and critics_pull.py measure of actors and critics that are written down weight by weight."""

import collections
import csv
import sys
import types
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import script_modules

from credo.networks import Layer
from credo.random import Purpose
from credo.studies.study import load_study
from credo.training.state import TrainState
from credo.types import Transition

Learner = collections.namedtuple("Learner", "actor critics")
Discriminator = collections.namedtuple("Discriminator", "network")
STUDY = """
[study]
name = "tiny"
seeds = 3

[base]
environment = "Pendulum-v1"
demonstrations = "none.safetensors"
learner = "td3"
steps = 256
steps_per_round = 64
first_seed = 5

[axes.method]
off = { credo = "off" }
"""


@pytest.fixture
def scripts(monkeypatch):
    yield from script_modules.loaded(monkeypatch, "autopsy", "critics_pull")


def layer(weight, bias):
    return Layer(jnp.array(weight, jnp.float32), jnp.array(bias, jnp.float32))


def critic(above, below, second):
    """Of states s and actions a: ``above`` * z where z = s0 + a0 is above 0, ``below`` * z elsewhere, + second * a1."""
    first = layer([[1, -1, 0], [0, 0, 0], [1, -1, 0], [0, 0, 1]], [0, 0, 10])
    return first, layer([[above], [-below], [second]], [0])


def test_an_update_is_looked_at_from_the_actor_before_it(scripts, monkeypatch) -> None:
    """The actor was at 0 everywhere and is at (-20, 1.5) before tanh; the critic's slopes at 0 are (3, -4) in three of
    four states and (-1, -4) in the third."""
    before = Learner((layer(np.zeros((2, 2)), [0, 0]),), (critic(7, 7, 7), critic(8, 8, 8)))
    after = Learner((layer(np.zeros((2, 2)), [-20, 1.5]),), (critic(3, -1, -4), critic(9, 9, 9)))
    state = jnp.array([[0.5, 0], [2, 0], [-0.5, 0], [3, 0]], jnp.float32)
    batch = Transition(state, jnp.zeros((4, 2)), jnp.zeros(4), state, jnp.zeros(4, bool))
    names = ("preactivation_penalty", "cloning_weight", "actor_learning_rate", "critic_learning_rate")
    settings = types.SimpleNamespace(**dict(zip(names, (0.0, 0.0, 0.5, 0.25), strict=True)))
    wanted = {
        "preactivation": 21.5 / 2,
        "saturation": 0.5,
        # By bias and weight: -mean(3, 3, -1, 3) and 4; -mean(1.5, 6, 0.5, 9) and 4 mean(0.5, 2, -0.5, 3).
        "gradient": 5,
        "step": 21.5 / 6 / 0.5,
        "agreement": (0.5 + 1) / 2,
        "action_slope": (3 * 5 + np.sqrt(17)) / 4,
    }

    def looked():
        look = jax.jit(lambda *learners: scripts["autopsy"].look(settings, *learners, batch))
        return {name: float(value) for name, value in look(before, after).items()}

    assert looked() == pytest.approx(wanted)
    # tanh(-20) is exactly -1, which is at a bound of 1.
    monkeypatch.setattr(scripts["autopsy"], "SATURATED", 1.0)
    assert looked()["saturation"] == 0.5


@pytest.mark.parametrize(("learner", "delay"), [("td3", 2), ("ddpg", 1)])
def test_an_autopsy_looks_at_every_update_of_the_actor_once(scripts, monkeypatch, learner, delay) -> None:
    """A learner is a number to which the batches of its update are added, a discriminator one that counts rounds; the
    four batches of a round are ten times the discriminator and 0 to 3."""
    module, asked = scripts["autopsy"], []
    settings = types.SimpleNamespace(**({"actor_delay": 2} if learner == "td3" else {}))
    config = types.SimpleNamespace(learner=learner, updates_per_round=4, **{learner: settings})
    monkeypatch.setattr(module, "initial_state", lambda parts, number: TrainState(1000 * number, 1))
    monkeypatch.setattr(module, "random_actions", lambda config, seed, number: [f"action {number}"])
    recorder = types.SimpleNamespace(steps="steps", ended="ended", fresh="fresh")
    recorder.take = lambda seed, index, action: asked.append((index, action))
    monkeypatch.setattr(module, "Recorder", lambda config, seed: recorder)
    monkeypatch.setattr(module, "draw_experience", lambda config, seed, fresh, number: asked.append((fresh, number)))

    def key(purpose, number):
        asked.append((purpose, number))
        return jax.random.key(0)

    def batches(state, constants, experience, key):
        return state.discriminator + 1, 10 * state.discriminator + np.arange(4), None

    def look(before, after, batch):
        return dict.fromkeys(module.COLUMNS, 0) | {"preactivation": before, "step": after, "gradient": batch}

    seed = types.SimpleNamespace(number=3, key=key, replay=types.SimpleNamespace(add=lambda *told: asked.append(told)))
    compiled = {"batches": batches, "look": look, "update": lambda learner, few, key: (learner + int(few.sum()), None)}
    rows = list(module.rows_of(types.SimpleNamespace(config=config), None, seed, 2, compiled))
    every = np.array([10, 11, 12, 13, 20, 21, 22, 23]).reshape(-1, delay)
    learners = 3000 + np.concatenate([[0], np.cumsum(every.sum(axis=1))])
    assert [row["seed"] for row in rows] == [3] * len(every)
    assert [row["update"] for row in rows] == list(range(1, len(every) + 1))
    assert [row["preactivation"] for row in rows] == learners[:-1].tolist()
    assert [row["step"] for row in rows] == learners[1:].tolist()
    assert [row["gradient"] for row in rows] == every[:, -1].tolist(), "the batch that the actor learned from"
    for number in (0, 1):
        for told in ((0, f"action {number}"), ("fresh", number), (Purpose.DISCRIMINATOR, number)):
            assert asked.count(told) == 1
        assert asked.count((Purpose.LEARNER, number)) == 4 // delay
    assert asked.count(("steps", "ended")) == 2


def test_an_autopsy_goes_through_what_it_can_and_tells_it_to_four_digits(scripts, monkeypatch, tmp_path) -> None:
    module, seen = scripts["autopsy"], []
    names = ("learner", "warm_start", "learning_starts", "steps_per_round", "random_steps")
    config = types.SimpleNamespace(**dict(zip(names, ("td3", "none", 64, 64, 128), strict=True)), td3=None)
    prepared = types.SimpleNamespace(spec=None, demonstrations=None, source="source")
    monkeypatch.setattr(module, "prepare", lambda config: prepared)
    learner = types.SimpleNamespace(update=lambda: None)
    monkeypatch.setattr(module, "make_parts", lambda config, spec: types.SimpleNamespace(learner=learner))
    monkeypatch.setattr(module, "divided", lambda parts, demonstrations: (None, None))
    monkeypatch.setattr(module, "make_seed", lambda config, source, number, state: (source, number))

    def rows_of(parts, constants, seed, rounds, compiled):
        seen.append((seed, rounds))
        return [{"seed": seed[1], "update": 7} | {name: 1 / (2 + i) for i, name in enumerate(module.COLUMNS)}]

    monkeypatch.setattr(module, "rows_of", rows_of)
    cell = types.SimpleNamespace(method="plain", config=config)
    monkeypatch.setattr(module, "load_study", lambda study: types.SimpleNamespace(cells=[cell]))

    def called(rounds):
        words = ("plain", "--rounds", str(rounds), "--seeds", "2", "--out", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["autopsy", *words])
        module.main()

    called(2)
    assert seen == [(("source", 0), 2), (("source", 1), 2)]
    with open(tmp_path / "autopsy-plain.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["update"]) for row in rows] == [("0", "7"), ("1", "7")]
    assert [rows[0][name] for name in module.COLUMNS] == ["0.5", "0.3333", "0.25", "0.2", "0.1667", "0.1429"]
    for name, value in (("warm_start", "clone"), ("learning_starts", 65), ("random_steps", 127)):
        with monkeypatch.context() as changed:
            changed.setattr(config, name, value)
            with pytest.raises(SystemExit, match=name if name != "random_steps" else "at most 1"):
                called(2)


def test_the_pull_on_a_known_actor(scripts, monkeypatch, tmp_path) -> None:
    """In states s, of which the replay holds twice as much, the actor is at tanh(20 s) and tanh(-s). Critic: 2 s + a0 -
    2 a1; logit: s - 3 a0; what the reward makes of it: its opposite."""
    module, s = scripts["critics_pull"], np.array([1.0, -1, 2, 4])
    loaded, made, kept = [], [], np.append(2 * s, [-100.0, 50.0]).astype(np.float32)[:, None]
    replay = mock.MagicMock(observation=kept)
    replay.__len__.return_value = 4
    linear = (layer([[2], [1], [-2]], [0]),), (layer([[5], [5], [5]], [0]),)
    state = TrainState(Learner((layer([[20, -1]], [0, 0]),), linear), Discriminator(jnp.array([1.0, -3.0, 0.0])))

    def make_seed(config, source, number, initial):
        made.append((number, initial))
        return types.SimpleNamespace(state=state, replay=replay)

    layout = types.SimpleNamespace(join=lambda state, action, *_: jnp.concatenate([state, action], axis=-1))
    discriminator = types.SimpleNamespace(layout=layout, logit=lambda network, inputs, learner: inputs @ network)
    changes = {
        "make_parts": lambda config, spec: types.SimpleNamespace(discriminator=discriminator),
        "divided": lambda parts, demonstrations: (types.SimpleNamespace(normalise=lambda x: x / 2), None),
        "make_seed": make_seed,
        "initial_state": lambda parts, number: f"state {number}",
        "Checkpoints": lambda folder: types.SimpleNamespace(load=lambda seeds, rounds: loaded.append((folder, rounds))),
        "reward_of_logit": lambda parts, logit: -logit,
    }
    for name, changed in changes.items():
        monkeypatch.setattr(module, name, changed)

    def row_of(factor):
        cost = types.SimpleNamespace(reward_factor=factor, action_cost=0.8)
        config = types.SimpleNamespace(seed_numbers=(4,), rounds=7, discriminator=cost)
        prepared = types.SimpleNamespace(config=config, spec=None, demonstrations=None, source=None)
        (row,) = module.rows_of(prepared, tmp_path)
        return row

    first, second = np.sign(s), np.tanh(-s)
    wanted = {
        "seed": 4,
        # The first component always, of the second -0.9993.
        "saturation": 5 / 8,
        # Where s is -1: there a0 is -1, which the critic wants larger, and a1 is above 0, which it wants smaller.
        "critic_inwards": 2 / 8,
        # Where a0 is 1.
        "discriminator_inwards": 3 / 8,
        # In a0 its slope is 1.5 less 0.8 a0, inwards where s is -1; in a1 it is -0.8 a1.
        "reward_inwards": 5 / 8,
        "critic_contrast": np.sqrt(5) / np.std(2 * s + first - 2 * second),
        "discriminator_contrast": 3 / np.std(s - 3 * first),
    }
    assert row_of(0.5) == pytest.approx(wanted, rel=1e-5)
    assert loaded == [(tmp_path, 7)]
    assert made == [(4, "state 4")]
    # 0.3 less 0.8 a0: the cost outweighs it everywhere.
    monkeypatch.setattr(module, "SATURATED", 1.0)
    assert row_of(0.1) == pytest.approx(wanted | {"reward_inwards": 1, "saturation": 4 / 8}, rel=1e-5)


def test_the_pull_is_looked_at_for_the_seeds_asked_for(scripts, tmp_path, monkeypatch, capsys) -> None:
    module, ran = scripts["critics_pull"], []
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY)
    assert load_study(path).cells[0].config.seed_numbers == (5, 6, 7)
    monkeypatch.setattr(module, "prepare", lambda config: types.SimpleNamespace(config=config))
    monkeypatch.setattr(module.api, "start", lambda prepared, folder, watcher: ran.append(folder.name))

    def rows_of(prepared, folder):
        config = prepared.config
        told = {name: config.steps + i / 3 for i, name in enumerate(module.COLUMNS)}
        return [{"seed": seed} | told for seed in config.seed_numbers]

    monkeypatch.setattr(module, "rows_of", rows_of)

    def called(at, *words):
        places = ("--store", str(tmp_path / "runs"), "--out", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["critics_pull", str(path), "--at", str(at), *places, *words])
        module.main()
        with open(tmp_path / f"tiny-pull-{at}.csv", newline="") as file:
            return [tuple(row.values()) for row in csv.DictReader(file)]

    rows = called(192)
    assert [row[:4] for row in rows] == [("off", "Pendulum-v1", str(seed), "192") for seed in (5, 6, 7)]
    assert rows[0][4:] == ("192.3", "192.7", "193", "193.3", "193.7")
    done = tmp_path / "runs" / "pulls" / "tiny-off-192"
    done.mkdir(parents=True)
    (done / module.run_folder.DONE).touch()
    assert [row[2] for row in called(192, "--seeds", "11", "13")] == ["11", "12"]
    assert ran == ["tiny-off-192"], "what is done is not run again"
    for at in (0, 100, 256):
        with pytest.raises(SystemExit):
            called(at)
        assert "a multiple of 64 below 256" in capsys.readouterr().err
