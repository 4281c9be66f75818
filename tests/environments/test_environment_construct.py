"""Building environments: quiet, and one line for what cannot be used."""

import dataclasses
import functools
import subprocess
import sys
import textwrap
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from credo.environments import environment_spec, make_environment, source_name
from credo.environments.probes import PointMass, TimeLimitProbe
from credo.types import CredoError

Box, Discrete = gymnasium.spaces.Box, gymnasium.spaces.Discrete


class Spaces(gymnasium.Env):
    """An environment of which only the spaces matter."""

    def __init__(self, observation_space, action_space):
        self.observation_space = observation_space
        self.action_space = action_space


VECTOR = Box(-1, 1, (3,))


def refusal(source) -> str:
    with pytest.raises(CredoError) as caught:
        make_environment(source)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("environment: ")
    return message


@pytest.mark.parametrize(
    ("observation_space", "action_space", "words"),
    [
        (VECTOR, Discrete(3), ["Discrete(3)", "continuous"]),
        (VECTOR, Box(0, 3, (2,), np.int32), ["int32", "continuous"]),
        (VECTOR, gymnasium.spaces.MultiBinary(3), ["MultiBinary", "continuous"]),
        (VECTOR, Box(-1, 1, (2, 2)), ["(2, 2)", "flat"]),
        (VECTOR, Box(-np.inf, np.inf, (2,)), ["unbounded", "finite"]),
        (VECTOR, Box(np.float32([-1, -1]), np.float32([1, np.inf])), ["unbounded", "finite"]),
        (VECTOR, Box(0, 0, (2,)), ["below"]),
        (Box(0, 255, (64, 64, 3), np.uint8), VECTOR, ["images", "(64, 64, 3)", "flat"]),
        (Box(-1, 1, (4, 5)), VECTOR, ["(4, 5)", "flat"]),
        (Box(-1, 1, ()), VECTOR, ["()", "flat"]),
        (gymnasium.spaces.Dict(a=VECTOR), VECTOR, ["Dict", "choose of a", "--observation-keys"]),
        (Discrete(16), VECTOR, ["Discrete(16)", "flat"]),
    ],
)
def test_spaces_that_cannot_be_used_are_refused(observation_space, action_space, words):
    def user_environment():
        return Spaces(observation_space, action_space)

    message = refusal(user_environment)
    for word in ["user_environment", *words]:
        assert word in message


def test_discrete_environment_by_id_is_refused():
    assert "CartPole-v1" in refusal("CartPole-v1")


def test_integer_observations_are_accepted():
    environment = make_environment(lambda: Spaces(Box(0, 9, (3,), np.int64), VECTOR))
    assert environment_spec(environment, "x").observation_size == 3


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("Hoper-v5", ["'Hopper-v5'", "did you mean"]),
        ("hopper-v5", ["'Hopper-v5'"]),
        ("Hopper-v99", ["'Hopper-v5'"]),
        ("zzzzqqqq", ["not a registered environment", "module:Id"]),
        ("", ["not a registered environment"]),
        ("not a valid id!", ["not a registered environment"]),
        ("no_such_module_here:Thing-v0", ["no_such_module_here", "PYTHONPATH"]),
        ("math:Thing-v0", ["not a registered environment"]),
        (":Hopper-v5x", ["not a registered environment"]),
        (3, ["3", "Gymnasium id"]),
        (None, ["None"]),
    ],
)
def test_unknown_sources_are_refused_with_a_suggestion(source, words):
    message = refusal(source)
    for word in words:
        assert word in message


def test_missing_dependency_is_refused():
    def needs_more():
        raise gymnasium.error.DependencyNotInstalled("simulator is not installed,\nrun `pip install simulator`")

    assert "pip install simulator" in refusal(needs_more)


def test_broken_registered_environment_is_refused():
    def broken(**_):
        raise RuntimeError("no licence")

    gymnasium.register("CredoBroken-v0", broken)
    try:
        message = refusal("CredoBroken-v0")
    finally:
        del gymnasium.registry["CredoBroken-v0"]
    assert "no licence" in message


def test_factory_that_returns_no_environment_is_refused():
    def wrong():
        return 7

    assert "returned int" in refusal(wrong)


def test_a_batch_of_environments_is_refused_with_the_reason():
    def vector():
        return gymnasium.make_vec("Pendulum-v1", 2)

    assert "--environments-per-seed" in refusal(vector)


def test_envpool_is_refused_with_the_reason():
    """Its classes are made at run time from one of this module; the spaces are those of one environment."""
    of_envpool = type("GymnasiumEnvPoolMixin", (), {"__module__": "envpool.python.gymnasium_envpool"})
    pool = type("PendulumGymnasiumEnvPool", (of_envpool, gymnasium.envs.classic_control.PendulumEnv), {})
    text = refusal(lambda: pool())
    assert "EnvPool" in text
    assert "exactly" in text


def test_module_id_imports_the_module(tmp_path, monkeypatch):
    (tmp_path / "credo_user_module.py").write_text(
        textwrap.dedent("""
        import warnings
        import gymnasium
        warnings.warn("old", DeprecationWarning)
        gymnasium.register("CredoUser-v0", "credo.environments.probes:PointMass", max_episode_steps=20)
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        source = "credo_user_module:CredoUser-v0"
        environment = make_environment(source)
        assert environment_spec(environment, source_name(source)).max_episode_steps == 20
    finally:
        gymnasium.registry.pop("CredoUser-v0", None)


def test_render_mode_reaches_factories_that_take_it():
    seen = []

    def takes(render_mode=None):
        seen.append(render_mode)
        return PointMass()

    def takes_any(**settings):
        seen.append(settings)
        return PointMass()

    def takes_nothing():
        seen.append("none")
        return PointMass()

    for factory in (takes, takes_any, takes_nothing):
        make_environment(factory, render_mode="rgb_array")
    make_environment(takes_any)
    assert seen == ["rgb_array", {"render_mode": "rgb_array"}, "none", {}]


def test_spec_of_real_environments():
    spec = environment_spec(make_environment("Humanoid-v5"), "Humanoid-v5")
    assert (spec.observation_size, spec.action_size, spec.max_episode_steps) == (348, 17, 1000)
    assert spec.action_low.dtype == spec.action_high.dtype == np.float32
    np.testing.assert_allclose(spec.action_high, 0.4)
    np.testing.assert_allclose(spec.action_low, -0.4)


def test_spec_finds_the_time_limit_of_factories():
    limited = make_environment(lambda: gymnasium.wrappers.TimeLimit(PointMass(), 7))
    assert environment_spec(limited, "x").max_episode_steps == 7
    assert environment_spec(make_environment(PointMass), "x").max_episode_steps == 50
    assert environment_spec(make_environment(lambda: Spaces(VECTOR, VECTOR)), "x").max_episode_steps is None


def test_source_names():
    assert source_name("Hopper-v5") == "Hopper-v5"
    assert source_name(PointMass) == "PointMass"
    assert source_name(functools.partial(TimeLimitProbe, 3, terminates=True)) == ("TimeLimitProbe(3, terminates=True)")


def test_no_step_pays_for_a_checker():
    environment = make_environment("Hopper-v5")
    assert "PassiveEnvChecker" not in str(environment)


def test_nothing_on_the_screen_or_in_the_folder(tmp_path):
    """Warnings are errors here; HalfCheetah's model makes MuJoCo warn, and so does a broken simulation."""
    program = """
from credo.environments import make_environment
for name in ("HalfCheetah-v5", "HalfCheetah-v4", "Hopper-v4", "Pendulum-v1"):
    environment = make_environment(name)
    environment.reset(seed=0)
    environment.step(environment.action_space.low)
    if name == "HalfCheetah-v5":
        environment.unwrapped.data.qpos[0] = 1e30
        environment.step(environment.action_space.low)
    environment.close()
import sys
assert "jax" not in sys.modules
"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_factories_without_a_name_of_their_own_are_told_apart():
    """A run is found again by its environment's name: another environment must not have it."""

    def variant(speed):
        return lambda: (speed, Spaces(VECTOR, VECTOR))

    names = [source_name(source) for source in (variant(1.0), variant(2.0), lambda: 1, lambda: 2)]
    assert len(set(names)) == 4
    assert source_name(variant(1.0)) == names[0]
    assert source_name(PointMass) == "PointMass"


GRAVITY, calls, HERE = 1.0, 0, str(Path(__file__).parent / "assets")


def reading_where_it_lies():
    return PointMass() if HERE else None


def reading_a_global():
    return inner_reader()


def inner_reader():
    return PointMass() if GRAVITY else None


def counting():
    global calls
    calls += 1
    return PointMass()


def reading_what_another_sets():
    counting()
    return PointMass() if calls else None


def wrapping(function):
    @functools.wraps(function)
    def wrapper():
        return function()

    return wrapper


class Maker:
    def __init__(self, speed):
        self.speed, self.made, self.calls = speed, [], 0

    def __call__(self):
        self.calls += 1
        made = PointMass()
        made.speed = self.speed
        return made

    def make(self):
        return self()


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenMaker:
    speed: float

    def __call__(self):
        return PointMass()


def test_factories_are_told_apart_by_the_plain_values_that_they_read_or_hold(monkeypatch):
    lambda_ = lambda: GRAVITY  # noqa: E731
    maker = Maker(1.0)
    reading = (reading_a_global, lambda_, wrapping(reading_a_global))
    sources = (*reading, counting, reading_what_another_sets, maker, maker.make)
    before = [source_name(source) for source in sources]
    for source in sources:
        source()
    assert [source_name(source) for source in sources] == before, "what they count is no part of it"
    assert source_name(reading_where_it_lies) == "reading_where_it_lies"
    assert (source_name(counting), source_name(reading_what_another_sets)) == (
        "counting",
        "reading_what_another_sets",
    )
    monkeypatch.setitem(globals(), "GRAVITY", 20.0)
    after = [source_name(source) for source in reading]
    assert after[0].startswith("reading_a_global#")
    assert all(old != new for old, new in zip(before, after, strict=False))
    for made in (Maker, FrozenMaker):
        assert source_name(made(1.0)) == source_name(made(1.0)) != source_name(made(2.0))
    maker = Maker(1.0)
    maker.GRAVITY = 1.0
    assert source_name(maker) != source_name(Maker(1.0)), "not hidden by a global of that name"
    assert source_name(Maker(1.0).make) == source_name(Maker(1.0).make) != source_name(Maker(2.0).make)


def test_a_name_is_the_same_in_every_process():
    """The order of a set of words is not."""
    program = (
        "from credo.environments.source import source_name\n"
        "print(source_name(lambda kind='aa': kind in {'aa', 'bb', 'cc', 'dd', 'ee', 'ff'}))"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(names) == 1


def test_a_time_limit_that_is_no_number_of_steps_is_none():
    class Endless(PointMass):
        max_episode_steps = float("inf")

    made = make_environment(Endless)
    assert environment_spec(made, "Endless").max_episode_steps is None


def test_a_factory_that_knows_itself_has_a_name_and_numpys_time_limits_count():
    def factory():
        return factory

    class Limited(PointMass):
        max_episode_steps = np.int64(7)

    assert source_name(factory).startswith("test_a_factory_that_knows_itself")
    assert environment_spec(make_environment(Limited), "Limited").max_episode_steps == 7


def test_a_mistyped_id_of_ones_own_module_is_suggested_with_the_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "hinted_arm.py").write_text(
        "import gymnasium\n"
        "class Arm(gymnasium.Env):\n    pass\n"
        "gymnasium.register('HintedReach-v0', entry_point='hinted_arm:Arm')\n"
        "gymnasium.register('Quux-v0', entry_point=Arm)\n"
    )
    with pytest.raises(CredoError, match="did you mean 'hinted_arm:HintedReach-v0'"):
        make_environment("hinted_arm:HintedReach")
    with pytest.raises(CredoError, match="hinted_arm registers HintedReach-v0, Quux-v0"):
        make_environment("hinted_arm:Arm")
    with pytest.raises(CredoError, match="in the current folder, installed, or on PYTHONPATH"):
        make_environment("no_such_arm.py:Arm-v0")
    for name in ("HintedReach-v0", "Quux-v0"):
        del gymnasium.registry[name]


def test_a_factory_that_shares_one_environment_or_fails_is_refused():
    one = PointMass()
    assert make_environment(lambda: one).unwrapped is one
    with pytest.raises(CredoError, match="returned one environment twice; it must make a new one each time"):
        make_environment(lambda: one)
    make_environment(PointMass)
    make_environment(PointMass)

    def failing():
        raise OSError("no such\nport")

    with pytest.raises(CredoError, match=r"the factory 'test.*failing.*' raised OSError: no such port"):
        make_environment(failing)


def test_of_two_time_limits_the_shorter_one_counts():
    def twice():
        return gymnasium.wrappers.TimeLimit(gymnasium.wrappers.TimeLimit(PointMass(), 9), 4)

    assert environment_spec(make_environment(twice), "twice").max_episode_steps == 4
