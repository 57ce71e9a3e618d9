"""What the package promises by name is really there, documented and cheap to import."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import time
from importlib.metadata import entry_points, requires
from pathlib import Path

import pytest

import synthgan

ROOT = Path(__file__).resolve().parents[1]
PUBLIC_MODULES = [
    "synthgan",
    "synthgan.augment",
    "synthgan.evaluate",
    "synthgan.exceptions",
    "synthgan.privacy",
    "synthgan.schema",
]


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_all_is_sorted_and_real(module: str) -> None:
    found = importlib.import_module(module)
    assert len(set(found.__all__)) == len(found.__all__)  # ruff keeps the order
    for name in found.__all__:
        assert getattr(found, name) is not None


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_every_public_name_has_a_docstring(module: str) -> None:
    found = importlib.import_module(module)
    assert inspect.getdoc(found)
    for name in found.__all__:
        value = getattr(found, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{module}.{name} has no docstring"
        if inspect.isclass(value):
            for method, body in vars(value).items():
                if inspect.isfunction(body) and not method.startswith(("_", "set_")):
                    assert inspect.getdoc(body), f"{module}.{name}.{method} has no docstring"


def test_dir_shows_the_public_names() -> None:
    assert set(synthgan.__all__) <= set(dir(synthgan))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        synthgan.no_such_name  # noqa: B018


def test_console_entry_point_imports() -> None:
    (script,) = entry_points(group="console_scripts", name="synthgan")
    assert callable(script.load())


def test_import_is_light() -> None:
    code = "import sys, synthgan; print(*sorted({'torch', 'pandas', 'sklearn'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", "import synthgan"], check=True)  # warms the disk cache
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    assert "torch" not in done.stdout.split()
    assert seconds < 1


def test_every_dependency_and_tool_has_a_tested_version() -> None:
    def name(requirement: str) -> str:
        found = re.match(r"[A-Za-z0-9._-]+", requirement)
        return found[0].lower().replace("_", "-") if found else ""

    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {name(line) for line in lines if "==" in line}
    assert {name(requirement) for requirement in requires("synthgan") or []} <= pinned
