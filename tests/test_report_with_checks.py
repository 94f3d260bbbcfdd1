"""A comparison and a back-test on the page of a report, its tables as CSV, and what is refused."""

import base64
import csv
import io
import re

import numpy as np
import pytest

from bayescale.check.as_data import load_check, save_check
from bayescale.decide.allocate import compute_optimal
from bayescale.page import report
from bayescale.page.answers import BOUNDS
from tests.made import backtested, compared
from tests.reports import BUDGET, RUNS, fit_of, seen, written
from tests.reports import _unrefitted as _unrefitted
from tests.reports import undrawn as undrawn


def test_a_comparison_and_a_back_test_have_sections_with_figures(tmp_path, undrawn):
    comparison, backtest = compared(RUNS), backtested(RUNS)
    text = written(fit_of(), tmp_path, compute=BUDGET, comparison=comparison, backtest=backtest)
    page = seen(text)
    for said in (
        f"{comparison.verdict}.",
        "-12.50",
        "constant is in doubt: bridge sampling says",
        "Without 10% of the runs at either end of D/N: chinchilla; kaplan 2.50 ± 0.02 behind",
        f"{backtest.verdict}.",
        "C up to 3.47e19",
        f"The same with a drift of {backtest.drift:.3g} a decade",
        "Compared on 12 runs of runs.csv.",
        "Tested on 12 runs of runs.csv.",
        *(f"{one.message[1:]}." for one in (*comparison.findings, *backtest.findings)),
        " chinchilla has the evidence",  # names keep their small letters
        " The evidence of constant",
    ):
        assert said in page
    assert "other runs" not in page
    assert "comparison = bs.load_check('comparison.json')" in page
    assert f"compute={BUDGET!r}, comparison=comparison, backtest=backtest)" in page
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert [caption.partition(" ")[0] for caption in captions if "size at this budget" not in caption] == [
        *("Evidence", "How", "How"),
        *("Forecasts,", "Calibration:", "Coverage:", "Skill:"),
    ]
    # What was written to files makes the same page.
    save_check(comparison, tmp_path / "comparison.json")
    save_check(backtest, tmp_path / "backtest.json")
    stored = {name: load_check(tmp_path / f"{name}.json") for name in ("comparison", "backtest")}
    assert written(fit_of(), tmp_path, compute=BUDGET, **stored) == text


def test_a_comparison_of_other_runs_is_called_so(tmp_path, undrawn):
    other = RUNS.replace(response=np.asarray(RUNS.response) + 0.01, source="others.csv")
    page = seen(written(fit_of(), tmp_path, compute=BUDGET, comparison=compared(other)))
    assert "Compared on 12 runs of others.csv. These are other runs than those of this report." in page


def test_every_table_is_there_as_csv_with_its_numbers_in_full(tmp_path, undrawn):
    text = written(
        fit_of(by="corpus"), tmp_path, compute=BUDGET, comparison=compared(RUNS), backtest=backtested(RUNS)
    )
    tables = {}
    for file, address in re.findall(r'<a class="csv" download="([^"]+)" href="([^"]+)"', text):
        assert re.fullmatch(r"[a-z0-9-]+\.csv", file)
        kind, _, data = address.partition(",")
        assert kind == "data:text/csv;charset=utf-8;base64"
        tables[file] = list(csv.DictReader(io.StringIO(base64.b64decode(data).decode())))
    # All but that of the sliders, which is made of what they answer.
    assert text.count("<caption>") - 1 == text.count("CSV</a></span></caption>")
    optimum = compute_optimal(fit_of(by="corpus"), BUDGET, bounds=BOUNDS, centre=True, strict=False)
    (split,) = [rows for rows in tables.values() if "unit" in rows[0] and "of" not in rows[0]]
    assert [float(row["median"]) for row in split] == [optimum.interval(row["quantity"])[1] for row in split]
    (levels,) = [rows for file, rows in tables.items() if file.endswith("-at-each-level.csv")]
    assert {row["of"] for row in levels} == {"for a typical corpus", "for corpus x", "for corpus y"}
    assert {row["table"] for row in tables["forecasts-of-the-runs-that-were-held-out.csv"]} >= {
        "total",
        "by_gap",
    }
    (beliefs,) = [rows for file, rows in tables.items() if file.endswith("priors-against-posteriors.csv")]
    assert float(beliefs[0]["prior.q5"]) < float(beliefs[0]["prior.q95"])
    assert [row["least"] for rows in tables.values() for row in rows if row.get("column") == "N"] == [
        "100000000.0"
    ]


@pytest.mark.parametrize(
    ("given", "verb"),
    [
        ({"comparison": {"models": 3}}, "compare"),
        ({"backtest": {}}, "backtest"),
        ({"backtest": {"findings": [1]}}, "backtest"),
    ],
)
def test_what_is_no_comparison_is_refused(given, verb, tmp_path, undrawn):
    with pytest.raises(ValueError, match=f"this is not what `bayescale {verb} -o` writes"):
        report.report(fit_of(), tmp_path / "report.html", compute=BUDGET, **given)


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no fit to report; give one or more"):
        report.report([], tmp_path / "report.html")
    with pytest.raises(ValueError, match=r"target is -1\.0; it is a positive number"):
        report.report(fit_of(), tmp_path / "report.html", target=-1.0)
    with pytest.raises(ValueError, match="heads is 0; it is a positive number"):
        report.report(fit_of(), tmp_path / "report.html", at={"heads": 0})
