"""Modes: the published estimate of the Chinchilla points from far starts, and scales of simulated groups."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescale import models, noise
from bayescale.infer import frame, mode
from bayescale.infer.density import Density
from bayescale.infer.newton import minimise
from bayescale.infer.objective import Objective
from bayescale.infer.optimize import optimize
from bayescale.infer.point import descend
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.runs import Runs

pytestmark = pytest.mark.usefixtures("workbench")

LAW = models.load("chinchilla")
# The Huber estimate of the 240 points of Besiroglu et al. 2024, to more digits than arXiv:2404.10102 prints.
ESTIMATE = {"A": 477.826, "B": 2143.417, "E": 1.817218, "alpha": 0.3473105, "beta": 0.3671724}
LEAST = 1.0182740178e-3  # the sum of Huber's loss there, with delta = 1e-3
FAR = {
    "Hoffmann": {
        "A": 406.4,
        "B": 410.7,
        "E": 1.69,
        "alpha": 0.34,
        "beta": 0.28,
    },  # as printed in their equation 10
    "OLMo": {"A": np.exp(3), "B": np.exp(6), "E": 1.0, "alpha": 0.1, "beta": 0.2},  # the start in OLMo's code
    "ones": {"A": 1.0, "B": 1.0, "E": 1.0, "alpha": 0.1, "beta": 0.1},
    "steep": {"A": np.exp(20), "B": np.exp(5), "E": np.exp(-0.5), "alpha": 1.0, "beta": 0.5},
}


@pytest.fixture(scope="module")
def chinchilla(shared_data):
    return Runs.read(shared_data / "loss_besiroglu2024_chinchilla.csv", where="in_fit_subset = 1")


def same_estimate(relative, runs):
    natural = LAW.to_natural({p: relative[p] for p in LAW.parameters}, runs.reference, runs.unit)
    for name, value in ESTIMATE.items():
        assert float(natural[name]) == pytest.approx(value, rel=2e-4 if name == "B" else 1e-4)


def huber_sum(runs, parameters):
    """Hoffmann et al. 2022, equation 3, written for itself."""
    natural = LAW.to_natural(parameters, runs.reference, runs.unit)
    A, B, E, alpha, beta = (natural[p] for p in ("A", "B", "E", "alpha", "beta"))
    predicted = jnp.log(E + A / runs.columns["N"] ** alpha + B / runs.columns["D"] ** beta)
    size = jnp.abs(predicted - jnp.log(runs.response))
    return jnp.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 1e-3 / 2)).sum()


def test_the_huber_estimate_of_the_chinchilla_points(chinchilla):
    assert len(chinchilla) == 240
    fit = optimize(jax.random.key(0), Model(LAW, noise.huber(), effects=()), chinchilla, priors=False)
    assert fit.converged
    assert (fit.stats["mode_agreed"], fit.stats["mode_starts"], fit.stats["at_bound"]) == (64, 64, [])
    assert fit.stats["rival"] == float("inf")
    values = {name: draws[0, 0] for name, draws in fit.draws.items()}
    same_estimate(values, chinchilla)
    assert float(huber_sum(chinchilla, values)) == pytest.approx(LEAST, rel=1e-6)
    density = Density.of(fit.model, chinchilla)
    position = density.unconstrain(values)
    assert float(density.log_likelihood(position, chinchilla)) == pytest.approx(fit.stats["log_density"])


@pytest.mark.parametrize("scale", [1 / 240, 1.0, 1e3])
def test_the_huber_estimate_from_far_starts(chinchilla, scale):
    """A mean in place of the sum, or any other scale, must not stop the minimisation where it started."""
    priors = Density.of(Model(LAW, noise.huber(), effects=()), chinchilla).sites
    spaces = {site.name: site.transform for site in priors if site.name in LAW.parameters}

    def parameters(vector):
        return {p: space(value) for (p, space), value in zip(spaces.items(), vector, strict=True)}

    def start(natural):
        relative = LAW.to_reference(natural, chinchilla.reference, chinchilla.unit)
        return jnp.stack([space.inv(relative[p]) for p, space in spaces.items()])

    starts = jnp.stack([start(natural) for natural in FAR.values()])
    objective = jax.jit(lambda vector: scale * huber_sum(chinchilla, parameters(vector)))
    found = jax.jit(jax.vmap(lambda vector: minimise(objective, vector)))(starts)
    assert found.converged.all()
    for i, position in enumerate(found.position):
        assert float(found.value[i]) / scale == pytest.approx(LEAST, rel=1e-6)
        same_estimate(parameters(position), chinchilla)


def simulated(*, floor=0.5, sigma=0.02, groups=0, scale=0.0, runs_of_each=10, seed=0):
    rng = np.random.default_rng(seed)
    count = max(groups, 6) * runs_of_each
    N = 10 ** rng.uniform(7, 10, count)
    group = np.arange(count) % max(groups, 1)
    A = 6.0 * np.exp(scale * rng.normal(size=max(groups, 1)))[group]
    loss = (floor + A * (N / 1e8) ** -0.3) * np.exp(sigma * rng.normal(size=count))
    names = [f"g{g}" for g in group]
    columns = {"N": N, "loss": loss} | ({"corpus": names} if groups else {})
    return Runs.make(columns, factors=["corpus"] if groups else [])


POWER = models.load("power_floor").along("N")


def test_a_floor_that_the_data_deny_is_at_its_bound():
    """There is no floor in the truth, and at this seed the likelihood is greatest without one."""
    runs = simulated(floor=0.0, seed=6)
    fit = optimize(jax.random.key(0), Model(POWER, noise.log_normal, effects=()), runs, priors=False)
    straight = np.polyfit(np.log(runs.columns["N"]), np.log(runs.response), 2)
    assert straight[0] < 0  # on the log-log plot they bend down, as no floor can
    assert fit.stats["at_bound"] == ["E"]
    assert not fit.converged
    assert fit.stats["mode_agreed"] == 64
    # The rest is the least-squares line on the logarithms.
    line = np.polyfit(np.log(runs.columns["N"]), np.log(runs.response), 1)
    assert fit.flat("alpha").item() == pytest.approx(-line[0], rel=1e-4)


def test_a_prior_keeps_the_floor_off_its_bound():
    runs = simulated(floor=0.0, seed=6)
    density = Density.of(Model(POWER, noise.log_normal, effects=()), runs)
    found = mode.find(density, runs, jax.random.key(0))
    position = jnp.asarray(found.position)
    assert found.stats["mode_converged"]
    assert found.stats["log_density"] == pytest.approx(float(density.log_posterior(position, runs)))
    # A maximum by its derivatives, in the metric of its own curvature.
    slope = jax.grad(lambda v: density.log_posterior(v, runs))(position)
    assert float(slope @ found.covariance @ slope) < 1e-8
    assert (np.linalg.eigvalsh(found.precision) > 0).all()


def test_starts_that_are_given():
    runs = simulated()
    objective = Objective.of(Model(POWER, noise.log_normal, effects=()), runs, priors=True)
    drawn = objective.density.prior_draws(jax.random.key(1), 3)
    found = descend(objective, drawn[:, objective.places], drawn[0], {}, runs)
    assert (found.stats["mode_starts"], found.stats["mode_agreed"]) == (3, 3)


def test_the_scale_between_groups_is_recovered():
    """24 groups tell a scale to some 15% (1 / sqrt(48)); three standard errors are allowed."""
    runs = simulated(groups=24, scale=0.3, runs_of_each=6)
    model = Model(POWER, noise.log_normal, pooling=(Pooling(("A",), by="corpus"),), effects=())
    density = Density.of(model, runs)
    found = mode.find(density, runs, jax.random.key(0))
    assert found.stats["mode_converged"]
    values = density.constrain(jnp.asarray(found.position))
    assert float(values["A_by_corpus_scale"]) == pytest.approx(0.3, rel=0.45)
    assert float(values["sigma"]) == pytest.approx(
        0.02, rel=0.2
    )  # 3 / sqrt(2 * 116 degrees of freedom) is 0.2
    assert float(values["E"] * runs.unit) == pytest.approx(0.5, abs=0.1)
    # What each group's data say of it, against a line through its own runs.
    local = frame.frame(density, found, runs).chart.levels["corpus"]
    own = np.asarray(local.estimate)[:, 0]
    for level in range(3):
        rows = np.asarray(runs.factors["corpus"]) == level
        x = (np.asarray(runs.columns["N"])[rows] / float(runs.reference["N"])) ** -float(values["alpha"])
        excess = np.asarray(runs.response)[rows] / float(runs.unit) - float(values["E"])
        # Precise to sigma loss / (A x) / sqrt(6), some 1.5%.
        assert own[level] == pytest.approx(np.log(np.median(excess / x)), abs=0.05)
