"""What is shown while a run trains."""

import io
import math
from types import SimpleNamespace

from rich.console import Console

from credo.cli import display
from credo.cli.display import LINES_EVERY, Board, busy, watching
from credo.config import RunConfig
from credo.training.watching import Pass, followed


def seed(number, frozen=None, **last):
    newest = {"expert_probability_expert": 0.75, "actor_gradient_max": 0.5, "filtered_share": 0.25}
    return SimpleNamespace(number=number, frozen=frozen, newest=newest, metrics=[], last={"step": 640.0} | last)


def progress_of(*seeds):
    return SimpleNamespace(
        config=RunConfig(), round=10, seeds=seeds, steps_per_second=10.0, seconds=64.0, seconds_left=math.inf
    )


def shown(*seeds):
    board = Board(Console(file=io.StringIO()), None)
    board.update(progress_of(*seeds))
    board.told -= LINES_EVERY + 1
    board.tell()
    return board, board.console.file.getvalue()


def test_success_is_shown_where_the_environment_tells_it():
    told = seed(0, return_mean=0.0, success_rate=0.4, occupancy_distance=0.5)
    board, text = shown(told, seed(1, return_mean=0.0, success_rate=math.nan), seed(2, SimpleNamespace(step=1280)))
    assert board.names()[:4] == ("seed", "return", "success", "distance")
    assert "seed 0  return 0  success 40%  distance 0.500  P(expert) on expert 0.750" in text
    assert "seed 1  return 0  success -  distance -" in text
    assert "seed 2  return frozen at 1,280  success -" in text
    assert {len(board.cells(each)) for each in board.progress.seeds} == {len(board.names())}
    board, text = shown(seed(0, return_mean=12.0, success_rate=math.nan), seed(1, SimpleNamespace(step=1280)))
    assert "success" not in text
    assert "seed 0  return 12  distance -" in text
    assert {len(board.cells(each)) for each in board.progress.seeds} == {len(board.names())}


def test_the_gradients_peak_is_of_all_rounds_since_the_evaluation():
    """A fast seed is several rounds ahead when the slowest has passed one."""
    ahead = seed(0)
    board = Board(Console(file=io.StringIO()), None)

    def peak_after(*gradients):
        for gradient in gradients:
            step = ahead.newest.get("step", 640.0) + 64
            ahead.newest = ahead.newest | {"step": step, "actor_gradient_max": gradient}
            ahead.metrics.append(ahead.newest)
        board.update(progress_of(ahead))
        return board.peak.get(0)

    assert peak_after(math.nan) is None
    assert peak_after(0.5, 9.0, 0.25) == 9.0
    assert peak_after() == peak_after(math.nan, 1.0) == 9.0
    assert peak_after(2.0, 11.0) == 11.0
    ahead.metrics.clear()  # written, once the last round is evaluated
    ahead.last = {"step": ahead.newest["step"]}
    assert peak_after() == 11.0, "the evaluation's own round"
    assert peak_after(3.0, 4.0, 1.0) == 11.0
    ahead.metrics.clear()
    ahead.last = {"step": ahead.newest["step"]}
    assert peak_after() == 1.0


def test_cloning_tells_its_epochs(monkeypatch):
    monkeypatch.setattr(display, "LINES_EVERY", 0.0)
    log, terminal = (Console(file=io.StringIO(), force_terminal=on, width=100) for on in (False, True))
    for console in (log, terminal):
        with watching(console, None, quiet=False) as watcher:
            watcher = followed(watcher, lambda: None)
            watcher.cloning(Pass(seed=3, epoch=1012, epochs=2000, held_out_loss=0.01234))
            if console is terminal:  # the table is drawn twice a second, and at its end
                continue
            watcher.cloning(None)
            watcher.progress(progress_of(seed(3)))
    told = "seed 3: cloning, epoch 1,012 of at most 2,000, held-out loss 0.01234"
    lines = log.file.getvalue().splitlines()
    assert lines[:2] == ["compiling ...", told]
    assert "640 of" in lines[2]
    assert told in terminal.file.getvalue()


def test_few_lines_tell_of_cloning():
    board = Board(Console(file=io.StringIO()), None)
    for epoch in range(100):
        board.clone(Pass(0, epoch + 1, 100, 0.5))
        board.tell()
    assert board.console.file.getvalue() == ""
    board.told -= LINES_EVERY + 1
    for _ in range(2):
        board.tell()
    assert board.console.file.getvalue() == "seed 0: cloning, epoch 100 of at most 100, held-out loss 0.5\n"


def test_what_takes_time_is_told_beside_a_spinner_and_in_a_log():
    log, terminal = (Console(file=io.StringIO(), force_terminal=on) for on in (False, True))
    for console in (log, terminal):
        with busy(console) as tell:
            tell("reading [1] run")
    assert log.file.getvalue() == "reading [1] run\n"
    shown = terminal.file.getvalue()
    assert "reading [1] run" in shown
    # What stood there is wiped out.
    assert shown.endswith("\x1b[2K")
