"""A fit with invented draws that has everything a fit can have, and a file of it, for tests of storage.

A test file imports a fixture as itself, `from tests.stored import fit as fit`: so it counts as used.
"""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescale import models, noise, storage
from bayescale.fit import Fit
from bayescale.law import irrelevant
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.priors import LogitNormal
from bayescale.runs import Runs

CHAINS, DRAWS = 2, 30


def table():
    rng = np.random.default_rng(1)
    N, D = np.geomspace(1e7, 1e9, 9), np.geomspace(1e9, 1e12, 9)[rng.permutation(9)]
    columns = {"N": N, "D": D, "loss": 2 + 40 / N**0.3 + rng.uniform(0, 0.1, 9)}
    columns |= {
        "gpus": [8.0, 16, 8, 64, 8, 16, 32, 64, 8],
        "width/x": np.arange(9.0),
        "weight": np.arange(1.0, 10),
    }
    columns |= {"corpus": list("aébaébaéb"), "run": list("uuvvwwxxy"), "chain": list("pqpqpqpqp")}
    return Runs.make(columns, factors=["corpus", "run", "chain"], response="loss", source="runs.csv")


def by_hand(model, runs, method="nuts", **more):
    """A fit with invented draws."""
    rng = np.random.default_rng(0)
    shape = (CHAINS, DRAWS)
    draws = {}
    for name, prior in model.priors.items():
        with jax.enable_x64(True):
            draws[name] = np.array(prior.sample(jax.random.key(len(draws)), shape))
    for by, names in model.factors.items():
        for name in names:
            draws[f"{name}_scale"] = rng.gamma(2.0, 0.1, shape)
            draws[name] = rng.normal(0, 0.1, (*shape, len(runs.levels[by])))
    stats = {
        "diverging": rng.random(shape) < 0.05,
        "num_steps": rng.integers(1, 63, shape, dtype=np.int32),
        "accept_prob": rng.random(shape),
        "energy": rng.normal(size=shape),
        "gradients": 1234,
        "rival": np.float64(np.inf),
        "rotten": float("nan"),
        "at_bound": [],
        "key": [0, 7],
        "versions": {"jax": "0"},
        **more,
    }
    return Fit(model, runs, draws, method, stats)


def rich():
    law = irrelevant(models.load("chinchilla"), "gpus").replace(priors={"alpha": LogitNormal(0.1, 0.7)})
    pooling = (Pooling(("E", "A"), "corpus"), Pooling(("B",), "chain", dist.HalfNormal(0.3)))
    effects = (Effect("run"), Effect("corpus", dist.Gamma(2.0, 100.0)))
    return by_hand(Model(law, noise.huber(2e-3).scaled("D/N"), pooling, effects), table())


@pytest.fixture(scope="module")
def fit():
    return rich()


@pytest.fixture
def path(fit, tmp_path):
    storage.save(fit, tmp_path / "fit.nc")
    return tmp_path / "fit.nc"
