"""Tables as text."""

from credo.reports.stills import write_tables
from credo.studies.tables import Table


def test_a_csv_has_all_digits_and_no_formulas(tmp_path):
    """A label may begin as a spreadsheet's formula does; a negative number is none."""
    rows = (("=HYPERLINK(1)", -1.0, None), ("td3", 1 / 3, 2))
    write_tables([Table("scores", "Scores", ("method", "mean, of all", "seeds"), rows, "")], tmp_path)
    lines = (tmp_path / "tables" / "scores.csv").read_text().splitlines()
    assert lines == ['method,"mean, of all",seeds', "'=HYPERLINK(1),-1.0,", "td3,0.3333333333333333,2"]
