"""Commands replace what is theirs alone, and say when there is nothing to show for a run."""

import pytest

from credo.cli import main
from credo.demonstrations import load_demonstrations, write_file
from credo.types import CredoError
from security import hostile
from training.training_runs import demonstrations


def status_and_line(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    err = capsys.readouterr().err
    return stop.value.code, err.strip()


@pytest.mark.parametrize(("name", "words"), [("mine.mp4", "--overwrite"), ("notes.txt", "must end in .mp4")])
def test_a_video_replaces_no_file_of_the_users(name, words, tmp_path, capsys):
    (tmp_path / name).write_text("precious")
    status, line = status_and_line(["video", "hopper-expert", "--out", tmp_path / name], capsys)
    assert status == 2
    assert words in line
    assert (tmp_path / name).read_text() == "precious"


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "hopper-expert:1", "--picture", "mine.png"),
        ("generate", "--expert", "hopper-expert", "--episodes", 1, "--out", "mine.npz"),
    ],
    ids=lambda words: words[0],
)
def test_commands_on_demonstrations_replace_no_file_of_the_users(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / words[-1]
    mine.write_text("precious")
    status, line = status_and_line(["demos", *words], capsys)
    assert status == 2
    assert f"{words[-1]} exists; give another name or --overwrite" in line
    assert mine.read_text() == "precious"


def test_a_video_goes_where_no_link_leads(tmp_path, capsys):
    (tmp_path / "link.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    words = ["video", "hopper-expert", "--overwrite", "--out", tmp_path / "link.mp4"]
    status, line = status_and_line(words, capsys)
    assert status == 2
    assert "is a link" in line


@pytest.mark.parametrize("name", ["report.html", "notes.txt"])
def test_a_report_replaces_reports_alone(name, tmp_path, capsys):
    hostile.run(tmp_path / "runs" / "one")
    out = tmp_path / "mine"
    out.mkdir()
    (out / name).write_text("precious")
    command = ["report", tmp_path / "runs", "--no-figures", "--out", out]
    status, line = status_and_line(command, capsys)
    assert status == 2
    assert "holds no report of Credo's" in line
    assert [path.name for path in out.iterdir()] == [name]
    (out / name).unlink()
    for _ in range(2):
        main([str(word) for word in command])
    assert (out / "report.html").exists()


def test_a_run_in_which_no_seed_went_on_is_no_success(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text(
        "import gymnasium\n"
        "from credo.environments.probes import Fragile\n"
        "gymnasium.register('Broken-v0', lambda: Fragile(how='raise'))\n"
    )
    options = (
        "--learner",
        "ddpg",
        "--reward",
        "environment",
        "--demos",
        "",
        "--steps",
        128,
        "--seeds",
        2,
        "--out",
        "run",
    )
    small = ("--ddpg.hidden", 8, "--ddpg.batch-size", 8, "--evaluation-interval", 64, "--evaluation-episodes", 1)
    status, _ = status_and_line(["imitate", "--env", "broken:Broken-v0", *options, *small], capsys)
    assert "every seed was frozen" in status
    assert (tmp_path / "run" / "summary.json").exists()


def test_a_split_onto_its_own_source_loses_no_episode_where_the_other_file_fails(tmp_path, monkeypatch, capsys):
    source, other = tmp_path / "mine.npz", tmp_path / "other.npz"
    write_file(source, demonstrations(episodes=4))

    def failing(path, *arguments):
        if path == other:
            raise CredoError(f"{path}: cannot be written")
        return write_file(path, *arguments)

    monkeypatch.setattr("credo.demonstrations.write_file", failing)
    status, line = status_and_line(["demos", "split", source, source, other, "--overwrite"], capsys)
    assert (status, "cannot be written" in line) == (2, True)
    assert load_demonstrations(source).episodes == 4
