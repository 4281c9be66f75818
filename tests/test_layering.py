"""Imports point down: who may know of whom, and who may not load JAX. Read from the source, not from memory."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import credo

SOURCE = Path(credo.__file__).parent
LAYERS = (
    (
        "types",
        "action_box",
        "arguments",
        "environment_name",
        "files",
        "machine",
        "config",
        "random",
        "storage",
        "gradients",
        "moments",
        "networks",
        "policies",
        "precision",
        "presets",
        "run_lock",
        "run_folder",
        "run_rows",
    ),
    ("environments", "demonstrations", "experts", "experience"),
    ("discriminator", "learners"),
    ("diagnostics", "plugins"),
    ("preparation",),
    ("training",),
    ("studies",),
    ("reports",),
    ("api", "cli", "exporting", "evaluating", "rewarding", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
WITHOUT_JAX = (
    "reports",
    "studies",
    "files",
    "machine",
    "run_folder",
    "run_rows",
    "run_lock",
    "config",
    "presets",
    "policies",
    "action_box",
    "arguments",
    "environment_name",
    "demonstrations",
    "environments",
    "types",
    "random",
    "storage",
    "experts",
    "experience",
    "diagnostics",
    "plugins",
    "preparation",
    "api",
    "evaluating",
    "exporting",
    "cli",
    "theory",
)
THEORY_MAY_KNOW = {"theory", "types", "random", "storage", "files", "machine", "run_rows"}


def module_name(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imports(tree, inside=""):
    """(module, whether it is loaded with the importing one) for every import; type checking does not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, not inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield node.module, not inside
            # ``from credo import networks`` names a module as much as ``import credo.networks``.
            yield from (
                (f"{node.module}.{alias.name}", not inside)
                for alias in node.names
                if f"{node.module}.{alias.name}".removeprefix("credo.") in MODULES
            )
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        else:
            deeper = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, inside or ("function" if deeper else ""))


def imports_of(module):
    return list(imports(ast.parse(MODULES[module].read_text())))


def room(module):
    """The file or package of ``credo`` that a module belongs to; None outside ``credo`` and for ``credo`` itself."""
    name = module.removeprefix("credo.")
    return name.split(".")[0] if module.startswith("credo.") else None


@pytest.mark.parametrize("module", [name for name in MODULES if name])
def test_every_module_has_a_layer_and_imports_from_no_higher_one(module):
    own = module.split(".")[0]
    if own == "theory":
        return
    assert own in LEVEL, f"{own} has no place in the order: give it one"
    for imported, _ in imports_of(module):
        other = room(imported)
        if other is None:
            continue
        if other == "theory":
            assert LEVEL[own] == len(LAYERS) - 1, f"{module} imports {imported}: theory stands apart"
            continue
        assert LEVEL[other] <= LEVEL[own], f"{module} imports {imported}, which lies above it"


@pytest.mark.parametrize("module", [name for name in MODULES if name.split(".")[0] == "theory"])
def test_theory_stands_apart(module):
    for imported, _ in imports_of(module):
        assert imported.split(".")[0] not in ("jax", "optax"), f"{module} imports {imported}"
        if imported.startswith("credo."):
            assert room(imported) in THEORY_MAY_KNOW, f"{module} imports {imported}"


def test_the_order_names_what_there_is():
    rooms = {name.split(".")[0] for name in MODULES if name}
    assert set(LEVEL) <= rooms


def test_importing_what_needs_no_jax_loads_none():
    """One process, one import after another, so that the first culprit is named."""
    names = [
        f"credo.{name}" for name in MODULES if any(name == free or name.startswith(f"{free}.") for free in WITHOUT_JAX)
    ]
    assert len(names) > len(WITHOUT_JAX)
    script = (
        f"import importlib, sys; sys.path[:0] = {[str(SOURCE.parent)]!r}\n"
        f"for name in ['credo', *{names!r}]:\n"
        "    importlib.import_module(name)\n"
        "    bad = {'jax', 'jaxlib', 'optax'} & set(sys.modules)\n"
        "    assert not bad, f'{name} loads {bad}'\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr.splitlines()[-1]


def test_an_arrow_that_runs_up_is_seen():
    tree = ast.parse(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import credo.api\n"
        "from credo import networks\ndef f():\n    from credo.training.loop import train\n"
    )
    found = dict(imports(tree))
    assert "credo.api" not in found
    assert found["credo.networks"]
    assert found["credo.training.loop"] is False


@pytest.mark.parametrize("module", MODULES)
def test_files_stay_short(module):
    assert len(MODULES[module].read_text().splitlines()) <= 400
