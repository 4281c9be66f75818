"""Settings of a plug-in's learner, changed by name on the command line, in Python and in studies."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest

from credo import api, plugins, run_folder
from credo.cli import train
from credo.config import (
    PPOConfig,
    RunConfig,
    SACConfig,
    SD3Config,
    TD3Config,
    from_dict,
    identity,
    run_id,
    to_dict,
    validate,
)
from credo.config.limits import Count, Positive
from credo.config.names import REGISTERED
from credo.config.own import as_words, described
from credo.files import read_json
from credo.learners.ppo import ppo
from credo.learners.sac import sac
from credo.learners.sd3 import sd3
from credo.learners.td3 import td3
from credo.reports.methods import Member, name_methods
from credo.studies.estimate import work
from credo.studies.read import MethodRun
from credo.studies.study import load_study
from credo.types import CredoError

pytestmark = pytest.mark.usefixtures("forgotten_plugins")


@dataclasses.dataclass(frozen=True)
class Part:
    width: Count = 3
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Own(SACConfig):
    part: Part = Part()
    style: Literal["plain", "1"] = "plain"
    bound: Positive | None = 2.0
    note: str = ""
    low: float = 0.0
    high: float = 1.0
    strength: float = 1
    pair: tuple[float, str] = (0.5, "a")
    either: int | str | None = None
    choice: Literal[1, 2] = 1
    table: dict = dataclasses.field(default_factory=dict)
    doubled: float = dataclasses.field(default=0.0, init=False)
    shadow: float = -1.0

    def __post_init__(self):
        object.__setattr__(self, "doubled", 2 * self.high)
        object.__setattr__(self, "shadow", -self.high)
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.note == "refused":
            raise ValueError("no such\nnote")


def own(*words):
    return dataclasses.replace(RunConfig(learner="own"), learner_settings=words)


def test_settings_of_a_learner_are_changed_by_name():
    plugins.register_learner("own", settings=Own(hidden=(4,)))(sac)
    config = own("hidden=[8,9]", "part.width=5", 'part.names=["a","b"]', "discount=0.5", 'style="1"', "bound=null")
    validate(config)
    changed = config.learner_config
    assert changed == Own((8, 9), discount=0.5, part=Part(5, ("a", "b")), style="1", bound=None)
    assert own('note="3"').learner_config.note == "3"
    assert own("note=[").learner_config.note == "["
    assert own("note=a=b").learner_config.note == "a=b"
    assert own().learner_config == Own(hidden=(4,))
    assert config.discount == 0.5
    # What a run is known by are the settings that come of it, however they were given.
    assert identity(config)["own"]["part"] == {"width": 5, "names": ["a", "b"]}
    assert "learner_settings" not in identity(config)
    assert run_id(own("part.width=3")) == run_id(own()) != run_id(own("part.width=4"))
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
    assert described(Own(hidden=(4,))).startswith("hidden=[4] actor_learning_rate=0.0003 ")
    assert own(*described(changed).split()).learner_config == changed
    # 0 and 0.0, given or not, are one setting.
    assert run_id(own("target_entropy=-3")) == run_id(own("target_entropy=-3.0"))
    assert run_id(own("strength=1")) == run_id(own("strength=1.0")) == run_id(own())
    # Several at once, in any order: its own checks are of the outcome.
    for words in (["low=2", "high=3"], ["high=3", "low=2"]):
        assert own(*words, "shadow=-3").learner_config.low == 2
    mended = own("high=3", "shadow=-3").learner_config
    assert (mended.high, mended.shadow, mended.doubled) == (3.0, -3.0, 6.0)
    assert own("either=3").learner_config.either == 3
    assert own("either=x").learner_config.either == "x"
    assert own('pair=[1,"b"]').learner_config.pair == (1.0, "b")
    assert "doubled" not in described(changed)
    assert "table" not in described(changed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["qqq=3"], "learner_settings.qqq: learner own has no such setting; known are "),
        (["part.widht=3"], "learner_settings.part.widht: learner own has no such setting; did you mean part.width?"),
        (["part=3"], "has no such setting"),
        (["part.width"], "learner_settings: 'part.width'; NAME=VALUE expected"),
        (["=3"], "learner_settings.: learner own has no such setting"),
        (["discount=0.5", "discount=0.6"], "learner_settings.discount: given twice"),
        (["part.width=3.5"], "learner_settings.part.width: 3.5 is not of type int"),
        (["part.width=0"], "learner_settings.part.width: 0 is not possible; it must be a finite number at least 1"),
        (["part.width=wide"], "learner_settings.part.width: 'wide' is not of type int"),
        (["style=2"], "learner_settings.style: 2 is not one of plain, 1"),
        (["style=1"], "learner_settings.style: 1 is not one of plain, 1"),
        (["note=3"], "learner_settings.note: 3 is not of type str"),
        (["pair=[1]"], "learner_settings.pair: [1] has 1 values; 2 expected"),
        (["pair=[1,2]"], "learner_settings.pair: 2 is not of type str"),
        (["either=0.5"], "learner_settings.either: 0.5 is not of type int"),
        (["choice=true"], "learner_settings.choice: True is not one of 1, 2"),
        (["choice=1.0"], "learner_settings.choice: 1.0 is not one of 1, 2"),
        (["strength=NaN"], "learner_settings.strength: nan is not possible; it must be finite"),
        (["strength=1e999"], "learner_settings.strength: inf is not possible; it must be finite"),
        (["doubled=3"], "learner_settings.doubled: learner own has no such setting"),
        (["shadow=3"], "learner_settings.shadow: 3.0 becomes -1.0: it is made of others"),
        (["high=3"], "with high=3 learner own would have shadow -3.0 in place of -1.0; give shadow too"),
        (["low=3"], "learner_settings.low: ValueError: low must be below high"),
        (["hidden=" + 100_000 * "["], "is not a list"),
        (["hidden=[]"], "learner_settings.hidden: () is not possible"),
        (["bound=0"], "learner_settings.bound: 0.0 is not possible; it must be a finite number above 0"),
        (["batch_size=0"], "learner_settings.batch_size: 0 is not possible; it must be"),
        (["note=refused"], "learner_settings.note: ValueError: no such note"),
        (["discount=1"], "learner_settings.discount: 1.0 is not possible"),
    ],
)
def test_a_setting_that_a_learner_cannot_take_is_one_line(words, message):
    plugins.register_learner("own", settings=Own())(sac)
    with pytest.raises(CredoError) as caught:
        validate(own(*words))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "function", "words", "message"),
    [
        (TD3Config(), td3, "actor_delay=3", "it must be a multiple of learner_settings.actor_delay (3)"),
        (SD3Config(), sd3, "noise=antithetic noise_samples=3", "learner_settings.noise_samples: 3 is not possible"),
        (SD3Config(), sd3, "noise=sobol noise_samples=1", "learner_settings.noise_samples: 1 is not possible"),
        (PPOConfig(), ppo, "minibatch_size=48", "learner_settings.minibatch_size: 48 is not possible"),
        (PPOConfig(), ppo, "minibatch_size=1", "which takes a lone advantage to 0"),
    ],
)
def test_what_a_built_in_learner_cannot_do_its_kin_cannot_either(settings, function, words, message):
    experience = "rollout" if function is ppo else "replay"
    plugins.register_learner("own", settings=settings, experience=experience)(function)
    validate(own())
    with pytest.raises(CredoError) as caught:
        validate(own(*words.split()))
    assert message in str(caught.value)


def test_a_built_in_learner_has_options_of_its_own():
    with pytest.raises(CredoError, match=r"learner_settings: 'discount=0.5' .* learner td3 has settings of its own"):
        validate(RunConfig(learner_settings=("discount=0.5",)))


@dataclasses.dataclass(frozen=True)
class Deep:
    width: int = 1
    scale: float = 1.0
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Terse:
    """The least that a learner of rollouts may have, and what no estimate of its time understands."""

    discount: float = 0.9
    strength: float = 1.0
    part: Deep = Deep()
    hidden: tuple[str, ...] = ("8x8",)
    epochs: str = "many"
    minibatches: int | None = None
    noise_samples: str = "all"


STUDY = """
[study]
name = "own"

[base]
environment = "PointMass"
learner = "own"
reward = "environment"
demonstrations = ""
{base}

[axes]
{axes}
"""


def test_a_study_varies_the_settings_of_a_learner(tmp_path):
    plugins.register_learner("own", settings=Terse(), experience="rollout")(ppo)

    def cells(base, axes):
        file = tmp_path / "study.toml"
        file.write_text(STUDY.format(base=base, axes=axes))
        return {cell.name: cell.config for cell in load_study(file).cells}

    level = cells("learner_settings = { discount = 0.5 }", "learner_settings.strength = [1.5, 2]")
    assert [config.learner_config for config in level.values()] == [Terse(0.5, 1.5), Terse(0.5, 2.0)]
    assert len({run_id(config) for config in level.values()}) == 2
    assert all(work(config) > 0 for config in level.values())
    # Parts of parts have names of their own: set beside one another, and over the base.
    deep = cells(
        "learner_settings.part = { width = 2, scale = 0.5 }",
        "learner_settings.part.width = [5]\nwhich = { a = { learner_settings.part.names = ['x'] } }",
    )
    assert [config.learner_config.part for config in deep.values()] == [Deep(5, 0.5, ("x",))]
    sets = cells("", "which = { weak = { learner_settings.strength = 0.1 }, usual = {} }")
    assert sets["weak"].learner_config == Terse(0.9, 0.1)
    assert sets["usual"].learner_config == Terse()
    with pytest.raises(CredoError, match=r"study.toml:\d+: cell .*learner_settings.strenght: .* did you mean strength"):
        cells("", "learner_settings.strenght = [1.5, 2]")
    with pytest.raises(CredoError, match="learner_settings: a table of settings expected"):
        cells("learner_settings = ['strength=1']", "seeds_per = { a = {} }")
    with pytest.raises(CredoError, match=r"learner_settings\.strength: set by axis"):
        cells("", "learner_settings.strength = [1.5]\nwhich = { weak = { learner_settings.strength = 0.1 } }")


def test_in_python_a_mapping_leaves_the_others(monkeypatch):
    plugins.register_learner("own", settings=Own())(sac)
    begun = []

    def prepare(config, *given):
        begun.append(config)
        return SimpleNamespace(config=config)

    monkeypatch.setattr(api, "prepare", prepare)
    monkeypatch.setattr(api, "_trained", lambda *given, **rest: (None, "done"))
    config = own("discount=0.5", "note=a")
    api.imitate(config, learner_settings={"note": "b", "part": {"width": np.int64(4)}})
    assert begun[0].learner_settings == ("discount=0.5", 'note="b"', "part.width=4")
    assert begun[0].learner_config == Own(discount=0.5, note="b", part=Part(4))
    with pytest.raises(CredoError, match=r"learner_settings\.note: None is not of type str"):
        validate(dataclasses.replace(config, learner_settings=as_words({"note": None})))
    with pytest.raises(CredoError, match=r"learner_settings\.part\.width: .* is no setting; numbers, text and lists"):
        api.imitate(config, learner_settings={"part": {"width": print}})


def test_runs_of_different_settings_are_told_apart_without_the_plugin(tmp_path):
    plugins.register_learner("own", settings=Terse(), experience="rollout")(ppo)
    stored = []
    for index, words in enumerate((["strength=1"], ["strength=2"])):
        config = own(*words)
        run_folder.create(tmp_path / str(index), config, {}, "test")
        stored.append(read_json(tmp_path / str(index) / "config.json"))
    for names in REGISTERED.values():
        names.clear()
    for loaded in (False, True):
        if loaded:  # another, by now, which has no such setting
            plugins.register_learner("own", settings=PPOConfig(), experience="rollout")(ppo)
        members = []
        for index, told in enumerate(stored):
            config = from_dict(told["config"], also=frozenset({"own"}))
            members.append(Member(MethodRun("", "", tmp_path / str(index)), config, told))
        assert name_methods(members) == ["own strength=1", "own strength=2"]
    with pytest.raises(CredoError, match=r"holds another run \(.*own.strength: 2.0"):
        run_folder.create(tmp_path / "1", own(), {}, "test")


def test_a_run_of_other_code_by_the_same_name_is_another(tmp_path):
    plugins.register_learner("own", settings=PPOConfig(), experience="rollout")(ppo)
    run_folder.create(tmp_path / "run", own(), {}, "test")
    REGISTERED["learner"]["own"] = REGISTERED["learner"]["own"]._replace(source="elsewhere:ppo")
    with pytest.raises(CredoError, match=r'plugins.learner.own: "credo.learners.ppo:ppo", not "elsewhere:ppo"'):
        run_folder.create(tmp_path / "run", own(), {}, "test")
    # A script's own module has no name of its own.
    REGISTERED["learner"]["own"] = REGISTERED["learner"]["own"]._replace(source="__main__:ppo")
    run_folder.create(tmp_path / "run", own(), {}, "test")
    run_folder.create(tmp_path / "script", own(), {}, "test")
    REGISTERED["learner"]["own"] = REGISTERED["learner"]["own"]._replace(source="elsewhere:ppo")
    run_folder.create(tmp_path / "script", own(), {}, "test")
    REGISTERED["learner"]["own"] = REGISTERED["learner"]["own"]._replace(source="elsewhere:sac")
    with pytest.raises(CredoError, match=r'plugins.learner.own: "__main__:ppo", not "elsewhere:sac"'):
        run_folder.create(tmp_path / "script", own(), {}, "test")


@pytest.mark.parametrize("form", ["apart", "joined", "twice"])
def test_all_that_the_command_line_gives_is_taken(form, monkeypatch):
    plugins.register_learner("own", settings=Own())(sac)
    given = {
        "apart": ["--learner-settings", "note=a", "discount=0.5"],
        "joined": ["--learner-settings=note=a", "--learner-settings=discount=0.5"],
        "twice": ["--learner-settings", "note=a", "--seeds", "2", "--learner-settings", "discount=0.5"],
    }[form]
    taken = []
    monkeypatch.setattr(train, "_train", lambda options, default: taken.append(options.config))
    train.imitate(["--learner", "own", *given, "--quiet"])
    assert taken[0].learner_config == Own(note="a", discount=0.5)
    assert taken[0].seeds == (2 if form == "twice" else 1)


def test_help_lists_the_settings_of_a_learner(capsys):
    plugins.register_learner("own", settings=Terse(), experience="rollout")(ppo)
    with pytest.raises(SystemExit):
        train.imitate(["--help"])
    assert 'own: discount=0.9 strength=1.0 hidden=["8x8"]' in " ".join(capsys.readouterr().out.split())
