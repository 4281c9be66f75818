"""Every table of a study from the curves of its seeds. Imports no JAX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from credo.diagnostics.criteria import Criteria
from credo.studies import score_tables, verdict_tables
from credo.studies.comparisons import Comparison
from credo.studies.curves import SeedDigest, choose_measure
from credo.studies.declared import declared_table
from credo.studies.read import MethodRun, read_digests
from credo.studies.tables import Table


def analyse(
    runs: Iterable[tuple[str, str, Path] | MethodRun],
    criteria: Criteria = Criteria(),
    seed: int = 0,
    declared: Mapping[Comparison, int | None] | None = None,
) -> tuple[Table, ...]:
    """The tables of ``analyse_digests`` from (method, environment, run folder) of every run."""
    return analyse_digests(read_digests(runs, criteria), criteria, seed, declared)


def analyse_digests(
    curves: Sequence[SeedDigest],
    criteria: Criteria = Criteria(),
    seed: int = 0,
    declared: Mapping[Comparison, int | None] | None = None,
) -> tuple[Table, ...]:
    """The tables that answer a study, in reading order; tables with nothing to say are left out.

    Args:
        curves: one for each seed of each method in each environment, methods in the order they are to be shown in. A
            cell may be missing, a seed may have failed or be half-way, and curves may differ in length.
        criteria: those that the digests were made with.
        seed: of the bootstrap.
        declared: comparisons that a study file declares, as ``declared_table`` takes them.
    """
    if not curves:
        return ()
    measure = choose_measure(curves)
    tables = [
        verdict_tables.verdicts(curves, criteria),
        verdict_tables.divergence_tests(curves),
        verdict_tables.power(curves),
    ]
    if measure is not None:
        found = score_tables.final_scores(curves, measure, criteria.late_evaluations)
        if measure.of_expert:
            tables.append(score_tables.sample_efficiency(curves, seed))
        of_scores = [
            score_tables.score_table(found, measure, seed, criteria.late_evaluations),
            score_tables.improvement_table(found, measure, seed),
        ]
        if measure.of_expert:
            of_scores.append(score_tables.profile_table(found, seed))
        unfinished = score_tables.unfinished_note(curves)
        tables += [table._replace(note=table.note + unfinished) for table in of_scores]
    tables += [
        verdict_tables.early_warning(curves),
        verdict_tables.association_tests(curves, measure, criteria),
        verdict_tables.association_seeds(curves, measure, criteria),
        verdict_tables.criteria_table(curves, criteria),
    ]
    # A declared comparison is told of also where there is nothing to compare.
    first = [declared_table(curves, declared, seed, criteria.late_evaluations)] if declared else []
    return (*first, *(table for table in tables if table.rows))
