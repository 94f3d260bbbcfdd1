"""Noise whose groups share a shift: against normal distributions written out, and integrals done by quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logit, logsumexp
from scipy.stats import binom, multivariate_normal, norm

from bayescale.runs import Runs
from bayescale.tasks import shocks

RNG = np.random.default_rng(0)
GROUP = np.array([0, 0, 1, 1, 1, 2])


def table(kind="success", chance=0.0, groups=3, response=None):
    size = len(GROUP)
    columns = {"trials": np.full(size, 400.0), "chance": np.full(size, chance)}
    values = np.array([90.0, 120, 200, 230, 150, 300]) if kind == "success" else np.linspace(2.0, 3.0, size)
    return Runs(
        columns=columns,
        response=values if response is None else response,
        factors={"group": GROUP.astype(np.int32)},
        weight=np.ones(size),
        reference={},
        unit=1.0,
        levels={"group": tuple(map(str, range(groups)))},
        kind=kind,
    )


def noise_of(runs, mean, scatter=0.1, spread=0.4):
    return shocks.shared(runs.kind, "group")(jnp.asarray(mean), runs, {"scatter": scatter, "spread": spread})


def test_the_density_of_a_loss_is_that_of_a_normal_distribution(workbench):
    """Shifts that add to nothing have the covariance spread^2 (1 - 1/groups)."""
    runs, mean = table("loss"), np.full(6, 2.5)
    found = float(noise_of(runs, mean).log_prob(runs.response).sum())
    member = np.eye(3)[GROUP]
    covariance = 0.4**2 * member @ (np.eye(3) - 1 / 3) @ member.T + 0.1**2 * np.eye(6)
    logs = np.log(np.asarray(runs.response))
    exact = multivariate_normal.logpdf(logs, np.log(mean), covariance) - logs.sum()
    assert found == pytest.approx(exact, abs=1e-8)


@pytest.mark.parametrize(
    ("chance", "response", "trials", "within"),
    [
        (0.0, [90.0, 120, 200, 230, 150, 300], 400.0, 0.01),
        (0.2, [90.0, 120, 200, 230, 150, 300], 400.0, 0.02),
        # Where logits are far from normal the place that is integrated about is not quite the likeliest.
        (0.0, [0.0, 1, 3, 5, 2, 8], 8.0, 0.15),
        (0.2, [0.0, 1, 3, 5, 2, 8], 8.0, 0.15),
    ],
)
def test_of_counts_the_integral_is_that_of_quadrature(chance, response, trials, within, workbench):
    """Two groups that add to nothing have one shift between them; each run is binomial about a logit that scatters."""
    runs = table(chance=chance, groups=2, response=np.array(response))
    runs = runs.replace(
        factors={"group": np.array([0, 0, 0, 1, 1, 1], np.int32)},
        columns={"trials": np.full(6, trials), "chance": np.full(6, chance)},
    )
    mean, spread = np.array([0.25, 0.3, 0.5, 0.55, 0.4, 0.7]), 0.4
    found = float(noise_of(runs, mean, spread=spread).log_prob(runs.response).sum())
    grid, nodes = np.linspace(-3, 3, 1201), np.linspace(-6, 6, 241)
    known = (mean - chance) / (1 - chance)
    shift = np.where(np.arange(6) < 3, 1, -1) * grid[:, None]
    place = logit(chance + (1 - chance) * expit(logit(known) + shift))
    p = expit(place[..., None] + 0.1 * nodes)
    each = binom.pmf(np.array(response)[:, None], trials, p) @ norm.pdf(nodes) * (nodes[1] - nodes[0])
    logs = np.log(each).sum(axis=1)
    logs += norm.logpdf(grid, 0, spread / np.sqrt(2))  # of u where the other is -u
    exact = logsumexp(logs) + np.log(grid[1] - grid[0])
    assert found == pytest.approx(exact, abs=within)


def test_those_that_guess_are_not_moved():
    odds = shocks.odds_of(np.array([0.25, 0.625]), 0.25)
    where, reach = shocks.moved(odds, np.exp(1.0), 0.25)
    assert float(expit(where[0])) == pytest.approx(0.25, abs=1e-6)
    assert float(reach[0]) == pytest.approx(0, abs=1e-6)
    assert float(expit(where[1])) == pytest.approx(0.25 + 0.75 * expit(1.0), abs=1e-6)
    closer, _ = shocks.moved(odds, np.exp(1.0 + 1e-3), 0.25)
    assert float(closer[1] - where[1]) / 1e-3 == pytest.approx(float(reach[1]), rel=0.05)


def test_runs_that_weigh_nothing_say_nothing(workbench):
    runs, mean = table(), np.array([0.3, 0.3, 0.5, 0.5, 0.4, 0.7])
    light = runs.replace(weight=np.array([1.0, 1, 1, 1, 0, 1]))
    other = light.replace(response=np.where(np.arange(6) == 4, 399.0, runs.response))
    totals = [
        float((np.asarray(one.weight) * np.asarray(noise_of(one, mean).log_prob(one.response))).sum())
        for one in (light, other)
    ]
    assert totals[0] == pytest.approx(totals[1], abs=1e-9)


def test_shifts_that_are_drawn_are_those_of_the_posterior(workbench):
    runs, mean = table("loss"), np.full(6, 2.5)
    noise = noise_of(runs, mean)
    drawn = np.asarray(jax.vmap(noise.shifts)(jax.random.split(jax.random.key(0), 4000)))
    assert np.abs(drawn.sum(axis=1)).max() < 1e-9
    member = np.eye(3)[GROUP]
    prior = 0.4**2 * (np.eye(3) - 1 / 3)
    gain = prior @ member.T @ np.linalg.inv(member @ prior @ member.T + 0.1**2 * np.eye(6))
    mean_of = gain @ (np.log(np.asarray(runs.response)) - np.log(mean))
    # Four thousand draws; the standard deviations are below 0.06.
    assert drawn.mean(axis=0) == pytest.approx(mean_of, abs=0.005)
    assert drawn.std(axis=0) == pytest.approx(np.sqrt(np.diag(prior - gain @ member @ prior)), rel=0.06)


@pytest.mark.parametrize("kind", ["success", "loss"])
def test_responses_that_are_drawn_can_be(kind, workbench):
    runs = table(kind, chance=0.2)
    mean = np.linspace(0.3, 0.9, 6) if kind == "success" else np.full(6, 2.5)
    drawn = np.asarray(noise_of(runs, mean).sample(jax.random.key(0), (500,)))
    assert drawn.shape == (500, 6)
    assert (drawn > 0).all()
    if kind == "success":
        assert (drawn < 400).all()
