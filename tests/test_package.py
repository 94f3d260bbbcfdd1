"""What is installed: every package and data file, and the laws as bayescale.models, in one copy."""

import ast
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from bayescale import data

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]

# Builds in the tree that it is run in, with the setuptools that is here, and prints the name of the wheel.
BUILD = "import setuptools.build_meta as build; print(build.build_wheel('dist'))"


def packages() -> set[str]:
    """The folders with an __init__.py; bayescale/models is a link, which a checkout may not have."""
    found = {"bayescale.models"} if (ROOT / "models" / "__init__.py").exists() else set()
    for file in (ROOT / "bayescale").rglob("__init__.py"):
        if "models" not in file.relative_to(ROOT / "bayescale").parts:
            found.add(".".join(file.parent.relative_to(ROOT).parts))
    return found


def test_every_package_is_listed():
    assert set(SETUPTOOLS["packages"]) == packages()
    assert sorted(SETUPTOOLS["packages"]) == SETUPTOOLS["packages"]


def test_the_laws_are_installed_as_a_part_of_bayescale():
    assert SETUPTOOLS["package-dir"] == {"bayescale.models": "models"}
    linked = ROOT / "bayescale" / "models"
    assert not linked.exists() or linked.resolve() == ROOT / "models"


def imported(file: Path) -> set[str]:
    """The first word of every module that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("folder", ["bayescale", "models", "tests", "benchmarks"])
def test_nothing_imports_a_second_copy_of_the_laws(folder):
    guilty = [str(file) for file in (ROOT / folder).rglob("*.py") if "models" in imported(file)]
    assert guilty == [], "import bayescale.models, not models"


def test_every_data_file_is_packaged_and_described():
    patterns = SETUPTOOLS["package-data"]["bayescale.data"]
    embedded = {data.describe(name)["file"] for name in data.names() if data.describe(name)["embedded"]}
    for file in embedded:
        assert any(fnmatch(file, pattern) for pattern in patterns), file
    lying = {file.name for file in (ROOT / "bayescale" / "data").iterdir() if ".csv" in file.name}
    assert lying == embedded


def test_what_a_licence_asks_for_is_in_the_notice():
    notice = (ROOT / "NOTICE").read_text()
    for name in data.names():
        entry = data.describe(name)
        if entry["embedded"] and "numbers printed" not in entry["licence"]:
            assert entry["file"] in notice, entry["file"]
            assert entry["url"] in notice, entry["url"]


def test_the_versions_have_no_addresses():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        requirement = line.split(" ; ")[0]
        name, version = requirement.split("==")
        assert name.replace("-", "").replace("_", "").replace(".", "").isalnum(), line
        assert version.replace(".", "").isalnum(), line


def test_the_constraints_hold_every_dependency():
    held = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = PROJECT["project"]["dependencies"] + extras["arviz"] + extras["test"] + extras["dev"]
    for requirement in wanted:
        name = requirement.split(";")[0].split("[")[0].split(">")[0].strip()
        assert name == "bayescale" or name in held, f"{name}: make constraints.txt again, see CONTRIBUTING.md"


def python(*arguments: str, cwd: Path = ROOT) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_changes_nothing_global():
    told = python(
        "-W", "error", "-c",
        "import logging, jax, numpyro, numpy\n"
        "def state():\n"
        "    numbers = numpy.random.get_state()[1].tolist()\n"
        "    return dict(jax.config.values), numbers, logging.root.level, logging.root.handlers[:]\n"
        "before = state()\n"
        "import bayescale, bayescale.data, bayescale.models\n"
        "print(before == state())",
    )  # fmt: skip
    assert told.strip() == "True"


def test_importing_leaves_heavy_libraries_alone():
    told = python(
        "-c", "import sys, bayescale; print({'arviz', 'pandas', 'matplotlib', 'pooch'} & set(sys.modules))"
    )
    assert told.strip() == "set()"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> list[str]:
    """The names of the files in a wheel built from a copy of the tree."""
    pytest.importorskip("setuptools")
    tree = tmp_path_factory.mktemp("wheel") / "tree"
    left_out = ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests", "benchmarks")
    copytree(ROOT, tree, symlinks=True, ignore=left_out)
    name = python("-c", BUILD, cwd=tree).splitlines()[-1]
    with zipfile.ZipFile(tree / "dist" / name) as archive:
        return archive.namelist()


def test_a_wheel_has_the_laws_and_the_data(wheel):
    for file in (ROOT / "models").glob("*.py"):
        assert f"bayescale/models/{file.name}" in wheel
    for name in data.names():
        entry = data.describe(name)
        assert (f"bayescale/data/{entry['file']}" in wheel) == entry["embedded"], name
    assert "bayescale/data/datasets.toml" in wheel
    for file in (ROOT / "bayescale" / "page").glob("*.[!p]*"):  # the parts of a report that are no Python
        assert f"bayescale/page/{file.name}" in wheel
    assert "bayescale/py.typed" in wheel
    assert any(file.endswith("licenses/NOTICE") for file in wheel)


def test_a_wheel_installs_nothing_but_bayescale(wheel):
    tops = {file.split("/")[0] for file in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bayescale"}
