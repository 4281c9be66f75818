"""What benchmarks, scripts and examples take of Credo is there: most of them run long, and no test runs them."""

import ast
import types
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "scripts", "studies", "examples")
FILES = sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py"))


def missing(tree):
    """The lines that import from ``credo``, or look up on a module of it, what is not there."""
    found, lacking = {}, []
    for node in ast.walk(tree):
        names = node.names if isinstance(node, ast.Import | ast.ImportFrom) else ()
        for alias in names:
            module = getattr(node, "module", alias.name)
            if module.split(".")[0] != "credo":
                continue
            line = ast.Module([type(node)(**dict(ast.iter_fields(node)) | {"names": [alias]})], [])
            try:
                exec(compile(ast.fix_missing_locations(line), "<import>", "exec"), found)
            except ImportError:
                lacking.append(ast.unparse(line))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            value = value_of(node.value, found)
            if isinstance(value, types.ModuleType) and not hasattr(value, node.attr):
                lacking.append(ast.unparse(node))
    return lacking


def value_of(node, found):
    """What a dotted name stands for; None where it begins with none of ``found`` or leads nowhere."""
    if isinstance(node, ast.Name):
        return found.get(node.id)
    return getattr(value_of(node.value, found), node.attr, None) if isinstance(node, ast.Attribute) else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_is_taken_of_credo_is_there(path):
    assert not missing(ast.parse(path.read_text()))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from credo.files import nothing", ["from credo.files import nothing"]),
        ("from credo import nowhere", ["from credo import nowhere"]),
        ("import credo.nowhere as n", ["import credo.nowhere as n"]),
        ("from credo import files\ndef f():\n    files.nothing(1)", ["files.nothing"]),
        ("import credo.files\ncredo.files.nothing", ["credo.files.nothing"]),
        ("from credo import RunConfig, files as f\nf.read_json, RunConfig().td3", []),
    ],
)
def test_what_is_missing_is_seen(code, expected):
    assert missing(ast.parse(code)) == expected
