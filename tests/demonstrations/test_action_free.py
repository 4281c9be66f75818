"""Demonstrations without actions through everything that reads, joins and writes demonstrations."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from credo import cli
from credo.demonstrations import load_demonstrations, merge, write_file
from credo.reports.demonstrations import picture
from credo.types import CredoError


@pytest.fixture
def without_actions(make_demonstrations):
    data = make_demonstrations([4, 3, 5])
    return dataclasses.replace(data, action=np.zeros((len(data), 0), np.float32), action_bounds=None)


@pytest.mark.parametrize("name", ["a.safetensors", "a.npz"])
def test_what_is_written_comes_back(name, without_actions, tmp_path):
    write_file(tmp_path / name, without_actions)
    again = load_demonstrations(str(tmp_path / name))
    assert not again.has_actions
    assert again.sha256 == without_actions.sha256


@pytest.mark.parametrize("format", ["minari", "minari-arrow", "minari-parquet"])
def test_minari_refuses_them_in_one_line_and_leaves_nothing(format, without_actions, tmp_path):
    with pytest.raises(CredoError, match="no actions") as error:
        write_file(tmp_path / "probe-v0", without_actions, format)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_an_archive_that_does_not_say_it_has_none_is_still_refused(without_actions, tmp_path):
    write_file(tmp_path / "a.npz", without_actions)
    arrays = dict(np.load(tmp_path / "a.npz"))
    del arrays["actions"]
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(CredoError, match="actions: missing"):
        load_demonstrations(str(tmp_path / "b.npz"))


def test_merged_with_their_like_alone(without_actions, make_demonstrations):
    both = merge([without_actions, without_actions])
    assert (both.episodes, both.action.shape) == (6, (24, 0))
    with pytest.raises(CredoError, match="action_size 2, part 0 has 0"):
        merge([without_actions, make_demonstrations([3])])


def test_the_picture_shows_what_there_is(without_actions):
    titles = [panel["title"] for panel in picture(without_actions)["concat"]]
    assert any(title.startswith("observation") for title in titles)
    assert not any(title.startswith("action") for title in titles)


def test_nothing_is_said_of_an_action_box(without_actions, tmp_path, capsys):
    write_file(tmp_path / "a.safetensors", without_actions)
    cli.main(["demos", "convert", str(tmp_path / "a.safetensors"), str(tmp_path / "b.npz")])
    assert "action box" not in capsys.readouterr().out
