"""Names of environments with arguments: what they mean, which a file may hold, and that Gymnasium is given them."""

import dataclasses
import functools
import json
import sys
import types
from types import SimpleNamespace
from typing import Optional

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from hypothesis import given
from hypothesis import strategies as st

import credo
from credo import api, run_folder
from credo.cli.study_cells import check_environments
from credo.config import to_dict
from credo.config.run import from_dict
from credo.environment_name import canonical, gymnasium_json, needs_trust, parse_name, plain_id, same_environment
from credo.environments import EnvironmentBatch, make_environment, specification
from credo.environments.arguments import checked_arguments
from credo.environments.probes import PointMass
from credo.policies import save_policy
from credo.preparation import prepare
from credo.reports.clips import _clip
from credo.studies.settings import configure
from credo.types import CredoError

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name not in ("id", "render_mode"))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_arguments_come_back_as_they_were_written(arguments):
    text = "".join(f",{name}={json.dumps(value)}" for name, value in arguments.items())
    assert parse_name(f"my.module:space/Arm-v0{text}") == ("my.module", "space/Arm-v0", arguments)
    assert plain_id(f"my.module:space/Arm-v0{text}") == "Arm-v0"


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_every_spelling_has_one_canonical_one(arguments):
    text = "".join(f" , {name} = {json.dumps(arguments[name])}" for name in sorted(arguments, reverse=True))
    one = canonical(f"my.module:Arm-v0{text}")
    assert canonical(one) == one
    assert parse_name(one) == ("my.module", "Arm-v0", arguments)
    assert list(parse_name(one).arguments) == sorted(arguments)


def test_settings_hold_the_canonical_spelling():
    assert canonical("Arm-v0, c=dense, b=[1, 2],a=.50, d=True") == "Arm-v0,a=0.5,b=[1,2],c=dense,d=true"
    assert canonical('Arm-v0,a="1",b="x, y"') == 'Arm-v0,a="1",b="x, y"'
    assert canonical("make(a=1, b=2)") == "make(a=1, b=2)"
    tree = to_dict(credo.preset("fast")) | {"environment": "Hopper-v5, reset_noise_scale=0.10"}
    assert from_dict(tree).environment == "Hopper-v5,reset_noise_scale=0.1"
    assert configure({"environment": "Hopper-v5,frame_skip= 2"}).environment == "Hopper-v5,frame_skip=2"


@given(st.text())
def test_any_text_is_a_name_or_refused_in_one_line(text):
    found, refused = None, ""
    try:
        found = parse_name(f"Arm-v0,{text}")
    except CredoError as error:
        refused = str(error)
    assert (found is None) == (refused != "")
    assert "\n" not in refused
    assert found is None or ("=" in text and found.identifier == "Arm-v0")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.10", 0.1),
        ("3", 3),
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("2.", 2.0),
        ("+1", 1),
        ("010", 10),
        ("-07.", -7.0),
        ("+1e2", 100.0),
        ("0" * 5000, 0.0),
        ("-Infinity", -np.inf),
        ("True", True),
        ("false", False),
        ("None", None),
        ("null", None),
        ("dense", "dense"),
        ("a path/with: signs = here", "a path/with: signs = here"),
        ('"a, b"', "a, b"),
        ("[0.7, 2]", [0.7, 2]),
        ("{}", {}),
        ("", ""),
        ("1.2.3", "1.2.3"),
        ("3 arms", "3 arms"),
        ("[1", "[1"),
    ],
)
def test_values_are_json_or_pythons_words_or_text(text, value):
    for name in (f"Arm-v0,x={text}", f"Arm-v0 , x = {text} ,y=1"):
        found = parse_name(name)
        assert found.arguments["x"] == value
        assert type(found.arguments["x"]) is type(value)
        assert found.arguments.get("y", 1) == 1
        assert found.identifier == "Arm-v0"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Hopper-v5,", "'' is not argument=value"),
        ("Hopper-v5,frame_skip", "'frame_skip' is not argument=value"),
        ("Hopper-v5,frame skip=1", "'frame skip=1' is not argument=value"),
        ("Hopper-v5,frame_skip=1,", "'' is not argument=value"),
        ("Hopper-v5,healthy_z_range=0.7,2", "'2' is not argument=value"),
        ("Hopper-v5,frame_skip=1,frame_skip=1", "frame_skip is there twice"),
        ("Hopper-v5,render_mode=human", "render_mode is set by Credo"),
        ("Hopper-v5,id=Ant-v5", "id is set by Credo"),
        ("Pendulum-v1,h=3", "Pendulum-v1 has no argument 'h'; it takes g, max_episode_steps"),
        ("Hopper-v5,skip=3", "Hopper-v5 has no argument 'skip'; it takes xml_file, frame_skip, "),
        ("Hopper-v5,reset_noise_scale=abc", 'reset_noise_scale="abc" is not a number .its default is 0.005'),
        ("Hopper-v5,frame_skip=1.5", "frame_skip=1.5 is not a whole number .its default is 4"),
        ("Hopper-v5,terminate_when_unhealthy=no", 'terminate_when_unhealthy="no" is not true or false'),
        ("Hopper-v5,terminate_when_unhealthy=5", "terminate_when_unhealthy=5 is not true or false"),
        ("Hopper-v5,terminate_when_unhealthy=0.5", "terminate_when_unhealthy=0.5 is not true or false"),
        ("Hopper-v5,reset_noise_scale=true", "reset_noise_scale=true is not a number .its default is 0.005"),
        ("Hopper-v5,max_episode_steps=true", "max_episode_steps=true is not a whole number"),
        ("Hopper-v5,healthy_z_range=0.7", "healthy_z_range=0.7 is not a list of values, as "),
        ("Hopper-v5,max_episode_steps=abc", 'max_episode_steps="abc" is not a whole number$'),
        ("Pendulum-v1,g=[9.81]", "g=.9.81. is not a number .its default is 10.0"),
        ("Hopper-v5,max_episode_steps=0", "could not be built .ValueError: Expect the `max_episode_steps` to be"),
        ("./my_cell.py:Arm-v0", "'./my_cell.py' is a path; a module is named as Python does, my_cell:Id"),
        ("Hoper-v5,frame_skip=3", "'Hoper-v5,frame_skip=3' is not a registered environment; did you mean 'Hopper-v5'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name, said):
    with pytest.raises(CredoError, match=said) as caught:
        make_environment(name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_the_environment_is_built_with_the_arguments():
    name = "Pendulum-v1,g=2.5,max_episode_steps=7"
    environment = make_environment(name)
    assert environment.unwrapped.g == 2.5
    assert specification(name).max_episode_steps == 7
    assert specification(name).name == name
    assert specification("Pendulum-v1").max_episode_steps == 200
    drawn = make_environment(name, render_mode="rgb_array")
    assert (drawn.unwrapped.g, drawn.render_mode) == (2.5, "rgb_array")


def test_only_what_a_constructor_declares_is_held_to_a_type(monkeypatch):
    Size = Optional[int]  # noqa: UP045 (as older code has it)

    def arm(mode=0, path: str = "", scale: "float | str" = 1.0, size: Size = None, least: "float | None" = 0.5):
        return PointMass()

    monkeypatch.setitem(gymnasium.registry, "Arm-v0", EnvSpec("Arm-v0", entry_point=arm))
    for argument in ("mode=fast", "path=3", "scale=large", "size=null", "size=3.0", "least=null", "least=1"):
        checked_arguments("Arm-v0", "Arm-v0", parse_name(f"Arm-v0,{argument}").arguments)
    for argument, wanted in {"size=large": "a whole number", "least=small": "a number"}.items():
        with pytest.raises(CredoError, match=f"is not {wanted}"):
            checked_arguments("Arm-v0", "Arm-v0", parse_name(f"Arm-v0,{argument}").arguments)


def test_a_whole_number_may_be_written_with_a_point():
    assert specification("Pendulum-v1,max_episode_steps=50.0").max_episode_steps == 50
    for name in ("max_episode_steps", "frame_skip"):
        given = checked_arguments("Hopper-v5", "Hopper-v5", {name: 5.0, "reset_noise_scale": 1.0})
        assert (type(given[name]), type(given["reset_noise_scale"])) == (int, float)
    assert json.loads(gymnasium_json("Pendulum-v1,max_episode_steps=50.0") or "")["max_episode_steps"] == 50


def test_a_truth_value_may_be_a_number_as_in_python():
    for value in ("true", "false", "0", "1", "null"):
        name = f"Hopper-v5,terminate_when_unhealthy={value}"
        checked_arguments(name, "Hopper-v5", parse_name(name).arguments)


def test_a_factorys_name_has_no_arguments():
    name = credo.environments.source_name(functools.partial(PointMass, 1, limit=2))
    assert "," in name
    assert parse_name(name) == ("", name, {})
    assert needs_trust(name) is None


def shape(reward):
    return reward


class Marker:
    """Two of them are told apart by their place in memory alone."""


def test_a_factorys_name_is_the_same_in_every_process():
    def named(*values, **more):
        return credo.environments.source_name(functools.partial(PointMass, *values, **more))

    assert named(shape, limit=2) == "PointMass(shape, limit=2)"
    assert named({"shape": shape}, len) == "PointMass({'shape': <function shape>}, <built-in function len>)"
    assert named(Marker()) == named(Marker()) == f"PointMass(<{__name__}.Marker object>)"
    assert named(lambda: 1) == named(lambda: 1) != named(lambda: 2)
    assert named({"b", "a"}, {2, 1}) == "PointMass({'a', 'b'}, {1, 2})"
    assert named("lies at 0x7f", (1.5, None)) == "PointMass(lies at 0x7f, (1.5, None))"


@pytest.mark.parametrize(
    ("name", "doubt"),
    [
        ("Hopper-v5", None),
        ("space/Arm-v0,a=1,b=false,c=null,d=[0.5,[Infinity]]", None),
        ("module:Arm-v0,a=1", "imports a module"),
        ("make(a=1, b=module:x)", "imports a module"),
        ("Arm-v0,a=1,file=/etc/passwd", "gives text to the environment (file)"),
        ("Arm-v0,a=[1,[2,true,[3,0,'x']]]", "gives text to the environment (a)"),
        ('Arm-v0,a=[{"b": ["x"]}],c="y"', "gives text to the environment (a, c)"),
        ('Arm-v0,a={"x": 1}', "gives text to the environment (a)"),
    ],
)
def test_a_file_may_name_numbers_but_no_module_and_no_text(name, doubt):
    if "'x'" in name:  # not JSON, so text up to the first comma, and then nonsense
        with pytest.raises(CredoError, match="is not argument=value"):
            needs_trust(name)
    else:
        assert needs_trust(name) == doubt


def test_a_policy_plays_where_its_arguments_are_numbers(tmp_path):
    """Text that a policy's file gives to an environment is honoured where its user gives it."""
    policy = credo.Policy(
        layers=((np.zeros((3, 1), np.float32), np.zeros(1, np.float32)),),
        activation="relu",
        observation_mean=np.zeros(3),
        observation_std=np.ones(3),
        action_low=np.full(1, -2, np.float32),
        action_high=np.full(1, 2, np.float32),
        environment="Pendulum-v1,max_episode_steps=7",
    )
    save_policy(tmp_path / "seven.safetensors", policy)
    assert credo.evaluate(tmp_path / "seven.safetensors", 2).lengths.tolist() == [7, 7]
    save_policy(tmp_path / "text.safetensors", dataclasses.replace(policy, environment="Pendulum-v1,g=x y"))
    with pytest.raises(
        CredoError, match=r"gives text to the environment \(g\); if you trust it, give --env 'Pendulum-"
    ):
        credo.evaluate(tmp_path / "text.safetensors")


def test_files_that_give_text_to_an_environment_are_refused_everywhere(tmp_path):
    """A run, a study and a report's videos, unless the user gives the same name."""
    number, text = "Pendulum-v1,g=2", "Pendulum-v1,g=x"
    for folder, name in (("number", number), ("text", text)):
        config = api._merged(credo.preset("fast"), None, {"environment": name, "reward": "environment"})
        run_folder.create(tmp_path / folder, config, {}, "test")
    assert api.going_on(tmp_path / "number", None, None, None, None).environment == number
    with pytest.raises(CredoError, match=r"the run names 'Pendulum-v1,g=x', which gives text to the environment \(g\)"):
        api.going_on(tmp_path / "text", None, None, None, None)
    assert api.going_on(tmp_path / "text", None, None, text, None).environment == text
    with pytest.raises(CredoError, match=r"Pendulum-v1,g=3 given, but the run in .* is of Pendulum-v1,g=2"):
        api.going_on(tmp_path / "number", None, None, "Pendulum-v1,g=3", None)
    study = SimpleNamespace(path="s.toml", cells=[SimpleNamespace(config=config)])
    with pytest.raises(CredoError, match=r"s.toml names 'Pendulum-v1,g=x', which gives text to the environment \(g\)"):
        check_environments(study, [number])
    check_environments(study, [text])
    seed = SimpleNamespace(environment=text, row=SimpleNamespace(seed=0), folder=tmp_path)
    with pytest.raises(CredoError, match=r"Pendulum-v1,g=x gives text to the environment \(g\); if you trust it"):
        _clip(seed, "", tmp_path / "clip.mp4", [number])
    with pytest.raises(CredoError, match="has no policy of seed 0"):
        _clip(seed, "", tmp_path / "clip.mp4", [text])


def test_names_are_of_one_environment_by_id_and_arguments():
    assert same_environment("a:b/Arm-v0,x=1.0,y=true", "b/Arm-v0, y=True, x=1")
    assert not same_environment("a/Arm-v0", "b/Arm-v0")
    assert not same_environment("a:b/Arm-v0", "Arm-v0")
    assert not same_environment("Arm-v0,x=1", "Arm-v0")
    assert not same_environment("Arm-v0,x=1", "Leg-v0,x=1")
    assert same_environment("make(a=1, b=2)", "make(a=1, b=2)")
    assert not same_environment("make(a=1, b=2)", "make(a=1, b=3)")
    assert not same_environment("make(file=/here/x)", "make(file=/there/x)")


def test_a_checkpoint_is_of_the_environment_however_its_name_is_spelt(monkeypatch):
    monkeypatch.setitem(sys.modules, "arms", types.ModuleType("arms"))
    began = EnvironmentBatch("Pendulum-v1,max_episode_steps=9,g=2.50", 0)
    began.step(np.zeros((1, 1)))
    again = EnvironmentBatch("arms:Pendulum-v1,g=2.5,max_episode_steps=9", 0)
    assert again.restore(began.state()) == []
    np.testing.assert_array_equal(again.observation, began.observation)
    other = EnvironmentBatch("Pendulum-v1,g=3,max_episode_steps=9", 0)
    with pytest.raises(CredoError, match=r"environment: the stored environments have 'Pendulum-v1,max_epi.*g=2.50'"):
        other.restore(began.state())


def test_a_run_knows_its_environment_by_one_spelling():
    config = dataclasses.replace(credo.preset("fast"), reward="environment")
    prepared = prepare(config, "Pendulum-v1,max_episode_steps=9,g=2.50")
    assert prepared.spec.name == "Pendulum-v1,g=2.5,max_episode_steps=9"


def test_gymnasiums_own_description_has_the_arguments():
    told = json.loads(gymnasium_json("Pendulum-v1,g=2.5,max_episode_steps=7") or "")
    assert (told["id"], told["max_episode_steps"], told["kwargs"]) == ("Pendulum-v1", 7, {"g": 2.5})
    assert gymnasium.spec("Pendulum-v1").max_episode_steps == 200
    assert gymnasium.spec("Pendulum-v1").kwargs == {}
    for name in ("Nothing-v0", "any text, of a file", ""):
        assert gymnasium_json(name) is None


def test_an_environment_that_cannot_be_drawn_is_told_as_that(monkeypatch):
    class Plain(gymnasium.Env):
        observation_space = action_space = gymnasium.spaces.Box(-1, 1, (1,))

    class Other(Plain):
        def __init__(self, size=1):
            pass

    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    for maker in (Plain, Other):
        name = f"{maker.__name__}-v0"
        gymnasium.register(name, maker)
        make_environment(name)
        with pytest.raises(CredoError, match=f"'{name}' cannot be drawn: its constructor takes no render_mode"):
            make_environment(name, render_mode="rgb_array")
