"""What Python callers may give: text where paths are meant, presets by name, and one line for what is neither."""

import numpy as np
import pytest

import credo
from credo import api, run_folder
from credo.config import RunConfig
from credo.types import CredoError


def test_a_folder_may_be_given_as_text(tmp_path):
    run_folder.create(tmp_path / "run", RunConfig(), {"sha256": "x"}, "test")
    run = credo.Run(str(tmp_path / "run"))
    assert run == credo.Run(tmp_path / "run")
    assert run.metrics() == run.evaluations() == run.summary == {}, "a run that has just begun"


@pytest.mark.parametrize(
    "reading",
    [
        credo.Run.metrics,
        credo.Run.evaluations,
        credo.Run.policy,
        lambda run: run.policy(0),
        lambda run: run.summary,
        lambda run: run.best_seed,
        lambda run: run.config,
    ],
)
def test_what_is_no_run_does_not_read_like_one_that_has_just_begun(reading, tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CredoError, match=rf"{folder.name} is not a run folder \(it has no config.json\)"):
            reading(credo.Run(folder))


def test_a_preset_may_be_given_by_name(monkeypatch):
    begun = []
    monkeypatch.setattr(api, "prepare", lambda config, *given: begun.append(config))
    monkeypatch.setattr(api, "start", lambda *given: None)
    credo.imitate("fast", seeds=3)
    credo.imitate(credo.preset("fast"), seeds=3)
    credo.imitate()
    assert begun[0] == begun[1] != begun[2]
    with pytest.raises(CredoError, match=r"preset: 'quick' is not one of .*fast"):
        credo.imitate("quick")
    with pytest.raises(CredoError, match="config: dict found; a preset's name"):
        credo.imitate({"seeds": 3})


def test_arrays_are_no_demonstrations_yet():
    with pytest.raises(CredoError, match=r"demonstrations: ndarray found; .*from_transitions and from_episodes"):
        credo.imitate(demonstrations=np.zeros((5, 3)))
