"""How long a study will take."""

import dataclasses

import pytest
from study_worker import CONFIG, placed, write

from credo import run_folder
from credo.studies.estimate import START_UP, seconds_left, work
from credo.studies.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_time_left_rests_on_what_has_run(store):
    cells = [placed("one"), placed("two")]
    guess, guessed = seconds_left(cells, [store.progress(p) for p in cells])
    assert guessed
    assert guess > 2 * 5  # to start and to compile takes seconds, however short the run
    run_folder.create(store.folder("run-one"), CONFIG, {}, "test")
    write(store.folder("run-one"), CONFIG, 5)
    # 320 steps in 2 seconds: as long again for the rest, and twice that for the other.
    assert seconds_left(cells, [store.progress(p) for p in cells]) == (pytest.approx(6.0 + 2 * START_UP), False)
    heavy = cells[1]._replace(cell=cells[1].cell._replace(config=dataclasses.replace(CONFIG, updates_per_round=128)))
    scaled, _ = seconds_left([cells[0], heavy], [store.progress(p) for p in cells])
    assert scaled == pytest.approx(2 + 2 * START_UP + 4 * work(heavy.cell.config) / work(CONFIG))


def test_a_run_has_as_much_time_left_as_the_longest_of_its_cells(store):
    short, long = placed("one"), placed("one@64000")
    alone = seconds_left([long], [store.progress(long)])
    for cells in ([short, long], [long, short]):
        assert seconds_left(cells, [store.progress(p) for p in cells]) == alone
