"""Noise whose scale has steps: at the fifths of a table, where they stay, and what is refused."""

import jax
import numpy as np
import pytest
from scipy import stats

from bayescale import noise
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")


def test_a_step_is_a_factor_of_three():
    prior = noise.log_normal.stepped("N").priors["step_N_1"]
    assert np.exp(float(prior.icdf(0.95))) == pytest.approx(3, rel=0.06)


@pytest.fixture
def many():
    """Forty runs, of sizes and tokens that do not repeat."""
    rng = np.random.default_rng(4)
    N, D = 10 ** rng.uniform([[8.0], [9.0]], [[10.0], [12.0]], (2, 40))
    return Runs.make({"N": N, "D": D, "loss": 2.0 + rng.uniform(size=40)})


def test_a_scale_with_steps_at_the_fifths_of_a_table(many):
    stepped = noise.log_normal.stepped("D/N").settled(many)
    names = [f"step_D_per_N_{k}" for k in (1, 2, 4, 5)]
    assert stepped.parameters == ("sigma", *names)
    assert (stepped.depends_on, stepped.covariates) == (("D/N",), ("D", "N"))
    steps, mean, loss = (
        np.array([0.9, -0.2, 0.0, 0.3, -0.4]),
        np.linspace(2, 3, 40),
        np.asarray(many.response),
    )
    rank = stats.rankdata(np.asarray(many.columns["D"]) / np.asarray(many.columns["N"]))
    sigma = 0.03 * np.exp(steps[np.ceil(5 * rank / len(rank)).astype(int) - 1])
    values = {"sigma": 0.03, **dict(zip(names, steps[[0, 1, 3, 4]], strict=True))}
    ours = stepped(mean, many, values).log_prob(loss)
    np.testing.assert_allclose(ours, stats.lognorm(s=sigma, scale=mean).logpdf(loss), rtol=1e-10)


def test_steps_stay_where_they_were_put_and_reach_beyond_the_runs(many):
    stepped = noise.log_normal.stepped("D").settled(many)
    later = many.replace(columns={**many.columns, "D": np.asarray(many.columns["D"]) * 1e6})
    assert stepped.settled(later) is stepped
    assert noise.log_normal.stepped("D").settled(many).stepped_by == stepped.stepped_by
    last = {f"step_D_{k}": float(k == 5) for k in (1, 2, 4, 5)}
    np.testing.assert_allclose(stepped.widening(later, last), np.e)


def test_runs_that_do_not_count_have_no_say_in_the_steps(many):
    some = many.replace(weight=np.where(np.arange(40) < 10, 0.0, 1.0))
    left = Runs.make(
        {
            "N": np.asarray(many.columns["N"])[10:],
            "D": np.asarray(many.columns["D"])[10:],
            "loss": np.asarray(many.response)[10:],
        }
    )
    edges = [noise.log_normal.stepped("D").settled(one).stepped_by["D"] for one in (some, left)]
    np.testing.assert_allclose(*edges)


def repeated(levels):
    """Runs of some sizes, eight of each."""
    losses = 3.0 + 1e-3 * np.arange(8 * levels)
    return Runs.make({"N": np.repeat(np.geomspace(1.1e8, 7.3e9, levels), 8), "loss": losses})


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("levels", [5, 6, 7, 10])
def test_no_fifth_is_empty_where_values_repeat(levels, precise):
    runs = repeated(levels)
    with jax.enable_x64(precise):
        settled = noise.log_normal.stepped("N").settled(runs)
        names = {name: float(k + 1) for k, name in enumerate(settled.parameters[1:])}
        wider = np.asarray(settled.widening(runs, names))
    assert len(np.unique(wider.round(3))) == 5
    assert all(
        len(np.unique(wider[i : i + 8])) == 1 for i in range(0, 8 * levels, 8)
    )  # a size is in one fifth


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_values_that_have_no_fifths(levels):
    with pytest.raises(
        ValueError, match=f"^table: the {levels} values of N repeat so often that they have no"
    ):
        noise.log_normal.stepped("N").settled(repeated(levels))


def test_steps_that_no_table_has_said():
    with pytest.raises(
        ValueError, match=r"^where the steps along D are is for a table to say: specialise the"
    ):
        noise.log_normal.stepped("D").widening(None, {})


def test_steps_and_a_slope_along_the_same():
    with pytest.raises(ValueError, match="give each covariate, or ratio such as"):
        noise.log_normal.scaled("N").stepped("N")
