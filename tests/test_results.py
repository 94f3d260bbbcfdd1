"""The page of what was measured: it is of the tables that are there, and holds what they hold."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(FOLDER))
    try:
        import run
        import tables

        yield run, tables
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("run", "tables", "record"):
            sys.modules.pop(name, None)


def test_the_page_is_of_the_tables_that_are_there(modules):
    run, _ = modules
    assert (FOLDER / "RESULTS.md").read_text(encoding="utf-8") == run.page(), (
        "python benchmarks/run.py --page"
    )


def test_every_table_has_its_place_on_the_page(modules):
    run, _ = modules
    assert {file.stem for file in (FOLDER / "results").glob("*.json")} <= set(run.STUDIES)
    for name, arguments in run.STUDIES.items():
        assert (FOLDER / f"{name}.py").exists()
        assert run.asked(name), name
        file = FOLDER / "results" / f"{name}.json"
        command = json.loads(file.read_text(encoding="utf-8")).get("command") if file.exists() else None
        assert command in (None, f"python benchmarks/{name}.py {arguments}".rstrip())


def test_dicts_of_like_dicts_are_tables(modules):
    _, tables = modules
    results = {
        "a": 1.23456,
        "laws": {"x": {"off": 0.1, "by": {"n": 2}}, "y": {"off": None, "by": {"n": [1, 2]}}},
    }
    assert tables.page("study", results, "What.").splitlines() == [
        "## study",
        "",
        "What.",
        "",
        "|  | value |",
        "|---|---|",
        "| a | 1.235 |",
        "",
        "### laws",
        "",
        "|  | off | by, n |",
        "|---|---|---|",
        "| x | 0.1 | 2 |",
        "| y |  | 1, 2 |",
    ]


def test_what_is_not_a_benchmark_is_refused():
    done = subprocess.run(
        [sys.executable, FOLDER / "run.py", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "there is no benchmark 'nothing'; there are bootstrap," in done.stderr


def test_what_was_killed_lost_nothing():
    found = json.loads((FOLDER / "results" / "kills.json").read_text(encoding="utf-8"))
    assert sum(job["kills"] for job in found["jobs"].values()) == found["kills"] == 200
    assert set(found["jobs"]) == {"fit", "report", "bootstrap", "calibrate"}
    for job in found["jobs"].values():
        assert job["half-written"] == job["other numbers"] == 0
        assert job["nothing there yet"] + job["whole"] == job["kills"]
    for name in ("fit", "report"):  # of what is written once, half of the kills came with its first file
        assert found["jobs"][name]["while writing"] == 25
    assert found["jobs"]["report"]["whole"] >= 10


def test_no_bad_input_was_taken_silently_or_ended_in_a_traceback():
    found = json.loads((FOLDER / "results" / "bad_input.json").read_text(encoding="utf-8"))
    tables, files = found["tables"], found["bytes"]
    assert tables["tables"] == sum(tables["refused"].values()) + sum(tables["with a severe finding"].values())
    assert tables["tables"] == 10_000
    assert tables["taken silently"] == tables["with a traceback"] == tables["without saying where"] == 0
    assert (files["seconds"], files["tracebacks"]) == (3600, 0)
    assert sum(files["read"].values()) + sum(files["refused"].values()) > 550_000  # as the README says
    assert not {"nc", "study, nc", "study, npy"} & set(files["read"])
