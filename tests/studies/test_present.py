"""Tables as text."""

import io

from rich.console import Console

from credo.reports.stills import table_files, write_tables
from credo.studies.present import latex, markdown, rich_table, shown
from credo.studies.tables import Share, Table


def test_a_csv_has_all_digits_and_no_formulas(tmp_path):
    """A label may begin as a spreadsheet's formula does; a negative number is none."""
    rows = (("=HYPERLINK(1)", -1.0, None), ("td3", 1 / 3, 2))
    write_tables([Table("scores", "Scores", ("method", "mean, of all", "seeds"), rows, "")], tmp_path)
    lines = (tmp_path / "tables" / "scores.csv").read_text().splitlines()
    assert lines == ['method,"mean, of all",seeds', "'=HYPERLINK(1),-1.0,", "td3,0.3333333333333333,2"]


def test_a_share_is_shown_in_percent_and_kept_as_a_number(tmp_path):
    table = Table("shares", "Shares", ("method", "of expert"), (("td3", Share(0.8349)), ("sac", Share(-0.001))), "")
    assert [shown(row[1]) for row in table.rows] == ["83%", "0%"]
    assert "| td3 | 83% |" in markdown(table)
    write_tables([table], tmp_path)
    assert (tmp_path / "tables" / "shares.csv").read_text().splitlines()[1:] == ["td3,0.8349", "sac,-0.001"]


def test_a_table_for_latex(tmp_path):
    """Special characters are escaped once each; numbers stand to the right, also where one is missing."""
    rows = (("a_b & c\\d", 1234, Share(0.5), 0.12345), ("50% {x}~^$#<", None, None, None))
    table = Table("few", "A table\nof two", ("method", "steps", "of expert", "p"), rows, "Note: 5% of it.")
    assert latex(table).splitlines() == [
        "% A table of two",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r"method & steps & of expert & p \\",
        r"\midrule",
        r"a\_b \& c\textbackslash{}d & 1,234 & 50\% & 0.123 \\",
        r"50\% \{x\}\textasciitilde{}\textasciicircum{}\$\#\textless{} & - & - & - \\",
        r"\bottomrule",
        r"\end{tabular}",
        "% Note: 5% of it.",
    ]
    write_tables([table], tmp_path, tex=True)
    assert (tmp_path / "tables" / "few.tex").read_text() == latex(table)
    assert table_files([table], tex=True) == {"tables/few.csv", "tables/few.tex"}


def test_a_terminal_gets_whole_words_and_no_verdict_that_no_seed_has():
    columns = ("method", "environment", "dead", "weak", "median last distance")
    rows = (("gradient-penalty", "Hopper-v5", 0, 2, 0.5), ("td3", "all", 0, 0, None))
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(rich_table(Table("verdicts", "Verdicts", columns, rows, "note"), 60))
    text = console.export_text()
    for word in ("gradient-pen", "environment", "Hopper-v5", "weak", "distance"):
        assert word in text
    assert "dead" not in text
    console.print(rich_table(Table("none", "None", columns, (), "nothing to compare"), 60))
    assert "nothing to compare" in console.export_text()
    # No column is lost where there is no room for whole words.
    narrow = Console(width=40, record=True, file=io.StringIO())
    narrow.print(rich_table(Table("verdicts", "Verdicts", columns, rows, "note"), 40))
    assert all(len(line) == 40 for line in narrow.export_text().splitlines() if line.startswith("│"))
    assert "0.5 " in text
