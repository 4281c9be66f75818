"""Print the oldest version of each library that pyproject.toml admits, as pip's constraints: ``make lowest`` runs the
suite on them, so that the ranges are what was tried."""

import re
import tomllib
from pathlib import Path


def lowest(project: dict) -> list[str]:
    """name==version of every requirement with a lower bound, of the package and of what its tests need."""
    asked = [*project["dependencies"], *(line for group in project["optional-dependencies"].values() for line in group)]
    found = (re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)", line) for line in asked)
    pinned = {match[1]: match[2] for match in found if match}
    # Two packages of one version; JAX itself would take a newer one.
    return [f"{name}=={version}" for name, version in sorted((pinned | {"jaxlib": pinned["jax"]}).items())]


if __name__ == "__main__":
    tree = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    print("\n".join(lowest(tree["project"])))
