"""The page of a report in headless Chromium: it renders, its sliders say what Python says, and it prints."""

import csv
import json
import re
import time

import numpy as np
import pytest

from bayescale import models
from bayescale.check.findings import findings
from bayescale.columns import label
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.inference import inference_optimal
from bayescale.decide.invert import compute_for
from bayescale.law import irrelevant
from bayescale.page import figures, of_findings, report
from bayescale.page.answers import BOUNDS
from bayescale.runs import Runs
from tests import chromium
from tests.made import backtested, compared
from tests.reports import BUDGET, COLUMNS, HOSTILE, fit_of, hostile_page, repeated_fit

# Both find a minimum by its slope, to the last digits of double precision; the slope of the page is its own.
CLOSE = 1e-6


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A Chromium for all tests of this file."""
    if chromium.path() is None:
        pytest.skip("there is no Chromium; apt-get install chromium")
    running = chromium.Browser(tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """Figures are images, which tests/test_report_is_safe.py looks at."""
    monkeypatch.setattr(figures, "figures", lambda *_: [])
    monkeypatch.setattr(of_findings, "all_findings", lambda key, fit: findings(fit))  # without refits


@pytest.fixture
def shown(browser, tmp_path):
    """Fits as a page that is shown; closed afterwards."""
    pages = []

    def show(fits, anchor="", *, width=800, dark=False, **options):
        report.report(fits, tmp_path / "report.html", **{"compute": BUDGET} | options)
        address = (tmp_path / "report.html").as_uri()
        pages.append(browser.page(address + anchor, width=width, dark=dark))
        if pages[-1].run("document.getElementById('explore') !== null"):
            pages[-1].answered()
        return pages[-1]

    yield show
    for page in pages:
        page.close()


def numbers(page, quantity: str) -> np.ndarray:
    """Low, median and high of a quantity, unrounded."""
    found = json.loads(page.run(f"document.getElementById({quantity!r}).dataset.values"))
    return np.array([np.inf if v is None else v for v in found], float)


def text(page, id: str) -> str:
    return page.run(f"document.getElementById({id!r}).textContent")


def choose(page, case: int):
    """Choose the case that is looked at."""
    page.run(
        f"let list = document.getElementById('case'); list.value = '{case}'; list.dispatchEvent(new Event('change'))"
    )
    page.answered()


def same(page, name: str, decision, quantities: dict[str, str]):
    for shown, quantity in quantities.items():
        np.testing.assert_allclose(numbers(page, f"{name}-{shown}"), decision.interval(quantity), rtol=CLOSE)


BUDGETS = {"N": "N", "D": "D", "ratio": "D/N", "loss": "loss"}


def test_it_renders_without_complaint_and_asks_nothing_of_any_network(shown):
    page = shown(fit_of())
    assert page.run("document.querySelector('.answer').textContent").startswith("Spend 1e22 FLOP")
    assert [address.partition("#")[0] for address in page.requests] == [
        page.run("location.href.split('#')[0]")
    ]
    assert page.complaints == []
    same(page, "budget", compute_optimal(fit_of(), BUDGET, bounds=BOUNDS), BUDGETS)


@pytest.mark.parametrize("law", ["chinchilla", "kaplan", "coupled"])
def test_a_budget_that_is_typed_gives_what_python_gives(law, shown):
    natural = {
        "kaplan": {"A": 6.4e13**0.076, "B": 1.8e13**0.103, "alpha": 0.076, "beta": 0.103},
        "coupled": {"E": 1.76, "A": 482.0, "B": 2085.0, "alpha": 0.35, "beta": 0.37, "k": 0.82},
    }.get(law)
    fit = fit_of(law, natural, draws=60)
    page = shown(fit)
    page.type("C-text", "5.76e23")
    page.answered()
    decision = compute_optimal(fit, 5.76e23, bounds=BOUNDS)
    same(page, "budget", decision, BUDGETS)
    assert text(page, "budget-N") == label(decision.interval("N")[1])


def test_a_slider_moves_by_the_keyboard_and_the_answer_with_it(shown):
    fit = fit_of()
    page = shown(fit)
    page.run("document.getElementById('C-range').focus()")
    page.press("ArrowRight", times=7)
    page.press("ArrowLeft", times=2)
    page.answered()
    compute = float(f"{10 ** (np.log10(BUDGET) + 0.05):.2e}")  # 5 steps of .01, to three digits
    assert page.run("document.getElementById('C-text').value") == "1.12e22"
    same(page, "budget", compute_optimal(fit, compute, bounds=BOUNDS), BUDGETS)
    assert page.run("document.getElementById('C-range').getAttribute('aria-valuetext')") == "1.12e22"


def test_a_target_and_its_inference_give_what_python_gives(shown):
    fit = fit_of()
    page = shown(fit)
    page.type("loss-text", "2.1")
    page.answered()
    alone = compute_for(fit, 2.1)
    same(page, "target", alone, {"training": "C", "N": "N", "D": "D", "ratio": "D/N"})
    assert page.run("document.getElementById('target-total-row').hidden")
    page.type("T-text", "2T")
    page.answered()
    served = inference_optimal(fit, 2e12, loss=2.1)
    same(page, "target", served, {"training": "training", "total": "total", "N": "N", "D": "D"})
    assert text(page, "reached") == "100%"
    page.type("T-text", "none")
    page.answered()
    same(page, "target", alone, {"training": "C", "total": "C"})


def test_a_loss_out_of_reach_is_infinite_and_the_share_of_draws_is_told(shown):
    fit = fit_of()
    page = shown(fit)
    page.type("loss-text", "1.83")  # the floor is 1.8172, and scatters by 2%
    page.answered()
    decision = compute_for(fit, 1.83)
    reachable = decision["C"] < 1e45  # some draws would take more than the page looks at
    assert text(page, "reached") == f"{100 * reachable.mean():.0f}%"
    assert numbers(page, "target-training")[2] == np.inf
    assert text(page, "target-training-interval").endswith("to ∞")


def test_unique_tokens_give_what_python_gives(shown):
    fit = repeated_fit(draws=60)
    page = shown(fit, unique=1e10)
    epochs = compute_optimal(fit, BUDGET, bounds=BOUNDS, at={"U": 1e10})
    same(page, "budget", epochs, BUDGETS)
    np.testing.assert_allclose(numbers(page, "budget-epochs")[1], np.median(epochs["D"] / 1e10), rtol=CLOSE)
    page.type("U-text", "300B")
    page.type("loss-text", "2.2")
    page.answered()
    same(page, "budget", compute_optimal(fit, BUDGET, bounds=BOUNDS, at={"U": 3e11}), BUDGETS)
    same(page, "target", compute_for(fit, 2.2, at={"U": 3e11}), {"training": "C", "N": "N", "D": "D"})


def test_another_covariate_is_held_where_it_is_said_to_be(shown):
    runs = Runs.make({**COLUMNS, "gpus": np.tile([8.0, 64.0, 512.0], 4)}, source="gpus.csv")
    law = irrelevant(models.load("chinchilla_tied"), "gpus")
    natural = {"A": 520.8, "B": 1487.7, "E": 1.87, "alpha": 0.353, "gamma_gpus": 0.02}
    fit = fit_of(law, natural, runs=runs, draws=60)
    page = shown(fit, at={"gpus": 256})
    assert "with gpus = 256?" in page.run("document.getElementById('answer').textContent")
    same(page, "budget", compute_optimal(fit, BUDGET, bounds=BOUNDS, at={"gpus": 256}), BUDGETS)


def test_every_fit_and_level_has_its_line_and_can_be_looked_at(shown):
    fits = {"pooled": fit_of(by="corpus", draws=60), "tied": fit_of("chinchilla_tied", draws=60)}
    page = shown(fits)
    rows = page.run(
        "[...document.querySelectorAll('#every tbody tr')].map(row => row.innerText.split(/\\s*\\t\\s*/))"
    )
    expected = [
        ("pooled, for a typical corpus", compute_optimal(fits["pooled"], BUDGET, bounds=BOUNDS, centre=True)),
        ("pooled, for corpus x", compute_optimal(fits["pooled"], BUDGET, bounds=BOUNDS, corpus="x")),
        ("pooled, for corpus y", compute_optimal(fits["pooled"], BUDGET, bounds=BOUNDS, corpus="y")),
        ("tied", compute_optimal(fits["tied"], BUDGET, bounds=BOUNDS)),
    ]
    for row, (name, decision) in zip(rows, expected, strict=True):
        assert row[0] == name
        assert row[1].split("\n")[0] == label(decision.interval("N")[1])
    choose(page, 2)
    same(page, "budget", expected[2][1], BUDGETS)


def test_the_address_keeps_what_is_asked(shown):
    fit = fit_of(by="corpus", draws=60)
    page = shown(fit, anchor="#C=3e23&loss=2.2&T=5e11&case=2")
    same(page, "budget", compute_optimal(fit, 3e23, bounds=BOUNDS, corpus="y"), BUDGETS)
    same(page, "target", inference_optimal(fit, 5e11, loss=2.2, corpus="y"), {"total": "total"})
    page.type("C-text", "4e23")
    page.answered()
    assert page.run("location.hash") == "#C=4e23&T=500000000000&loss=2.2&case=2"
    before = numbers(page, "budget-N")
    page.call("Page.reload")
    page.run("new Promise(done => setTimeout(done, 300))")
    page.answered()
    np.testing.assert_array_equal(numbers(page, "budget-N"), before)
    same(page, "budget", compute_optimal(fit, 4e23, bounds=BOUNDS, corpus="y"), BUDGETS)
    page.run("document.querySelector('nav a[href=\"#runs\"]').click()")
    page.run("new Promise(done => setTimeout(done, 50))")
    page.answered()
    assert page.run("document.getElementById('case').value") == "2"
    same(page, "budget", compute_optimal(fit, 4e23, bounds=BOUNDS, corpus="y"), BUDGETS)
    page.run("location.hash = '#C=</script>&loss=-1&T=1e99&case=77'")
    page.answered()
    assert page.complaints == []
    same(page, "budget", compute_optimal(fit, 4e23, bounds=BOUNDS, corpus="y"), BUDGETS)


@pytest.mark.parametrize("typed", ["", "much", "-1e22", "1e22e", "NaN", "0", "1e99", "1,95", "1,000,00"])
def test_what_is_no_number_changes_nothing_and_is_marked(typed, shown):
    page = shown(fit_of(draws=60))
    before = numbers(page, "budget-N")
    page.type("C-text", typed)
    page.answered()
    assert page.run("document.getElementById('C-text').getAttribute('aria-invalid')") == "true"
    np.testing.assert_array_equal(numbers(page, "budget-N"), before)
    page.run("document.activeElement.blur()")
    assert page.run("document.getElementById('C-text').value") == "1e22"


@pytest.mark.parametrize(
    ("typed", "value"), [("70e21", 7e22), ("1,000T", 1e15), (" 2.5 b ", 2.5e9), (".5e22", 5e21)]
)
def test_numbers_are_read_as_people_write_them(typed, value, shown):
    page = shown(fit_of(draws=2))
    page.type("C-text", typed)
    page.answered()
    assert float(re.search(r"C=([^&]+)", page.run("location.hash"))[1]) == value


def test_hostile_names_are_shown_and_do_nothing(shown, browser, tmp_path, monkeypatch):
    hostile_page(tmp_path, monkeypatch)
    page = browser.page((tmp_path / "report.html").as_uri())
    page.answered()
    assert page.run("window.hacked") is None
    assert page.complaints == []
    assert len(page.requests) == 1
    names = page.run("[...document.querySelectorAll('#case option')].map(option => option.textContent)")
    assert names[1].startswith(f"{HOSTILE[0]}, for corpus {HOSTILE[0]}")
    assert page.run("document.title") == HOSTILE[3]
    foreign = "img:not([src^='data:image/']), iframe, body > svg"
    assert page.run(f"document.querySelectorAll({foreign!r}).length") == 0
    choose(page, 3)
    assert page.run("window.hacked") is None
    page.close()


@pytest.mark.parametrize("width", [380, 800, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(width, dark, shown):
    page = shown({"a_name_without_any_space_" * 4: fit_of(by="corpus", draws=60)}, width=width, dark=dark)
    assert page.run("document.documentElement.scrollWidth") <= width
    wide = (
        "[...document.querySelectorAll('main *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1"
        " && !one.closest('.wide, pre')).map(one => one.outerHTML.slice(0, 80))"
    )
    assert page.run(wide) == []
    paper = page.run("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")


@pytest.mark.parametrize(("width", "dark"), [(380, True), (800, False), (1400, False)])
def test_a_comparison_and_a_back_test_are_drawn_and_fit(width, dark, shown, tmp_path):
    beside = {"comparison": compared(names=("a " * 20, "b_" * 30, "c")), "backtest": backtested()}
    page = shown(fit_of(draws=60), width=width, dark=dark, **beside)
    assert page.complaints == []
    assert len(page.requests) == 1
    assert page.run("document.documentElement.scrollWidth") <= width
    drawn = page.run(
        "[...document.querySelectorAll('#comparison img, #backtest img')].map(one => [one.complete, one.naturalWidth, "
        "one.currentSrc.slice(0, 18), one.alt.length])"
    )
    assert len(drawn) == 3 + 4
    assert all(complete and natural > 300 and alt > 20 for complete, natural, _, alt in drawn)
    assert {kind for *_, kind, _ in drawn} == {"data:image/svg+xml"}
    captions = page.run(  # of tables that are wider than the window: they stay in it
        "[...document.querySelectorAll('caption span')].map(one => one.getBoundingClientRect().right)"
    )
    assert max(captions) <= width
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    printed = page.printed()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 4


def test_tables_are_taken_from_the_page_as_csv(shown, browser, tmp_path):
    fit = fit_of(draws=60)
    page = shown(fit, backtest=backtested())
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "taken"))

    def taken(link: str) -> list[dict]:
        page.run(f"document.querySelector({link!r}).click()")
        file = tmp_path / "taken" / page.run(f"document.querySelector({link!r}).download")
        until = time.monotonic() + chromium.PATIENCE
        # The name is taken by an empty file, that the whole one then takes the place of.
        while not file.exists() or not file.stat().st_size:
            assert time.monotonic() < until
            time.sleep(0.02)
        with file.open(newline="", encoding="utf-8") as opened:
            return list(csv.DictReader(opened))

    optimum = compute_optimal(fit, BUDGET, bounds=BOUNDS)
    rows = taken("#decisions a.csv")
    assert [(row["quantity"], float(row["low"])) for row in rows] == [
        (quantity, optimum.interval(quantity)[0]) for quantity in optimum.draws
    ]
    scores = taken("#backtest a.csv")
    assert float(scores[0]["crps"]) == backtested().total.ours.crps
    page.type("C-text", "3e23")
    page.answered()
    rows = {row["quantity"]: row for row in taken("#explored-csv")}
    assert rows["budget, N"]["asked"].startswith("budget 3e23 FLOP, target loss")
    np.testing.assert_allclose(
        [float(rows["budget, N"][q]) for q in ("low", "median", "high")], numbers(page, "budget-N")
    )
    assert page.complaints == []


def test_every_field_has_a_name_and_every_heading_its_place(shown):
    page = shown(fit_of(by="corpus", draws=60))
    fields = "[...document.querySelectorAll('input, select')]"
    unnamed = f"{fields}.filter(one => !one.labels.length && !one.ariaLabel).length"
    assert page.run(unnamed) == 0
    assert page.run("[...document.querySelectorAll('label')].filter(one => !one.control).length") == 0
    levels = page.run("[...document.querySelectorAll('h1, h2, h3')].map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) == 1
    assert page.run("document.getElementById('curve').getAttribute('aria-label')").startswith(
        "Loss against parameters"
    )
    assert page.run("document.querySelectorAll('#curve path').length") == 2
    ids = page.run("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))


def test_it_prints_with_its_numbers_and_without_its_sliders(shown):
    page = shown(fit_of(draws=60))
    page.type("C-text", "3e23")
    page.answered()
    page.call("Emulation.setEmulatedMedia", media="print", features=[])
    display = "getComputedStyle(document.querySelector({!r})).display"
    assert page.run(display.format(".controls")) == "none"
    assert page.run(display.format("#settings")) == "block"
    assert text(page, "settings").startswith("budget 3e23 FLOP, target loss")
    assert page.run("document.getElementById('budget-N').getBoundingClientRect().height") > 0
    printed = page.printed()
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 3
