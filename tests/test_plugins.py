"""Rewards, regularisers and learners from outside the package: their names everywhere, and what may not name code."""

import dataclasses
import functools
import json
import re
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from credo import api, cli, plugins, run_folder, run_rows
from credo.config import (
    DiscriminatorConfig,
    PPOConfig,
    RunConfig,
    SACConfig,
    SD3Config,
    from_dict,
    identity,
    run_id,
    to_dict,
    validate,
)
from credo.config.names import REGISTERED
from credo.discriminator.rewards import REWARDS
from credo.environments.probes import PointMass
from credo.files import read_json
from credo.learners import make_learner
from credo.learners.ppo import ppo
from credo.learners.sac import sac
from credo.preparation import prepare
from credo.training.checks import check_learner, check_rewards
from credo.types import CredoError, EnvironmentSpec
from training.training_runs import SMALL, changed, demonstrations, run

pytestmark = pytest.mark.usefixtures("forgotten_plugins")


def register_all():
    plugins.register_reward("doubled", bounds=(-np.inf, np.inf), inverse=lambda reward: reward / 2)(doubled)
    plugins.register_regulariser("nothing")(nothing)
    plugins.register_learner("my-sac", settings=SACConfig(hidden=(4,), discount=0.9))(sac)


def doubled(logit):
    return 2 * logit


def nothing(loss, logit, settings):
    return loss


OWN = RunConfig(
    reward="doubled", learner="my-sac", discriminator=DiscriminatorConfig(regularisers=("nothing", "gradient-penalty"))
)


def test_registered_names_are_names_like_any_other():
    with pytest.raises(CredoError, match="doubled"):
        validate(dataclasses.replace(RunConfig(), reward="doubled"))
    register_all()
    validate(OWN)
    assert from_dict(json.loads(json.dumps(to_dict(OWN)))) == OWN
    assert float(REWARDS[OWN.reward](jnp.float32(3.0))) == 6.0
    assert OWN.learner_config.hidden == (4,)
    assert make_learner(OWN, 3, 1).log_prob is not None
    with pytest.raises(CredoError) as error:
        from_dict({"reward": "tripled"})
    assert "doubled" in str(error.value)


def test_the_identity_names_the_code_and_a_learners_settings():
    register_all()
    tree = identity(OWN)
    assert tree["plugins"] == {
        "learner.my-sac": "credo.learners.sac:sac",
        "reward.doubled": f"{__name__}:doubled",
        "regulariser.nothing": f"{__name__}:nothing",
    }
    assert tree["my-sac"]["discount"] == 0.9
    assert "plugins" not in identity(RunConfig())
    before = run_id(OWN)
    plugins.register_learner("my-sac", settings=SACConfig(hidden=(5,)))(sac)
    assert run_id(OWN) != before


def test_a_run_of_a_learner_that_was_registered_with_other_settings_is_another(tmp_path):
    register_all()
    run_folder.create(tmp_path / "run", OWN, {}, "test")
    run_folder.create(tmp_path / "run", OWN, {}, "test")
    plugins.register_learner("my-sac", settings=SACConfig(hidden=(4,), discount=0.5))(sac)
    with pytest.raises(CredoError, match=r"my-sac.discount: 0.9, not 0.5"):
        run_folder.create(tmp_path / "run", OWN, {}, "test")


def test_a_finished_run_is_read_without_its_plugin():
    register_all()
    tree = json.loads(json.dumps(to_dict(OWN)))
    names = {name.partition(".")[2] for name in OWN.plugins}
    for entries in REGISTERED.values():
        entries.clear()
    assert from_dict(tree, also=frozenset(names)).reward == "doubled"
    with pytest.raises(CredoError, match="my-sac' is not one of"):
        from_dict(tree)
    with pytest.raises(CredoError, match="my-sac' is not one of"):
        validate(from_dict(tree, also=frozenset(names)))


def test_a_reward_without_an_inverse_takes_no_threshold_in_rewards():
    plugins.register_reward("square", bounds=(0.0, np.inf))(doubled)
    with pytest.raises(CredoError, match="threshold_unit"):
        validate(dataclasses.replace(RunConfig(), reward="square"))


@pytest.mark.parametrize("name", ["plr", "Gentle", "", "a b"])
def test_names_that_cannot_be_given(name):
    with pytest.raises(CredoError) as error:
        plugins.register_reward(name, bounds=(0, 1))(doubled)
    assert "\n" not in str(error.value)
    assert name not in REGISTERED["reward"]


def test_a_name_is_given_once():
    plugins.register_reward("doubled", bounds=(0, 1))(doubled)
    plugins.register_reward("doubled", bounds=(0, 1))(doubled)  # a module that is imported again
    with pytest.raises(CredoError, match="already"):
        plugins.register_reward("doubled", bounds=(0, 1))(nothing)


def test_a_learner_needs_its_settings():
    with pytest.raises(CredoError, match="batch_size"):
        plugins.register_learner("mine", settings={"batch_size": 3})
    with pytest.raises(CredoError, match="batch_size"):
        plugins.register_learner("mine", settings=PPOConfig())


@dataclasses.dataclass(frozen=True)
class OwnSettings:
    batch_size: int = 32
    discount: float = 0.9
    minibatches: int = 4
    cloning_weight: str | float = "annealed"


def test_a_learners_settings_mean_what_they_mean_to_it():
    plugins.register_learner("own", settings=OwnSettings())(sac)
    plugins.register_learner("own-sd3", settings=SD3Config(batch_size=32, cloning_weight=0.5))(sac)
    own, pairs = RunConfig(learner="own"), RunConfig(learner="own-sd3")
    assert (own.transitions_per_update, pairs.transitions_per_update) == (32, 64)
    assert (own.cloning_weight, pairs.cloning_weight) == (0.0, 0.5)


ON_POLICY = RunConfig(
    environment="PointMass",
    demonstrations="",
    reward="environment",
    learner="my-ppo",
    steps=128,
    steps_per_round=64,
    environments_per_seed=2,
    replay_capacity=1,
    evaluation_interval=128,
    evaluation_episodes=1,
    execution="threads",
)
MY_PPO = PPOConfig(hidden=(8,), minibatch_size=32, epochs=2)


def test_a_learner_of_rollouts_runs_as_the_built_in_one_does(tmp_path):
    plugins.register_learner("my-ppo", settings=MY_PPO, experience="rollout")(ppo)
    assert ON_POLICY.policy_samples == "fresh"
    assert "replay_capacity" not in identity(ON_POLICY)
    built_in = dataclasses.replace(ON_POLICY, learner="ppo", ppo=MY_PPO)
    for name, config in (("own", ON_POLICY), ("built-in", built_in)):
        assert run(tmp_path / name, config, PointMass) == "done"
    own, other = (run_rows.read_parts(tmp_path / name, run_folder.METRICS) for name in ("own", "built-in"))
    assert own["approx_kl"][-1] != 0
    np.testing.assert_array_equal(own["approx_kl"], other["approx_kl"])
    np.testing.assert_array_equal(own["critic_loss"], other["critic_loss"])


def test_a_learner_is_what_it_was_registered_as():
    plugins.register_learner("my-ppo", settings=SACConfig())(lambda settings, *sizes: ppo(MY_PPO, *sizes))
    with pytest.raises(CredoError, match="learns from 'rollout'"):
        make_learner(ON_POLICY, 3, 1)
    plugins.register_learner("my-sac", settings=SACConfig(hidden=(4,)), experience="rollout")(
        lambda settings, observation_size, action_size, lanes: sac(settings, observation_size, action_size)
    )
    with pytest.raises(CredoError, match="learns from 'replay'"):
        make_learner(dataclasses.replace(ON_POLICY, learner="my-sac"), 3, 1)
    plugins.register_learner("my-mute", settings=MY_PPO, experience="rollout")(
        lambda *arguments: ppo(*arguments)._replace(deviation=None)
    )
    with pytest.raises(CredoError, match="deviation"):
        make_learner(dataclasses.replace(ON_POLICY, learner="my-mute"), 3, 1)
    plugins.register_learner("my-own", settings=SACConfig())(lambda *arguments: sac(*arguments)._replace(cloning=None))
    with pytest.raises(CredoError, match="warm_start"):
        make_learner(RunConfig(learner="my-own", warm_start="bc"), 3, 1)


MODULE = """
import credo

@credo.register_reward("from-a-file", bounds=(-1.0, 1.0), inverse=lambda reward: reward)
def from_a_file(logit):
    return logit
"""


def test_the_command_line_imports_a_plugin_and_lists_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_plugin.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as stop:
        cli.main(["imitate", "--plugin", "my_plugin", "--help"])
    assert stop.value.code == 0
    assert "from-a-file" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        cli.main(["imitate", "--plugin", "my_plugin", "--reward", "from-a-fil"])
    assert stop.value.code == 2
    assert "from-a-file" in capsys.readouterr().err
    sys.modules.pop("my_plugin")


def test_a_plugin_that_is_not_there_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["imitate", "--plugin=no_such_module"])
    assert stop.value.code == 2
    assert "no_such_module" in capsys.readouterr().err


def test_no_file_names_a_module():
    with pytest.raises(CredoError, match="plugin"):
        from_dict({"plugin": ["os"]})


def shapeless(logit):
    return logit[0]


def broken(logit):
    raise ValueError("my reward\nis broken")


def speechless(loss, logit, settings):
    return lambda *arguments: None


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (
            shapeless,
            "reward: 'own' (test_plugins:shapeless) makes float32[2] of logits float32[3, 2]; the same expected",
        ),
        (lambda logit: None, "makes NoneType of logits"),
        (broken, "plugin: reward 'own' (test_plugins:broken): ValueError: my reward is broken, at "),
    ],
)
def test_a_reward_that_cannot_work_is_told_before_anything_is_written(reward, message):
    plugins.register_reward("own", bounds=(0.0, 1.0))(reward)
    with pytest.raises(CredoError) as caught:
        check_rewards(dataclasses.replace(OWN, reward="own"))
    assert message in str(caught.value)
    check_rewards(RunConfig())


def test_a_learner_whose_actions_do_not_fit_is_told_and_not_the_environment():
    spec = EnvironmentSpec("Hopper-v5", 11, 3, -np.ones(3, np.float32), np.ones(3, np.float32), 1000)
    config = RunConfig(learner="my-sac", environments_per_seed=2)
    settings = SACConfig(hidden=(4,))

    def check(**functions):
        REGISTERED["learner"].pop("my-sac", None)
        plugins.register_learner("my-sac", settings=settings)(
            lambda *arguments: (made := sac(*arguments))._replace(
                **{name: function(getattr(made, name)) for name, function in functions.items()}
            )
        )
        check_learner(config, spec)

    check()
    with pytest.raises(CredoError, match=re.escape("): act makes float32[3] of observations float32[2, 11]; ")):
        check(act=lambda act: lambda *arguments: act(*arguments)[0])
    with pytest.raises(CredoError, match=r"mode makes float32\[2, 1\] .* actions float32\[2, 3\] expected"):
        check(mode=lambda mode: lambda *arguments: mode(*arguments)[:, :1])
    with pytest.raises(CredoError, match=r"plugin: learner 'my-sac' .*TypeError"):
        check(act=lambda act: lambda state: act)
    check_learner(RunConfig(), spec)


def test_what_fails_in_training_names_the_plugins(tmp_path):
    plugins.register_regulariser("speechless")(speechless)
    config = changed(learner="td3", discriminator=changed(SMALL.discriminator, regularisers=("speechless",)))
    prepared = prepare(config, "Pendulum-v1", demonstrations())
    with pytest.raises(CredoError) as caught:
        api.start(prepared, tmp_path / "run")
    assert str(caught.value).startswith("plugin: regulariser 'speechless' (test_plugins:speechless): TypeError: ")
    assert "\n" not in str(caught.value)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    discount: float = 0.9


@dataclasses.dataclass(frozen=True)
class Untyped(SACConfig):
    own: "Nowhere" = 3  # noqa: F821


@pytest.mark.parametrize(
    ("register", "message"),
    [
        (lambda: plugins.register_reward("own", bounds=(1.0, 0.0)), "bounds (1.0, 0.0); (lowest, highest) expected"),
        (lambda: plugins.register_reward("own", bounds=None), "bounds None"),
        (lambda: plugins.register_reward("own", bounds=(0.0, 1.0), inverse=3), "inverse 3; a function"),
        (lambda: plugins.register_reward(3, bounds=(0.0, 1.0))(doubled), "3 is no name"),
        (lambda: plugins.register_reward("own", bounds=(0.0, 1.0))(functools.partial(doubled)), "is no function"),
        (lambda: plugins.register_regulariser(nothing), "it has no name; give one"),
        (lambda: plugins.register_learner("own", settings=SACConfig), "must be an instance of a dataclass"),
        (lambda: plugins.register_learner("own", settings=Slotted()), "with batch_size and discount"),
        (lambda: plugins.register_learner("own", settings=Untyped()), "the types of Untyped cannot be read (NameError"),
        (
            lambda: plugins.register_learner("own", settings=SACConfig(batch_size=-3)),
            "batch_size: -3 is not",
        ),
        (
            lambda: plugins.register_learner("own", settings=SACConfig(discount=1.5)),
            "settings.discount: 1.5 is",
        ),
        (
            lambda: plugins.register_learner("own", settings=SACConfig(target_entropy=np.nan)),
            "entropy: nan is",
        ),
        (lambda: plugins.register_learner("own", settings=SACConfig(), experience="repaly"), "'repaly' is not replay"),
        (lambda: plugins.register_learner("own", settings=SACConfig(hidden=(print,))), "is no setting; numbers"),
    ],
)
def test_what_cannot_be_registered_is_told_at_once(register, message):
    with pytest.raises(CredoError) as caught:
        register()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("function", "bounds", "inverse", "message"),
    [
        (lambda logit: 100 * logit, (0.0, 1.0), None, r"is -1500 at the logit -15, outside its bounds 0 to 1"),
        (lambda logit: jnp.log(logit), (-np.inf, np.inf), None, r"is nan at the logit -15; a finite number"),
        (jnp.tanh, (-1.0, 1.0), lambda reward: 100 * reward, r"but its inverse makes -9"),
        (jnp.tanh, (-1.0, 1.0), lambda reward: reward.nothing, r"AttributeError"),
        (lambda logit: -logit, (-np.inf, np.inf), lambda reward: -reward, r"falls with the logit somewhere"),
    ],
)
def test_a_reward_that_is_not_what_was_registered_is_refused(function, bounds, inverse, message):
    plugins.register_reward("wrong", bounds=bounds, inverse=inverse)(function)
    with pytest.raises(CredoError, match=message):
        check_rewards(RunConfig(reward="wrong"))


def test_rounding_refuses_no_reward():
    """Saturated, it falls by one part in 10 million somewhere; and the literal GAIL reward is infinite from 17 on."""

    def wavering(logit):
        return 3 * jnp.tanh(logit) - jnp.where(logit > 10, 1e-6, 0.0)

    plugins.register_reward("wavering", bounds=(-3.0, 3.0), inverse=lambda r: np.arctanh(r / 3))(wavering)
    check_rewards(RunConfig(reward="wavering"))
    literal = plugins.register_reward("literal", bounds=(0.0, np.inf), inverse=lambda r: np.log(np.expm1(r)))
    literal(REWARDS["plr-literal"].function)
    check_rewards(RunConfig(reward="literal"))


def test_one_piece_of_code_registers_a_name_once():
    def strength(value):
        def pull(loss, logit, config):
            return lambda *sides: loss(*sides) + value

        return plugins.register_regulariser("pull")(pull)

    strength(0.1)
    with pytest.raises(CredoError, match=r"'pull' is registered twice by .*pull, as in a loop; give each a name"):
        strength(10.0)


def test_a_run_says_that_a_plug_ins_code_has_changed(tmp_path):
    register_all()
    run_folder.create(tmp_path / "run", OWN, {}, "test")
    assert run_folder.changed_plugins(tmp_path / "run", OWN) == []
    REGISTERED["reward"]["doubled"] = REGISTERED["reward"]["doubled"]._replace(code_sha256="0" * 64)
    assert run_folder.changed_plugins(tmp_path / "run", OWN) == ["reward.doubled"]
    run_folder.create(tmp_path / "plain", RunConfig(), {}, "test")
    assert run_folder.changed_plugins(tmp_path / "plain", RunConfig()) == []
    assert "plugin_code" not in read_json(tmp_path / "plain" / "config.json")
