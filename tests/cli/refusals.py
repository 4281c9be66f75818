"""How a test looks at a command that is refused."""

import pytest

from credo.cli import main


def failure(words, capsys):
    """The one line that a wrong command prints."""
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    printed = capsys.readouterr()
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("credo: ")
    assert "Traceback" not in printed.err + printed.out
    return lines[0]
