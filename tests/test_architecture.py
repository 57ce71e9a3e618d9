"""The layers of the package, as a test: imports go down only, and there is no cycle."""

from __future__ import annotations

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = [
    ["synthgan.__main__"],
    ["synthgan.cli"],
    ["synthgan.shards"],
    ["synthgan.augment"],
    ["synthgan.estimators"],
    ["synthgan.evaluate"],
    [
        "synthgan.table_sampling",
        "synthgan.likelihood",
        "synthgan.raking",
        "synthgan.step_choice",
        "synthgan.latent_rows",
        "synthgan.marginals",
        "synthgan.adversarial",
        "synthgan.variational",
    ],
    ["synthgan.few_steps"],
    ["synthgan.sampling", "synthgan.training"],
    ["synthgan.completion", "synthgan.group_likelihood", "synthgan.dependence"],
    ["synthgan.options", "synthgan.runs"],
    ["synthgan.checkpoint"],
    ["synthgan.networks", "synthgan.objectives", "synthgan.distortions", "synthgan.schedules"],
    ["synthgan.privacy"],
    ["synthgan.encoding", "synthgan.conditions"],
    ["synthgan.images", "synthgan.alignment"],
    ["synthgan.inference"],
    ["synthgan.schema", "synthgan.io", "synthgan.storage"],
    ["synthgan.files", "synthgan.sources"],
    ["synthgan.parquet_footer"],
    ["synthgan._runtime", "synthgan.ranks", "synthgan.blocks", "synthgan.memory", "synthgan.arrow"],
    ["synthgan.exceptions"],
]
NO_TORCH_AT_IMPORT = {
    "exceptions",
    "files",
    "sources",
    "_runtime",
    "blocks",
    "inference",
    "schema",
    "arrow",
    "io",
    "conditions",
    "images",
    "alignment",
    "evaluate",
    "cli",
}
NO_PANDAS = {"networks", "objectives"}
BANNED_NAMES = {"utils", "helpers", "manager", "processor", "misc", "core", "common"}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_name(path): path for path in sorted((ROOT / "synthgan").rglob("*.py"))}


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _imports(node: ast.AST, module: str, *, functions: bool) -> set[str]:
    """Return what `node` imports when run; with `functions`, what its functions import too."""
    found: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if _is_type_checking(child):
            continue
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not functions:
            continue
        if isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module} has a relative import; name the module in full"
            inner = {f"{child.module}.{alias.name}" for alias in child.names}
            found |= {name if name in MODULES else str(child.module) for name in inner}
        found |= _imports(child, module, functions=functions)
    return found


def _imports_of(module: str, *, functions: bool = True) -> set[str]:
    return _imports(ast.parse(MODULES[module].read_text("utf-8")), module, functions=functions)


def _layer(module: str) -> int:
    for depth, names in enumerate(LAYERS):
        if any(module == name or module.startswith(name + ".") for name in names):
            return depth
    raise AssertionError(f"{module} is in no layer; give it a place in LAYERS and CONTRIBUTING.md")


@pytest.mark.parametrize("module", [name for name in MODULES if name != "synthgan"])
def test_imports_go_down(module: str) -> None:
    for name in _imports_of(module) & set(MODULES):
        assert name != "synthgan", f"{module} imports the top package; import the module instead"
        assert _layer(name) >= _layer(module), f"{module} imports {name}, a layer above it"


@pytest.mark.parametrize("module", [name for name in MODULES if ".evaluate" in name])
def test_evaluation_knows_no_model(module: str) -> None:
    allowed = (
        "synthgan.evaluate",
        "synthgan.io",
        "synthgan.images",
        "synthgan.schema",
        "synthgan.inference",
    )
    for name in _imports_of(module) & set(MODULES):
        assert name.startswith(
            (*allowed, "synthgan._runtime", "synthgan.exceptions", "synthgan.files")
        ), f"{module} imports {name}"


def test_the_drawing_is_that_of_the_layers() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    drawing = text.partition("## Layers")[2].partition("## Modules")[0]
    drawn: list[str] = []
    for line in re.findall(r"^    (?:\w+ +|  +)(\w.*)$", drawing, re.MULTILINE):
        drawn += re.findall(r"\w+", re.sub(r"\(.*\)", "", line))
    layers = [name.removeprefix("synthgan.") for layer in LAYERS for name in layer]
    assert sorted(drawn) == sorted(layers)
    places = [_layer(f"synthgan.{name}") for name in drawn]
    assert places == sorted(places)


def test_there_is_no_cycle() -> None:
    graph = {name: (_imports_of(name) & set(MODULES)) - {name} for name in MODULES}
    list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", MODULES)
def test_modules_load_only_what_they_need(module: str) -> None:
    area = module.split(".")[1] if "." in module else "exceptions"  # the top package is light too
    if area in NO_TORCH_AT_IMPORT:
        loaded = {name.split(".")[0] for name in _imports_of(module, functions=False)}
        assert "torch" not in loaded
    if area in NO_PANDAS:
        assert "pandas" not in {name.split(".")[0] for name in _imports_of(module)}


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_named_after_things(module: str) -> None:
    assert not BANNED_NAMES & set(module.split("."))


def test_every_module_is_on_the_map() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    for path in MODULES.values():
        if path.name == "__init__.py":
            continue
        name = path.relative_to(ROOT / "synthgan").as_posix()
        assert f"`{name}`" in text, f"CONTRIBUTING.md has no line for `{name}`"
