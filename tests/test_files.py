"""Files that are written whole or not at all."""

import os

from credo.files import write_atomically


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
