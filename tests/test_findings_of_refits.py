"""Findings that take other fits: groups that hang together, ends that decide, other floors, other counts."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import f_oneway

import bayescale as bs
from bayescale import models, noise, parallel
from bayescale.check import of_refits
from bayescale.check.clusters import _between, again, clusters, grouped, hanging, times_wider
from bayescale.check.finding import SEVERITIES
from bayescale.check.of_fits import learned
from bayescale.check.of_refits import _irrelevant, _other_count, _other_floors, all_findings
from bayescale.check.relevance import DECISIVE
from bayescale.check.supports import support
from bayescale.check.widened import widen
from bayescale.fit import Fit
from bayescale.infer.bridge import Estimate
from bayescale.infer.evidence import log_evidence
from bayescale.infer.optimize import laplace, optimize
from bayescale.infer.resample import Resampling
from bayescale.model import Model
from bayescale.runs import Runs

KEY = jax.random.key(0)
POWER = Model(models.load("power").along("N"), noise.log_normal, effects=())
FLOOR = Model(models.load("power_floor").along("C"), noise.log_normal, effects=())
GOOD = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1}


def sizes(seed=0, shock=0.0, count=10, of_each=5):
    """Runs of ten sizes, five of each, whose losses are a power of N."""
    rng = np.random.default_rng(seed)
    N = np.repeat(np.geomspace(1e7, 1e10, count), of_each)
    shocks = np.repeat(shock * rng.normal(size=count), of_each)
    loss = 2.5 * (N / 1e8) ** -0.1 * np.exp(0.01 * rng.normal(size=len(N)) + shocks)
    return Runs.make({"N": N, "seed": np.arange(len(N)), "loss": loss}, response="loss")


def known(runs):
    """A fit at the parameters that the runs were made with: nothing is fitted."""
    with parallel.workbench():
        relative = POWER.law.to_reference({"A": 2.5 * 1e8**0.1, "alpha": 0.1}, runs.reference, runs.unit)
    draws = {p: np.full((1, 4), float(np.asarray(v))) for p, v in relative.items()}
    return Fit(POWER, runs, draws | {"sigma": np.full((1, 4), 0.01)}, "laplace", GOOD)


# ---- CLUSTER


def test_the_ratio_of_variances_is_that_of_the_analysis_of_variance():
    """F = 1 + (runs in a group) between / within, where groups are alike."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 7)
    score = rng.normal(size=84) + rng.normal(size=12)[group]
    expected = (f_oneway(*(score[group == g] for g in range(12))).statistic - 1) / 7
    assert _between(score, group, np.full(12, 7)) == pytest.approx(expected, rel=1e-10)


def test_runs_that_share_nothing_do_not_hang_together():
    """The chance is even between 0 and 1, so that of 200 tables 9 or more are under 1% with a probability of 2e-4."""
    chances = []
    for seed in range(200):
        fit = known(sizes(seed))
        chances.append(hanging(jax.random.key(seed), fit, grouped(fit.runs), "size").chance)
    assert np.sum(np.array(chances) <= 0.01) <= 8
    assert np.mean(chances) == pytest.approx(0.5, abs=0.08)  # 4 standard errors


def test_runs_that_share_a_shock_do():
    """A shock as wide as the noise: the variance between sizes is about that within."""
    found = [
        hanging(KEY, known(runs), grouped(runs), "size") for runs in (sizes(s, shock=0.01) for s in range(20))
    ]
    assert np.mean([one.chance <= 0.01 for one in found]) >= 0.9
    assert np.median([one.between for one in found]) == pytest.approx(1.0, abs=0.5)


def test_of_what_is_grouped_anyhow_nothing_is_asked():
    runs = sizes(shock=0.01)
    assert "size" in grouped(runs).factors
    few = runs.subset(np.asarray(runs.columns["N"]) < 2.2e7)  # two sizes
    assert hanging(KEY, known(few), grouped(few), "size") is None
    with_effect = known(runs).replace(model=POWER.replace(effects=(bs.Effect("size"),)))
    assert clusters(KEY, with_effect) == []
    success = Model(models.load("success_power").along("N"), noise.binomial, effects=())
    assert hanging(KEY, known(runs).replace(model=success), grouped(runs), "size") is None


def test_the_bootstrap_by_groups_is_that_of_a_study():
    """Against `bootstrap` with the same clusters, of other replicates: both sd are good to 2.2%."""
    runs = grouped(sizes(3, shock=0.01, count=16))
    fit = laplace(KEY, POWER, runs)
    wider = times_wider(KEY, fit, runs, "size")
    study = bs.bootstrap(
        KEY, POWER, runs, replicates=1024, resampling=Resampling(cluster=("size",)), priors=True
    )
    ratios = [np.std(np.log(study.fit().flat(p))) / np.std(np.log(fit.flat(p))) for p in ("A", "alpha")]
    assert wider == pytest.approx(np.median(ratios), rel=0.15)
    assert wider > 1.3
    (found,) = clusters(KEY, fit)
    assert (found.code, found.severity) == ("CLUSTER", "severe")
    assert found.number == pytest.approx(wider, rel=0.1)
    assert found.message.startswith(
        "runs of one size hang together: between levels of size the variance of the resid"
    )
    assert (
        f"resampled by size, parameters scatter {found.number:.1f} times as far as the posterior says"
        in str(found)
    )
    assert found.action == "Let the runs of one size share a shock (--effect size)"


def test_the_effect_is_switched_on():
    runs = sizes(shock=0.015)
    fit = optimize(KEY, POWER, runs)
    wide, told = widen(KEY, fit)
    assert [one.by for one in wide.model.effects] == ["size"]
    assert wide.method == "map"
    # The scale of the shocks comes out near what it was; of ten sizes it is known to a fifth.
    assert wide.flat("size_effect_scale")[0] == pytest.approx(0.015, rel=0.6)
    (one,) = told
    assert (one.code, one.severity) == ("CLUSTER", "warning")
    assert one.action == "A shock of each size is in the model from here on (--effect none leaves it out)"
    assert "resampled" not in one.message  # a point has no width to compare with
    assert widen(KEY, wide) == (wide, ())
    good = optimize(KEY, POWER, sizes(1))
    assert widen(KEY, good) == (good, ())
    likelihood = optimize(KEY, POWER, runs, priors=False)
    assert widen(KEY, likelihood) == (likelihood, ())


def test_a_fit_is_made_again_as_it_was(monkeypatch):
    runs, asked = sizes(), {}
    monkeypatch.setattr(
        "bayescale.check.clusters.nuts", lambda key, model, runs, **given: asked.update(given)
    )
    stats = {"attempt": 1, "warmup": 300, "target": 0.9, "depth": 8}
    draws = {"A": np.zeros((2, 700))}
    first = Fit(POWER, runs, draws, "nuts", stats)
    again(KEY, first, POWER, runs)
    assert asked == {"chains": 2, "draws": 700, "warmup": 300, "target": 0.9, "depth": 8}
    # The second try of a fit takes twice as many, which is not what was asked for.
    again(KEY, first.replace(stats=stats | {"attempt": 2}), POWER, runs)
    assert (asked["draws"], asked["warmup"]) == (350, 150)


# ---- SUPPORT


def ladder(seed=0, bent=0.0, count=40):
    """Losses of a law in compute, the last tenth of them too high by so much."""
    rng = np.random.default_rng(seed)
    C = np.geomspace(1e18, 1e22, count)
    loss = (1.7 + 0.9 * (C / 1e20) ** -0.15) * np.exp(0.004 * rng.normal(size=count))
    loss[-count // 10 :] *= 1 + bent
    return Runs.make({"C": C, "loss": loss})


def test_a_law_that_hangs_on_the_ends():
    fits = [optimize(KEY, FLOOR, ladder(seed)) for seed in range(10)]
    assert sum(bool(list(support(KEY, fit))) for fit in fits) <= 1
    (found,) = support(KEY, optimize(KEY, FLOOR, ladder(bent=0.03)))
    assert (found.code, found.severity) == ("SUPPORT", "severe")
    assert found.number > 2
    assert (
        "hangs on the ends of the design: without 10% of the runs at either end of C it is" in found.message
    )
    assert "instead of" in found.message


def test_where_there_are_no_ends_nothing_is_asked():
    few = ladder(bent=0.03, count=16)
    assert list(support(KEY, optimize(KEY, FLOOR, few))) == []
    constant = Model(models.load("constant"), noise.log_normal, effects=())
    assert list(support(KEY, optimize(KEY, constant, ladder()))) == []


# ---- FLOOR_PINNED and EMBED


def test_what_a_fixed_floor_decides():
    """Against fits whose floor has a narrow prior at 80% and at 120% of what it is fixed at."""
    runs = ladder()
    at = 1.2 / float(runs.unit)

    def fixed(share):
        law = FLOOR.law.replace(priors={"E": dist.LogNormal(np.log(share * at), 1e-4)})
        return optimize(KEY, FLOOR.replace(law=law), runs)

    (found,) = _other_floors(KEY, fixed(1.0))
    assert (found.code, found.severity) == ("FLOOR_PINNED", "warning")
    assert found.number == pytest.approx(1.2, rel=1e-3)
    low, middle, high = (fixed(share).flat("alpha")[0] for share in (0.8, 1.0, 1.2))
    assert low < middle < high
    said = f"alpha is {low:.3g} with a floor of 0.96, {middle:.3g} with this one, {high:.3g} with 1.44"
    assert found.message == f"the floor is fixed at 1.2 and not learned: {said}"
    assert list(_other_floors(KEY, optimize(KEY, FLOOR, runs))) == []


def test_what_other_counts_of_parameters_decide():
    """Losses are a law in the parameters that are no embeddings, and N counts these too."""
    rng = np.random.default_rng(0)
    count = 10 ** rng.uniform(7, 10, 40)
    D = count * 10 ** rng.uniform(1, 2.5, 40)
    loss = (1.7 + 480 * count**-0.35 + 2085 * D**-0.37) * np.exp(0.003 * rng.normal(size=40))
    N = count + 50_000 * 12 * count ** (1 / 3)
    runs = Runs.make({"N": N, "D": D, "params_non_embedding": count, "loss": loss}, response="loss")
    fit = optimize(KEY, Model(models.load("chinchilla"), noise.log_normal, effects=()), runs)
    (found,) = _other_count(KEY, fit)
    assert (found.code, found.severity) == ("EMBED", "warning")
    own = optimize(KEY, fit.model, runs.replace(columns=runs.columns | {"N": count}))
    alpha, beta = (float(own.flat(p)[0]) for p in ("alpha", "beta"))
    assert f"without them in N, alpha {alpha:.3f} instead of {fit.flat('alpha')[0]:.3f}" in found.message
    assert f"a {beta / (alpha + beta):.3f} instead of" in found.message
    every = [one.code for one in all_findings(KEY, fit)]
    assert every.count("EMBED") == 1
    assert [SEVERITIES.index(one.severity) for one in all_findings(KEY, fit)] == sorted(
        (SEVERITIES.index(one.severity) for one in all_findings(KEY, fit)), reverse=True
    )


# ---- IRRELEVANT


@pytest.fixture(scope="module")
def gpus():
    """A law in the number of GPUs, which does not matter, and runs."""
    rng = np.random.default_rng(1)
    count = np.exp2(rng.integers(3, 10, 60))
    runs = Runs.make({"gpus": count, "loss": 2.5 * np.exp(0.005 * rng.normal(size=60))}, response="loss")
    return Model(models.load("power").along("gpus"), noise.log_normal, effects=()), runs


@pytest.fixture(scope="module")
def sampled(gpus):
    return bs.nuts(KEY, *gpus, draws=500)


@pytest.fixture(scope="module")
def of_sampled(sampled):
    return log_evidence(KEY, sampled)


def test_a_law_in_what_does_not_matter(gpus):
    """Against the evidence of the constant law, by the same approximation: a power of nothing is a constant."""
    (found,) = _irrelevant(KEY, optimize(KEY, *gpus))
    assert (found.code, found.severity) == ("IRRELEVANT", "warning")
    assert found.number > 3
    assert found.message.startswith("there is no law in gpus: the runs are")
    assert found.action.startswith("Choose a law without gpus")
    assert list(_irrelevant(KEY, optimize(KEY, FLOOR, ladder()))) == []


def test_a_covariate_that_is_far_from_mattering_is_so_without_a_second_fit(sampled, monkeypatch):
    """Weights alone say what draws and weights say; errors of both are a few hundredths of a nat."""
    monkeypatch.setattr(of_refits, "NEAR", np.inf)
    (by_both,) = _irrelevant(KEY, sampled)
    monkeypatch.undo()
    monkeypatch.setattr(of_refits, "again", None)  # would not do, if it were called
    (by_weights,) = _irrelevant(KEY, sampled)
    assert np.log(by_weights.number) == pytest.approx(np.log(by_both.number), abs=0.1)


@pytest.mark.parametrize(
    ("beyond", "pareto_k", "error", "refitted", "found"),
    [
        (
            0.4,
            0.1,
            0.01,
            True,
            False,
        ),  # close: what is sampled decides, which here says as much for as against
        (-0.4, 0.1, 0.01, True, False),
        (0.6, 0.1, 0.01, False, True),
        (-0.6, 0.1, 0.01, False, False),
        (0.6, 0.1, 0.2, True, False),
        (-0.6, 0.1, 0.2, True, False),
        (4.5, 0.9, 0.01, True, False),  # weights with a heavy tail say too little, or rarely too much
        (5.5, 0.9, 0.01, False, True),
        (-8.0, 0.9, 0.01, True, False),
        (5.5, np.nan, 0.01, False, True),
        (-8.0, np.nan, 0.01, True, False),
        (np.inf, 0.1, 0.01, True, False),
        (-np.inf, -np.inf, 0.01, True, False),
        (8.0, 0.1, np.nan, True, False),
    ],
)
def test_evidence_is_sampled_where_weights_do_not_decide(
    beyond, pareto_k, error, refitted, found, sampled, of_sampled, monkeypatch
):
    look = SimpleNamespace(
        estimate=Estimate(of_sampled.value + DECISIVE + beyond, error, 1e4), pareto_k=pareto_k
    )
    monkeypatch.setattr(of_refits, "first_look", lambda *_: look)
    monkeypatch.setattr(of_refits, "log_evidence", lambda *_: of_sampled)
    fits = []
    monkeypatch.setattr(of_refits, "again", lambda *_: fits.append(sampled))
    assert len(list(_irrelevant(KEY, sampled))) == found
    assert len(fits) == refitted


@pytest.mark.parametrize(
    ("apart", "of_whole", "of_held", "found"),
    [
        (0.0, 0.1, 0.1, True),
        (0.4, 0.1, 0.1, False),  # the estimates for the fit differ by more than they may
        (0.0, 0.1, 0.9, False),
        (0.0, 0.9, 0.1, False),
    ],
)
def test_evidence_in_doubt_says_nothing(apart, of_whole, of_held, found, sampled, of_sampled, monkeypatch):
    """Weights alone do not tell, and what is sampled would be decisive."""

    def moved(nats, apart, pareto_k):
        bridge, weights = (
            one._replace(value=one.value + by)
            for one, by in ((of_sampled.bridge, nats + apart), (of_sampled.importance, nats))
        )
        return replace(of_sampled, bridge=bridge, importance=weights, pareto_k=pareto_k)

    asked = [moved(0.0, apart, of_whole), moved(3.0, 0.0, of_held)]
    monkeypatch.setattr(of_refits, "log_evidence", lambda *_: asked.pop(0))
    look = SimpleNamespace(estimate=Estimate(of_sampled.value + DECISIVE, 0.01, 1e4), pareto_k=0.1)
    monkeypatch.setattr(of_refits, "first_look", lambda *_: look)
    monkeypatch.setattr(of_refits, "again", lambda *_: sampled)
    assert len(list(_irrelevant(KEY, sampled))) == found


def test_estimates_that_are_far_apart_are_not_set_against_others(sampled, of_sampled, monkeypatch):
    off = of_sampled.bridge._replace(value=of_sampled.bridge.value + 3)
    monkeypatch.setattr(of_refits, "log_evidence", lambda *_: replace(of_sampled, bridge=off))
    assert list(_irrelevant(KEY, sampled)) == []


def test_a_fit_that_has_not_converged_tells_nothing_of_covariates(gpus):
    assert list(_irrelevant(KEY, bs.nuts(KEY, *gpus, draws=20, retry=False))) == []


# ---- Real tables


@pytest.fixture(scope="module")
def points(shared_data):
    return Runs.read(shared_data / "loss_besiroglu2024_chinchilla.csv", where="in_fit_subset = 1")


def test_the_chinchilla_points(points):
    """Laws.md, section 5: resampled by size, parameters scatter 1.4 to 1.9 times as far; here the priors count too."""
    law = models.load("chinchilla")
    fit = laplace(KEY, Model(law, noise.student_t, effects=()), points)
    found = {one.code: one for one in all_findings(KEY, fit)}
    assert {"CLUSTER", "SUPPORT", "OUTLIER"} <= set(found)
    assert 1.4 <= found["CLUSTER"].number <= 2.0
    assert "runs of one size hang together" in found["CLUSTER"].message
    assert found["OUTLIER"].number == pytest.approx(2.8, abs=0.2)
    assert "row 1 (N 1.73B, D 875M)" in found["OUTLIER"].message
    assert "at either end of D/N" in found["SUPPORT"].message


def test_a_floor_of_three_runs_is_that_of_the_prior():
    """Floors of 1.6 and of .578 go through three runs as well."""
    C = np.array([3e18, 3e19, 3e20])
    runs = Runs.make({"C": C, "loss": np.round(1.6 + 95.18 * C**-0.0941, 3)})
    fit = bs.nuts(KEY, FLOOR, runs, draws=500, retry=False)
    assert learned(fit, "E") < 0.8
    assert {"FLOOR_PRIOR", "FEW_RUNS"} <= {one.code for one in bs.findings(fit)}
