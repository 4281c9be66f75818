"""Report on runs from Python, and use its verdicts: how often did each method diverge?

    python examples/report_runs.py RUNS [OUT]

RUNS is a run folder, or a folder that holds some; OUT/report.html opens in any browser, without a network.
"""

import sys
from pathlib import Path

from credo.reports.report import write_report


def main(runs: Path, out: Path) -> None:
    report = write_report([runs], out, figures=False)
    for cell in report.collection.cells.values():
        print(f"{cell.method} on {cell.environment}: {cell.diverged} of {len(cell.seeds)} seeds diverged")
        for number, seed in cell.seeds.items():
            if seed.verdict.diverged:
                print(f"  seed {number}: {seed.verdict.kind} ({seed.verdict.reason})")
    print(f"{report.headline}; everything is in {report.page}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path("report"))
