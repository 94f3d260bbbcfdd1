"""What may import what, read from the source: nothing is imported to find it out."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "bayescale"
# A module may import those of the rows above its own; of its own row only those named before it.
LAYERS = (
    (
        "files",
        "columns",
        "table",
        "priors",
        "compiled",
        "parallel",
        "diagnostics",
        "provenance",
        "quantiles",
        "intervals",
    ),
    ("blocks", "settings", "ledger"),
    ("readers", "factors"),
    ("checked", "intake"),
    ("runs",),
    ("law",),
    ("densities", "counts", "logit_normal", "scales", "noise"),
    ("pooling", "nesting"),
    ("data",),
    ("model",),
    ("netcdf", "recipe"),
    ("forecast",),
    ("fit",),
    ("summary", "storage"),
    ("infer",),
    ("check", "decide"),
    ("tasks",),
    (
        "plot_themes",
        "plot_style",
        "plot_of_checks",
        "plot_of_runs",
        "plot_of_losses",
        "plot_of_surfaces",
        "plot_of_residuals",
    ),
    (
        "plot_of_parameters",
        "plot_of_levels",
        "plot_of_decisions",
        "plot_of_designs",
        "plot_of_tasks",
        "plot_of_calibration",
        "plot",
    ),
    # Of the command line:
    ("words", "words_of_comparisons", "progress", "arguments", "workers", "options", "printed"),
    ("words_of_decisions", "words_of_tasks"),
    ("page",),
    ("verbs", "verbs_of_studies", "verbs_of_comparisons", "verbs_of_decisions", "verbs_of_design"),
    ("verbs_of_checks", "verbs_of_plots", "verbs_of_reports", "verbs_of_simulations", "verbs_of_tasks"),
    ("cli",),
    ("demo", "demo_of_tasks"),
    ("__main__",),
)
# What a module below may fetch from above, inside a function and nowhere else.
LATE = {("fit", "summary"), ("cli", "demo"), ("cli", "demo_of_tasks")}
# Inside infer, whose files build on each other.
INFER = (
    *(
        "newton",
        "lean",
        "chart",
        "density",
        "tracing",
        "powers",
        "partials",
        "terms",
        "objective",
        "refit",
        "point",
        "settle",
        "frame",
    ),
    *(
        "mode",
        "optimize",
        "nuts",
        "variational",
        "frames",
        "lanes",
        "many",
        "pointwise",
        "simulated",
        "bridge",
        "importance",
        "tempered",
        "evidence",
    ),
    *("resample", "plan"),
    *("replicates", "parcel", "study", "bootstrap"),
)
# Inside tasks, the same.
TASKS = (
    *("overlap", "suite", "items", "companions", "horizons", "breaks", "emergence", "quick", "verdict"),
    *(
        "plateau",
        "series",
        "shocks",
        "members",
        "pool",
        "rivals",
        "suite_folds",
        "held_out",
        "backtest",
        "forecast",
        "assess",
        "passes",
        "trend",
    ),
)
HEAVY = ("arviz", "pandas", "xarray")
# The command line finds laws by name, storage reads them back by name, the user finds them in the package, a
# comparison knows the law of no law, and a verdict those that are its answers.
KNOW_LAWS = (
    *(
        "recipe",
        "check.compare",
        "tasks.verdict",
        "tasks.items",
        "tasks.horizons",
        "tasks.members",
        "words",
        "page.reproduce",
        "arguments",
        "cli",
        "demo",
    ),
    *("__main__", ""),
)


def module_of(path: Path) -> str:
    parts = path.relative_to(ENGINE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def files() -> dict[str, Path]:
    """The modules of the engine; the laws are apart, behind a link."""
    return {module_of(p): p for p in sorted(ENGINE.rglob("*.py")) if ENGINE / "models" not in p.parents}


def resolved(node: ast.ImportFrom, path: Path) -> str:
    """The module that is imported from, also where it is given from here."""
    if not node.level:
        return node.module or ""
    package = ["bayescale", *path.relative_to(ENGINE).parent.parts]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def imports(path: Path, tree: ast.AST) -> set[str]:
    """Everything that is imported, whole; `from bayescale import x` is bayescale.x."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = resolved(node, path)
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def for_types_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


class _WithoutTypes(ast.NodeTransformer):
    def visit_If(self, node):
        return None if for_types_only(node) else self.generic_visit(node)


def at_import(tree: ast.Module) -> ast.Module:
    """What runs when the module is imported: no bodies of functions, no imports for types."""

    class Top(_WithoutTypes):
        def visit_FunctionDef(self, node):
            return None

        visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    return Top().visit(tree)


def parsed(path: Path) -> ast.Module:
    return _WithoutTypes().visit(ast.parse(path.read_text(encoding="utf-8")))


def place(name: str) -> tuple[int, int] | None:
    """The row of a module and where it stands in it; a module of a package stands with the package."""
    for row, names in enumerate(LAYERS):
        if (package := name.split(".")[0]) in names:
            return row, names.index(package)
    return None


def known(name: str) -> str | None:
    """The module of the engine that an import is of, longest first."""
    inside = name.removeprefix("bayescale.")
    if inside == name:
        return None
    while inside and inside not in FILES:
        inside = inside.rpartition(".")[0]
    return inside or None


FILES = files()
MODULES = sorted(set(FILES) - {""})


def test_every_module_has_its_place():
    assert not [name for name in MODULES if place(name) is None]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_is_above_it(name):
    path = FILES[name]
    mine = place(name)
    at_once = {known(i) for i in imports(path, at_import(parsed(path)))}
    for other in {known(i) for i in imports(path, parsed(path))} - {None}:
        if other.split(".")[0] == name.split(".")[0]:
            continue
        if (name, other) in LATE:
            assert other not in at_once, f"bayescale.{name} imports bayescale.{other} when it is imported"
        else:
            assert place(other) < mine, f"bayescale.{name} imports bayescale.{other}, which is not above it"


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("infer.")])
def test_inside_infer_nothing_goes_round(name):
    path = FILES[name]
    mine = name.removeprefix("infer.")
    for imported in imports(path, parsed(path)):
        other = known(imported)
        if other and other.startswith("infer.") and other != name and mine in INFER:
            assert INFER.index(other.removeprefix("infer.")) < INFER.index(mine)


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("tasks.")])
def test_inside_tasks_nothing_goes_round(name):
    mine = name.removeprefix("tasks.")
    assert mine in TASKS
    for imported in imports(FILES[name], parsed(FILES[name])):
        other = known(imported)
        if other and other.startswith("tasks.") and other != name:
            assert TASKS.index(other.removeprefix("tasks.")) < TASKS.index(mine)


def test_a_law_knows_nothing_of_how_it_is_fitted():
    laws = sorted((ROOT / "models").glob("*.py"))
    assert len(laws) > 10
    # It may be a special case of another law.
    others = {f"bayescale.models.{path.stem}" for path in laws if path.stem != "__init__"}
    allowed = {"bayescale.law", "bayescale.priors"} | others
    for path in laws:
        ours = {i for i in imports(path, ast.parse(path.read_text("utf-8"))) if i.startswith("bayescale")}
        assert not {i for i in ours if i not in allowed and i.rpartition(".")[0] not in allowed}, path.name


def test_no_engine_file_knows_a_law():
    for name, path in FILES.items():
        if name in KNOW_LAWS or name.split(".")[0] in KNOW_LAWS:
            continue
        laws = {i for i in imports(path, parsed(path)) if i.split(".")[:2] == ["bayescale", "models"]}
        assert not laws, f"bayescale.{name} imports {laws}"


@pytest.mark.parametrize("package", ["matplotlib"])
def test_figures_are_drawn_in_one_place(package):
    for name, path in FILES.items():
        if name.startswith("plot") or name.split(".")[0] == "page":
            continue
        assert package not in {i.split(".")[0] for i in imports(path, parsed(path))}, name


@pytest.mark.parametrize("package", HEAVY)
def test_heavy_packages_are_imported_where_they_are_used(package):
    laws = {f"models.{path.stem}": path for path in (ROOT / "models").glob("*.py")}
    for name, path in (FILES | laws).items():
        tree = at_import(ast.parse(path.read_text(encoding="utf-8")))
        assert package not in {i.split(".")[0] for i in imports(path, tree)}, name


def test_a_bad_import_would_be_found():
    """The reader itself: the forms an import takes, and what counts as run at import."""
    path = ENGINE / "infer" / "nuts.py"
    source = """
from typing import TYPE_CHECKING
import arviz
from ..fit import Fit
from . import mode
if TYPE_CHECKING:
    import pandas
def f():
    import xarray
"""
    tree = ast.parse(source)
    assert {"arviz", "bayescale.fit", "bayescale.infer.mode", "xarray", "pandas"} <= imports(path, tree)
    top = imports(path, at_import(tree))
    assert "arviz" in top
    assert not {"xarray", "pandas"} & top
    assert place("fit") < place("infer.nuts") < place("cli")
    assert re.fullmatch(r"[a-z.]+", known("bayescale.infer.nuts.nuts") or "")
