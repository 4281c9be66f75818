"""Running the cells: once each, whoever dies, however many work on them."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from study_worker import CONFIG, placed, pretend, write

from credo import run_folder
from credo.config import to_dict
from credo.run_lock import locked
from credo.studies import lease
from credo.studies import store as stores
from credo.studies.estimate import work
from credo.studies.execute import Ended, run_cell, run_study
from credo.studies.store import DONE, FAILED, RUNNING, STOPPED, WAITING, Placed, Store
from credo.studies.study import Cell, Study
from credo.types import CredoError

WORKER = Path(__file__).parent / "study_worker.py"
STALE = 3.0


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, STALE)


def starter(store, seconds=0.2):
    def start(cell):
        words = [str(store.root), str(store.stale_after), cell.cell.name, str(seconds)]
        return subprocess.Popen([sys.executable, str(WORKER), *words])

    return start


def log(store):
    path = store.root / "log"
    return [line.split()[:3] for line in path.read_text().splitlines()] if path.exists() else []


def test_a_cell_is_run_once_and_found_done_afterwards(store):
    cell = placed("one")
    assert store.progress(cell)[:3] == (WAITING, 0, 640)
    assert run_cell(store, cell, pretend(0)) == Ended(DONE)
    assert run_cell(store, cell, pretend(0)) == Ended(DONE)
    assert log(store) == [["begin", "run-one", "0"], ["end", "run-one", "10"]]
    assert store.progress(cell)[:3] == (DONE, 640, 640)


def test_who_loses_a_cell_to_another_ends_at_once_and_writes_nothing_more(store):
    cell = placed("one")
    first = starter(store, 60)(cell)
    deadline = time.monotonic() + 60
    while not log(store):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = (store.folder("run-one") / run_folder.CONFIG).stat().st_mtime_ns
    held = store.leases("run-one") / "000001.json"
    (held.parent / "000002.json").write_text(held.read_text().replace(str(first.pid), "1"))
    assert first.wait(60) == 1
    assert log(store) == [["begin", "run-one", "0"]]
    assert not (store.folder("run-one") / run_folder.SUMMARY).exists()
    assert (store.folder("run-one") / run_folder.CONFIG).stat().st_mtime_ns == before


def test_a_failure_is_kept_in_one_line_and_tried_again(store):
    assert run_cell(store, placed("bad"), pretend(0)) == Ended(FAILED, "environment: this one cannot work")
    assert store.progress(placed("bad")).about == "environment: this one cannot work"
    assert run_cell(store, placed("odd"), pretend(0)).about == "ValueError: two lines"
    # What the first was given cannot work; the second broke.
    assert [store.refused(placed(name)) for name in ("bad", "odd")] == [True, False]
    assert [store.refused(Placed(placed("one").cell, None, problem)) for problem in ("no such file", None)] == [
        True,
        False,
    ]
    again = run_cell(store, placed("bad"), lambda config, folder, cell: write(folder, config, 10))
    assert again == Ended(DONE)


def test_what_cannot_be_one_environments_is_said_of_its_cells_alone(monkeypatch):
    def prepare(config, reading):
        if config.environment == "NoSuch-v5":
            raise CredoError("environment: none")
        reading()
        if config.demonstrations == "missing":
            raise CredoError("missing: no such file")
        return SimpleNamespace(described={"sha256": "x"})

    monkeypatch.setattr(stores, "prepare", prepare)
    cells = [
        Cell(f"{environment} {data}", data, environment, dataclasses.replace(CONFIG, **both))
        for data in ("there", "missing")
        for environment in ("NoSuch-v5", "Hopper-v5", "Hopper-v5")
        for both in ({"environment": environment, "demonstrations": data, "reward": "plr"},)
    ]
    said = []
    study = Study(Path("s.toml"), "s", "", {}, tuple(cells))
    found = stores.place(study, {}, said.append)
    problems = {"NoSuch-v5": "environment: none", "Hopper-v5": "missing: no such file"}
    for one in found:
        expected = None if one.cell.name == "Hopper-v5 there" else problems[one.cell.environment]
        assert (one.problem, one.run is None) == (expected, expected is not None)
    # Nothing is read for what can be refused without it, and what cannot be read is tried once.
    assert said == ["reading there", "reading missing"]


def test_what_another_holds_is_left_alone(store):
    mine = lease.acquire(store.leases("run-one"))
    assert run_cell(store, placed("one"), pretend(0)) == Ended(RUNNING)
    assert store.progress(placed("one")).state == RUNNING
    mine.release()
    run_folder.create(store.folder("run-one"), CONFIG, {}, "test")
    # Without a lease, as ``credo imitate`` in that folder would.
    with locked(store.folder("run-one")):
        ended = run_cell(store, placed("one"), pretend(0))
    assert ended.state == FAILED
    assert "in use by a process outside this study" in ended.about
    assert store.progress(placed("one")).about == ended.about
    assert log(store) == []


def test_an_interrupted_cell_goes_on(store):
    run_folder.create(store.folder("run-one"), CONFIG, {}, "test")
    write(store.folder("run-one"), CONFIG, 4)
    assert store.progress(placed("one"))[:2] == (STOPPED, 256)
    assert run_cell(store, placed("one"), pretend(0)) == Ended(DONE)
    assert log(store)[0] == ["begin", "run-one", "4"]


def test_a_run_that_others_share_never_shrinks(store):
    longer = dataclasses.replace(CONFIG, steps=6_400, seeds=3)
    folder = store.folder("run-one")
    run_folder.create(folder, longer, {}, "test")
    write(folder, longer, 1)
    # One seed of 640 steps is done already; three of 1,280 steps are not.
    assert store.progress(placed("one")).state == DONE
    more = Placed(placed("one").cell._replace(config=dataclasses.replace(CONFIG, seeds=2, steps=1_280)), "run-one")
    assert store.progress(more)[:3] == (STOPPED, 1_280, 2_560)
    wanted = store.wanted(more)
    assert (wanted.seeds, wanted.steps) == (3, 1_280)


def test_seeds_that_lie_apart_are_trained_alone(store):
    """Between a run's seeds 0 and 1 and seeds 100 and 101 nobody has asked for 98, nor for the steps of the first."""
    folder = store.folder("run-one")
    longer = dataclasses.replace(CONFIG, steps=6_400, seeds=2)
    run_folder.create(folder, longer, {}, "test")
    write(folder, longer, 10)

    def wanted(**changes):
        cell = placed("one").cell
        found = store.wanted(Placed(cell._replace(config=dataclasses.replace(CONFIG, **changes)), "run-one"))
        return found.first_seed, found.seeds, found.steps

    assert wanted(first_seed=100, seeds=2, steps=640) == (100, 2, 640)
    assert wanted(first_seed=2, seeds=2, steps=640) == (0, 4, 6_400)
    assert wanted(first_seed=1, seeds=2, steps=640) == (0, 3, 6_400)


def test_a_frozen_seed_has_done_all_its_steps(store):
    folder = store.folder("run-one")
    run_folder.create(folder, CONFIG, {}, "test")
    seeds = {"0": {"steps": 64, "frozen": {"step": 64, "cause": "NaN"}}}
    run_folder.write_json(folder / run_folder.SUMMARY, {"seeds": seeds})
    assert store.progress(placed("one")).state == DONE
    # The run went on without it, and so far does its checkpoint: a cell with more seeds is asked for no less.
    run_folder.write_json(folder / run_folder.SUMMARY, {"steps": 640, "seeds": seeds})
    shorter = dataclasses.replace(CONFIG, seeds=2, steps=320)
    assert store.wanted(Placed(placed("one").cell._replace(config=shorter), "run-one")).steps == 640


def test_a_study_runs_every_cell_and_a_failing_one_stops_no_other(store):
    cells = [placed(name) for name in ("one", "bad", "two")]
    told = []
    ended = run_study(store, cells, starter(store), jobs=2, tell=lambda p, how: told.append((p.cell.name, how.state)))
    assert sorted(told) == [("bad", FAILED), ("one", DONE), ("two", DONE)]
    assert ended["run-bad"].about == "environment: this one cannot work"
    before = log(store)
    assert {run: how.state for run, how in run_study(store, cells[::2], starter(store)).items()} == {
        "run-one": DONE,
        "run-two": DONE,
    }
    assert log(store) == before


def test_cells_with_the_same_run_run_once(store):
    twice = [placed("one"), placed("one")._replace(cell=placed("one").cell._replace(name="again"))]
    run_study(store, twice, starter(store, 0))
    assert [line[0] for line in log(store)] == ["begin", "end"]


@pytest.mark.parametrize("names", [("one@1280", "one"), ("one", "one@1280")])
def test_cells_of_one_run_all_get_their_steps(store, names):
    told = []
    cells = [placed(name) for name in names]
    ended = run_study(store, cells, starter(store, 0), tell=lambda p, how: told.append(how))
    assert ended == {"run-one": Ended(DONE)}
    assert told == [Ended(DONE)]
    assert [store.progress(cell).state for cell in cells] == [DONE, DONE]


def test_a_killed_process_is_told_and_the_next_start_goes_on(store):
    ended = run_study(store, [placed("killed")], starter(store))
    assert ended["run-killed"].state == FAILED
    assert "SIGKILL" in ended["run-killed"].about
    # It could not release its lease, which is of nobody now.
    assert not lease.current(store.leases("run-killed")).holds()
    assert run_study(store, [placed("killed")], starter(store))["run-killed"] == Ended(DONE)
    assert log(store) == [
        ["begin", "run-killed", "0"],
        ["begin", "run-killed", "5"],
        ["end", "run-killed", "10"],
    ]


def test_two_who_run_the_same_study_share_it(store):
    cells = [placed(f"c{number}") for number in range(3)]
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(run_study(store, cells, starter(store, 0.5)))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [{how.state for how in ended.values()} for ended in found] == [{DONE}, {DONE}]
    begun = [line[1] for line in log(store) if line[0] == "begin"]
    assert sorted(begun) == [f"run-c{number}" for number in range(3)]


def test_a_cell_that_another_holds_is_waited_for_and_told_once(store):
    mine = lease.acquire(store.leases("run-one"))
    told = []

    def tell(cell, how):
        told.append(how)
        if how.state == RUNNING:
            mine.release()

    run_study(store, [placed("one")], starter(store), tell=tell)
    assert [how.state for how in told] == [RUNNING, DONE]
    assert f"process {os.getpid()}" in told[0].about
    assert "waited for" in told[0].about


def test_a_process_that_dies_at_once_is_not_told_with_an_older_failure(store):
    store.write_failure("run-one", "demos.safetensors: no such file", refused=True)

    def start(cell):
        return subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])

    assert "SIGKILL" in run_study(store, [placed("one")], start)["run-one"].about
    assert not store.refused(placed("one"))


def test_a_process_whose_parent_has_gone_before_it_looks_ends(tmp_path):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    script = f"import time; from credo.studies.execute import stop_without; stop_without({gone.stdout}); time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGTERM


def test_a_store_that_takes_no_lease_is_told(store):
    store.leases("run-one").parent.parent.mkdir()
    store.leases("run-one").parent.write_text("")
    ended = run_cell(store, placed("one"), pretend(0))
    assert ended == Ended(FAILED, f"folder: {store.leases('run-one')} cannot be made (Not a directory)")
    assert store.progress(placed("one")).about == ended.about


def test_ctrl_c_ends_the_processes(store):
    processes = []

    def start(cell):
        processes.append(starter(store, 60)(cell))
        return processes[-1]

    def stop_once_begun():
        while lease.current(store.leases("run-one")) is None:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_once_begun).start()
    with pytest.raises(KeyboardInterrupt):
        run_study(store, [placed("one")], start)
    assert processes[0].poll() is not None
    assert not lease.current(store.leases("run-one")).holds()


@pytest.fixture
def trained(store, monkeypatch):
    """Calls the process of a cell here, with a pretended training; the settings that it trained."""
    from credo.cli import cell

    found = []
    monkeypatch.setattr(cell, "stop_without", lambda parent: None)
    monkeypatch.setattr(cell, "train", lambda config, folder, name, command: found.append((folder.name, config)))

    def call(settings, *plugins):
        words = [str(store.root), "one", "run-one", "0", "60.0", "1", "credo study run tiny", *plugins]
        cell.main(words, settings)
        return found

    return call


def test_a_cell_that_cannot_be_read_is_told_of_in_one_line(store, trained):
    """Its plug-in may be gone, or its settings be those of another version."""
    settings = json.dumps(to_dict(CONFIG))
    for words, told in (
        ((settings, "no_such_plugin"), "no_such_plugin"),
        ((settings.replace("reward", "rewart"),), "rewart"),
        (("",), "cell one: not readable as JSON"),
    ):
        assert trained(*words) == []
        assert store.progress(placed("one")).state == FAILED
        assert told in store.progress(placed("one")).about
    assert trained(settings) == [("run-one", CONFIG)]


def test_a_cell_trains_no_other_run_than_was_asked_for(tmp_path):
    """What it is trained on may have changed since the study began."""
    from credo.cli.cell import train

    config = dataclasses.replace(CONFIG, environment="Pendulum-v1")
    with pytest.raises(CredoError, match=r"cell one: run .*, not run-one: .* run the study again"):
        train(config, tmp_path / "run-one", "one", "credo study run tiny")
    assert list(tmp_path.iterdir()) == []


def test_time_passes_between_polls_only(store, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("nothing is left to wait for"))
    assert run_study(store, [], starter(store)) == {}


def test_a_clone_is_done_after_however_many_minibatches(store):
    config = dataclasses.replace(CONFIG, learner="bc", reward="plr", seeds=2)
    clone = Placed(Cell("one", "one", "none", config), "run-one")
    folder = store.folder("run-one")
    run_folder.create(folder, config, {}, "test")
    seeds = {"0": {"steps": 30, "frozen": None}, "1": {"steps": 45, "frozen": None}}
    run_folder.write_json(folder / run_folder.SUMMARY, {"state": "running", "seeds": {"0": seeds["0"]}})
    assert store.progress(clone).state == STOPPED
    run_folder.write_json(folder / run_folder.SUMMARY, {"state": "done", "seeds": seeds})
    assert store.progress(clone)[:3] == (DONE, 1_280, 1_280)
    more = clone._replace(cell=clone.cell._replace(config=dataclasses.replace(config, seeds=3)))
    assert store.progress(more).state == STOPPED
    assert work(config) * config.steps == work(dataclasses.replace(config, steps=1_280)) * 1_280
