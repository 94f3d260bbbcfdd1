"""Predictive densities of what was left out: against refits, closed forms and ArviZ's own objects."""

import jax
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayescale import models, noise
from bayescale.check.loo import Predictive, _without_shock, leave_one_cluster_out, leave_one_out, stacking
from bayescale.infer.many import nuts_each
from bayescale.infer.nuts import nuts
from bayescale.infer.pointwise import log_likelihood, responses
from bayescale.model import Model
from bayescale.pooling import Effect
from bayescale.runs import Runs

POWER = Model(models.load("power").along("C"), noise.log_normal, effects=())


def simulated(seed=0, sizes=6, each=4):
    """Runs of some sizes, each with a shock of its own of 5% and noise of 1%."""
    rng = np.random.default_rng(seed)
    compute = np.exp(rng.uniform(np.log(1e18), np.log(1e22), sizes * each))
    size = np.repeat(1e8 * 4.0 ** np.arange(sizes), each)
    shock = np.repeat(0.05 * rng.standard_normal(sizes), each)
    loss = 3 * (compute / 1e20) ** -0.05 * np.exp(shock + 0.01 * rng.standard_normal(sizes * each))
    columns = {"C": compute, "N": size, "D": compute / (6 * size), "loss": loss}
    return Runs.make(columns, response="loss", factors=["size"])


RUNS = simulated()


@pytest.fixture(scope="module")
def plain():
    return nuts(jax.random.key(0), POWER, RUNS)


@pytest.fixture(scope="module")
def shared():
    return nuts(jax.random.key(0), POWER.replace(effects=(Effect("size"),)), RUNS)


def test_one_run_left_out_is_the_fit_without_it(plain):
    """The three runs that are predicted worst, to .1 nat: some ten standard errors of 4,000 draws."""
    found = leave_one_out(plain)
    assert found.doubtful == 0
    assert found.pointwise.shape == (len(RUNS),)
    worst = np.argsort(found.pointwise)[:3]
    tables = [RUNS.replace(weight=np.where(np.arange(len(RUNS)) == k, 0.0, 1.0)) for k in worst]
    for k, fit in zip(worst, nuts_each(jax.random.key(1), POWER, tables), strict=True):
        exact = logsumexp(log_likelihood(fit)[:, k]) - np.log(len(fit))
        assert found.pointwise[k] == pytest.approx(exact, abs=0.1)


def test_runs_of_no_weight_are_not_there(plain):
    weight = np.where(np.arange(len(RUNS)) < 4, 0.0, 1.0)
    fit = nuts(jax.random.key(0), POWER, RUNS.replace(weight=weight), draws=250)
    assert leave_one_out(fit).pointwise.shape == (len(RUNS) - 4,)
    assert leave_one_cluster_out(fit, "size").pointwise.shape == (5,)


def test_a_shock_is_integrated_out_as_in_the_closed_form(shared):
    """With log-normal noise the log losses of a size are normal together, given all else."""
    found = _without_shock(shared, "size")
    flat, chosen = shared.flat, range(0, 4000, 500)
    own = shared.parameters()
    for draw in chosen:
        mean = np.log(own["A"][draw] * np.asarray(RUNS.columns["C"]) ** -own["alpha"][draw])
        sigma, scale = flat("sigma")[draw], flat("size_effect_scale")[draw]
        for level in range(6):
            rows = np.asarray(RUNS.factors["size"]) == level
            covariance = sigma**2 * np.eye(4) + scale**2
            log_loss = np.log(np.asarray(RUNS.response)[rows])
            exact = multivariate_normal(mean[rows], covariance).logpdf(log_loss) - log_loss.sum()
            assert found[draw, level] == pytest.approx(exact, abs=1e-6)


def test_a_size_left_out_is_the_fit_without_it():
    """The two sizes that matter most, to half a nat: without one of twelve the scale of the shocks changes.

    Of six, one matters so much that whether it is doubtful depends on the rounding of the processor.
    """
    runs, model = simulated(sizes=12), POWER.replace(effects=(Effect("size"),))
    found = leave_one_cluster_out(nuts(jax.random.key(0), model, runs), "size")
    assert found.doubtful == 0
    levels = np.argsort(found.pareto_k)[-2:]
    rows = [np.asarray(runs.factors["size"]) == level for level in levels]
    tables = [runs.replace(weight=np.where(own, 0.0, 1.0)) for own in rows]
    for level, own, fit in zip(levels, rows, nuts_each(jax.random.key(1), model, tables), strict=True):
        exact = logsumexp(log_likelihood(fit)[:, own].sum(axis=1)) - np.log(len(fit))
        assert found.pointwise[level] == pytest.approx(exact, abs=0.5)


def test_without_an_effect_a_cluster_is_its_runs_together(plain):
    found = leave_one_cluster_out(plain, "size")
    runs = leave_one_out(plain)
    # Fellows tell of each other, so that together they are worse predicted than one by one.
    assert found.value < runs.value
    with pytest.raises(ValueError, match="there is no factor corpus to leave levels out of; there are size"):
        leave_one_cluster_out(plain, "corpus")


def test_a_shock_that_runs_share_is_worth_more_for_sizes_left_out(plain, shared):
    ahead, error = leave_one_cluster_out(shared, "size").less(leave_one_cluster_out(plain, "size"))
    assert ahead > 2 * error


def test_what_might_be_measured_is_as_wide_as_the_noise_and_the_shocks(shared):
    drawn = np.log(responses(jax.random.key(2), shared))
    known = np.log(np.asarray(RUNS.response))
    inside = (np.quantile(drawn, 0.05, axis=0) < known) & (known < np.quantile(drawn, 0.95, axis=0))
    assert inside.mean() > 0.75  # 24 runs: below that once in 100
    assert drawn.std(axis=0).mean() == pytest.approx(shared.flat("sigma").mean(), rel=0.4)


def test_differences_have_the_error_of_pairs():
    one, other = (
        Predictive("run", np.array(values), np.zeros(3)) for values in ([1.0, 2.0, 4.0], [0.0, 1.0, 2.0])
    )
    assert one.less(other) == pytest.approx((4.0, np.sqrt(3) * np.std([1, 1, 2], ddof=1)))
    assert one.value == 7.0


def test_stacking_weighs_by_how_often_a_model_is_right():
    """Where one model has the density and the other has none the weights are the shares; twins share theirs."""
    right = np.array([0.0] * 30 + [-50.0] * 10)
    wrong = np.array([-50.0] * 30 + [0.0] * 10)
    of = [Predictive("run", values, np.zeros(40)) for values in (right, wrong)]
    assert stacking(of) == pytest.approx([0.75, 0.25], abs=1e-4)
    assert stacking([of[0], of[0], of[1]]) == pytest.approx([0.375, 0.375, 0.25], abs=0.01)
    worse = Predictive("run", np.minimum(right, wrong) - 1, np.zeros(40))
    assert stacking([*of, worse])[2] < 1e-3
