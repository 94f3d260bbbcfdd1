"""Models whose evidence is known: log-linear laws in closed form, and what other code has found in long runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bayescale.model import Model
    from bayescale.runs import Runs

SCALE = 0.02  # of the noise of the linear models, which is known
TABLE = "loss_besiroglu2024_chinchilla.csv"
# All 245 rows, of log loss: by another importance sampler, to .002; nested and bridge sampling agree.
KNOWN = {"chinchilla, normal": 626.367, "chinchilla, t": 829.615, "power_floor, normal": 361.407}


def known_scale():
    """Log-normal noise with nothing to find out about it."""
    import jax.numpy as jnp
    import numpyro.distributions as dist

    from bayescale.noise import Noise

    return Noise("known_scale", lambda mean, runs: dist.LogNormal(jnp.log(mean), SCALE), {})


def simulate(rng: np.random.Generator, runs: int = 30, others: int = 0) -> "Runs":
    """Runs whose log loss is linear in log N, and so many covariates that do not matter."""
    from bayescale.runs import Runs

    columns = {"N": np.exp(rng.uniform(18, 24, runs))}
    columns |= {f"x{i}": np.exp(rng.normal(size=runs)) for i in range(others)}
    loss = 3.0 * (columns["N"] / 1e9) ** -0.08 * np.exp(SCALE * rng.standard_normal(runs))
    return Runs.make({**columns, "loss": loss}, response="loss", names={"N": "N"})


def linear(size: int, noise: Any) -> "Model":
    """The model with so many parameters: a constant, a power of N, and covariates that do not matter."""
    import numpyro.distributions as dist

    from bayescale import models
    from bayescale.law import irrelevant
    from bayescale.model import Model

    law = models.load("constant")
    if size > 1:
        law = models.load("power").along("N").replace(priors={"alpha": dist.Normal(0.1, 0.3)})
    for i in range(size - 2):
        law = irrelevant(law, f"x{i}")
    return Model(law, noise, effects=())


def exact(model: "Model", runs: "Runs", shock: float = 0.0) -> float:
    """The evidence of log loss = linear in coordinates with independent normal priors, and a shock for each size."""
    import jax
    import jax.numpy as jnp
    import numpyro.distributions as dist
    from scipy.stats import multivariate_normal

    names, priors = list(model.law.priors), list(model.law.priors.values())
    loc, scale = (np.array([float(getattr(p, name)) for p in priors]) for name in ("loc", "scale"))
    in_logs = [isinstance(p, dist.LogNormal) for p in priors]

    def mean(at):
        values = {n: jnp.exp(c) if log else c for n, c, log in zip(names, at, in_logs, strict=True)}
        return jnp.log(model.mean(runs, values))

    with jax.enable_x64(True):
        design, middle = np.asarray(jax.jacfwd(mean)(jnp.asarray(loc))), np.asarray(mean(jnp.asarray(loc)))
    N = np.asarray(runs.columns["N"])
    covariance = SCALE**2 * np.eye(len(N)) + shock**2 * (N[:, None] == N) + (design * scale**2) @ design.T
    response = np.log(np.asarray(runs.response))
    return float(multivariate_normal(middle, covariance).logpdf(response) - response.sum())


def reference_models(runs: "Runs") -> dict[str, "Model"]:
    """The laws and priors of `KNOWN`: covariates per 1e9 and 2e10, losses in nats, all priors normal."""
    import numpyro.distributions as dist
    from numpyro.distributions.transforms import AffineTransform

    from bayescale import noise
    from bayescale.law import Law
    from bayescale.model import Model

    per_n, per_d = 1e9 / runs.reference["N"], 2e10 / runs.reference["D"]
    per_c, unit = 6 * 1e9 * 2e10 / runs.reference["C"], float(np.asarray(runs.unit))

    def chinchilla(N, D, *, E, A, B, alpha, beta):
        return E + A * (N / per_n) ** -alpha + B * (D / per_d) ** -beta

    def power(C, *, E, A, alpha):
        return E + A * (C / per_c) ** -alpha

    def log_normal(middle, scale):
        return dist.LogNormal(np.log(middle), scale)

    term, floor = log_normal(0.5 / unit, 1.0), log_normal(1.5 / unit, 0.5)
    exponent = log_normal(0.35, 0.5)
    priors = {"E": floor, "A": term, "B": term, "alpha": exponent, "beta": exponent}
    two = Law(name="reference", mean=chinchilla, priors=priors, source="a test")
    priors = {"E": floor, "A": term, "alpha": log_normal(0.15, 0.75)}
    one = Law(name="reference_power", mean=power, priors=priors, source="a test")
    sigma = {"sigma": log_normal(0.03, 1.0)}
    above_one = dist.TransformedDistribution(dist.LogNormal(np.log(5.0), 1.0), AffineTransform(1.0, 1.0))
    heavy = noise.student_t.replace(priors={**sigma, "nu": above_one})
    light = noise.log_normal.replace(priors=sigma)
    found = (two, light), (two, heavy), (one, light)
    return {name: Model(law, scatter, effects=()) for name, (law, scatter) in zip(KNOWN, found, strict=True)}


def cases(folder: Path, sizes: tuple[int, ...]) -> dict[str, tuple["Model", "Runs", float]]:
    """Every model with its table and its evidence, of the losses in natural units."""
    from bayescale.runs import Runs

    found, noise = {}, known_scale()
    for size in sizes:
        runs = simulate(np.random.default_rng(size), runs=60, others=max(size - 2, 0))
        model = linear(size, noise)
        found[f"linear, {size}"] = model, runs, exact(model, runs)
    runs = Runs.read(folder / TABLE)
    of_logs = float(np.log(np.asarray(runs.response)).sum())
    for name, model in reference_models(runs).items():
        found[name] = model, runs, KNOWN[name] - of_logs
    return found
