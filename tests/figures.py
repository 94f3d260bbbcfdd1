"""Fits of which figures are drawn, one of them with curves that are known, and what is on the axes of a figure."""

import jax
import numpy as np

from bayescale import models, noise, parallel
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.runs import Runs

GOOD = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1, "mode_agreed": 9, "mode_starts": 9}
RUNS = Runs.make(
    {
        "N": np.tile(np.geomspace(1e8, 1e10, 6), 2),
        "D": np.repeat([20, 200], 6) * np.tile(np.geomspace(1e8, 1e10, 6), 2),
        "loss": np.concatenate([np.linspace(3.3, 2.3, 6), np.linspace(3.1, 2.2, 6)]),
        "width": np.tile(np.geomspace(512, 8192, 6), 2),
        "family": ["one"] * 6 + ["two"] * 6,
    }
)
BY_FAMILY = (Pooling(("A",), by="family"),)
# The best D/N is 56, within the runs.
TRUTH = {"E": 1.69, "A": 406.4, "B": 1600.0, "alpha": 0.34, "beta": 0.34}


def fit_of(law: str | Law = "chinchilla", *, draws=200, pooling=(), method="laplace", runs=RUNS, **stats):
    """A fit whose draws are those of the prior."""
    law = models.load(law) if isinstance(law, str) else law
    model = Model(law, noise.log_normal, pooling, effects=())
    with parallel.workbench():
        found = {
            name: np.asarray(of.sample(jax.random.fold_in(jax.random.key(1), i), (1, draws)))
            for i, (name, of) in enumerate(model.priors.items())
        }
    for p in pooling:
        found[f"{p.vary[0]}_by_{p.by}"] = np.tile([0.1, -0.1], (1, draws, 1))
        found[f"{p.vary[0]}_by_{p.by}_scale"] = np.linspace(0.05, 0.2, draws)[None]
    return Fit(model, runs, found, method, GOOD | stats)


def known(draws=200, **options):
    """A fit of the Chinchilla law whose draws are about TRUTH, and those draws."""
    fit, random = fit_of(draws=draws, **options), np.random.default_rng(0)
    own = {p: v * np.exp(0.03 * random.standard_normal(draws)) for p, v in TRUTH.items()}
    with parallel.workbench():
        relative = fit.model.law.to_reference(own, RUNS.reference, RUNS.unit)
    sites = {p: np.asarray(v)[None] for p, v in relative.items()} | {"sigma": np.full((1, draws), 0.02)}
    return fit.replace(draws=fit.draws | sites), own


def loss_of(own, N, D):
    columns = {p: v[:, None] for p, v in own.items()}
    return columns["E"] + columns["A"] * N ** -columns["alpha"] + columns["B"] * D ** -columns["beta"]


def best_n(own, C):
    """The closed form of Hoffmann et al. 2022, equation 4."""
    a, b = own["alpha"], own["beta"]
    return (a * own["A"] / (b * own["B"])) ** (1 / (a + b)) * (C / 6) ** (b / (a + b))


def lines(axes, label):
    return [line for line in axes.get_lines() if line.get_label() == label]


def dashed(axes):
    return [line for line in axes.get_lines() if line.get_linestyle() == "--" and len(xs(line)) > 1]


def xs(line):
    return np.asarray(line.get_xdata(), float)


def ys(line):
    return np.asarray(line.get_ydata(), float)


def band(axes, label):
    """The x, the lower and the upper end of a band."""
    (found,) = [c for c in axes.collections if c.get_label() == label]
    path = found.get_paths()[0].vertices
    x = np.unique(path[:, 0])
    ends = np.array([[path[path[:, 0] == at, 1].min(), path[path[:, 0] == at, 1].max()] for at in x])
    return x, ends[:, 0], ends[:, 1]


def names(axes):
    return axes.get_legend_handles_labels()[1]
