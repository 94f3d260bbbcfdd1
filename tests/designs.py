"""Fits for tests of designs: power laws with normal posteriors, where what runs tell is known in closed form."""

import jax
import numpy as np

from bayescale import models, noise
from bayescale.fit import Fit
from bayescale.model import Model, effect_of
from bayescale.runs import Runs

KEY = jax.random.key(0)
SIGMA, TAU = 0.01, 0.02
POWER = models.load("power").along("N")
CHINCHILLA = models.load("chinchilla")
N = np.tile(np.geomspace(1e8, 1e10, 6), 2)
RUNS = Runs.make(
    {"N": N, "D": np.geomspace(2e9, 2e11, 12), "loss": 3 * (N / 1e9) ** -0.05, "corpus": list("xy") * 6},
    factors=["size", "corpus"],
)


def standard(draws, size, seed=0):
    """Normal draws whose sample means are 0 and whose sample covariance is the identity."""
    x = np.random.default_rng(seed).standard_normal((draws, size))
    x -= x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T).reshape(size, size))).T


def fit_of(
    law, relative, *, scatter=noise.log_normal, effects=(), pooling=(), extra=None, runs=RUNS, **noises
):
    """A fit with these draws of the parameters relative to the reference run."""
    count = len(next(iter(relative.values())))
    draws = {p: np.asarray(v, float)[None] for p, v in relative.items()}
    draws |= {p: np.full((1, count), v) for p, v in ({"sigma": SIGMA} | noises).items()}
    for effect in effects:
        levels = len(runs.levels[effect.by])
        draws[f"{effect_of(effect.by)}_scale"] = np.full((1, count), TAU)
        draws.setdefault(effect_of(effect.by), np.zeros((1, count, levels)))
    stats = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1}
    model = Model(law, scatter, tuple(pooling), effects=tuple(effects))
    return Fit(model, runs, draws | (extra or {}), "laplace", stats)


ROOT = np.array([[0.02, 0.0], [0.006, 0.008]])  # of the covariance of ln c and alpha


def power(log_c, alpha, **more):
    """A fit of a power law, whose log loss is ln c - alpha x, with these draws."""
    values = np.exp(log_c), np.broadcast_to(alpha, np.shape(log_c))
    return fit_of(POWER, dict(zip(POWER.parameters, values, strict=True)), **more)


def straight(draws=2000, seed=0, middle=(0.4, 0.06), **more):
    """A power law, of which everything is linear in ln c and alpha, with a normal posterior."""
    z = standard(draws, 2, seed) @ ROOT.T
    return power(middle[0] + z[:, 0], middle[1] + z[:, 1], **more)


def x_of(n):
    return np.log(np.asarray(n, float) / float(np.asarray(RUNS.reference["N"])))


def exactly(sizes, target, *, own=SIGMA**2, shared=None):
    """The share of the variance of the log loss at N = target that runs at these sizes remove, in closed form."""
    rows = np.stack([np.ones(len(sizes)), -x_of(sizes)], axis=1)
    t = np.array([1.0, -x_of(target)])
    prior = ROOT @ ROOT.T
    between = rows @ prior @ rows.T + np.diag(np.full(len(sizes), own)) + (0 if shared is None else shared)
    cross = rows @ prior @ t
    return float(cross @ np.linalg.solve(between, cross) / (t @ prior @ t))


SIZES = np.array([1e7, 3e8, 5e9, 2e11])
CANDIDATES = {"N": SIZES, "D": np.full(4, 1e10)}
