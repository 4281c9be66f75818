"""The run folder: what is refused, what is written whole, and what comes back."""

import dataclasses
import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

import credo
from credo import run_folder, run_rows
from credo.config import CredoConfig, RunConfig, run_id
from credo.files import read_json
from credo.reports.load import load_run
from credo.run_lock import LOCK
from credo.types import CredoError

DEMONSTRATIONS = {"sha256": "ab" * 32, "return_mean": 3200.0}


def created(folder, config=None, demonstrations=None):
    return run_folder.create(folder, config or RunConfig(), demonstrations or DEMONSTRATIONS, "credo imitate")


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_new_folder_and_the_same_run_again(tmp_path):
    folder = tmp_path / "runs" / "one"
    assert created(folder) is False
    config, stored = run_folder.read_config(folder)
    assert config == RunConfig()
    assert stored["id"] == run_id(RunConfig(), DEMONSTRATIONS["sha256"])
    assert stored["demonstrations"] == DEMONSTRATIONS
    assert stored["versions"]["jax"]
    assert created(folder, RunConfig(steps=640, seeds=3)) is True
    assert run_folder.read_config(folder)[0] == RunConfig(steps=640, seeds=3)
    assert run_folder.read_summary(folder) == {}


def test_a_run_is_the_same_by_equal_arguments_of_its_environment(tmp_path):
    created(tmp_path / "run", RunConfig(environment="a:Arm-v0,size=1.0,spring=[2]"))
    assert created(tmp_path / "run", RunConfig(environment="a:Arm-v0,size=1,spring=[2.0]")) is True
    for other in ("a:Arm-v0,size=2,spring=[2]", "b:Arm-v0,size=1,spring=[2]", "a:Arm-v0,size=1"):
        with pytest.raises(CredoError, match="holds another run"):
            created(tmp_path / "run", RunConfig(environment=other))


def test_another_run_is_refused_with_the_settings_that_differ(tmp_path):
    created(tmp_path / "run")
    before = contents(tmp_path / "run")
    other = RunConfig(reward="cr", credo=CredoConfig(threshold=3.0))
    with pytest.raises(CredoError) as error:
        created(tmp_path / "run", other, {"sha256": "cd" * 32})
    text = str(error.value)
    assert "\n" not in text
    assert 'reward: "plr", not "cr"' in text
    assert "credo.threshold: 5.0, not 3.0" in text
    assert "demonstrations_sha256" in text
    assert "held_out" not in text
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize("kind", ["file", "folder with a file", "damaged config"])
def test_a_folder_with_something_else_is_refused_and_left_alone(kind, tmp_path):
    folder = tmp_path / "there"
    if kind == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        name = run_folder.CONFIG if kind == "damaged config" else "thesis.tex"
        (folder / name).write_text("mine")
    with pytest.raises(CredoError) as error:
        created(folder)
    assert "\n" not in str(error.value)
    assert (folder if kind == "file" else next(folder.iterdir())).read_text() == "mine"


def test_an_empty_folder_is_taken(tmp_path):
    assert created(tmp_path) is False


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CredoError, match="out: "):
        created(tmp_path / "file" / "run")


def test_what_is_no_run_is_not_read(tmp_path):
    with pytest.raises(CredoError, match="not a run folder"):
        run_folder.read_config(tmp_path)
    run_folder.write_json(tmp_path / run_folder.CONFIG, {"format": 99})
    with pytest.raises(CredoError, match="format 99"):
        run_folder.read_config(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    run_folder.write_json(path, {"a": 1})

    def fail(*arguments):
        raise OSError("disk full")

    for broken in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, broken, fail)
            with pytest.raises(CredoError, match=r"file\.json: cannot be written \(disk full"):
                run_folder.write_json(path, {"a": 2})
        assert read_json(path) == {"a": 1}
        assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_json_holds_no_nan(tmp_path):
    with pytest.raises(ValueError):
        run_folder.write_json(tmp_path / "file.json", {"a": float("nan")})
    assert not (tmp_path / "file.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_damaged_json_is_one_line_with_the_file(text, tmp_path):
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(CredoError) as error:
        read_json(tmp_path / "file.json")
    assert "file.json" in str(error.value)
    assert "\n" not in str(error.value)


def row(seed, number, **values):
    return {"seed": seed, "round": number, "step": 64 * (number + 1), **values}


def test_parts_come_back_ordered_with_gaps_as_nan(tmp_path):
    created(tmp_path)
    first = [row(1, 0, loss=0.5), row(0, 0, loss=np.inf)]
    second = [row(0, 1, loss=0.25, later=1.0), row(1, 1, loss=0.125)]
    run_rows.write_part(tmp_path, run_folder.METRICS, 0, first)
    run_rows.write_part(tmp_path, run_folder.METRICS, 1, second)
    columns = run_rows.read_parts(tmp_path, run_folder.METRICS)
    assert columns["seed"].tolist() == [0, 0, 1, 1]
    assert columns["step"].tolist() == [64, 128, 64, 128]
    assert columns["loss"].tolist() == [np.inf, 0.25, 0.5, 0.125]
    np.testing.assert_array_equal(columns["later"], [np.nan, 1.0, np.nan, np.nan])
    assert columns["loss"].dtype == np.float32
    assert columns["step"].dtype == np.int64
    some = run_rows.read_parts(tmp_path, run_folder.METRICS, ["loss", "unheard of"])
    assert list(some) == ["loss"]
    assert run_rows.read_parts(tmp_path, run_folder.EVALUATIONS) == {}


def test_the_page_writes_rows_as_csv(tmp_path, monkeypatch):
    created(tmp_path / "runs" / "x")
    run_rows.write_part(tmp_path / "runs" / "x", run_folder.METRICS, 0, [row(0, 0, loss=0.5), row(0, 1, loss=0.25)])
    monkeypatch.chdir(tmp_path)
    page = (Path(credo.__file__).parents[2] / "docs" / "runs.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    exec(compile(code, "docs/runs.md", "exec"), {})
    assert Path("metrics.csv").read_text().splitlines() == ["seed,round,step,loss", "0,0,64,0.5", "0,1,128,0.25"]


def test_parts_after_a_checkpoint_are_dropped(tmp_path):
    created(tmp_path)
    for index in range(4):
        run_rows.write_part(tmp_path, run_folder.METRICS, index, [row(0, index, loss=1.0)])
    run_rows.drop_parts_from(tmp_path, run_folder.METRICS, 2)
    assert run_rows.read_parts(tmp_path, run_folder.METRICS)["round"].tolist() == [0, 1]


def test_a_damaged_part_is_named(tmp_path):
    created(tmp_path)
    path = tmp_path / run_folder.METRICS / "part-000000.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(CredoError, match="part-000000"):
        run_rows.read_parts(tmp_path, run_folder.METRICS)


def test_a_flipped_bit_in_the_rows_of_a_part_changes_no_number(tmp_path):
    """Each page of a column has a checksum; the descriptions before them hold what is not read, too."""
    created(tmp_path)
    generator = np.random.default_rng(0)
    rows = [row(0, index, loss=value) for index, value in enumerate(generator.standard_normal(200))]
    run_rows.write_part(tmp_path, run_folder.METRICS, 0, rows)
    path = tmp_path / run_folder.METRICS / "part-000000.parquet"
    original, expected = path.read_bytes(), run_rows.read_part(path)
    footer = len(original) - 8 - int.from_bytes(original[-8:-4], "little")
    found = 0
    for offset in generator.integers(4, footer, 100):
        content = bytearray(original)
        content[offset] ^= 1 << offset % 8
        path.write_bytes(content)
        try:
            rows = run_rows.read_part(path)
        except CredoError:
            found += 1
            continue
        assert rows.keys() == expected.keys()
        assert all((rows[name] == expected[name]).all() for name in expected), offset
    assert found > 80


def test_where_problems_are_collected_the_rest_is_read(tmp_path):
    created(tmp_path)
    for index in range(3):
        run_rows.write_part(tmp_path, run_folder.METRICS, index, [row(0, index, loss=1.0)])
    (tmp_path / run_folder.METRICS / "part-000001.parquet").write_bytes(b"PAR1 not really")
    problems = []
    columns = run_rows.read_parts(tmp_path, run_folder.METRICS, problems=problems)
    assert columns["round"].tolist() == [0, 2]
    (line,) = problems
    assert "part-000001" in line
    assert "\n" not in line


def test_final_rows_are_read_with_the_others_until_they_are_dropped(tmp_path):
    created(tmp_path)
    run_rows.write_part(tmp_path, run_folder.EVALUATIONS, 0, [row(0, 0, failed=0.0), row(1, 0, failed=0.0)])
    run_rows.write_final(tmp_path, run_folder.EVALUATIONS, 0, [row(0, 3, failed=1.0)])
    assert run_rows.read_parts(tmp_path, run_folder.EVALUATIONS)["round"].tolist() == [0, 3, 0]
    run_rows.drop_parts_from(tmp_path, run_folder.EVALUATIONS, 1)
    run_rows.drop_final(tmp_path, run_folder.EVALUATIONS, 1)
    assert len(run_rows.read_parts(tmp_path, run_folder.EVALUATIONS)["round"]) == 3
    run_rows.drop_final(tmp_path, run_folder.EVALUATIONS, 0)
    assert run_rows.read_parts(tmp_path, run_folder.EVALUATIONS)["round"].tolist() == [0, 0]


@pytest.mark.parametrize("left", ["nothing", "temporary", "folders"])
def test_what_a_kill_at_the_beginning_left_is_taken(left, tmp_path):
    """Killed before config.json was there."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / LOCK).write_text("process 1 on elsewhere")
    if left != "nothing":
        (folder / ".config.json.123.tmp").write_text("{")
    if left == "folders":
        (folder / run_folder.METRICS).mkdir()
        (folder / run_folder.CHECKPOINTS).mkdir()
    with run_folder.opened(folder, RunConfig(), DEMONSTRATIONS, "credo imitate") as known:
        assert known is False
        assert not list(folder.rglob("*.tmp"))
    assert run_folder.read_config(folder)[0] == RunConfig()
    (tmp_path / "other" / run_folder.METRICS).mkdir(parents=True)
    (tmp_path / "other" / run_folder.METRICS / "mine.csv").write_text("")
    with pytest.raises(CredoError, match="not a run"):
        created(tmp_path / "other")


def test_a_process_that_finds_the_lock_held_changes_nothing(tmp_path):
    with run_folder.opened(tmp_path / "run", RunConfig(), DEMONSTRATIONS, "first"):
        before = contents(tmp_path / "run")
        with (
            pytest.raises(CredoError, match="another process"),
            run_folder.opened(tmp_path / "run", RunConfig(steps=128_000), DEMONSTRATIONS, "second"),
        ):
            pass
        assert contents(tmp_path / "run") == before


def test_a_run_that_an_error_ends_before_it_has_anything_leaves_no_folder(tmp_path):
    def refused(folder, then=lambda folder: None, error=CredoError):
        def ended():
            with run_folder.opened(folder, RunConfig(), DEMONSTRATIONS, "credo imitate"):
                then(folder)
                raise error("no licence")

        with pytest.raises(error, match="no licence"):
            ended()

    refused(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    refused(tmp_path / "mine")
    assert not (tmp_path / "mine" / run_folder.CONFIG).exists()
    # What has been kept, and a run that is there already, stay; so does what another error leaves, to be looked at.
    keep = lambda folder: (folder / run_folder.SUMMARY).write_text("{}")  # noqa: E731
    refused(tmp_path / "kept", keep)
    assert {run_folder.CONFIG, run_folder.SUMMARY} <= {path.name for path in contents(tmp_path / "kept")}
    created(tmp_path / "known")
    refused(tmp_path / "known")
    assert (tmp_path / "known" / run_folder.CONFIG).exists()
    refused(tmp_path / "bug", error=RuntimeError)
    assert (tmp_path / "bug" / run_folder.CONFIG).exists()


def test_a_run_that_is_refused_to_go_on_keeps_its_settings(tmp_path):
    """Where it went on before the error, they are those that it went on with."""
    folder = tmp_path / "run"
    created(folder)
    run_folder.write_json(folder / run_folder.SUMMARY, {"state": "done"})

    def refused(then):
        with run_folder.opened(folder, RunConfig(steps=128), DEMONSTRATIONS, "credo imitate --steps 128"):
            then()
            raise CredoError("raise --steps")

    before = read_json(folder / run_folder.CONFIG)
    with pytest.raises(CredoError, match="raise"):
        refused(lambda: None)
    assert read_json(folder / run_folder.CONFIG) == before
    with pytest.raises(CredoError, match="raise"):
        refused(lambda: run_folder.write_json(folder / run_folder.SUMMARY, {"state": "running"}))
    assert read_json(folder / run_folder.CONFIG)["config"]["steps"] == 128


def test_a_folder_that_may_not_be_written_to_is_refused_in_one_line(tmp_path, monkeypatch):
    created(tmp_path / "run")

    def refused(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refused)  # the tests may run as a user whom no permission stops
    with (
        pytest.raises(CredoError, match=r"out: .*run cannot be written to \(Permission denied\)"),
        run_folder.opened(tmp_path / "run", RunConfig(), DEMONSTRATIONS, "again"),
    ):
        pass


def test_a_setting_that_did_not_exist_when_the_run_began_had_its_default(tmp_path):
    created(tmp_path)
    stored = read_json(tmp_path / run_folder.CONFIG)
    for tree in (stored["config"]["td3"], stored["identity"]["td3"]):
        del tree["preactivation_penalty"]
    run_folder.write_json(tmp_path / run_folder.CONFIG, stored)
    assert created(tmp_path) is True


def test_versions_that_have_changed_since_are_named(tmp_path):
    created(tmp_path)
    assert run_folder.changed_versions(tmp_path) == []
    stored = read_json(tmp_path / run_folder.CONFIG)
    stored["versions"]["jax"] = "0.0.1"
    run_folder.write_json(tmp_path / run_folder.CONFIG, stored)
    (line,) = run_folder.changed_versions(tmp_path)
    assert 'jax: "0.0.1", not' in line


def test_a_run_says_what_computed_it_and_whether_that_has_changed(tmp_path):
    import jax

    created(tmp_path)
    stored = read_json(tmp_path / run_folder.CONFIG)
    assert stored["versions"]["device"] == jax.devices()[0].device_kind
    stored["versions"]["device"] = "a GPU"
    run_folder.write_json(tmp_path / run_folder.CONFIG, stored)
    (line,) = run_folder.changed_versions(tmp_path)
    assert line.startswith('device: "a GPU", not')
    del stored["versions"]["device"], stored["versions"]["credo-source"]
    run_folder.write_json(tmp_path / run_folder.CONFIG, stored)
    assert run_folder.changed_versions(tmp_path) == []


def test_a_run_says_which_source_computed_it(tmp_path):
    created(tmp_path)
    stored = read_json(tmp_path / run_folder.CONFIG)
    package, digest = Path(run_folder.__file__).parent, hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(repr((path.relative_to(package).as_posix(), path.read_bytes())).encode())
    assert stored["versions"]["credo-source"] == digest.hexdigest()[:12]
    stored["versions"]["credo-source"] = "0" * 12
    run_folder.write_json(tmp_path / run_folder.CONFIG, stored)
    (line,) = run_folder.changed_versions(tmp_path)
    assert line.startswith('credo-source: "000000000000", not')


def test_a_part_opens_in_any_reader_of_parquet(tmp_path):
    import pyarrow.parquet

    created(tmp_path)
    run_rows.write_part(tmp_path, run_folder.METRICS, 0, [row(0, 0, loss=1.0)])
    table = pyarrow.parquet.read_table(tmp_path / run_folder.METRICS / "part-000000.parquet")
    assert table.column_names == ["seed", "round", "step", "loss"]


def test_a_run_does_not_begin_in_a_folder_whose_name_is_not_utf8(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(CredoError, match=r"out: .* is not UTF-8; choose another name"):
        created(folder)
    assert not folder.exists()


def test_a_run_that_is_asked_for_more_is_not_told_as_done(tmp_path):
    """DONE stays until it goes on: by it a run whose checkpoints are lost is refused."""
    folder, config, told = tmp_path / "run", RunConfig(steps=640, seeds=2), {"return_mean": 1.0}
    run_folder.create(folder, config, told, "credo imitate")
    seeds = {str(number): {"steps": 640} for number in range(2)}
    run_folder.write_json(folder / run_folder.SUMMARY, {"state": "done", "steps": 640, "seeds": seeds})
    (folder / run_folder.DONE).touch()
    for same in (config, dataclasses.replace(config, steps=660), dataclasses.replace(config, seeds=1, steps=320)):
        run_folder.create(folder, same, told, "credo imitate")
        assert load_run(folder).state == "done"
    for more in (dataclasses.replace(config, steps=704), dataclasses.replace(config, seeds=3)):
        run_folder.create(folder, more, told, "credo imitate")
        assert load_run(folder).state == "interrupted"
        assert (folder / run_folder.DONE).exists()
