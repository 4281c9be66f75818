from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from credo import experts
from credo.environments import rollout_episodes
from credo.experts import expert_names, load_card, load_expert, write_card, write_expert
from credo.types import CredoError


def test_round_trip(fake_expert, pendulum_policy):
    assert expert_names() == ["pendulum-expert"]
    policy, card = load_expert("pendulum-expert")
    assert card == fake_expert
    assert card.weights == "pendulum-expert.safetensors"
    observation = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(policy(observation), pendulum_policy(observation))


def test_unknown_names(fake_expert, monkeypatch, tmp_path):
    with pytest.raises(CredoError, match="'pendulumexpert' is not a shipped expert; nearest: pendulum-expert"):
        load_expert("pendulumexpert")
    with pytest.raises(CredoError, match="not a shipped expert"):
        load_expert("../pendulum-expert")
    monkeypatch.setattr(experts, "FOLDER", tmp_path / "none")
    assert expert_names() == []
    with pytest.raises(CredoError, match="none are installed"):
        load_expert("hopper-expert")


def test_shipped_cards_fit_their_weights():
    for name in expert_names():
        policy, card = load_expert(name)
        assert policy.environment == card.environment


def test_shipped_experts_are_small_and_do_what_their_cards_say():
    assert sum(path.stat().st_size for path in experts.FOLDER.glob("*.safetensors")) < 4_000_000
    for name in expert_names():
        policy, card = load_expert(name)
        if name.endswith("-expert"):
            (episode,) = rollout_episodes(card.environment, policy.normalised_action, 1, seed=7)
            assert episode.reward.sum() == pytest.approx(card.return_mean, abs=6 * card.return_std)


def test_returns_elsewhere(fake_expert):
    told = {"return_mean": -150.0, "return_std": 1.5, "return_min": -160.0, "episodes": 100}
    write_card(replace(fake_expert, elsewhere={"Pendulum-v0": told}), experts.FOLDER)
    policy, card = load_expert("pendulum-expert")
    assert card.elsewhere == {"Pendulum-v0": told}
    assert policy.environment == card.environment == fake_expert.environment


def test_experts_of_an_environment(fake_expert, pendulum_policy, tmp_path):
    write_expert(pendulum_policy, replace(fake_expert, name="another", environment="Another-v1"), experts.FOLDER)
    told = {"return_mean": 0.0, "return_std": 0.0, "return_min": 0.0, "episodes": 1}
    write_card(replace(load_card("another"), elsewhere={"Other-v2": told}), experts.FOLDER)
    (experts.FOLDER / "damaged.json").write_text("{")
    assert experts.names_for("Pendulum-v1") == ["pendulum-expert"]
    assert experts.names_for("Other-v2") == experts.names_for("Another-v1") == ["another"]
    assert experts.names_for("Pendulum-v0") == []


def test_other_weights_than_the_cards(fake_expert, pendulum_policy, tmp_path):
    (tmp_path / "other").mkdir()
    write_expert(replace(pendulum_policy, activation="tanh"), fake_expert, tmp_path / "other")
    (tmp_path / "other" / fake_expert.weights).replace(experts.FOLDER / fake_expert.weights)
    with pytest.raises(CredoError, match=r"field sha256: the card says .* the file has"):
        load_expert("pendulum-expert")
    (experts.FOLDER / fake_expert.weights).unlink()
    with pytest.raises(CredoError, match="cannot be read"):
        load_expert("pendulum-expert")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "../../secret"}, "field weights"),
        ({"weights": "/etc/passwd"}, "field weights"),
        ({"name": "another", "weights": "another.safetensors"}, "field name: 'another' found"),
        ({"seed": "3"}, "field seed: '3' found, int expected"),
        ({"steps": True}, "field steps"),
        ({"return_mean": None}, "field return_mean"),
        ({"config": []}, "field config"),
        ({"elsewhere": {"Pendulum-v0": {"return_mean": 1.0}}}, "field elsewhere: 'Pendulum-v0': return_mean, "),
        ({"elsewhere": {"Pendulum-v0": 3}}, "field elsewhere"),
        ({"more": 1}, "missing or unknown: more"),
    ],
)
def test_damaged_cards(fake_expert, change, message):
    path = experts.FOLDER / "pendulum-expert.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CredoError, match=message):
        load_card("pendulum-expert")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b" " * 2_000_000])
def test_cards_that_are_none(fake_expert, content):
    (experts.FOLDER / "pendulum-expert.json").write_bytes(content)
    with pytest.raises(CredoError, match=r"pendulum-expert\.json: "):
        load_card("pendulum-expert")


@pytest.mark.parametrize("name", ["", "../x", "Hopper", "a b", "a:1", "a@b"])
def test_names_that_could_not_be_asked_for(fake_expert, pendulum_policy, tmp_path, name):
    with pytest.raises(CredoError, match="field name"):
        write_expert(pendulum_policy, replace(fake_expert, name=name), tmp_path)


def test_none_of_this_imports_jax():
    code = (
        "import sys, credo.demonstrations, credo.experts, credo.policies;"
        "sys.exit('jax' in sys.modules or 'jaxlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
