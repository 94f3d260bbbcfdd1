"""Fit, on draws made by hand: parameters and predictions against closed forms, and what is said of bad chains."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from bayescale import models, noise
from bayescale.fit import Fit
from bayescale.forecast import complete
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.runs import Runs

LAW = models.load("power").along("N")
CORPORA = ("books", "code", "web")
N = np.array([1e7, 3e7, 1e8, 3e8, 1e9, 3e9])
LOSS = np.array([4.1, 3.7, 3.5, 3.1, 2.9, 2.6])
RUNS = Runs.make(
    {"N": N, "loss": LOSS, "corpus": [*CORPORA, *CORPORA], "size": ["a", "a", "b", "b", "c", "c"]},
    factors=["corpus", "size"],
)
N0 = np.exp(np.log(N).mean())
A, ALPHA, SIGMA, SPREAD, SHOCK = 1.3, 0.1, 0.03, 0.2, 0.05
SHIFTS = np.array([-0.2, 0.0, 0.3])
MODEL = Model(LAW, noise.log_normal, (Pooling(("A",), by="corpus"),), (Effect("size"),))
GOOD = {"diverging": np.zeros((4, 10_000), bool)}


def chains(value, shape=(4, 10_000)):
    return np.broadcast_to(np.asarray(value, float), (*shape, *np.shape(value))).copy()


def hand_made(shape=(4, 10_000), **changes):
    """Every draw the same: whatever scatters is what `predict` adds."""
    draws = {
        "A": A,
        "alpha": ALPHA,
        "sigma": SIGMA,
        "A_by_corpus_scale": SPREAD,
        "A_by_corpus": SHIFTS,
        "size_effect_scale": SHOCK,
        "size_effect": np.zeros(3),
    } | changes
    return Fit(MODEL, RUNS, {k: chains(v, shape) for k, v in draws.items()}, "nuts", GOOD)


def law(N, shift=0.0):
    return LOSS.min() * A * np.exp(shift) * (N / N0) ** -ALPHA


def test_a_law_may_need_its_parameters_one_draw_at_a_time():
    """Written for one set of parameters, as a user would: a loop with a carry of the shape of the runs."""

    def mean(x, *, A, alpha):
        return jax.lax.fori_loop(0, 1, lambda _, carry: carry * x**-alpha, jnp.full_like(x, A))

    fit = hand_made((2, 5))
    slow = fit.replace(model=MODEL.replace(law=LAW.replace(mean=mean)))
    at = {"N": [1e8, 1e9, 1e10]}
    np.testing.assert_allclose(slow.predict(at, corpus="web"), fit.predict(at, corpus="web"), rtol=1e-12)


def test_parameters_are_those_of_the_level_in_natural_units():
    fit = hand_made((2, 5))
    assert len(fit) == 10
    for corpus, shift in zip(CORPORA, SHIFTS, strict=True):
        found = fit.parameters(corpus=corpus)
        assert set(found) == {"A", "alpha"}
        assert found["A"].shape == (10,)
        np.testing.assert_allclose(found["A"], LOSS.min() * A * np.exp(shift) * N0**ALPHA, rtol=1e-12)
        np.testing.assert_allclose(found["A"] * 1e8 ** -found["alpha"], law(1e8, shift), rtol=1e-12)
    np.testing.assert_allclose(fit.centre()["A"], LOSS.min() * A * N0**ALPHA, rtol=1e-12)
    assert fit.parameters(corpus="web", size="a").keys() == found.keys()  # a shock is not a parameter


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (
            {},
            "A differ by corpus; say which corpus: one of books, code, web, as corpus='books' or --level corpus=books",
        ),
        ({"corpus": "wiki"}, "corpus has no level 'wiki'; it has books, code, web"),
        ({"corpus": "web", "family": "x"}, "nothing differs by family; the model has corpus, size"),
    ],
)
def test_levels_that_are_missing_or_unknown(levels, message):
    fit = hand_made((1, 2))
    with pytest.raises(ValueError, match=f"^{message}$"):
        fit.parameters(**levels)
    with pytest.raises(ValueError, match=f"^{message}$"):
        fit.predict({"N": 1e9}, **levels)


def test_a_model_without_factors_says_so():
    plain = Model(LAW, noise.log_normal, effects=())
    fit = Fit(plain, RUNS, {k: chains(1.0, (1, 2)) for k in plain.priors}, "nuts", GOOD)
    with pytest.raises(ValueError, match="nothing differs by corpus; the model has no factor"):
        fit.parameters(corpus="web")


def test_mean_is_the_law_at_natural_parameters():
    fit = hand_made((2, 5))
    parameters = fit.parameters(corpus="code")
    points = np.array([2e7, 5e9, 7e11])[:, None]
    expected = models.load("power").mean(points, **parameters)
    np.testing.assert_allclose(fit.mean(parameters, N=points), expected, rtol=1e-10)
    assert fit.mean(parameters, N=points).shape == (3, 10)
    np.testing.assert_allclose(fit.predict({"N": points[:, 0]}, corpus="code"), expected.T, rtol=1e-10)


@pytest.mark.parametrize(
    ("kind", "levels", "middle", "spread"),
    [
        ("new_run", {"corpus": "web"}, 0.3, np.hypot(SIGMA, SHOCK)),
        ("new_level", {}, 0.0, np.sqrt(SIGMA**2 + SHOCK**2 + SPREAD**2)),
        ("new_level", {"corpus": "web"}, 0.3, np.hypot(SIGMA, SHOCK)),
    ],
)
def test_predictions_have_the_closed_form(kind, levels, middle, spread):
    """Log-normal with the variances of noise, shock and levels added; a false alarm once in 1,000 for each point."""
    points = np.array([5e7, 1e11])
    drawn = hand_made().predict({"N": points}, kind=kind, key=jax.random.key(1), **levels)
    assert drawn.shape == (40_000, 2)
    for values, point in zip(drawn.T, points, strict=True):
        assert stats.kstest(np.log(values), stats.norm(np.log(law(point, middle)), spread).cdf).pvalue > 1e-3
        for q in (0.05, 0.5, 0.95):  # the error of a quantile of 40,000 draws is under 0.011 sd; 4 of those
            expected = stats.norm(np.log(law(point, middle)), spread).ppf(q)
            assert np.quantile(np.log(values), q) == pytest.approx(expected, abs=0.044 * spread)


def test_the_less_is_known_the_wider():
    fit = hand_made((4, 500), A=1.3)
    fit.draws["A"] *= np.exp(0.01 * np.random.default_rng(0).normal(size=(4, 500)))
    point, key = {"N": 1e10}, jax.random.key(0)
    mean = fit.predict(point, corpus="web").std()
    run = fit.predict(point, kind="new_run", key=key, corpus="web").std()
    level = fit.predict(point, kind="new_level", key=key).std()
    assert 0 < 3 * mean < run < level / 2


def test_predictions_follow_the_key():
    fit = hand_made((1, 50))
    one, again, other = (
        fit.predict({"N": 1e9}, kind="new_run", key=jax.random.key(k), corpus="web") for k in (0, 0, 1)
    )
    assert (one == again).all()
    assert (one != other).any()


def test_predictions_that_cannot_be_made():
    fit = hand_made((1, 2))
    with pytest.raises(ValueError, match="kind is 'best'; it is one of mean, new_run, new_level"):
        fit.predict({"N": 1e9}, kind="best", corpus="web")
    with pytest.raises(
        ValueError, match=r"kind 'new_run' is drawn at random: give a key, such as jax.random.key"
    ):
        fit.predict({"N": 1e9}, kind="new_run", corpus="web")
    with pytest.raises(ValueError, match="power needs N at each point; N is missing"):
        fit.predict({"D": 1e9}, corpus="web")
    for bad in (0.0, -1e9, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"N at a point is .*; it is a positive number"):
            fit.predict({"N": [1e9, bad]}, corpus="web")


def test_what_follows_from_six_n_d():
    fit = hand_made((1, 2))
    assert complete({"N": 2.0, "D": 5.0})["C"] == 60
    assert complete({"N": 2.0, "C": 60.0})["D"] == 5
    assert complete({"D": 5.0, "C": 60.0})["N"] == 2
    assert complete({"N": 2.0, "D": 5.0, "C": 1.0})["C"] == 1  # what is given stands
    assert set(complete({"N": 2.0})) == {"N"}
    with pytest.raises(ValueError, match=r"D at a point is .*; it is a positive number"):
        fit.predict({"D": 0.0, "C": 1e20}, corpus="web")


def test_noise_that_depends_on_a_covariate_needs_it_at_each_point():
    model = Model(LAW, noise.log_normal.scaled("N"), effects=())
    draws = {"A": A, "alpha": ALPHA, "sigma": 0.05, "slope_N": -0.5}
    fit = Fit(model, RUNS, {k: chains(v) for k, v in draws.items()}, "nuts", GOOD)
    drawn = fit.predict({"N": [N0, 100 * N0]}, kind="new_run", key=jax.random.key(0))
    # The standard error of a standard deviation of 40,000 draws is 0.35%; 4 of those.
    assert np.log(drawn).std(axis=0) == pytest.approx([0.05, 0.005], rel=0.014)


# ---- What is said of it


def sampled(seed=0, shape=(4, 500), **changes):
    """Independent draws, as of a perfect sampler."""
    rng = np.random.default_rng(seed)
    plain = Model(LAW, noise.log_normal, effects=())
    draws = {p: np.exp(0.1 * rng.normal(size=shape)) for p in plain.priors} | changes
    return Fit(plain, RUNS, draws, "nuts", {"diverging": np.zeros(shape, bool)})


def test_good_chains_have_converged():
    fit = sampled()
    assert fit.converged
    assert fit.trouble == ()
    assert fit.verdict.startswith("converged (nuts): 2000 draws, R-hat at most 1.0")
    assert fit.diagnostics["A"].shape == (3,)
    assert repr(fit).startswith("Fit(power, log_normal; 6 runs; converged (nuts)")


def apart():
    return np.random.default_rng(1).normal(size=(4, 500)) + np.arange(4)[:, None] + 10


def slow():
    steps = np.random.default_rng(2).normal(size=(4, 500))
    for i in range(1, 500):
        steps[:, i] += 0.95 * steps[:, i - 1]
    return np.exp(0.01 * steps)


DIVERGENT = np.arange(2000).reshape(4, 500) < 3
TROUBLES = {
    "chains apart": (lambda: sampled(A=apart()), "R-hat of A is .*, above 1.01"),
    "a slow chain": (lambda: sampled(alpha=slow()), "effective sample size of alpha is .*, under 400"),
    "a chain that never moved": (lambda: sampled(A=np.ones((4, 500))), "R-hat of A is nan, above 1.01"),
    "divergences": (lambda: sampled().replace(stats={"diverging": DIVERGENT}), "3 divergent draws of 2000"),
    "a bound": (
        lambda: sampled().replace(method="map", stats={"at_bound": ["E"], "mode_converged": False}),
        "E ran to the bound",
    ),
    "no mode": (
        lambda: sampled().replace(method="map", stats={"at_bound": [], "mode_converged": False}),
        "no start reached a mode",
    ),
    "weights": (
        lambda: sampled().replace(
            method="laplace", stats={"at_bound": [], "mode_converged": True, "pareto_k": 0.9}
        ),
        "Pareto-k 0.90, above 0.7: the posterior is not normal",
    ),
}


@pytest.mark.parametrize("case", TROUBLES)
def test_a_fit_that_has_not_converged_says_so_wherever_it_appears(case):
    make, reason = TROUBLES[case]
    fit = make()
    assert not fit.converged
    for text in (
        fit.verdict,
        repr(fit),
        str(fit.summary()),
        fit._repr_html_(),
        fit.summary().to_dict()["verdict"],
    ):
        assert f"NOT CONVERGED ({fit.method}): " in text
    assert re.search(reason, fit.verdict)


def test_a_fit_is_changed_by_making_another():
    fit = sampled()
    other = fit.replace(model=fit.model.replace(law=LAW.replace(priors={"A": dist.LogNormal(0.0, 1.0)})))
    assert other.model is not fit.model
    assert other.draws is fit.draws
