"""The page of a report, as text: what it says, what it cannot answer, and what speaks against its answers."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bayescale as bs
from bayescale import models
from bayescale.check.findings import Finding
from bayescale.columns import label
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.invert import compute_for
from bayescale.law import Law
from bayescale.page import of_findings, report
from bayescale.runs import Runs
from tests.made import BESIROGLU
from tests.reports import BUDGET, COLUMNS, RUNS, N, fit_of, repeated_fit, seen, written
from tests.reports import _unrefitted as _unrefitted
from tests.reports import undrawn as undrawn

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
