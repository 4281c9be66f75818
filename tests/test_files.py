"""Files that are written whole or not at all."""

import os

import pytest

from credo.files import MAXIMUM_JSON_BYTES, check_regular, parse_json, write_atomically
from credo.types import CredoError


def test_two_processes_of_one_number_write_the_same_file(tmp_path, monkeypatch):
    """In containers on two machines they may have it."""
    path, replace = tmp_path / "record.json", os.replace

    def first_the_other(*arguments):
        monkeypatch.setattr(os, "replace", replace)
        write_atomically(path, b"the other's")
        assert path.read_bytes() == b"the other's"
        replace(*arguments)

    monkeypatch.setattr(os, "replace", first_the_other)
    write_atomically(path, b"mine")
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_json_that_is_too_long_is_not_parsed():
    assert parse_json("x", '{"a": 1}') == {"a": 1}
    with pytest.raises(CredoError, match=r"^x: field data: larger than 67,108,864 bytes; not the JSON"):
        parse_json("x: field data", b" " * (MAXIMUM_JSON_BYTES + 1))


def test_what_is_no_regular_file(tmp_path):
    (tmp_path / "file").write_bytes(b"1234")
    assert check_regular(tmp_path / "file", "JSON").st_size == 4
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises(CredoError, match="is not a regular file; JSON was expected"):
            check_regular(tmp_path / name, "JSON")
