"""Fits made of given parameters, for tests: nothing is sampled."""

import numpy as np

from bayescale import models, noise, parallel
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.runs import Runs

RUNS = Runs.make(
    {
        "N": np.geomspace(1e8, 1e10, 12),
        "D": np.tile([2e9, 3e10, 2e11], 4),
        "loss": np.linspace(3.3, 2.1, 12),
        "corpus": list("xy") * 6,
    },
    factors=["corpus"],
)
# Besiroglu et al. 2024, arXiv:2404.10102, as printed.
BESIROGLU = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
# Hoffmann et al. 2022, arXiv:2203.15556, approach 3: as printed, and with the digits of the TeX source, which give
# the logarithms of A, B and E.
PRINTED = {"A": "406.4", "B": "410.7", "E": "1.69", "alpha": "0.34", "beta": "0.28"}
TEX = {
    "A": np.exp(6.0073404),
    "B": np.exp(6.0179186),
    "E": np.exp(0.5267228),
    "alpha": 0.33917084,
    "beta": 0.2849083,
}


def fit_of(law, natural, *, pooling=(), deviations=None, runs=RUNS):
    """A fit whose draws are these natural parameters."""
    law = models.load(law) if isinstance(law, str) else law
    with parallel.workbench():
        relative = law.to_reference(natural, runs.reference, runs.unit)
        draws = {p: np.atleast_1d(np.asarray(v, float)).reshape(1, -1) for p, v in relative.items()}
    draws["sigma"] = np.full_like(draws[law.parameters[0]], 0.01)
    model = Model(law, noise.log_normal, pooling, effects=())
    stats = {"at_bound": [], "mode_converged": True, "pareto_k": 0.1}
    return Fit(model, runs, draws | (deviations or {}), "laplace", stats)


def some(parameters, draws=200, sd=0.1):
    """Draws about parameters, each with a standard deviation of its logarithm."""
    random = np.random.default_rng(0)
    return {p: v * np.exp(sd * random.standard_normal(draws)) for p, v in parameters.items()}


def closed_form(compute, *, A, B, alpha, beta, E=0.0):
    """N, D and loss of the compute-optimal split: Hoffmann et al. 2022, equation 4."""
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    N = G * (compute / 6) ** (beta / (alpha + beta))
    D = compute / (6 * N)
    return N, D, E + A * N**-alpha + B * D**-beta
