"""Which runs to do next: against conjugate models where the formula is exact, quadrature, brute force, simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.stats import norm

from bayescale import noise, parallel
from bayescale.decide import candidates as prospects
from bayescale.decide import nested
from bayescale.decide.design import design, greedy
from bayescale.decide.targets import target_of
from bayescale.decide.updates import Joint, joint, removed, told_of_law
from bayescale.pooling import Effect
from tests.designs import (
    CANDIDATES,
    CHINCHILLA,
    KEY,
    ROOT,
    RUNS,
    SIGMA,
    SIZES,
    TAU,
    N,
    exactly,
    fit_of,
    standard,
    straight,
    x_of,
)
from tests.made import BESIROGLU

# ---- The formula, where it is exact


def test_one_run_of_a_linear_normal_model():
    found = design(straight(), "loss@N=1e12", 1e23, candidates=CANDIDATES)
    expected = [exactly([n], 1e12) for n in SIZES]
    # Noise that is normal counts as the normal noise it is, to the precision of a rule of 400 points.
    np.testing.assert_allclose(found.own, expected, rtol=2e-3)
    assert found.order[0] == np.argmax(np.array(expected) / (6e10 * SIZES))
    assert found.rows()[0]["per_flop"] == pytest.approx(max(np.array(expected) / (6e10 * SIZES)), rel=2e-3)
    assert found.spread == pytest.approx(
        np.sqrt(np.array([1, -x_of(1e12)]) @ ROOT @ ROOT.T @ [1, -x_of(1e12)])
    )


@pytest.mark.parametrize("batch", [(0, 3), (3, 3), (0, 1, 2, 3), (2, 2, 2, 0)])
def test_a_batch_of_a_linear_normal_model(batch):
    fit = straight()
    found = design(fit, "loss@N=1e12", 1e24, candidates=CANDIDATES)
    own = np.full(4, SIGMA**2)
    table = prospects.points_of([fit], 1e24, CANDIDATES, 1, {})
    moments = joint(
        target_of("loss@N=1e12").draws(fit), prospects.shown(fit, table, {}), np.zeros((4, 4)), own
    )
    assert removed(moments, batch) == pytest.approx(exactly(SIZES[list(batch)], 1e12), rel=1e-9)
    assert found.trouble == ()


def test_shocks_of_each_run_are_its_noise_and_shocks_of_a_size_are_shared():
    """A new size has a shock that its runs share; a size of the table has one that the fit knows."""
    runs = RUNS.replace(
        factors=RUNS.factors | {"run": np.arange(12)}, levels=RUNS.levels | {"run": tuple("abcdefghijkl")}
    )
    sizes = np.array([3e10, 3e10, 2e11])
    points = {"N": sizes, "D": np.array([1e10, 5e10, 1e10])}
    shared = TAU**2 * np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    cases = {
        "run": (Effect("run"), SIGMA**2 + TAU**2, 0 * shared),
        "size": (Effect("size"), SIGMA**2, shared),
    }
    for effect, own, together in cases.values():
        fit = straight(effects=(effect,), runs=runs)
        found = design(fit, "loss@N=1e12", 1e24, candidates=points, batch=3)
        alone = [exactly([n], 1e12, own=own, shared=together[i, i]) for i, n in enumerate(sizes)]
        np.testing.assert_allclose(found.own, alone, rtol=2e-3)
        at = list(found.batch)
        both = exactly(sizes[at], 1e12, own=own, shared=together[np.ix_(at, at)])
        assert next(iter(found.together.values())) == pytest.approx(both, rel=3e-3)
    # Runs of a size of the table: its shock is known here to be 0.
    known = design(
        straight(effects=(Effect("size"),)), "loss@N=1e12", 1e24, candidates={"N": N[:1], "D": [1e10]}
    )
    assert known.own[0] == pytest.approx(exactly(N[:1], 1e12), rel=2e-3)


def test_another_factor_with_shocks_is_named_or_new():
    fit = straight(effects=(Effect("corpus"),))
    new = design(fit, "loss@N=1e12", 1e24, candidates=CANDIDATES)
    np.testing.assert_allclose(new.own, [exactly([n], 1e12, shared=TAU**2) for n in SIZES], rtol=2e-3)
    same = design(fit, "loss@N=1e12", 1e24, candidates=CANDIDATES, corpus="x")
    np.testing.assert_allclose(same.own, [exactly([n], 1e12) for n in SIZES], rtol=2e-3)


def test_the_entropy_of_which_is_better():
    """The difference of two log losses is normal; the probability after a run is simulated."""
    fit = straight(middle=(0.4, 0.012))
    found = design(fit, "better@N=1e12,D=1e10:N=2e12,D=1e10", 1e23, candidates=CANDIDATES)
    mean, sd = 0.012 * np.log(2), 0.01 * np.log(2)  # of the difference; the sd of alpha is 0.01
    assert found.chance == pytest.approx(norm.cdf(-mean / sd), abs=0.02)  # of 2,000 draws
    z = norm.ppf((np.arange(20000) + 0.5) / 20000)

    def entropy(p):
        return -(p * np.log(p) + (1 - p) * np.log1p(-p))

    before = entropy(norm.cdf(-mean / sd))
    for i, n in enumerate(SIZES):
        row, t = np.array([1.0, -x_of(n)]), np.array([0.0, np.log(2)])
        prior = ROOT @ ROOT.T
        gone = (row @ prior @ t) ** 2 / (row @ prior @ row + SIGMA**2)
        p = np.clip(norm.cdf(-(mean + np.sqrt(gone) * z) / np.sqrt(sd**2 - gone)), 1e-15, 1 - 1e-15)
        assert found.own[i] == pytest.approx(1 - np.mean(entropy(p)) / before, abs=2e-3)


def test_the_optimum_of_a_narrow_posterior_is_linear():
    """Of a posterior of 0.01% everything is linear; the slopes of ln N* and of the loss are by differences."""
    names, root = ("E", "A", "B", "alpha", "beta"), 1e-4 * np.diag([1.0, 1.0, 1.5, 1.0, 0.7])
    root[4, 2] = 5e-5
    z = standard(4000, 5) @ root.T
    natural = {p: BESIROGLU[p] * np.exp(z[:, i]) for i, p in enumerate(names)}
    with parallel.workbench():
        relative = CHINCHILLA.to_reference(natural, RUNS.reference, RUNS.unit)
    fit = fit_of(CHINCHILLA, relative)
    points = {"N": np.array([1e8, 3e9, 1e10]), "D": np.array([1e12, 6e10, 1e9])}
    found = design(fit, "N@1e24", 1e22, candidates=points)

    def values(logs):
        p = {name: BESIROGLU[name] * np.exp(v) for name, v in zip(names, logs, strict=True)}
        split = p["beta"] / (p["alpha"] + p["beta"])
        ratio = p["alpha"] * p["A"] / (p["beta"] * p["B"])
        optimum = np.log(ratio) / (p["alpha"] + p["beta"]) + split * np.log(1e24 / 6)
        return np.array([optimum, *np.log(CHINCHILLA.mean(points["N"], points["D"], **p))])

    steps = 1e-6 * np.eye(5)
    slopes = np.stack([(values(s) - values(-s)) / 2e-6 for s in steps], axis=1)
    covariance = slopes @ root @ root.T @ slopes.T
    expected = covariance[0, 1:] ** 2 / (np.diagonal(covariance)[1:] + SIGMA**2) / covariance[0, 0]
    np.testing.assert_allclose(found.own, expected, rtol=0.01)


# ---- Noise


def grid():
    sizes = np.geomspace(prospects.SMALLEST, prospects.LARGEST, prospects.POINTS)
    return np.concatenate([-sizes[::-1], sizes])


@pytest.mark.parametrize("spread", [1e-5, 0.003, 0.05])
def test_normal_noise_counts_as_itself(spread):
    found = prospects.as_normal(grid(), norm.logpdf(grid(), scale=0.005), spread)
    assert found == pytest.approx(0.005**2, rel=3e-3)


@pytest.mark.parametrize("scale", [1e-4, 0.003])
def test_noise_counts_alike_however_small_it_is_beside_the_spread(scale):
    """Normal noise as itself; of t with 2.9 degrees of freedom from its information to its variance, and never more."""
    t = []
    for ratio in (1.0, 10.0, 250.0, 1e3, 1e4, 1e5):
        spread = ratio * scale
        normal = prospects.as_normal(grid(), norm.logpdf(grid(), scale=scale), spread)
        assert normal / scale**2 == pytest.approx(1, abs=3e-3)
        t.append(prospects.as_normal(grid(), stats.t.logpdf(grid(), 2.9, scale=scale), spread) / scale**2)
    assert t == sorted(t)
    assert 5.9 / 3.9 < t[0] < t[-1] == pytest.approx(2.9 / 0.9, rel=3e-3)


def test_heavy_tails_count_by_their_information_where_little_is_to_be_learned():
    for nu in (2.0, 2.9, 8.0):
        found = prospects.as_normal(grid(), stats.t.logpdf(grid(), nu, scale=0.004), 1e-5)
        assert found == pytest.approx(0.004**2 * (nu + 3) / (nu + 1), rel=5e-3)
    # And by their variance where much is; of t with 10 degrees of freedom that is sigma^2 10/8.
    found = prospects.as_normal(grid(), stats.t.logpdf(grid(), 10.0, scale=0.004), 0.5)
    assert found == pytest.approx(0.004**2 * 10 / 8, rel=0.01)


def test_heavy_tails_in_between_by_quadrature():
    """What is left of the variance of a normal number that was measured with Student's t noise."""
    spread, scale, nu = 0.006, 0.004, 2.9

    f = np.linspace(-8 * spread, 8 * spread, 801)
    y = np.linspace(-0.3, 0.3, 3001)
    joint_density = norm.pdf(f, scale=spread) * stats.t.pdf(y[:, None] - f, nu, scale=scale)
    evidence, first = joint_density.sum(axis=1), joint_density @ f
    left = spread**2 - np.trapezoid(first**2 / evidence, y) * (f[1] - f[0])
    found = prospects.as_normal(grid(), stats.t.logpdf(grid(), nu, scale=scale), spread)
    assert spread**2 * found / (spread**2 + found) == pytest.approx(left, rel=2e-3)


@pytest.mark.parametrize(
    ("scatter", "own", "variance"),
    [
        (noise.log_normal, {}, SIGMA**2),
        (noise.student_t, {"nu": 3.0}, SIGMA**2 * 6 / 4),
        (noise.log_normal.scaled("N"), {"slope_N": 0.5}, None),
        (noise.gaussian, {}, None),
    ],
    ids=["normal", "t", "scaled", "linear"],
)
def test_every_kind_of_noise_has_a_variance(scatter, own, variance):
    fit = straight(scatter=scatter, **own)
    table = prospects.points_of([fit], 1e24, CANDIDATES, 1, {})
    found = prospects.own_variance(fit, table, {}, np.full(4, 1e-5))
    if variance is not None:
        np.testing.assert_allclose(found, variance, rtol=5e-3)
    elif scatter.covariates:
        np.testing.assert_allclose(found, SIGMA**2 * np.exp(x_of(SIZES)), rtol=5e-3)
    else:
        mean = np.exp(0.4 - 0.06 * x_of(SIZES)) * float(np.asarray(RUNS.unit))
        np.testing.assert_allclose(
            found, (SIGMA * RUNS.unit / mean) ** 2, rtol=0.03
        )  # and how far the mean is known


# ---- Which law


def told_by_quadrature(means, sds, weights):
    """The share of the entropy of which of several normal distributions that one draw tells."""

    def left(y):
        density = np.array(weights) * norm.pdf(y, means, sds)
        p = density[density > 0] / density.sum()
        return -density.sum() * np.sum(p * np.log(p))

    whole = -np.sum(np.array(weights) * np.log(weights))
    return 1 - quad(left, -0.2, 0.25, limit=500, points=sorted(means))[0] / whole


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.8, 0.2)])
def test_which_of_two_laws_by_quadrature(weights):
    laws = [
        Joint(0.0, 1.0, np.zeros(1), np.array([m]), np.array([[s**2]]), np.array([1e-4]))
        for m, s in ((0.0, 0.01), (0.03, 0.02))
    ]
    found = told_of_law(laws, np.array(weights), [0])
    assert found == pytest.approx(
        told_by_quadrature([0, 0.03], np.hypot([0.01, 0.02], 0.01), weights), abs=2e-3
    )
    assert told_of_law(laws, np.array(weights), []) == 0


def test_which_law_of_a_batch_is_told_better_and_by_nested_monte_carlo_alike():
    first, second = straight(), straight(seed=1, middle=(0.43, 0.06))
    found = design(
        first, "law", 1e24, candidates=CANDIDATES, batch=2, rivals=[second], weights=[0.6, 0.4], key=KEY
    )
    batch = next(iter(found.together.values()))
    assert found.own.max() < batch < 1
    for which, told in found.exact.items():
        fast = batch if which == found.batch else found.own[which[0]]
        # Four standard errors: passed by chance in 6 of 100,000.
        assert told.removed == pytest.approx(fast, abs=4 * told.error + 0.005)
    assert "which law is right" in found.verdict


# ---- Without the approximation


def test_nested_monte_carlo_on_a_linear_normal_model():
    """Three batches, 4 standard errors each: passed by chance in 2 of 10,000."""
    fit = straight(draws=4000)
    values = target_of("loss@N=1e12").draws(fit)
    table = prospects.points_of([fit], 1e24, CANDIDATES, 1, {})
    for batch in ((1,), (0,), (0, 1, 1)):
        drawn = nested.outcomes(KEY, fit, prospects.chosen(table, batch), {}, 1000)
        told = nested.of_values(values, drawn)
        assert told.removed == pytest.approx(exactly(SIZES[list(batch)], 1e12), abs=4 * told.error + 0.005)
        assert told.effective > 50


def test_nested_monte_carlo_knows_shocks():
    fit = straight(draws=4000, effects=(Effect("size"),))
    values = target_of("loss@N=1e12").draws(fit)
    batch = [0, 0, 1]
    table = prospects.points_of([fit], 1e24, CANDIDATES, 1, {})
    drawn = nested.outcomes(KEY, fit, prospects.chosen(table, batch), {}, 1000)
    told = nested.of_values(values, drawn)
    shared = TAU**2 * np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]])  # the third is of a size that is known
    shared[2, 2] = TAU**2 if isinstance(prospects.groups(fit, table, {})["size"][1], tuple) else 0
    expected = exactly(SIZES[batch], 1e12, shared=shared)
    assert told.removed == pytest.approx(expected, abs=4 * told.error + 0.01)


def test_nested_monte_carlo_of_a_sign_that_is_known():
    fit = straight(draws=500)
    table = prospects.points_of([fit], 1e24, CANDIDATES, 1, {})
    drawn = nested.outcomes(KEY, fit, prospects.chosen(table, [0]), {}, 100)
    assert np.isnan(nested.of_values(np.ones(500), drawn, sign=True).removed)


# ---- Batches


@pytest.mark.parametrize("seed", range(5))
def test_a_greedy_batch_is_nearly_the_best(seed):
    rng = np.random.default_rng(seed)
    rows, cost = rng.standard_normal((8, 3)), rng.uniform(1, 4, 8)
    t = rng.standard_normal(3)
    moments = Joint(0.0, float(t @ t), rows @ t, np.zeros(8), rows @ rows.T, np.full(8, 0.5))

    def score(batch):
        return removed(moments, batch)

    found = greedy(score, cost, 6.0, 3)
    assert cost[list(found)].sum() <= 6
    every = itertools.chain.from_iterable(
        itertools.combinations_with_replacement(range(8), k) for k in (1, 2, 3)
    )
    best = max(score(list(b)) for b in every if cost[list(b)].sum() <= 6)
    assert score(found) >= 0.85 * best


def test_the_batch_keeps_to_its_budget_and_to_its_number():
    found = design(straight(), "loss@N=1e12", 1e22, batch=3)
    assert 1 <= len(found.batch) <= 3
    assert found.cost[list(found.batch)].sum() <= 1e22 * (1 + 1e-9)
    ratios = found.points["D/N"]
    assert (ratios.min(), ratios.max()) == (pytest.approx(1), pytest.approx(2000))
    assert (found.cost.min(), found.cost.max()) == (pytest.approx(1e20), pytest.approx(1e22))
    assert pytest.approx(found.cost[np.abs(found.cost - 1e22 / 3).argmin()]) == 1e22 / 3
