"""Where Minari's datasets lie, and that one that is written loses none that was there."""

from __future__ import annotations

import errno
import os
import pwd
import tempfile
from pathlib import Path

import pytest

from credo.demonstrations import read_file, write_file
from credo.demonstrations.formats import minari
from credo.types import CredoError


@pytest.fixture
def full_disk(monkeypatch):
    """Renaming fails from the second time on, so many times."""

    def fill(times):
        replace, calls = os.replace, []

        def failing(*arguments):
            calls.append(arguments)
            if 1 < len(calls) <= 1 + times:
                raise OSError(errno.ENOSPC, "No space left on device")
            replace(*arguments)

        monkeypatch.setattr(os, "replace", failing)

    return fill


def test_a_dataset_that_cannot_be_replaced_is_where_it_was(make_demonstrations, tmp_path, full_disk):
    path = tmp_path / "old-v0"
    write_file(path, make_demonstrations([5, 4]), "minari")
    before = read_file(path).sha256
    full_disk(1)
    with pytest.raises(CredoError, match=r"old-v0: cannot be written \(No space left on device\)$"):
        write_file(path, make_demonstrations([3]), "minari", overwrite=True)
    assert read_file(path).sha256 == before
    assert list(tmp_path.iterdir()) == [path]


def test_where_it_cannot_be_put_back_its_place_is_told(make_demonstrations, tmp_path, full_disk):
    path = tmp_path / "old-v0"
    write_file(path, make_demonstrations([5, 4]), "minari")
    before = read_file(path).sha256
    full_disk(2)
    with pytest.raises(CredoError, match=r"what was there is now \S+old$") as caught:
        write_file(path, make_demonstrations([3]), "minari", overwrite=True)
    assert "\n" not in str(caught.value)
    (left,) = tmp_path.iterdir()
    assert str(caught.value).endswith(str(left))
    assert read_file(left).sha256 == before


def test_an_account_without_a_home_has_a_folder_of_datasets(monkeypatch):
    """In a container whose user is unknown."""

    def unknown(uid):
        raise KeyError(uid)

    for name in ("HOME", "MINARI_DATASETS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert minari.folder_of("hopper-v0") == Path(tempfile.gettempdir()) / ".minari" / "datasets" / "hopper-v0"
