"""What a stranger's file can do at worst is be refused in one line: nothing is run, imported, followed or allocated."""

import json
import os
import sys
import tracemalloc

import numpy as np
import pytest

from credo import load_policy, run_folder, run_rows
from credo.api import Run
from credo.cli import main
from credo.demonstrations import load_demonstrations
from credo.demonstrations.files import FORMAT as DEMONSTRATIONS
from credo.files import read_json
from credo.policies import save_policy
from credo.reports.curves import write_curves
from credo.reports.load import load_run
from credo.reports.tables import list_table
from credo.storage import read_tensors
from credo.studies import store as stores
from credo.studies.store import Placed, Store, part_of
from credo.studies.study import Cell, load_study
from credo.training import checkpoint, manifest
from credo.types import CredoError, printable
from security import hostile
from training import stored_seeds

ROOM = 64 << 20
"""What refusing a small file may allocate (bytes); the announced sizes are far above it."""


def refusal(function, *arguments, words=""):
    """The one line of a refusal, which allocates little."""
    tracemalloc.start()
    try:
        with pytest.raises(CredoError) as caught:
            function(*arguments)
        assert tracemalloc.get_traced_memory()[1] < ROOM
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert "\n" not in text
    assert words in text
    return text


def command(words, capsys):
    """Exit status and output of a command."""
    status = 0
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("case", hostile.SAFETENSORS)
@pytest.mark.parametrize(
    "reader",
    [load_policy, load_demonstrations, lambda path: read_tensors(path, format="credo-checkpoint", version=1)],
    ids=["policy", "demonstrations", "checkpoint"],
)
def test_hostile_arrays(case, reader, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(hostile.SAFETENSORS[case])
    assert refusal(reader, path).startswith(str(path))


def test_a_pipe_and_a_device_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "zero.onnx").symlink_to("/dev/zero")
    refusal(load_policy, tmp_path / "pipe.safetensors", words="regular file")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    for name in ("pipe.safetensors", "zero.toml"):
        refusal(load_study, tmp_path / name, words="regular file")
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    refusal(load_policy, tmp_path / "zero.onnx", words="regular file")


def test_a_pipe_in_a_run_folder_is_not_waited_for(tmp_path):
    stored_seeds.saved_run(tmp_path, 2, numbers=(0,))
    for name in (manifest.CHECKSUM, "seed-0.safetensors"):
        for path in checkpoint.all_checkpoints(tmp_path):
            (path / name).unlink()
            os.mkfifo(path / name)
        refusal(stored_seeds.loaded, tmp_path, (0,), words="no checkpoint is whole")
    folder = hostile.run(tmp_path / "run")
    os.mkfifo(folder / run_folder.METRICS / "part-000001.parquet")
    refusal(run_rows.read_parts, folder, run_folder.METRICS, words="regular file")


def test_names_and_formats_are_not_mixed_up(tmp_path):
    save_policy(tmp_path / "x.safetensors", hostile.policy())
    refusal(load_demonstrations, tmp_path / "x.safetensors", words=DEMONSTRATIONS)


@pytest.mark.parametrize("name", [run_folder.CONFIG, run_folder.SUMMARY])
@pytest.mark.parametrize("case", hostile.JSON)
def test_hostile_json(name, case, tmp_path, capsys):
    """A run is refused, or reported without what cannot be read; the list goes on with the other runs."""
    folder, good = hostile.run(tmp_path / "runs" / "bad"), hostile.run(tmp_path / "runs" / "good")
    (folder / name).write_bytes(hostile.JSON[case])
    assert refusal(read_json, folder / name).startswith(str(folder / name))
    for words in (["list", tmp_path / "runs"], ["evaluate", folder, "--episodes", 1, "--env", "Pendulum-v1"]):
        status, out, err = command(words, capsys)
        assert status in (0, 2)
        assert "Traceback" not in out + err
    assert "good" in command(["list", tmp_path / "runs"], capsys)[1]
    assert load_run(good).problems == ()


@pytest.mark.parametrize("case", hostile.SETTINGS)
def test_hostile_settings(case, tmp_path, capsys):
    folder = hostile.run(tmp_path / "run")
    tree = json.loads((folder / run_folder.CONFIG).read_text())
    tree["config"] |= hostile.SETTINGS[case]
    (folder / run_folder.CONFIG).write_text(json.dumps(tree))
    assert len(refusal(load_run, folder)) < 1000
    assert command(["list", tmp_path], capsys)[0] == 0
    assert command(["evaluate", folder], capsys)[0] == 2


@pytest.mark.parametrize(
    "summary",
    [
        {"seeds": []},
        {"seeds": {"x": 1, "-1": {}, "9" * 500: {"selected_badness": 1.0}}},
        {"seeds": {"0": {"selected_badness": "low", "selected_return": [1], "selected_step": 1e400}}},
        {"steps": 10**400, "state": hostile.NAME, "seeds": {"0": []}},
        {"steps": "many", "wall_seconds": {}},
        {"seeds": {"0": {"steps": "many"}}},
        {"seeds": {"0": {"steps": 99_999, "selected_step": "late"}}},
    ],
    ids=range(7),
)
def test_hostile_summaries_are_shown_without_what_makes_no_sense(summary, tmp_path, capsys):
    folder = hostile.run(tmp_path / "run")
    (folder / run_folder.DONE).unlink(missing_ok=True)
    (folder / run_folder.SUMMARY).write_text(json.dumps(summary))
    if "state" in summary:
        write_curves(folder)  # the picture's converter would abort on a control character
    status, out, _ = command(["list", tmp_path], capsys)
    assert status == 0
    assert "\x1b]0" not in out
    refusal(Run(folder).policy, words="no evaluated policy")
    assert command(["report", tmp_path, "--out", tmp_path / "report", "--no-figures"], capsys)[0] == 0
    store = Store(tmp_path)
    (tmp_path / "store").mkdir()
    folder.rename(tmp_path / "store" / "run")
    placed = Placed(Cell("cell", "cell", "none", load_run(tmp_path / "store" / "run").config), "run")
    progress = store.progress(placed)
    assert 0 <= progress.steps <= progress.steps_wanted
    assert store.wanted(placed).steps > 0
    assert load_run(part_of(store, placed)).seeds == (0,)


@pytest.mark.parametrize("demonstrations", [[], {"return_mean": "much"}, {"return_mean": 10**400}, None])
def test_hostile_records_of_demonstrations(demonstrations, tmp_path, capsys):
    folder = hostile.run(tmp_path / "run", demonstrations=demonstrations)
    assert load_run(folder).expert_return is None
    assert command(["evaluate", folder, "--episodes", 1], capsys)[0] == 0


@pytest.mark.parametrize("case", hostile.parts())
def test_hostile_metrics(case, tmp_path, capsys):
    folder = hostile.run(tmp_path / "run")
    (folder / run_folder.METRICS / "part-000001.parquet").write_bytes(hostile.parts()[case])
    refusal(run_rows.read_parts, folder, run_folder.METRICS)
    loaded = load_run(folder)
    assert len(loaded.problems) == 1
    assert command(["list", tmp_path], capsys)[0] == 0


@pytest.mark.parametrize("value", [None, [], {}, "x", -1, 10**18, 1.5, "left out"], ids=str)
def test_hostile_manifests_of_checkpoints(value, tmp_path):
    """Each entry in turn is of another kind, or missing, and the checksum is right."""
    stored_seeds.saved_run(tmp_path, 1, numbers=(0,))
    newest = checkpoint.all_checkpoints(tmp_path)[-1]
    original = (newest / manifest.MANIFEST).read_bytes()
    refused = 0
    for place in places(json.loads(original)):
        tree = part = json.loads(original)
        for key in place[:-1]:
            part = part[key]
        if value == "left out":
            del part[place[-1]]
        else:
            part[place[-1]] = value
        content = json.dumps(tree).encode()
        (newest / manifest.MANIFEST).write_bytes(content)
        (newest / manifest.CHECKSUM).write_bytes(manifest.checksum_line(content))
        lines = []
        try:
            stored_seeds.loaded(tmp_path, numbers=(0,))
        except CredoError as error:
            lines.append(str(error))
        assert "\n" not in "".join(lines)
        refused += len(lines)
    assert refused > 10


def places(tree):
    """Where the entries of a JSON tree stand, as keys and indices."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield (key,)
        yield from ((key, *inner) for inner in places(value))


def test_parts_that_do_not_fit_together(tmp_path):
    folder = hostile.run(tmp_path / "run")
    (folder / run_folder.METRICS / "part-000001.parquet").write_bytes(hostile.parquet({"seed": [0], "step": [9]}))
    assert "do not fit together" in refusal(run_rows.read_parts, folder, run_folder.METRICS)


def test_rows_of_more_seeds_than_there_can_be(tmp_path):
    folder = hostile.run(tmp_path / "run")
    rows = np.arange(30_000)
    (folder / run_folder.METRICS / "part-000000.parquet").unlink()
    (folder / run_folder.METRICS / "part-000001.parquet").write_bytes(hostile.parquet({"seed": rows, "step": rows}))
    refusal(load_run, folder, words="30000 seeds")


@pytest.mark.parametrize("given", [(), ("--env", "Pendulum-v1")])
def test_no_command_imports_a_module_that_a_file_names(given, tmp_path, monkeypatch, capsys):
    """``module:Id`` in a run folder, a policy and demonstrations; without --env it is refused by that name."""
    mark = hostile.plant_module(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    folder = hostile.run(tmp_path / "run", f"{hostile.MODULE}:Evil-v0")
    policy = run_folder.policy_path(folder, 0)
    for words in (["evaluate", folder], ["evaluate", policy], ["video", folder], ["video", policy]):
        if words[0] == "video" and given:
            continue  # drawing takes seconds, and the environment is then the user's own
        status, _, err = command([*words, *given], capsys)
        assert status == (0 if given else 2)
        assert given or f"give --env {hostile.MODULE}:Evil-v0" in err
    status, _, err = command(["demos", "generate", "--expert", folder, "--out", tmp_path / "d.safetensors"], capsys)
    assert (status, "give --env" in err) == (2, True)
    for words in (["list", tmp_path], ["export", folder, "--format", "numpy", "--out", tmp_path / "e.safetensors"]):
        assert command(words, capsys)[0] == 0
    assert not mark.exists()
    assert hostile.MODULE not in sys.modules


def test_a_study_file_imports_nothing_and_writes_nowhere_else(tmp_path, monkeypatch, capsys):
    mark = hostile.plant_module(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = f"{hostile.MODULE}:Evil-v0"
    (tmp_path / "study.toml").write_text(f'[axes]\nenvironment = ["Pendulum-v1", "{name}"]\n')
    for words, expected in ((["run"], 2), (["run", "--only", "Pendulum-v1"], 2), (["status"], 0), (["report"], 2)):
        status, _, err = command(["study", words[0], "study.toml", *words[1:]], capsys)
        assert status == expected
        assert words[0] != "run" or f"give --env {name}" in err
    (tmp_path / "study.toml").write_text('[study]\nname = "../../elsewhere"\n')
    assert command(["study", "run", "study.toml"], capsys)[0] == 2
    assert not mark.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{hostile.MODULE}.py", "study.toml"]


LINKED = ["config.json", "summary.json", "metrics", "checkpoints", "policies/seed-0/best.safetensors", "lock", "DONE"]


@pytest.mark.parametrize("name", LINKED)
def test_links_out_of_a_run_folder_are_refused(name, tmp_path, capsys):
    folder, outside = hostile.run(tmp_path / "runs" / "run"), tmp_path / "outside"
    path = folder / name
    if path.exists():
        path.rename(outside)
    else:
        outside.write_text("mine")
    path.symlink_to(outside)
    before = None if outside.is_dir() else outside.read_bytes()
    assert "link out of the run folder" in refusal(run_folder.read_config, folder)
    for words in (
        ["list", tmp_path / "runs"],
        ["evaluate", folder],
        ["export", folder, "--format", "numpy", "--out", tmp_path / "e.safetensors"],
        ["expert", "--env", "Pendulum-v1", "--out", folder, "--steps", 64],
    ):
        status, _, err = command(words, capsys)
        assert status == (0 if words[0] == "list" else 2), err
    assert before is None or outside.read_bytes() == before


def test_links_within_a_run_folder_are_followed(tmp_path):
    folder = hostile.run(tmp_path / "run")
    (folder / "policies" / "seed-1").symlink_to("seed-0")
    (tmp_path / "elsewhere").symlink_to(folder)
    assert Run(tmp_path / "elsewhere").policy(1).action_size == 1


def plain(text):
    """Printed text without what would drive a terminal or be taken for markup."""
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    return text


def test_names_of_strangers_do_not_drive_the_terminal(tmp_path, capsys):
    name = hostile.NAME.replace("/", "|")
    folder = hostile.run(tmp_path / "runs" / name, hostile.NAME)
    out = plain(command(["list", tmp_path / "runs"], capsys)[1])
    assert "[red]" in out.replace("\n", "")
    for words in (["evaluate", folder], ["video", folder], ["evaluate", folder, "--env", hostile.NAME]):
        status, out, err = command(words, capsys)
        assert status == 2
        plain(out + err)
        assert len(err.splitlines()) == 1
    path = run_folder.policy_path(folder, 0)
    save_policy(path, hostile.policy("Pendulum-v1"))
    copy = tmp_path / f"{name}.safetensors"
    copy.write_bytes(path.read_bytes())
    status, out, _ = command(["evaluate", copy, "--episodes", 1], capsys)
    assert status == 0
    assert "[red]" in plain(out).replace("\n", "").replace(" ", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[study]\ndescription = "\\u001b[2J\\u001b]0;owned\\u0007"\n', "study.description"),
        ('[axes.method]\n"\\u001b[2Ja" = {}\n', "axes.method"),
        ('[axes]\nenvironment = ["a\\u202eb"]\n', "axes.environment"),
        ('["\\u001b[2J"]\n', "no such table"),
    ],
)
def test_a_study_file_does_not_drive_the_terminal(tmp_path, capsys, text, words):
    (tmp_path / "study.toml").write_text(text)
    for told in (["study", "status", tmp_path / "study.toml"], ["study", "run", tmp_path / "study.toml"]):
        status, out, err = command(told, capsys)
        assert status == 2
        assert words in plain(out + err)
    _, out, err = command(["study", "list", tmp_path], capsys)
    assert "study" in plain(out + err)


def test_the_record_of_a_failure_does_not_drive_the_terminal(tmp_path, capsys):
    (tmp_path / "one.toml").write_text('[base]\nenvironment = "Pendulum-v1"\nreward = "environment"\n')
    study, store = load_study(tmp_path / "one.toml"), Store(tmp_path / "runs")
    placed = stores.place(study, {}, reads=())
    store.write_failure(placed[0].run, f"demonstrations: {hostile.NAME}")
    status, out, err = command(["study", "status", tmp_path / "one.toml", "--out", tmp_path / "runs"], capsys)
    assert status == 0
    assert "failed" in plain(out + err)


def test_a_run_names_no_plugin_that_could_not_be_one(tmp_path):
    name = "evil\x1b[2J"
    folder = hostile.run(tmp_path / "run", identity={"plugins": {f"reward.{name}": "a:b", "reward.fine": "a:b"}})
    stored = json.loads((folder / run_folder.CONFIG).read_text())

    def rewarded(reward):
        return run_folder.config_of(stored | {"config": stored["config"] | {"reward": reward}}, "config.json")

    assert rewarded("fine").reward == "fine"
    refusal(rewarded, name, words="is not one of")


def test_names_of_strangers_are_no_html(tmp_path):
    folder = hostile.run(tmp_path / hostile.NAME.replace("/", "|"), hostile.NAME)
    _, page = write_curves(folder)
    text = page.read_text()
    own = text[text.rindex("vegaEmbed(") :]
    assert "alert(1)" in own, "the name is in the data"
    assert own.count("<script") == 0
    assert own.count("</script>") == 1
    assert "<!--" not in own
    title = text[text.index("<title>") : text.index("</title>")]
    assert "<script" not in title
    assert "&lt;script" in title


def test_a_list_shows_markup_as_it_is(tmp_path):
    hostile.run(tmp_path / "run", "[bold]x[/bold]")
    from rich.console import Console

    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(list_table(tmp_path))
    console.file.close()
    assert "[bold]x[/bold]" in console.export_text()


def test_printable_keeps_writing_and_shows_the_rest():
    assert printable("Möbius 環境  [x]") == "Möbius 環境  [x]"
    assert printable("a\x1b[31m\nb\u202e\x9b") == "a\\x1b[31m b\\u202e\\x9b"
