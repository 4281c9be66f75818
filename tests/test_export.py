"""``credo export``: a run's policy as ONNX or NumPy, whole or not at all."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import credo
from credo import exporting, run_folder, storage
from credo.cli import main
from credo.config import RunConfig
from credo.policies import FORMAT, Layer, Policy, save_policy
from credo.storage import content_sha256, file_sha256, put_in_place
from credo.types import CredoError


def policy(seed):
    weight = np.random.default_rng(seed).normal(size=(3, 1)).astype(np.float32)
    vectors = np.zeros(3, np.float32), np.ones(3, np.float32)
    return Policy((Layer(weight, np.zeros(1)),), "relu", *vectors, np.float32([-2]), np.float32([2]), "Pendulum-v1")


@pytest.fixture
def folder(tmp_path):
    """A run folder with policies of two seeds; seed 1 is the nearer one."""
    path = tmp_path / "run"
    run_folder.create(path, RunConfig(environment="Pendulum-v1", seeds=2), {"sha256": "x"}, "test")
    told = {str(s): {"selected_badness": 1.0 - s, "selected_return": 10.0 + s, "final_return": 3.0} for s in (0, 1)}
    run_folder.write_json(path / run_folder.SUMMARY, {"state": "done", "seeds": told})
    for seed in (0, 1):
        for offset, which in enumerate(("best", "last")):
            target = run_folder.policy_path(path, seed, which)
            target.parent.mkdir(exist_ok=True)
            save_policy(target, policy(10 * seed + offset))
    return path


OBSERVATION = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("options", "number"),
    [([], 10), (["--policy", "last"], 11), (["--seed", "0"], 0), (["--seed=0", "--policy=last"], 1)],
)
@pytest.mark.parametrize(("format", "suffix"), [("onnx", "onnx"), ("numpy", "safetensors")])
def test_the_chosen_policy_is_written(options, number, format, suffix, folder, tmp_path, capsys):
    if format == "onnx":
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    out = tmp_path / f"out.{suffix}"
    main(["export", str(folder), "--format", format, "--out", str(out), *options])
    assert str(out) in capsys.readouterr().out.replace("\n", "")
    np.testing.assert_allclose(credo.load_policy(out)(OBSERVATION), policy(number)(OBSERVATION), atol=1e-5)


@pytest.mark.parametrize("name", ["nowhere", "hopper-expert", "nowhere.safetensors"])
def test_what_is_no_run_is_not_called_one_without_policies(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CredoError, match=f"{name} is neither a run folder nor a policy file"):
        credo.export(name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CredoError, match=r"empty is not a run folder \(it has no config.json\)"):
        credo.export(tmp_path / "empty")
    with pytest.raises(CredoError, match=r"^seed: 0: this is one policy; only of a run folder's policies one can be"):
        credo.export(policy(0), seed=0)
    with pytest.raises(CredoError, match="3 is neither a run, its folder, a policy nor a policy file"):
        credo.export(3)


def test_the_card_says_where_a_policy_comes_from(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = credo.export(folder, "numpy")
    assert path.name == "run-seed-1-best.safetensors"
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["sha256"] == file_sha256(path)
    assert (card["environment"], card["seed"], card["return_mean"], card["policy"]) == ("Pendulum-v1", 1, 11.0, "best")
    assert card["config"]["seeds"] == 2
    # It is given away: of files the name, without the folders of whoever trained.
    stored = json.loads((folder / run_folder.CONFIG).read_text())
    for given, told in (
        ("/home/me/secret/mine.npz", "mine.npz"),
        ("clients/acme/mine.npz@subsample=20", "mine.npz@subsample=20"),
        ("clients/acme-v0/", "acme-v0"),
        ("minari:a/b-v0@keys=c", "minari:a/b-v0@keys=c"),
        ("hopper-expert:5", "hopper-expert:5"),
    ):
        stored["config"] |= {"demonstrations": given, "seed_replay": given}
        run_folder.write_json(folder / run_folder.CONFIG, stored)
        path = credo.export(folder, "numpy", out=tmp_path / "card.safetensors", overwrite=True)
        config = json.loads(path.with_suffix(".json").read_text())["config"]
        assert (config["demonstrations"], config["seed_replay"]) == (told, told)


def test_a_policy_file_is_exported_too(folder, tmp_path):
    source = run_folder.policy_path(folder, 0, "last")
    path = credo.export(source, "numpy", out=tmp_path / "one.safetensors")
    np.testing.assert_array_equal(credo.load_policy(path)(OBSERVATION), policy(1)(OBSERVATION))


def test_nothing_is_overwritten_unasked(folder, tmp_path):
    out = tmp_path / "out.safetensors"
    for target in (out, out.with_suffix(".json")):
        target.write_text("mine")
        with pytest.raises(CredoError, match="exists"):
            credo.export(folder, "numpy", out=out)
        assert target.read_text() == "mine"
        target.unlink()
    credo.export(folder, "numpy", out=out)
    credo.export(folder, "numpy", out=out, overwrite=True, seed=0)
    np.testing.assert_array_equal(credo.load_policy(out)(OBSERVATION), policy(0)(OBSERVATION))


@pytest.mark.parametrize("text", ['{"gripper": 2}', "mine", "[]"])
def test_a_card_replaces_no_file_but_a_card(text, folder, tmp_path):
    out = tmp_path / "policy.safetensors"
    out.with_suffix(".json").write_text(text)
    beside_settings = folder / "config.safetensors"
    before = (folder / run_folder.CONFIG).read_bytes()
    for target in (out, beside_settings):
        with pytest.raises(CredoError, match=rf"{target.stem}\.json, where the card goes, is no policy's card"):
            credo.export(folder, "numpy", out=target, overwrite=True)
        assert not target.exists()
    assert out.with_suffix(".json").read_text() == text
    assert (folder / run_folder.CONFIG).read_bytes() == before


@pytest.mark.parametrize("format", ["onnx", "numpy"])
def test_a_file_that_appears_meanwhile_is_left_as_it_is(format, folder, tmp_path, monkeypatch):
    out = tmp_path / f"policy.{'onnx' if format == 'onnx' else 'safetensors'}"

    def put_first(*arguments):
        out.write_text("mine")
        return put_in_place(*arguments)

    monkeypatch.setattr(storage, "put_in_place", put_first)
    monkeypatch.setattr(exporting, "onnx_bytes", lambda policy: b"a model")
    with pytest.raises(CredoError, match="exists already and is left as it is"):
        credo.export(folder, format, out=out)
    assert out.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "run"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "torch"}, "format: 'torch'"),
        ({"policy": "first"}, "policy: 'first'"),
        ({"seed": 7}, "no best policy of seed 7; seeds with one: 0, 1"),
        ({"format": "numpy", "out": "x.onnx"}, ".safetensors"),
        ({"format": "numpy", "out": "missing/x.safetensors"}, "not a folder"),
    ],
)
def test_refusals(options, words, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CredoError) as caught:
        credo.export(folder, **options)
    assert words in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("format", ["onnx", "numpy"])
def test_non_finite_weights_are_refused(format, folder, tmp_path):
    good = policy(0)
    tensors = {name: np.array(getattr(good, name)) for name in ("observation_mean", "observation_std")}
    tensors |= {name: np.array(getattr(good, name)) for name in ("action_low", "action_high")}
    tensors |= {"layers.0.weight": np.full((3, 1), np.inf, np.float32), "layers.0.bias": np.zeros(1, np.float32)}
    header = {"format": FORMAT, "format_version": "1", "activation": "relu", "environment": "Pendulum-v1"}
    header["sha256"] = content_sha256(tensors, header)
    save_file(tensors, run_folder.policy_path(folder, 1), metadata=header)
    with pytest.raises(CredoError, match="NaN or infinity") as caught:
        credo.export(folder, format, out=tmp_path / f"x.{'onnx' if format == 'onnx' else 'safetensors'}")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("x.*"))
