"""What a study is remembered by: whoever else runs it, and whatever is edited meanwhile."""

import json
import threading

import pytest

from credo.studies.record import (
    Fixed,
    declared,
    edits,
    known_data,
    newly_declared,
    other_data,
    read_record,
    write_record,
)
from credo.studies.store import Store, place
from credo.studies.study import load_study

STUDY = """\
[study]
name = "small"
seeds = 2

[axes.method]
plain = { demonstrations = "a.npz" }
penalty = { demonstrations = "b.npz", td3.discount = DISCOUNT }
sac = { demonstrations = "a.npz", preset = "robust-sac" }

"""
A, B = {"a.npz": "1" * 64}, {"b.npz": "2" * 64}
ONE = '[[compare]]\nagainst = "plain"\nmethod = "penalty"\n'


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture
def load(tmp_path):
    def load(text="", discount=0.98):
        (tmp_path / "s.toml").write_text(STUDY.replace("DISCOUNT", str(discount)) + text)
        return load_study(tmp_path / "s.toml")

    return load


def have_done(store, placed, *names, steps=640):
    for p in placed:
        if p.cell.name in names:
            store.folder(p.run).mkdir(parents=True, exist_ok=True)
            told = {"state": "running", "seeds": {"0": {"steps": steps}, "1": {"steps": 64}}}
            (store.folder(p.run) / "summary.json").write_text(json.dumps(told))


def runs(store):
    return {name: told["run"] for name, told in read_record(store.study("small"))["cells"].items()}


def test_who_has_not_read_what_another_trains_on_forgets_none_of_it(store, load):
    study, folder = load(), store.study("small")
    mine, theirs, both = (place(study, dict(known), reads=()) for known in (A, B, A | B))
    write_record(folder, theirs, B)
    assert runs(store) == {p.cell.name: p.run for p in theirs}
    write_record(folder, mine, A)
    assert runs(store) == {p.cell.name: p.run for p in both}
    assert known_data(store, study) == A | B
    # Of other settings it is another run.
    edited = place(load(discount=0.9), dict(A), reads=())
    write_record(folder, edited, A)
    assert runs(store)["penalty"] is None


def test_what_processes_record_at_the_same_time_is_all_kept(store):
    barrier = threading.Barrier(8)

    def write(number):
        barrier.wait()
        for more in range(5):
            write_record(store.study("small"), (), {f"{number}-{more}.npz": "1" * 64})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_record(store.study("small"))["demonstrations"]) == 40


def test_other_data_under_the_same_name_are_told_of_each_cell(store, load):
    placed = place(load(), A | B, reads=())
    write_record(store.study("small"), placed, A | B)
    record = read_record(store.study("small"))
    assert other_data(record, placed, A | B) == []
    now = {"a.npz": "3" * 64}
    told = other_data(record, place(load(), dict(now), reads=()), now)
    assert told == [f"cell {name} has other demonstrations under the same name" for name in ("plain", "sac")]
    assert edits(record, load().cells) == []
    assert other_data({}, placed, A | B) == []


def test_a_comparison_is_as_old_as_its_first_record(store, load):
    """One that is added after steps were done says so, and taking it out and in again makes it no younger or older."""
    first = load(ONE)
    placed = place(first, A | B, reads=())
    (penalty,) = first.comparisons
    assert declared(store, first, placed) == {penalty: None}
    fixed = Fixed(0, tuple(sorted(p.run for p in placed if p.cell.name != "sac")))
    assert newly_declared(store, first, placed) == {penalty: fixed}
    write_record(store.study(first.name), placed, {}, {penalty: fixed})
    have_done(store, placed, "sac")
    second = load('[[compare]]\nagainst = "plain"\n')
    sac = second.comparisons[1]
    found = newly_declared(store, second, placed)
    assert {each: steps for each, (steps, _) in found.items()} == {sac: 704}
    write_record(store.study(first.name), placed, {}, found)
    assert declared(store, second, placed) == {penalty: 0, sac: 704}
    write_record(store.study(first.name), placed, {})
    assert declared(store, second, placed) == {penalty: 0, sac: 704}
    assert newly_declared(store, second, placed) == {}


def test_a_comparison_with_a_cell_whose_run_is_not_known_is_not_fixed(store, load):
    """It may have been trained for long."""
    study = load(ONE)
    have_done(store, place(study, A | B, reads=()), "penalty")
    unread = place(study, dict(A), reads=("penalty",))
    assert [p.problem is None for p in unread] == [True, False, True]
    assert newly_declared(store, study, unread) == {}
    found = newly_declared(store, study, place(study, A | B, reads=()))
    assert [steps for steps, _ in found.values()] == [704]


def test_an_edit_that_names_runs_trained_before_makes_no_comparison_older_than_they_are(store, load):
    study, folder = load(ONE), store.study("small")
    (penalty,) = study.comparisons
    placed = place(study, A | B, reads=())
    write_record(folder, placed, A | B, newly_declared(store, study, placed))
    have_done(store, placed, "plain", "penalty")
    assert declared(store, study, placed) == {penalty: 0}

    edited = load(ONE, discount=0.9)
    others = place(edited, A | B, reads=())
    have_done(store, others, "penalty", steps=6_400)
    assert declared(store, edited, others) == {penalty: 704 + 6_464}
    found = newly_declared(store, edited, others)
    write_record(folder, others, A | B, found)
    have_done(store, others, "penalty", steps=12_800)
    assert declared(store, edited, others) == {penalty: 704 + 6_464}
    assert newly_declared(store, edited, others) == {}
    # And back: it is what it was fixed for at first, and no younger for that.
    assert newly_declared(store, study, placed) == {}
    assert declared(store, study, placed) == {penalty: 704 + 6_464}


def test_of_two_who_declare_the_same_the_first_counts(store, load):
    study, folder = load(ONE), store.study("small")
    (penalty,) = study.comparisons
    placed = place(study, A | B, reads=())
    first = newly_declared(store, study, placed)
    have_done(store, placed, "penalty")
    second = newly_declared(store, study, placed)
    write_record(folder, placed, A | B, first)
    write_record(folder, placed, A | B, second)
    assert declared(store, study, placed) == {penalty: 0}


def test_a_record_without_the_runs_of_comparisons_is_read_and_completed(store, load):
    """As older versions wrote it."""
    study, folder = load(ONE), store.study("small")
    (penalty,) = study.comparisons
    placed = place(study, A | B, reads=())
    write_record(folder, placed, A | B, newly_declared(store, study, placed))
    record = json.loads((folder / "cells.json").read_text())
    del record["declared_runs"]
    (folder / "cells.json").write_text(json.dumps(record))
    have_done(store, placed, "plain", "penalty")
    assert declared(store, study, placed) == {penalty: 0}
    write_record(folder, placed, A | B, newly_declared(store, study, placed))
    assert declared(store, study, placed) == {penalty: 0}
    edited = load(ONE, discount=0.9)
    assert declared(store, edited, place(edited, A | B, reads=())) == {penalty: 704}
