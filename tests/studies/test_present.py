"""Tables as text."""

from credo.studies.present import csv_text
from credo.studies.tables import Table


def test_a_csv_has_all_digits_and_no_formulas():
    """A label may begin as a spreadsheet's formula does; a negative number is none."""
    rows = (("=HYPERLINK(1)", -1.0, None), ("td3", 1 / 3, 2))
    table = Table("scores", "Scores", ("method", "mean, of all", "seeds"), rows, "")
    lines = csv_text(table).splitlines()
    assert lines == ['method,"mean, of all",seeds', "'=HYPERLINK(1),-1.0,", "td3,0.3333333333333333,2"]
