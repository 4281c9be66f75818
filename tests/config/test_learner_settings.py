"""Settings of a plug-in's learner, changed by name on the command line, in Python and in studies."""

import dataclasses
import json
from typing import Literal

import pytest

from credo import plugins
from credo.config import RunConfig, SACConfig, from_dict, identity, run_id, to_dict, validate
from credo.config.limits import Count, Positive
from credo.config.own import described
from credo.learners.ppo import ppo
from credo.learners.sac import sac
from credo.studies.estimate import work
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

    def __post_init__(self):
        if self.note == "refused":
            raise ValueError("no such\nnote")


def own(*words):
    return dataclasses.replace(RunConfig(learner="own"), learner_settings=words)


def test_settings_of_a_learner_are_changed_by_name():
    plugins.register_learner("own", settings=Own(hidden=(4,)))(sac)
    config = own("hidden=[8,9]", "part.width=5", 'part.names=["a","b"]', "discount=0.5", "style=1", "bound=null")
    validate(config)
    changed = config.learner_config
    assert changed == Own((8, 9), discount=0.5, part=Part(5, ("a", "b")), style="1", bound=None)
    assert own("note=3").learner_config.note == "3"
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["unheard-of=3"], "learner_settings.unheard-of: learner own has no such setting; known are hidden, "),
        (["part.widht=3"], "learner_settings.part.widht: learner own has no such setting; did you mean part.width?"),
        (["part=3"], "has no such setting"),
        (["part.width"], "learner_settings: 'part.width'; NAME=VALUE expected"),
        (["=3"], "learner_settings.: learner own has no such setting"),
        (["discount=0.5", "discount=0.6"], "learner_settings.discount: given twice"),
        (["part.width=3.5"], "learner_settings.part.width: 3.5 is not of type int"),
        (["part.width=0"], "learner_settings.part.width: 0 is not possible; it must be a finite number at least 1"),
        (["part.width=wide"], "learner_settings.part.width: 'wide' is not of type int"),
        (["style=2"], "learner_settings.style: 2 is not one of plain, 1"),
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


def test_a_built_in_learner_has_options_of_its_own():
    with pytest.raises(CredoError, match=r"learner_settings: .* learner td3 has options of its own, --td3.NAME"):
        validate(RunConfig(learner_settings=("discount=0.5",)))


@dataclasses.dataclass(frozen=True)
class Terse:
    """The least that a learner of rollouts may have."""

    discount: float = 0.9
    strength: float = 1.0


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
    sets = cells("", "which = { weak = { learner_settings.strength = 0.1 }, usual = {} }")
    assert sets["weak"].learner_config == Terse(0.9, 0.1)
    assert sets["usual"].learner_config == Terse()
    with pytest.raises(CredoError, match=r"study.toml:\d+: cell .*learner_settings.strenght: .* did you mean strength"):
        cells("", "learner_settings.strenght = [1.5, 2]")
    with pytest.raises(CredoError, match=r"learner_settings\.strength: set by axis"):
        cells("", "learner_settings.strength = [1.5]\nwhich = { weak = { learner_settings.strength = 0.1 } }")
