from __future__ import annotations

import numpy as np
import pytest

from credo.demonstrations import from_transitions
from credo.reports.demonstrations import picture, write_picture
from credo.types import CredoError


@pytest.fixture(scope="module")
def demonstrations():
    """Three episodes of 4 steps, returns 4, 8 and 12; the first action is at its bound in a quarter of the steps."""
    generator = np.random.default_rng(0)
    observation = generator.normal(size=(13, 5)).astype(np.float32)
    action = generator.uniform(-0.5, 0.5, (12, 2)).astype(np.float32)
    action[:3, 0] = 1
    ends = np.arange(12) % 4 == 3
    reward = np.repeat(np.array([1, 2, 3], np.float32), 4)
    none = np.zeros(12, bool)
    return from_transitions(observation[:-1], action, observation[1:], ends, none, reward, "Probe-v0")


def panels(figure):
    return {panel["title"]: panel for panel in figure["concat"]}


def rows(figure, title):
    return figure["datasets"][panels(figure)[title]["data"]["name"]]


def test_what_is_drawn(demonstrations):
    figure = picture(demonstrations)
    returns = rows(figure, "returns")
    assert [row["episodes"] for row in returns if row["episodes"]] == [1, 1, 1]
    assert (returns[0]["from"], returns[-1]["to"]) == (4, 12)
    assert sum(row["episodes"] for row in rows(figure, "episode lengths")) == 3
    saturated = {(row["bound"], row["dimension"]): row["share"] for row in rows(figure, "action: saturation")}
    assert saturated == {("high", 0): 0.25, ("high", 1): 0, ("low", 0): 0, ("low", 1): 0}
    (title,) = (title for title in panels(figure) if title.startswith("observation"))
    np.testing.assert_allclose([row["high"] for row in rows(figure, title)], demonstrations.observation.max(axis=0))


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<svg")])
def test_files(name, start, demonstrations, tmp_path):
    write_picture(tmp_path / name, demonstrations)
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["a.pdf", "missing/a.png"])
def test_wrong_names(name, demonstrations, tmp_path):
    with pytest.raises(CredoError, match="picture"):
        write_picture(tmp_path / name, demonstrations)
