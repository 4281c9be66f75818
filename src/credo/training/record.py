"""What a run writes beside its checkpoints: rows of metrics and evaluations, policies, its summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from credo import run_folder, run_rows
from credo.config import RunConfig
from credo.diagnostics.selection import selected
from credo.policies import Policy, save_policy
from credo.training.seed import Seed


class Record:
    """The files of one run folder, whose lock this process holds."""

    def __init__(self, folder: Path, config: RunConfig):
        self._folder, self._config = folder, config
        self.parts = {run_folder.METRICS: 0, run_folder.EVALUATIONS: 0}
        """Parts that the checkpoint gone on from, or the newest rows written, have reached."""

    def go_on(self, parts: dict[str, int], seeds: Sequence[Seed]) -> None:
        """Begin after ``parts``: drop what was written later, and put back the policies kept until then."""
        for kind in self.parts:  # no name of a folder is taken from a file
            self.parts[kind] = parts[kind]
            run_rows.drop_parts_from(self._folder, kind, parts[kind])
        for seed in seeds:
            run_rows.drop_final(self._folder, run_folder.EVALUATIONS, seed.number)
            if seed.best_policy is not None:
                self.save(seed, seed.best_policy, "best")

    def clones(self) -> tuple[int, set[int]]:
        """The parts that hold nothing but the rows of behavioural clones that are done, and whose those are."""
        known = run_folder.read_summary(self._folder).get("seeds", {})
        whole = {int(n) for n, seed in known.items() if seed.get("selected_step") is not None or seed.get("frozen")}
        parts, done = run_rows.part_paths(self._folder, run_folder.EVALUATIONS), set[int]()
        for index, path in enumerate(parts):
            seeds = set(run_rows.read_part(path)["seed"].tolist())
            if not seeds <= whole:
                return index, done
            done |= seeds
        return len(parts), done

    def flush(self, seeds: Sequence[Seed]) -> None:
        """Write the seeds' rows."""
        for kind in self.parts:
            rows = [row for seed in seeds for row in getattr(seed, kind)]
            if rows:
                run_rows.write_part(self._folder, kind, self.parts[kind], rows)
                self.parts[kind] += 1
            for seed in seeds:
                getattr(seed, kind).clear()

    def write_final(self, seed: Seed) -> None:
        """Write a seed's evaluation that a longer run would not have."""
        run_rows.write_final(self._folder, run_folder.EVALUATIONS, seed.number, seed.evaluations)
        seed.evaluations.clear()

    def save(self, seed: Seed, policy: Policy, which: str) -> None:
        path = run_folder.policy_path(self._folder, seed.number, which)
        path.parent.mkdir(exist_ok=True)
        save_policy(path, policy)

    def steps_done(self, seed: Seed) -> int:
        """Environment steps; minibatches of the policy kept by behavioural cloning, which steps no environment."""
        if self._config.clones:
            return int((seed.last or {}).get("step", 0))
        return seed.frozen.step if seed.frozen else seed.next_round * self._config.steps_per_round

    def summarise(self, state: str, rounds: int, seconds: float, seeds: Sequence[Seed]) -> None:
        """Write summary.json; what it says of seeds that are not trained now stays."""
        written = run_folder.SUMMARY
        others: dict[str, Any] = {}
        if (self._folder / written).exists():
            others = run_folder.read_summary(self._folder).get("seeds", {})
        described = others | {str(seed.number): self._describe(seed) for seed in seeds}
        run_folder.write_json(
            self._folder / written,
            {
                "state": state,
                "steps": rounds * self._config.steps_per_round,
                "wall_seconds": round(seconds, 1),
                "seeds": {number: described[number] for number in sorted(described, key=int)},
            },
        )

    def _describe(self, seed: Seed) -> dict[str, Any]:
        return {
            "steps": self.steps_done(seed),
            "frozen": seed.frozen and seed.frozen._asdict(),
            **selected(seed.best),
            "final_return": (seed.last or {}).get("return_mean"),
        }
