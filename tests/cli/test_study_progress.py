"""What a study tells while its cells train."""

import itertools
from types import SimpleNamespace

from credo.cli.study_progress import FIRST, LONGEST, Telling, log_of
from credo.config import RunConfig
from credo.studies.store import Placed, Progress, Store
from credo.studies.study import Cell


def test_progress_is_told_at_longer_and_longer_intervals_and_notes_once(tmp_path):
    store = Store(tmp_path)
    one, two = (Placed(Cell(name, "", "", RunConfig()), f"run-{name}") for name in ("one", "two"))
    store_told = SimpleNamespace(root=tmp_path, progress=lambda placed: Progress("running", 640, 1280, 10.0, 640))
    lines, now = [], [0.0]
    telling = Telling(store_told, lines.append, lambda: now[0])
    log_of(store, one).parent.mkdir(parents=True)
    log_of(store, one).write_text("note: of an earlier start\n")
    telling([one, two])  # what was there before is not told
    assert lines == []
    with log_of(store, one).open("a") as log:
        log.write("note: nothing is held out\nreading\nnote: half a li")
    telling([one, two])
    telling([one, two])
    assert lines == ["one: note: nothing is held out"]
    with log_of(store, one).open("a") as log:
        log.write("ne\n")
    log_of(store, two).write_text("")
    telling([one, two])
    assert lines.pop() == "one: note: half a line"
    log_of(store, two).write_text("note: nothing is held out\nnote: of two\n")
    telling([one, two])
    assert lines[1:] == ["two: note: of two"]

    lines.clear()
    told = []
    while now[0] < 3 * LONGEST:
        now[0] += 1
        telling([one])
        if lines:
            told.append(now[0])
            assert lines.pop().startswith("one: 640 of 1,280 steps, 10 s left")
    assert told[:3] == [FIRST, 3 * FIRST, 7 * FIRST]
    assert all(b - a <= LONGEST for a, b in itertools.pairwise(told))
    now[0] += LONGEST
    telling([])
    assert lines == []
