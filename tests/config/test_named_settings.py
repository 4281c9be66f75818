"""Own settings of a plug-in's rewards and regularisers, behind their names: ``name,setting=value``."""

import dataclasses
import json
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo import plugins, run_folder
from credo.cli import train
from credo.config import CredoConfig, DiscriminatorConfig, RunConfig, from_dict, identity, run_id, to_dict, validate
from credo.config.limits import Positive
from credo.config.names import REGISTERED
from credo.config.run import typed
from credo.discriminator.model import make_discriminator
from credo.discriminator.outliers import reward_cap, threshold_logit
from credo.discriminator.regularisers import chosen_regularisers
from credo.discriminator.rewards import reward_named
from credo.files import read_json
from credo.reports.methods import Member, name_methods
from credo.studies.read import MethodRun
from credo.studies.study import load_study
from credo.training.checks import check_rewards
from credo.training.relabel import reward_of_logit
from credo.training.state import make_parts
from credo.types import CredoError
from training.linear_discriminator import SPEC, settings

pytestmark = pytest.mark.usefixtures("forgotten_plugins")


@dataclasses.dataclass(frozen=True)
class Inner:
    power: int = 2


@dataclasses.dataclass(frozen=True)
class Pull:
    strength: Positive = 0.5
    side: Literal["policy", "expert"] = "policy"
    inner: Inner = Inner()


@dataclasses.dataclass(frozen=True)
class Scale:
    height: Positive = 1.0


def height_times_tanh(logit, settings):
    return settings.height * jnp.tanh(logit)


def pulled(loss, logit, config, settings):
    def wrapped(network, expert, policy, key):
        side = policy if settings.side == "policy" else expert
        mean = jnp.mean(logit(network, side.inputs))
        return loss(network, expert, policy, key) + settings.strength * mean**settings.inner.power

    return wrapped


def register():
    plugins.register_reward(
        "tall",
        settings=Scale(),
        bounds=lambda settings: (-settings.height, settings.height),
        inverse=lambda reward, settings: math.atanh(reward / settings.height),
    )(height_times_tanh)
    plugins.register_regulariser("pull", settings=Pull())(pulled)


def config(reward="tall", *regularisers, threshold=0.5):
    return RunConfig(
        reward=reward,
        credo=CredoConfig(threshold=threshold),
        discriminator=DiscriminatorConfig(regularisers=regularisers or ("pull",)),
    )


def test_a_reward_is_made_of_its_settings():
    register()
    assert float(reward_named("tall,height=3")(jnp.float32(0.5))) == pytest.approx(3 * math.tanh(0.5))
    assert float(reward_named("tall")(jnp.float32(0.5))) == pytest.approx(math.tanh(0.5))
    assert reward_named("tall,height=3").bounds == (-3.0, 3.0)
    credo = CredoConfig(mode="both", threshold=1.5)
    assert threshold_logit(credo, "tall,height=3") == pytest.approx(math.atanh(0.5))
    assert threshold_logit(credo, "tall") == math.inf
    credo = CredoConfig(mode="both", threshold=0.75, threshold_unit="probability")
    assert reward_cap(credo, "tall,height=3") == pytest.approx(3 * math.tanh(math.log(3)))
    check_rewards(config("tall,height=3"))


def test_a_regulariser_is_given_its_settings():
    register()
    inputs = {"expert": jnp.full((4, 2), 2.0), "policy": jnp.full((4, 2), 3.0)}
    sides = [type("Side", (), {"inputs": each})() for each in inputs.values()]

    def value(text):
        chosen = chosen_regularisers(DiscriminatorConfig(regularisers=(text,)))
        loss = chosen[0].loss(lambda *rest: jnp.float32(1.0), lambda network, x: x[:, 0], DiscriminatorConfig())
        return float(loss(None, *sides, jax.random.key(0)))

    assert value("pull") == 1 + 0.5 * 9
    assert value("pull,strength=2,inner.power=3") == 1 + 2 * 27
    assert value("pull, side=expert") == 1 + 0.5 * 4


def test_settings_reach_the_discriminators_update():
    register()
    size = {}
    for text in ("pull,strength=1e-9", "pull,strength=1e4"):
        changed = DiscriminatorConfig(regularisers=(text,), hidden=(8,), batch_size=16, learning_rate=0.01)
        made = make_discriminator(changed, CredoConfig(mode="off"), "tall,height=2", 2, 1)
        state, expert = made.init(jax.random.key(1)), jnp.ones((16, 3))
        state, _ = jax.jit(made.update)(state, expert, -jnp.ones((40, 16, 3)), jax.random.key(2), None)
        size[text] = abs(float(jnp.mean(made.logit(state.network, -expert))))
    assert size["pull,strength=1e4"] < 0.1 < 0.5 < size["pull,strength=1e-9"]


def test_the_identity_is_of_what_comes_of_them():
    register()
    tree = identity(config("tall,height=2", "pull", "gradient-penalty"))
    assert tree["reward"] == "tall"
    assert tree["discriminator"]["regularisers"] == ["pull", "gradient-penalty"]
    assert tree["plugin_settings"] == {
        "reward.tall": {"height": 2.0},
        "regulariser.pull": {"strength": 0.5, "side": "policy", "inner": {"power": 2}},
    }
    usual = run_id(config())
    assert run_id(config("tall,height=1")) == run_id(config("tall,height=1.0", "pull,side=policy")) == usual
    assert len({usual, run_id(config("tall,height=2")), run_id(config("tall", "pull,side=expert"))}) == 3
    assert "plugin_settings" not in identity(RunConfig())
    plugins.register_reward("tall", settings=Scale(3.0), bounds=(-3.0, 3.0))(height_times_tanh)
    assert run_id(config()) != usual


def test_a_name_with_settings_has_one_spelling():
    register()
    read = from_dict(to_dict(config("tall, height=2", 'pull,strength=1,side="expert"')))
    assert read.reward == "tall,height=2"
    assert read.discriminator.regularisers == ("pull,side=expert,strength=1",)
    assert from_dict(json.loads(json.dumps(to_dict(read)))) == read


def test_spaces_around_a_name_change_nothing():
    assert typed(RunConfig(reward=" environment")) == RunConfig(reward="environment")
    spaced, plain = (
        [typed(RunConfig(discriminator=DiscriminatorConfig(regularisers=(name,), mixup=alpha))) for alpha in (0.1, 1.0)]
        for name in (" mixup ", "mixup")
    )
    assert spaced == plain
    assert run_id(spaced[0]) != run_id(spaced[1])
    with pytest.raises(CredoError, match="without mixup beside positive-unlabelled"):
        validate(typed(config("plr", "mixup ", " positive-unlabelled")))


@pytest.mark.parametrize(
    ("reward", "regulariser", "message"),
    [
        ("tall,hight=2", "pull", "reward tall: hight: reward tall has no such setting; did you mean height?"),
        ("tall,height=0", "pull", "reward tall: height: 0.0 is not possible; it must be"),
        ("tall,height=tall", "pull", "reward tall: height: 'tall' is not of type float"),
        ("tall,height", "pull", "reward: 'tall,height': 'height' is not argument=value"),
        ("tall,height=1,height=2", "pull", "height is there twice"),
        ("plr,height=1", "pull", "reward: 'plr,height=1': plr has no settings; leave out what follows its name"),
        ("low,height=1", "pull", "reward: 'low' is not one of plr"),
        ("tall", "pull,side=both", "regulariser pull: side: 'both' is not one of policy, expert"),
        ("tall", "pull,inner.powr=1", "did you mean inner.power?"),
        ("tall", "r1,r1=2", "r1 has no settings"),
        ("tall", "push,r1=2", "'push' is not one of gradient-penalty"),
    ],
)
def test_what_cannot_be_is_one_line(reward, regulariser, message):
    register()
    with pytest.raises(CredoError) as caught:
        validate(config(reward, regulariser))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_regulariser_is_there_once_whatever_its_settings():
    register()
    with pytest.raises(CredoError, match="a list that has pull once"):
        validate(config("tall", "pull", "pull,strength=2"))


@pytest.mark.parametrize(
    ("settings", "bounds", "message"),
    [
        ({"height": 1}, (0, 1), "an instance of a dataclass expected"),
        (Scale, (0, 1), "an instance of a dataclass expected"),
        (Scale(0.0), (0, 1), "reward wrong: settings.height: 0.0 is not possible"),
        (Scale(math.nan), (0, 1), "settings.height"),
        (Scale(), lambda settings: (settings.height, 0), "lowest, highest"),
        (Scale(), lambda settings: settings.nothing, "reward wrong: bounds: AttributeError"),
        (None, lambda settings: (0, 1), "lowest, highest"),
    ],
)
def test_what_cannot_be_registered(settings, bounds, message):
    with pytest.raises(CredoError, match=message):
        plugins.register_reward("wrong", settings=settings, bounds=bounds)(height_times_tanh)
    assert "wrong" not in REGISTERED["reward"]


STUDY = """
[study]
name = "own"
[base]
environment = "PointMass"
demonstrations = "hopper-expert"
[axes]
reward = ["tall,height=1", "tall,height=2", "plr"]
regularisers = [["pull,strength=1"], ["pull,strength=2", "gradient-penalty"]]
"""


def test_they_are_axes_of_a_study(tmp_path):
    register()
    (tmp_path / "study.toml").write_text(STUDY)
    cells = load_study(tmp_path / "study.toml").cells
    assert len({run_id(cell.config) for cell in cells}) == len({cell.name for cell in cells}) == 6
    assert {reward_named(cell.config.reward).bounds[1] for cell in cells} == {1.0, 2.0, math.inf}


def test_runs_are_told_apart_without_the_plugin(tmp_path):
    register()
    told = []
    for index, text in enumerate(("tall,height=1", "tall,height=2")):
        run_folder.create(tmp_path / str(index), config(text), {}, "test")
        told.append(read_json(tmp_path / str(index) / "config.json"))
    run_folder.create(tmp_path / "0", config("tall"), {}, "test")
    with pytest.raises(CredoError, match=r"plugin_settings.reward.tall.height: 1.0, not 3.0"):
        run_folder.create(tmp_path / "0", config("tall,height=3"), {}, "test")
    for names in REGISTERED.values():
        names.clear()
    members = []
    for index, stored in enumerate(told):
        read = run_folder.config_of(stored, "config.json")
        members.append(Member(MethodRun("", "", tmp_path / str(index)), read, stored))
    assert [name.rpartition(" ")[2] for name in name_methods(members)] == ["height=1", "height=2"]


def test_the_command_line_takes_them(monkeypatch, capsys):
    register()
    taken = []
    monkeypatch.setattr(train, "_train", lambda options, default: taken.append(options.config))
    train.imitate(
        ["--reward", "tall,height=2", "--discriminator.regularisers", "pull,strength=2", "gradient-penalty", "--quiet"]
    )
    assert taken[0].reward == "tall,height=2"
    assert taken[0].discriminator.regularisers == ("pull,strength=2", "gradient-penalty")
    with pytest.raises(CredoError, match=r"--reward: 'low,height=1' is not one of plr.*tall \(--plugin"):
        train.imitate(["--reward", "low,height=1"])
    with pytest.raises(SystemExit):
        train.imitate(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "reward tall: tall,height=1.0" in shown
    assert 'regulariser pull: pull,strength=0.5,side="policy",inner.power=2' in shown


def test_the_reward_of_a_round_is_made_of_them():
    register()
    own = settings()
    chosen = dataclasses.replace(own.discriminator, regularisers=("pull",))
    own = dataclasses.replace(own, reward="tall,height=0.001", credo=CredoConfig(mode="off"), discriminator=chosen)
    reward = reward_of_logit(make_parts(own, SPEC), jnp.array([-50.0, 50.0]))
    np.testing.assert_allclose(reward, [-0.001, 0.001], rtol=1e-6)
