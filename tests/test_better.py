"""Which run would be better, whether fits agree on it, and how often they are said not to."""

import numpy as np
import pytest

from bayescale import models
from bayescale.check.published import published
from bayescale.decide.better import better, left_out, rivals
from bayescale.decide.predict import predict_loss
from bayescale.decide.surface import surface
from bayescale.pooling import Pooling
from tests.made import BESIROGLU, RUNS, fit_of, some

SMALL, LARGE = {"N": 1e10, "D": 1.7e12}, {"N": 1e11, "D": 1.7e11}


def test_the_difference_of_two_runs_draw_by_draw():
    natural = some(BESIROGLU, sd=0.01)
    found = better(fit_of("chinchilla", natural), SMALL, LARGE)
    A, B, alpha, beta = (natural[p] for p in ("A", "B", "alpha", "beta"))
    expected = A * (1e10**-alpha - 1e11**-alpha) + B * (1.7e12**-beta - 1.7e11**-beta)
    np.testing.assert_allclose(found["difference"], expected, rtol=1e-9)
    assert found.probability("difference", below=0) == np.mean(expected < 0)
    back = better(fit_of("chinchilla", natural), LARGE, SMALL)
    np.testing.assert_array_equal(back["difference"], -found["difference"])


def test_the_price_of_the_wrong_run_in_nats_and_in_compute():
    """C_eq = 6 (K / (L - E))^(1 / gamma)."""
    natural = some(BESIROGLU, sd=0.02)
    fit = fit_of("chinchilla", natural)
    A, B, alpha, beta = (natural[p] for p in ("A", "B", "alpha", "beta"))
    above = [A * run["N"] ** -alpha + B * run["D"] ** -beta for run in (SMALL, LARGE)]
    best = int(above[1].mean() < above[0].mean())
    excess = np.maximum(above[best] - above[1 - best], 0)
    for pair in ((SMALL, LARGE), (LARGE, SMALL)):
        found = better(fit, *pair)
        assert {c: found.choice[c] for c in "ND"} == (SMALL, LARGE)[best]
        np.testing.assert_allclose(found["excess loss"], excess, rtol=1e-9, atol=1e-12)
        assert found.choice["excess loss"] == pytest.approx(excess.mean())
        # K and E are those of both runs.
        share = (above[1 - best] / above[best]) ** ((alpha + beta) / (alpha * beta))
        np.testing.assert_allclose(found.regret, np.maximum(1 - share, 0), atol=1e-7)
    assert 0 < found.regret.mean() < 0.5


def test_in_compute_only_where_the_law_can_say():
    along = published(models.load("power").along("C"), {"A": "26.58", "alpha": "0.050"})
    found = better(along, {"C": 1e22}, {"C": 1e23})
    assert found.regret is None
    assert found.choice == {"C": 1e23, "excess loss": 0.0}


def test_runs_of_two_levels_share_what_the_levels_share():
    shifts = np.stack([np.full(200, -0.01), np.full(200, 0.01)], axis=1)[None]
    deviations = {"A_by_corpus": shifts, "A_by_corpus_scale": np.full((1, 200), 0.3)}
    fit = fit_of(
        "chinchilla", some(BESIROGLU), pooling=(Pooling(("A",), by="corpus"),), deviations=deviations
    )
    x, y = surface(fit, corpus="x"), surface(fit, corpus="y")
    found = better(x, SMALL, SMALL, over=y)
    assert found.probability("difference", below=0) == 1
    assert found.regret is None  # of two recipes
    apart = better(x, SMALL, SMALL, over=y, joint=False)
    assert 0.3 < apart.probability("difference", below=0) < 0.8


def leaning(share):
    """A fit in which a share of 200 draws has the small run better: a larger B makes more of its many tokens."""
    natural = some(BESIROGLU, sd=0.0)
    natural["B"] = np.where(np.arange(200) < 200 * share, 1.05, 0.9) * BESIROGLU["B"]
    return fit_of("chinchilla", natural)


def ask(fit):
    return better(fit, SMALL, LARGE)


def test_fits_that_do_not_agree_are_named():
    fits = {"student_t": leaning(0.8), "log_normal": leaning(0.375)}
    found = rivals(fits, ask, "difference", below=0)
    assert found.probabilities == {"student_t": 0.8, "log_normal": 0.375}
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("MODELSENS", "severe")  # they would choose differently
    assert finding.number == pytest.approx(0.425)
    assert "0.80 with student_t, 0.38 with log_normal" in finding.message
    assert "MODELSENS" in repr(found)
    assert found.stacked({"student_t": 3, "log_normal": 1}) == pytest.approx(0.69375)


def test_fits_that_agree_are_not():
    found = rivals({"a": leaning(0.8), "b": leaning(0.65)}, ask, "difference", below=0)
    assert found.findings == ()
    apart = rivals({"a": leaning(0.99), "b": leaning(0.65)}, ask, "difference", below=0)
    assert [f.severity for f in apart.findings] == ["warning"]  # but all choose the same


def test_a_fit_far_behind_is_no_rival():
    fits = {"a": leaning(0.8), "b": leaning(0.75), "c": leaning(0.1)}
    found = rivals(fits, ask, "difference", below=0, elpd={"a": 700.0, "b": 697.0, "c": 690.0})
    assert found.rivals == ("a", "b")
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("MODELSENS", "note")
    assert "only c, 10 nats behind by leave-one-out, says otherwise" in finding.message
    assert found.said == "0.80 by a, elpd 700.0 nats; 0.75 by b, elpd 697.0 nats; 0.10 by c, elpd 690.0 nats"
    (severe,) = rivals(fits, ask, "difference", below=0, elpd={"a": 7.0, "b": 1.0, "c": 4.0}).findings
    assert severe.severity == "severe"
    assert "with b" not in severe.message
    assert rivals(fits, ask, "difference", below=0).findings


def test_rivals_are_judged_by_the_runs_they_leave_out():
    """Each run's density is nearly the same in all draws, so that leaving it out changes nothing but Monte Carlo."""
    from bayescale.infer.pointwise import log_likelihood

    close, off = (fit_of("chinchilla", some(BESIROGLU | {"E": E}, sd=1e-7)) for E in (BESIROGLU["E"], 2.0))
    elpd = left_out({"a": close, "b": surface(off), "c": published(models.load("chinchilla"), BESIROGLU)})
    assert set(elpd) == {"a", "b"}
    assert elpd["b"] == pytest.approx(log_likelihood(off)[0].sum(), rel=1e-3)
    other = close.replace(runs=RUNS.subset(np.arange(12) < 11))
    for call in (
        lambda: left_out({"a": close, "b": other}),
        lambda: rivals({"a": close, "b": other}, ask, "N"),
    ):
        with pytest.raises(
            ValueError, match="b was fitted to other runs than a; rivals are fits to the same"
        ):
            call()


def test_any_question_can_be_asked_of_rivals():
    from bayescale.decide.allocate import compute_optimal

    fits = {"a": published(models.load("chinchilla"), BESIROGLU), "b": leaning(0.5)}
    found = rivals(fits, lambda fit: compute_optimal(fit, 1e22), "D/N", above=20.37)
    assert set(found.decisions) == {"a", "b"}


def test_what_is_refused():
    fit = leaning(0.5)
    with pytest.raises(ValueError, match="D of a run is -1; it is a positive number"):
        better(fit, {"N": 1e10, "D": -1}, LARGE)
    with pytest.raises(ValueError, match="1 fit has no rivals"):
        rivals({"a": fit}, ask, "difference")
    with pytest.raises(ValueError, match="b has no elpd; give one for each of a, b"):
        rivals({"a": fit, "b": fit}, ask, "difference", elpd={"a": 1.0})
    both = rivals({"a": fit, "b": fit}, ask, "difference", below=0)
    for weights in ({"c": 1.0}, {"a": -1.0, "b": 2.0}, {"a": 0.0}):
        with pytest.raises(ValueError, match="they are 0 or more, not all 0, of a, b"):
            both.stacked(weights)


def test_covariates_that_the_law_has_not_are_refused():
    fit = leaning(0.5)
    for c, ask in (
        ("U", lambda: better(fit, {**SMALL, "U": 1e9}, LARGE)),
        ("zz", lambda: predict_loss(fit, {**SMALL, "zz": 1.0})),
        ("zz", lambda: fit.predict({**SMALL, "zz": 1.0})),
    ):
        with pytest.raises(ValueError, match=f"law chinchilla is in N, D; leave {c} out"):
            ask()
    given = fit.predict({"N": 1e10, "C": 6e21})  # D follows
    np.testing.assert_allclose(given, fit.predict({"N": 1e10, "D": 1e11, "C": 6e21}))
