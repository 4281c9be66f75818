"""Links between the pages of the repository lead to files and headings that exist, and its tables have their lines."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "results/**/*.md", "examples/**/*.md", "benchmarks/**/*.md")
    for page in REPOSITORY.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|^    .*?$", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What a page's headings are linked by: lower case, hyphens for spaces, no punctuation."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """A page's links that lead nowhere; other sites are not asked."""
    found = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        known = target.exists() and (not anchor or target.suffix != ".md" or anchor in anchors(target))
        if not known:
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page):
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# A heading, of sorts\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#a-heading-of-sorts) [b](other.md#nothing) [c](missing.md) [d](https://example.org/x) [e](#here)\n"
    )
    assert broken(page) == ["other.md#nothing", "missing.md", "#here"]


def odd_rows(page: Path) -> list[str]:
    """Lines of a page's tables with another number of columns than their heading, or that a reflow has joined."""
    found, columns = [], 0
    for line in CODE.sub("", page.read_text()).splitlines():
        row = re.sub(r"`[^`]*`|\\\|", "", line.strip())
        if re.fullmatch(r"\|(:?-+:?\|)+", row):
            columns = row.count("|")
        elif not row.startswith("|"):
            columns = 0
        if ("|---" in row and not re.fullmatch(r"\|(:?-+:?\|)+", row)) or (columns and row.count("|") != columns):
            found.append(line)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_tables_have_a_line_for_each_row(page):
    assert odd_rows(page) == []


def test_a_joined_table_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("| a | b |\n|---|---|\n| 1 | 2 |\n| `x|y` | 3 |\n| 1 |\n\n| a | b | |---|---| | 1 | 2 |\n")
    assert odd_rows(page) == ["| 1 |", "| a | b | |---|---| | 1 | 2 |"]


def test_the_citation_is_of_this_version():
    told = (REPOSITORY / "CITATION.cff").read_text()
    cited = re.search(r"^version: (.+)$", told, re.MULTILINE)
    assert cited is not None
    assert tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"] == cited[1]
    (entries,) = re.findall(r"^```bibtex\n(.*?)^```", (REPOSITORY / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert f"version = {{{cited[1]}}}" in entries
    assert re.findall(r"^  title = {(.*)}", entries, re.MULTILINE) == re.findall(r'title: "(.*)"', told)
    names = re.findall(r"given-names: (\w+), family-names: (\w+)", told)
    assert " and ".join(f"{family}, {given}" for given, family in names) in " ".join(entries.split())
