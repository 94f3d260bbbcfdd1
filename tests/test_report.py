"""The page of a report, as text: what it says, what it escapes, what it refuses, and how it is made again."""

import base64
import csv
import hashlib
import html
import io
import json
import re
import shlex
import types
from html.parser import HTMLParser
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import bayescale as bs
from bayescale import models, noise, parallel, storage
from bayescale.check.as_data import load_check, save_check
from bayescale.check.findings import Finding, findings
from bayescale.cli import main
from bayescale.columns import label
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.invert import compute_for
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.model import Model
from bayescale.page import explore, figures, of_findings, report, reproduce
from bayescale.page.answers import BOUNDS
from bayescale.pooling import Pooling
from bayescale.recipe import law_in
from bayescale.runs import Runs
from tests.made import backtested, compared

N = np.geomspace(1e8, 1e10, 12)
COLUMNS = {"N": N, "D": np.tile([2e9, 3e10, 2e11], 4), "loss": np.linspace(3.3, 2.1, 12)}
RUNS = Runs.make({**COLUMNS, "corpus": list("xy") * 6}, factors=["corpus"], source="runs.csv")
# Besiroglu et al. 2024, arXiv:2404.10102, as printed.
BESIROGLU = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
REPEATED = BESIROGLU | {"R_D": 15.4, "R_N": 5.3}
STATS = {
    "at_bound": [],
    "mode_converged": True,
    "pareto_k": 0.1,
    "mode_agreed": 9,
    "mode_starts": 9,
    "key": [0, 3],
}
STATS |= {"versions": {"bayescale": "0.1.0"}, "device": "cpu"}
BUDGET = 1e22
HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "<svg onload=window.hacked=1>",
    "{{ 7 * 7 }}{% raw %}",
    "$\\frac{$ ]]> <!-- \u2028 \u202e \x01",
    "'; window.hacked = 1; '",
)


def fit_of(
    law="chinchilla", natural=None, *, draws=200, runs=RUNS, by=None, method="laplace", spread=0.02, **stats
):
    """A fit of some draws about natural parameters; parameters A differ by a factor where one is named."""
    law = models.load(law) if isinstance(law, str) else law
    if natural is None:
        natural = {p: v for p, v in REPEATED.items() if p in law.parameters}
    random = np.random.default_rng(0)
    scattered = {p: v * np.exp(spread * random.standard_normal(draws)) for p, v in natural.items()}
    with parallel.workbench():
        relative = law.to_reference(scattered, runs.reference, runs.unit)
        found = {p: np.asarray(v, float).reshape(1, -1) for p, v in relative.items()}
    found["sigma"] = np.full((1, draws), 0.01)
    pooling = (Pooling(("A",), by=by),) if by else ()
    if by:
        shifts = np.linspace(-0.3, 0.4, len(runs.levels[by]))
        found |= {f"A_by_{by}": np.tile(shifts, (1, draws, 1)), f"A_by_{by}_scale": np.full((1, draws), 0.2)}
    return Fit(Model(law, noise.log_normal, pooling, effects=()), runs, found, method, STATS | stats)


def repeated_fit(**options):
    runs = Runs.make({**COLUMNS, "U": np.minimum(COLUMNS["D"], 2e10)}, source="repeated.csv")
    return fit_of("data_constrained", runs=runs, **options)


@pytest.fixture(autouse=True)
def _unrefitted(monkeypatch):
    """Refits take seconds; of them are tests/test_of_refits.py and those that say what they find."""
    monkeypatch.setattr(of_findings, "all_findings", lambda key, fit: findings(fit))


@pytest.fixture
def undrawn(monkeypatch):
    """Figures take most of the time, and most tests are not about them."""
    monkeypatch.setattr(figures, "figures", lambda *_: [])


def written(fits, folder, **options) -> str:
    report.report(fits, folder / "report.html", **options)
    return (folder / "report.html").read_text(encoding="utf-8")


def seen(page: str) -> str:
    """The page as a reader sees it, about: without script, style and tags."""
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


# ---- What it says


def test_the_answer_is_that_of_the_decision_and_comes_with_its_interval(tmp_path, undrawn):
    fit = fit_of()
    page = seen(written(fit, tmp_path, compute=BUDGET))
    decision = compute_optimal(fit, BUDGET)
    low, middle, high = (label(v) for v in decision.interval("N"))
    assert f"Spend 1e22 FLOP on {middle} parameters (90%: {low} to {high})" in page
    assert "How should 1e22 FLOP be split between parameters and training tokens?" in page
    assert f"If one size has to be chosen: {label(decision.choice['N'])} parameters on" in page
    assert f"C{decision.advice[1:]}." in page  # below the table of the decision


def test_the_page_tells_of_runs_methods_versions_and_itself(tmp_path, undrawn):
    text = written({"ours": fit_of()}, tmp_path, compute=BUDGET, command="bayescale report fit.nc")
    page = seen(text)
    for said in (
        RUNS.hash,
        *RUNS.notes,
        "LogNormal(-1.6, 1)",
        "arXiv:2203.15556",
        "0.1.0",
        "bayescale report fit.nc",
    ):
        assert said in page, said
    assert "bs.compute_optimal(fit, 1e+22, bounds=(1.0, 1e+20), strict=False)" in page
    order = [
        "answer",
        "findings",
        "explore",
        "decisions",
        "fits",
        "parameters",
        "runs",
        "methods",
        "reproduce",
    ]
    assert re.findall(r'<section id="(\w+)"', text) == order
    assert re.findall(r'<a href="#(\w+)"', text) == order


def test_without_a_budget_it_asks_for_ten_times_the_largest_run(tmp_path, undrawn):
    largest = np.max(RUNS.columns["C"])
    asked = report.report(fit_of(), tmp_path / "report.html")["asked"]
    assert float(re.search(r"should (\S+) FLOP", asked)[1]) == float(f"{10 * largest:.1g}")


def test_findings_come_most_severe_first_with_number_and_what_to_do(tmp_path, undrawn):
    said = report.report(fit_of(), tmp_path / "report.html", compute=1e26)
    severities = [one["severity"] for one in said["findings"]]
    assert severities == sorted(severities, key=("severe", "warning", "note").index)
    extrap = next(one for one in said["findings"] if one["code"] == "EXTRAP")
    assert float(extrap["number"]) == pytest.approx(np.log10(1e26 / np.max(RUNS.columns["C"])), abs=0.01)
    page = seen((tmp_path / "report.html").read_text())
    assert extrap["message"] in page
    assert f"What to do: {extrap['action']}" in page


def test_findings_that_are_given_are_those_that_are_told(tmp_path, undrawn):
    finding = Finding("SUPPORT", "severe", "alpha moves", 2.0, "Look")
    page = seen(written({"ours": fit_of()}, tmp_path, compute=BUDGET, checked={"ours": [finding]}))
    assert "severe SUPPORT measured 2 alpha moves. What to do: Look." in page
    assert "FEW_RUNS" not in page
    with pytest.raises(ValueError, match="checked names 'theirs', and the fits are ours"):
        report.report({"ours": fit_of()}, tmp_path / "report.html", checked={"theirs": []})


def test_a_fit_that_has_not_converged_gives_no_answer_and_no_sliders(tmp_path, undrawn):
    page = written({"bad": fit_of(pareto_k=0.9), "good": fit_of()}, tmp_path, compute=BUDGET)
    assert 'class="trouble" role="alert"' in page
    assert page.index("Not converged") < page.index("What was asked")
    assert page.count('class="answer"') == 1
    assert "There are no sliders for bad: it has not converged." in seen(page)
    alone = written(fit_of(pareto_k=0.9), tmp_path, compute=BUDGET)
    assert 'class="answer"' not in alone
    assert "<script" not in alone
    assert "The answer" not in seen(alone)


def test_several_fits_stand_side_by_side(tmp_path, undrawn):
    fits = {
        "one": fit_of(),
        "two": fit_of("chinchilla_tied"),
        "point": fit_of(draws=1, method="map", spread=0),
    }
    page = seen(written(fits, tmp_path, compute=BUDGET))
    assert "Under each fit: the best split of 1e22 FLOP" in page
    assert "This is a point estimate: it comes with no interval." in page
    same = report.report([fit_of(), fit_of()], tmp_path / "report.html", compute=BUDGET)
    assert [one["name"] for one in same["answers"]] == ["chinchilla", "chinchilla 2"]


def test_levels_are_asked_of_the_fits_that_have_them(tmp_path, undrawn):
    fits = {"pooled": fit_of(by="corpus"), "plain": fit_of()}
    page = seen(written(fits, tmp_path, compute=BUDGET, corpus="y"))
    expected = compute_optimal(fits["pooled"], BUDGET, corpus="y").interval("N")[1]
    assert f"Spend 1e22 FLOP on {label(expected)} parameters" in page
    assert "parameters and training tokens, for corpus y?" in page
    assert "pooled: the best split of 1e22 FLOP at each level" in page
    with pytest.raises(ValueError, match="no fit has the factor language; there are corpus"):
        report.report(fits, tmp_path / "report.html", language="C")
    with pytest.raises(ValueError, match="corpus has no level 'z'; it has x, y"):
        report.report(fits, tmp_path / "report.html", corpus="z")


def test_a_target_serving_and_unique_tokens_are_answered(tmp_path, undrawn):
    page = seen(written(fit_of(), tmp_path, compute=BUDGET, target=2.1))
    assert "A loss of 2.1 takes" in page
    run, regret = compute_for(fit_of(), 2.1).choice, compute_for(fit_of(), 2.1).regret
    C, N, D = (label(run[name]) for name in "CND")
    assert (
        f"If one run has to do: {C} FLOP, {N} parameters on {D} tokens. It misses in {np.mean(regret == 1):.1%} of "
        f"the draws; counting all of it as wasted there, it wastes {regret.mean():.1%} on average."
    ) in page
    page = seen(written(fit_of(), tmp_path, compute=BUDGET, target=2.1, inference=1e12))
    assert "To reach a loss of 2.1 and answer 1T tokens costs least with" in page
    page = seen(written(repeated_fit(), tmp_path, compute=BUDGET, unique=1e10))
    assert "With 10B unique tokens that is" in page
    assert "bs.data_limited_optimal(fit, 1e+22, 1e+10" in page


def test_what_is_published_stands_beside_a_fit_and_needs_no_runs(tmp_path):
    printed = bs.published(models.load("chinchilla"), BESIROGLU, source="Besiroglu et al. 2024")
    page = written({"published": printed}, tmp_path, compute=5.76e23)
    assert "Spend 5.76e23 FLOP on 72.2B parameters and 1.33T tokens, 18.4 tokens per parameter" in seen(page)
    assert "bs.published(models.load('chinchilla'), {'E': 1.8172" in seen(page)
    assert "<img" not in page
    assert 'id="C-range"' in page
    with pytest.raises(
        ValueError, match="there are no runs that could say what budget is asked about; give compute"
    ):
        report.report(printed, tmp_path / "report.html")


def curve_fit():
    law = models.load("power_floor").along("C")
    return fit_of(law, {"E": 1.6, "A": 95.18, "alpha": 0.0941})


def test_a_law_in_compute_says_what_a_budget_buys_and_a_law_of_other_things_why_it_does_not(
    tmp_path, undrawn
):
    page = seen(written({"curve": curve_fit()}, tmp_path, compute=BUDGET, target=2.0))
    assert "What do 1e22 FLOP buy" in page
    assert "At 1e22 FLOP expect a loss of" in page
    assert "A loss of 2 takes" in page
    assert "There are no sliders for curve: its law is of loss in C, not of loss in N and D." in page
    runs = Runs.make({"N": N, "experts": np.tile([1, 8, 64], 4), "loss": COLUMNS["loss"]})
    routed = {"a": -0.08, "b": -0.1, "c": 0.009, "d": 1.1, "shift": 0.85, "E_max": 314.5}
    page = seen(written({"routed": fit_of("routed", routed, runs=runs)}, tmp_path))
    assert "a budget cannot be split, because the law routed is of loss in N, experts." in page
    with pytest.raises(ValueError, match="no fit has the covariate heads; there are D, N"):
        report.report(fit_of(), tmp_path / "report.html", at={"heads": 8})


def unusual(N, D, *, E, A, alpha):
    return E + A * N**-alpha * (2 - jax.scipy.special.erf(jnp.log(D) / 50))


def test_a_law_without_translation_gets_a_page_without_sliders_that_says_so(tmp_path, undrawn):
    priors = {
        "E": dist.LogNormal(0.0, 1.0),
        "A": dist.LogNormal(0.0, 1.0),
        "alpha": dist.LogNormal(-1.2, 0.5),
    }
    fit = fit_of(Law(name="unusual", mean=unusual, priors=priors, source="this test"))
    page = written(fit, tmp_path, compute=BUDGET)
    assert "its law has no translation into JavaScript: the operation erf has no translation" in seen(page)
    assert "<script" not in page
    assert "The answer" in seen(page)


# ---- What it cannot answer, and what speaks against its answers


def test_what_was_not_checked_is_said_with_its_reason(tmp_path, undrawn, monkeypatch):
    def failing(key, fit):
        raise ValueError("no mode")

    monkeypatch.setattr(of_findings, "all_findings", failing)
    printed = bs.published(models.load("chinchilla"), BESIROGLU, source="Besiroglu et al. 2024")
    fits = {"printed": printed, "bad": fit_of(pareto_k=0.9), "good": fit_of()}
    said = report.report(fits, tmp_path / "report.html", compute=BUDGET)["unchecked"]
    assert [one.partition(":")[0] for one in said] == [f"Not checked of {name}" for name in fits]
    assert [one.rpartition("; ")[2] for one in said] == [
        "of a published fit there are no priors to fit anew with.",
        "it has not converged.",
        "the refits failed: no mode.",
    ]


def test_findings_of_every_answer_are_told_once_with_the_question(tmp_path, undrawn):
    options = {"compute": 1e26, "target": 1.85}
    said = report.report(fit_of(spread=0.001), tmp_path / "report.html", **options)["findings"]
    extrap = [one["of"] for one in said if one["code"] == "EXTRAP"]
    assert extrap == ["for the best split of 1e26 FLOP", "for what a loss of 1.85 takes"]
    assert len({(one["code"], one["message"]) for one in said}) == len(said)


def test_fits_of_the_same_runs_that_do_not_agree_are_told(tmp_path, undrawn):
    fits = {"one": fit_of(spread=0.001), "two": fit_of(natural=BESIROGLU | {"alpha": 0.25}, spread=0.001)}
    said = report.report(fits, tmp_path / "report.html", compute=BUDGET)["findings"]
    (one,) = [one for one in said if one["code"] == "MODELSENS"]
    middles = [compute_optimal(fit, BUDGET, bounds=(1.0, 1e20)).interval("N")[1] for fit in fits.values()]
    assert float(one["number"]) == pytest.approx(abs(np.log10(middles[0] / middles[1])), rel=0.01)
    assert all(label(middle) in one["message"] for middle in middles)
    same = report.report({"one": fit_of(), "two": fit_of()}, tmp_path / "report.html", compute=BUDGET)
    assert "MODELSENS" not in [one["code"] for one in same["findings"]]


def test_what_a_law_has_no_say_in_is_unanswered_with_its_reason(tmp_path, undrawn):
    fits = {"plain": fit_of(), "curve": curve_fit()}
    said = report.report(fits, tmp_path / "report.html", compute=BUDGET, unique=1e10, inference=1e12)
    plain, curve, cost = said["unanswered"]
    assert plain.startswith("plain: 10B unique tokens change nothing of this answer")
    assert curve.startswith("curve: 10B unique tokens")
    assert plain.endswith("fit a law in U, such as data_constrained.")
    assert cost.endswith("in C alone; fit a law in N and D, such as chinchilla.")


def test_an_answer_that_fails_leaves_the_others(tmp_path, undrawn, monkeypatch):
    def failing(*_):
        raise ValueError("1e6 FLOP are too few")

    monkeypatch.setattr("bayescale.page.answers.allocation", failing)
    options = {"compute": BUDGET, "target": 2.1}
    said = report.report({"ours": fit_of()}, tmp_path / "report.html", **options)
    assert [one["text"][:17] for one in said["answers"]] == ["A loss of 2.1 tak"]
    assert said["unanswered"] == [
        "ours: 1e6 FLOP are too few.",
        "There are no sliders for ours: what is asked of them has no answer, or is beyond 1e40, so that they have "
        "nothing to begin with.",
    ]
    told = report.report({"ours": repeated_fit()}, tmp_path / "report.html", compute=1e6, unique=1e11)
    assert "1e6 FLOP are too few" in told["unanswered"][0]


def test_a_budget_beyond_all_bounds_has_no_sliders_and_says_so(tmp_path, undrawn):
    said = report.report({"ours": fit_of()}, tmp_path / "report.html", compute=1e60)
    assert said["answers"][0]["text"] == (
        "No split of 1e60 FLOP between 1 and 1e+20 parameters is best in any draw."
    )
    assert said["unanswered"][-1].startswith("There are no sliders for ours")
    assert "<script" not in (tmp_path / "report.html").read_text()


def test_a_loss_out_of_reach_is_called_so(tmp_path, undrawn):
    def told(fit, target, **options):
        said = report.report(fit, tmp_path / "report.html", compute=BUDGET, target=target, **options)
        return said["answers"][1]["text"]

    assert told(fit_of(), 1.5) == "A loss of 1.5 is out of reach of any compute in every draw."
    point = fit_of(draws=1, method="map", spread=0)
    assert told(point, 1.5).startswith("A loss of 1.5 is out of reach of any compute.")
    some = told(fit_of(), 1.8172)  # the median of the floors
    out = float(np.mean(fit_of().flat("E") * float(np.asarray(RUNS.unit)) >= 1.8172))
    assert some.startswith(
        f"A loss of 1.8172 is out of reach of any compute in {out:.1%} of the draws; where it is within reach it takes"
    )
    assert "∞" not in some
    served = told(fit_of(), 1.5, inference=1e12)
    assert (
        served == "To reach a loss of 1.5 and answer 1T tokens is out of reach of any compute in every draw."
    )


# ---- That it is safe, small and the same


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> str:
    """A page where whatever the data name is hostile, with its figures."""
    with pytest.MonkeyPatch.context() as patch:
        return hostile_page(tmp_path_factory.mktemp("hostile"), patch)


def hostile_page(folder, monkeypatch) -> str:
    """A page where whatever the data name is hostile; its figures are drawn."""
    corpora = [HOSTILE[i % 6] for i in range(12)]
    plain = [f"corpus {i % 6}" for i in range(12)]
    runs = Runs.make({**COLUMNS, "corpus": plain}, factors=["corpus"])
    # What no table is read with, such as control characters, may still come from Python.
    runs = runs.replace(levels={"corpus": tuple(dict.fromkeys(corpora))}, source=HOSTILE[1], notes=HOSTILE)
    law = models.load("chinchilla")
    mean = types.FunctionType(law.mean.__code__, {"__doc__": HOSTILE[2]}, "mean")
    mean.__kwdefaults__ = law.mean.__kwdefaults__
    law = law.replace(name=HOSTILE[5], mean=mean, source=HOSTILE[3])
    finding = Finding(HOSTILE[3], "warning", HOSTILE[4], 1.0, HOSTILE[0])
    monkeypatch.setattr(of_findings, "all_findings", lambda key, fit: (finding,))
    monkeypatch.setattr(of_findings, "findings", lambda fit: (finding,))
    fits = {HOSTILE[0]: fit_of(law, BESIROGLU, runs=runs, by="corpus"), HOSTILE[2]: fit_of(pareto_k=0.9)}
    said = compared(runs, HOSTILE[:3], HOSTILE[1]).to_dict()
    return written(fits, folder, compute=BUDGET, title=HOSTILE[3], command=HOSTILE[0], comparison=said)


def test_nothing_from_the_data_gets_into_the_page_but_as_text(hostile):
    told = re.search(r'<script type="application/json" id="explored">(.*?)</script>', hostile, re.DOTALL)[1]
    assert not set("<>&'\u2028") & set(told)
    assert HOSTILE[0] in {one["name"] for one in json.loads(told)["cases"]}
    tags = Tags()
    tags.feed(hostile)
    names = [name for name, _ in tags.found]
    assert [name for name in names if name in ("script", "style")] == ["style", "script", "script"]
    assert not {"object", "iframe", "embed", "form", "base"} & set(names)
    assert names.count("svg") == 1  # that of the sliders
    assert not [
        a for _, attributes in tags.found for a, _ in attributes if a.startswith("on") or a == "style"
    ]
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", hostile, flags=re.DOTALL)
    for said in HOSTILE[:4]:
        assert html.escape(said).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in text


class Tags(HTMLParser):
    """The tags of a page with their attributes, as a browser finds them."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))


def test_no_script_and_no_style_but_its_own_and_no_address(hostile):
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', hostile)[1])
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", hostile, re.DOTALL)[1]
        own = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{own}'" in policy
        assert not re.search(r"\b(eval|Function|innerHTML|document\.write|insertAdjacentHTML)\b", text)
    tags = Tags()
    tags.feed(hostile)
    addresses = [v for _, attributes in tags.found for a, v in attributes if a in ("src", "href", "srcset")]
    assert all(address.startswith(("data:image/", "data:text/csv;", "#")) for address in addresses)
    images = [dict(attributes) for name, attributes in tags.found if name == "img"]
    # One has levels, the other no regret. Then the comparison.
    assert len(images) == 8 + 6 + 3
    assert all(len(one["alt"]) > 20 for one in images)
    assert len(hostile.encode()) < 4_000_000


def test_the_same_figure_is_the_same_bytes_and_its_letters_are_letters():
    def draw():
        figure = Figure()
        figure.subplots().set_title("$\\frac{$ \x01 \u202e 漢字")
        return figure

    one, two = (figures.image(draw, "", "") for _ in range(2))
    assert one == two
    assert base64.b64decode(one["light"].partition(",")[2]).startswith(b"<?xml")
    assert (one["width"], one["height"]) == (614, 461)  # 6.4 by 4.8 inches


def test_a_page_too_large_to_be_mailed_is_refused(tmp_path, undrawn, monkeypatch):
    monkeypatch.setattr(report, "LARGEST", 1000)
    with pytest.raises(ValueError, match=r"the page would take 0\.\d MB; take fewer fits into one report"):
        report.report(fit_of(), tmp_path / "report.html", compute=BUDGET)
    assert not (tmp_path / "report.html").exists()


def test_figures_that_matter_less_are_left_out_of_a_page_that_would_be_too_large(tmp_path, monkeypatch):
    def drawn(draw, caption, alt):
        image = {"light": f"data:image/png;base64,{'A' * 100_000}", "dark": "data:,", "width": 9, "height": 9}
        return {**image, "caption": caption, "alt": alt}

    monkeypatch.setattr(figures, "image", drawn)
    fits = {name: fit_of() for name in "ab"}
    whole = written(fits, tmp_path, compute=BUDGET)
    assert whole.count("<img") == 14
    assert "<details>" in whole
    monkeypatch.setattr(report, "FOLDED", 1_400_000)
    some = written(fits, tmp_path, compute=BUDGET)
    assert (some.count("<img"), "<details>" in some) == (12, False)
    assert "2 more would make this page too large to be mailed; bayescale plot FIT --kind all" in seen(some)
    monkeypatch.setattr(report, "LARGEST", 1_000_000)
    few = written(fits, tmp_path, compute=BUDGET)
    assert few.count("<img") == 4
    assert "10 more would make" in seen(few)


def test_of_many_fits_fewer_figures_are_drawn(monkeypatch):
    monkeypatch.setattr(figures, "image", lambda draw, caption, alt: {})
    one = figures.figures({"a": fit_of(by="corpus")}, {"corpus": "x"}, {"a": (BUDGET, {})})
    many = figures.figures({name: fit_of() for name in "abcd"}, {}, {})
    assert (len(one), len(many)) == (8, 8)
    assert [f["folded"] for f in one].count(True) == 1


def test_what_cannot_be_drawn_is_said(tmp_path, monkeypatch):
    def nowhere(*_, **__):
        raise ValueError("the best split is nowhere")

    monkeypatch.setattr(figures, "image", nowhere)
    page = seen(written({"fit": fit_of()}, tmp_path, compute=BUDGET))
    assert (
        "Not drawn: fit: loss measured, and the law, with 90% bands, because the best split is nowhere."
        in page
    )


def test_letters_of_the_page_stand_out_from_what_they_are_on():
    css = (report.importlib.resources.files("bayescale.page") / "report.css").read_text()
    blocks = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block)) for block in css.split(":root {")[1:]]
    assert len(blocks) == 3  # light, dark, print

    def light(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    for block in blocks:
        pairs = [(ink, on) for ink in ("ink", "soft", "accent") for on in ("paper", "panel")]
        pairs += [(one, f"{one}-panel") for one in ("severe", "warning", "note")]
        pairs += [(ink, f"{one}-panel") for ink in ("ink", "soft") for one in ("severe", "warning", "note")]
        for ink, on in pairs:
            high, low = sorted((light(block[ink]), light(block[on])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, on)  # WCAG 2.2, 1.4.3


def test_draws_are_thinned_evenly_and_packed_to_the_bit():
    assert explore.thinned(4000).tolist() == list(range(0, 4000, 8))
    assert explore.thinned(3).tolist() == [0, 1, 2]
    fit = fit_of(draws=1100)
    (case,) = explore.cases_of(fit, "one", {})
    packed = explore.packed(case)
    rows = np.frombuffer(base64.b64decode(packed["draws"])).reshape(packed["count"], packed["width"])
    np.testing.assert_array_equal(rows[:, 3], fit.flat("alpha")[explore.thinned(1100)])


def test_cases_are_those_asked_then_what_is_typical_then_each_level_if_they_are_few():
    fit = fit_of(by="corpus")
    assert [case.said for case in explore.cases_of(fit, "", {"corpus": "y"})] == [
        "for corpus y",
        "for a typical corpus",
        "for corpus x",
    ]
    many = RUNS.replace(levels={"corpus": tuple("abcdefghijklmnop")})
    assert [case.levels for case in explore.cases_of(fit_of(by="corpus", runs=many), "", {})] == [{}]


# ---- What is put beside it


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


# ---- To make it again


def test_what_makes_the_fit_again_makes_the_same_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [
        f"{n:.9g},{d:g},{c},{1.8 + 400 * n**-0.34 + 1500 * d**-0.36:.6f}"
        for n, d, c in zip(N, COLUMNS["D"], "xy" * 6, strict=True)
    ]
    (tmp_path / "runs.csv").write_text("\n".join(["N,D,corpus,loss", *lines]))
    model = Model(models.load("chinchilla_tied"), noise.huber(1e-3), effects=())
    fit = bs.optimize(jax.random.key(5), model, Runs.read("runs.csv", where="D > 2e9"), priors=False)
    (typed, python) = reproduce.fitting(fit)
    space: dict = {}
    exec(python[1], space)
    np.testing.assert_array_equal(space["fit"].draws["alpha"], fit.draws["alpha"])
    assert len(space["runs"]) == 8
    words = shlex.split(typed[1])
    assert words[:2] == ["bayescale", "fit"]
    assert CliRunner().invoke(main, words[1:], catch_exceptions=False).exit_code == 0
    np.testing.assert_array_equal(storage.load("fit.nc").draws["alpha"], fit.draws["alpha"])


def test_what_no_command_can_say_is_said_in_python():
    law = models.load("chinchilla").replace(priors={"alpha": dist.LogNormal(-1.0, 0.25)})
    ((title, text),) = reproduce.fitting(fit_of(law, by="corpus"))
    assert title == "The fit, in Python"
    assert "models.load('chinchilla').replace(priors={'alpha': dist.LogNormal(-1, 0.25)})" in text
    assert "pooling=[bs.Pooling(('A',), by='corpus')]" in text
    assert "bs.laplace(jax.random.key(3), model, runs, draws=200)" in text
    compile(text, "reproduce", "exec")
    typed = dict(reproduce.fitting(fit_of(by="corpus")))["The fit, on the command line"]
    assert "--vary A --by corpus --effect none --method laplace --seed 3 --chains 1 --draws 200" in typed
    ((_, text),) = reproduce.fitting(fit_of(key=[17, 4]))
    assert "jax.random.wrap_key_data(np.uint32([17, 4]))" in text
    ((_, text),) = reproduce.fitting(fit_of(method="bootstrap", replicates=9, unfinished=0))
    assert "made by other means" in text
    sampled = fit_of(
        method="nuts", attempt=2, warmup=1000, target=0.995, diverging=np.zeros((1, 200)), draws=200
    )
    ((_, text), *_) = [one for one in reproduce.fitting(sampled) if "Python" in one[0]]
    assert "chains=1, draws=100, warmup=500)" in text  # a second try takes twice as many


# ---- On the command line


@pytest.fixture
def fit_file(tmp_path):
    storage.save(fit_of(), tmp_path / "fit.nc")
    return str(tmp_path / "fit.nc")


def test_the_verb_writes_the_page(fit_file, tmp_path, undrawn):
    page = tmp_path / "page.html"
    options = ["--compute", "1e22", "--loss", "2.1", "-o", str(page)]
    done = CliRunner().invoke(main, ["report", fit_file, *options], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Spend 1e22 FLOP on" in done.output
    assert f"bayescale report {fit_file} --compute 1e22 --loss 2.1 --seed 0 -o {page}" in seen(
        page.read_text()
    )
    told = json.loads(CliRunner().invoke(main, ["report", fit_file, *options, "--json"]).output)
    assert told["file"] == str(page)
    assert told["answers"][0]["text"] in done.output
    assert [one["question"] for one in told["numbers"]] == ["compute_optimal", "compute_for"]


SUPPORT = Finding("SUPPORT", "severe", "alpha moves", 2.0, "Look")


def test_the_verb_checks_with_refits_unless_it_is_to_be_quick(fit_file, tmp_path, undrawn, monkeypatch):
    monkeypatch.setattr(of_findings, "all_findings", lambda key, fit: (SUPPORT,))
    page = tmp_path / "page.html"
    typed = ["report", fit_file, "--compute", "1e22", "-o", str(page)]
    done = CliRunner().invoke(main, typed, catch_exceptions=False)
    assert "Severe finding stands against this answer: SUPPORT" in done.output
    assert "Severe finding stands against this answer: SUPPORT" in seen(page.read_text())
    assert f"--compute 1e22 --seed 0 -o {page}" in seen(page.read_text())
    done = CliRunner().invoke(main, [*typed, "--quick"], catch_exceptions=False)
    assert "Not checked: CLUSTER, SUPPORT, IRRELEVANT" in done.output
    text = seen(page.read_text())
    assert "Not checked: CLUSTER, SUPPORT, IRRELEVANT" in text
    assert "they take refits, which were left out" in text
    assert "alpha moves" not in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nothing.nc"], "there is no file nothing.nc"),
        (["FIT", "FIT"], "a fit is named twice; name each once"),
        (["FIT", "--compute", "much"], "--compute is 'much'; it is a positive number, such as 7e10 or 70B"),
        (["FIT", "--loss", "nan"], "--loss is 'nan'; it is a positive number"),
        (["FIT", "--hold", "U=-3"], "--hold is '-3'; it is a positive number"),
        (["FIT", "-o", "no/where.html"], "no/where.html: there is no folder"),
        (
            ["FIT", "--comparison", "none.json"],
            "there is no file none.json; give what `bayescale compare -o comparison.json` wrote",
        ),
        (["FIT", "--backtest", "FIT"], "is not JSON"),
        (["FIT", "--comparison", "list.json"], "list.json is not what `bayescale compare` wrote"),
    ],
)
def test_bad_input_gives_one_line(options, said, fit_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[]")
    given = [fit_file if one == "FIT" else one for one in options]
    done = CliRunner().invoke(main, ["report", *given], catch_exceptions=False)
    assert done.exit_code == 2
    assert said in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_a_fit_of_a_law_of_ones_own_is_read_with_its_file(tmp_path, undrawn):
    text = Path(models.load("chinchilla").mean.__code__.co_filename).read_text()
    (tmp_path / "mine.py").write_text(text.replace('name="chinchilla"', 'name="mine"'))
    storage.save(fit_of(law_in(tmp_path / "mine.py"), BESIROGLU), tmp_path / "mine.nc")
    storage.save(fit_of(), tmp_path / "ours.nc")
    files = [str(tmp_path / name) for name in ("mine.nc", "ours.nc")]
    page = str(tmp_path / "page.html")
    done = CliRunner().invoke(main, ["report", *files, "--law", str(tmp_path / "mine.py"), "-o", page])
    assert done.exit_code == 0, done.output
    assert "mine: Spend" in done.output
    bare = CliRunner().invoke(main, ["report", files[0], "-o", page])
    assert bare.exit_code == 2
    assert "none of bayescale.models" in bare.output
