"""Every ``python`` block of the README and the documentation runs, page by page.

The blocks of a page share one namespace and a temporary working folder. A block that must not run
says so in its fence: three backticks and ``python no-run``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from synthgan.evaluate.report.titles import GLOSSARY

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
PAGES = [
    ROOT / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if page.relative_to(ROOT / "docs").parts[0] != "_build"
    ),
]


def _blocks(text: str) -> list[tuple[int, str]]:
    """Return ``(line of the first statement, source)`` of every block that is to run."""
    return [
        (text.count("\n", 0, match.start("body")) + 1, match["body"])
        for match in FENCE.finditer(text)
        if match["info"].split() == ["python"]
    ]


def test_blocks_are_found() -> None:
    text = "a\n\n```python\nx = 1\n```\n\n```python no-run\ny\n```\n```console\n$ z\n```\n"
    assert _blocks(text) == [(4, "x = 1\n")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_fences_are_known(page: Path) -> None:
    known = {"python", "python no-run", "console", "toml", "text", "json"}
    for match in FENCE.finditer(page.read_text("utf-8")):
        info = match["info"].strip()
        assert info in known or info.startswith("{"), f"{page.name}: fence {info!r} is not known"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.exists() and _blocks(page.read_text("utf-8"))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__page__"}
    for line, source in _blocks(page.read_text("utf-8")):
        padded = "\n" * (line - 1) + source  # tracebacks show the line of the page
        exec(compile(padded, str(page), "exec"), namespace)


def test_every_case_of_the_list_has_its_tests() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d\d) \| .+ \| .+ \| (.+) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 51))
    for number, files in rows:
        named = re.findall(r"`([\w/]+\.py)`", files)
        assert named
        for name in named:
            text = (ROOT / "tests" / name).read_text("utf-8")
            assert re.search(rf"case{number}[_-]|case {int(number)}\b", text), (number, name)


def test_every_score_is_on_its_page() -> None:
    page = (ROOT / "docs" / "reference" / "scores.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_0-9]+)` \| (.+?) \| (.+?) \|", page, re.MULTILINE)
    assert {name: (title, meaning) for name, title, meaning in rows} == GLOSSARY
