"""What lies in the folder of findings: the command's own is replaced, nothing else is touched."""

import json

import pytest

from credo.theory import command, folder, measure
from credo.types import CredoError


def contents(*names):
    record = {"command": "credo theory", "files": [*names, folder.RECORD]}
    return {name: name.encode() for name in names} | {folder.RECORD: json.dumps(record).encode()}


def write(out, *names):
    earlier = folder.earlier_files(out)
    folder.make_folders(out)
    folder.write_findings(out, contents(*names), earlier)


def files_in(out):
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}


def test_a_second_run_replaces_the_first_and_leaves_nothing_of_it(tmp_path):
    out = tmp_path / "theory"
    write(out, "findings.md", "data/limits.csv", "data/recorded.csv", "figures/a.png")
    write(out, "findings.md", "data/limits.csv", "figures/b.png")
    assert files_in(out) == {"findings.md", "findings.json", "data/limits.csv", "figures/b.png"}


@pytest.mark.parametrize("name", ["notes.txt", "data/limits.csv", "figures/mine.png", "findings.json", "data/deep/x"])
def test_a_folder_with_a_file_of_somebody_elses_is_refused(tmp_path, name, monkeypatch):
    out = tmp_path / "theory"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("{}")
    told = "data/deep" if name == "data/deep/x" else name
    with pytest.raises(CredoError, match=f"out: .*holds '{told}', which credo theory did not write"):
        folder.earlier_files(out)
    monkeypatch.setattr(measure, "measure_all", lambda sizes: pytest.fail("it was not refused"))
    with pytest.raises(CredoError, match="which credo theory did not write"):
        command.run(command.TheoryOptions(out=out, quick=True))
    assert (out / name).read_text() == "{}"


def test_a_file_added_to_an_earlier_runs_is_refused_and_a_hidden_one_left(tmp_path):
    out = tmp_path / "theory"
    write(out, "data/limits.csv")
    (out / "data" / ".hidden").write_text("mine")
    assert folder.earlier_files(out) == {"data/limits.csv", "findings.json"}
    (out / "data" / "mine.csv").write_text("mine")
    with pytest.raises(CredoError, match=r"holds 'data/mine\.csv'"):
        folder.earlier_files(out)


@pytest.mark.parametrize("place", ["data", "data/limits.csv"])
def test_what_a_link_leads_to_is_not_touched(tmp_path, place):
    out, elsewhere = tmp_path / "theory", tmp_path / "elsewhere"
    write(elsewhere, "data/limits.csv")
    write(out, "findings.md")
    (out / "findings.json").write_bytes(contents("findings.md", "data", "data/limits.csv")["findings.json"])
    if place == "data":
        (out / "data").rmdir()
    (out / place).symlink_to(elsewhere / place)
    with pytest.raises(CredoError, match=f"holds '{place}', which"):
        folder.earlier_files(out)


def test_a_record_of_another_program_lists_nothing(tmp_path):
    write(tmp_path, "data/limits.csv")
    (tmp_path / "findings.json").write_text(json.dumps({"files": ["data/limits.csv", "findings.json"]}))
    with pytest.raises(CredoError, match="which credo theory did not write"):
        folder.earlier_files(tmp_path)


def test_the_record_of_an_interrupted_run_lists_what_lies_there(tmp_path, monkeypatch):
    out, written = tmp_path / "theory", []
    write(out, "data/a.csv", "data/b.csv")
    whole = folder.write_atomically

    def stopped(path, content):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        whole(path, content)

    monkeypatch.setattr(folder, "write_atomically", stopped)
    with pytest.raises(KeyboardInterrupt):
        write(out, "data/b.csv", "data/c.csv", "data/d.csv")
    assert folder.earlier_files(out) == files_in(out) == {"findings.json", "data/b.csv"}


def test_an_out_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CredoError, match=r"out: .*file is not a folder"):
        folder.earlier_files(tmp_path / "file")
    with pytest.raises(CredoError, match=r"out: .* cannot be made"):
        folder.make_folders(tmp_path / "file" / "theory")
    assert folder.earlier_files(tmp_path / "absent") == set()
