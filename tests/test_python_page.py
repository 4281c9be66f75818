"""docs/python.md: its code runs as it stands there, but for fewer steps, and it names all that ``credo`` exports."""

import contextlib
import io
import re
from pathlib import Path

import credo

PAGE = (Path(credo.__file__).parents[2] / "docs" / "python.md").read_text()
STEPS = {"20_000": "1_088", "30_000": "1_152"}


def test_the_page_runs(tmp_path, monkeypatch):
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
    for told, few in STEPS.items():
        assert code.count(told) == 1
        code = code.replace(told, few)
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, "docs/python.md", "exec"), names := {})
    lines = said.getvalue().splitlines()
    assert lines[0] == "done td3"
    assert not any("nan" in line for line in lines)
    assert lines[-1] in PAGE, "the error that the page promises"
    assert {path.name for path in tmp_path.iterdir()} == {
        "runs",
        "report",
        "hopper.safetensors",
        "hopper.json",
        "both.npz",
    }
    assert names["action"].shape == (3,)
    assert credo.Run("runs/python").summary["steps"] == 1_152
    assert len(credo.load_demonstrations("both.npz").lengths) == 3


def test_the_page_names_what_is_exported():
    assert [name for name in credo.__all__ if not re.search(rf"\b{name}\b", PAGE)] == []
