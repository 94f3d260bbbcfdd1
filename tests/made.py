"""Fits made of given parameters, for tests: nothing is sampled."""

import numpy as np
from scipy.stats import norm

from bayescale import models, noise, parallel
from bayescale.check.backtested import Backtest
from bayescale.check.compared import Comparison
from bayescale.check.folds import Fold
from bayescale.check.forecasts import Forecasts
from bayescale.check.loo import Predictive
from bayescale.check.ranking import Candidate, Ranking
from bayescale.check.scores import PROBABILITIES
from bayescale.columns import label
from bayescale.fit import Fit
from bayescale.infer.bridge import Estimate
from bayescale.infer.evidence import Evidence
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


# ---- A comparison and a back-test of them, of evidences and forecasts that are given


def candidate(name, fit, value, *, error=0.02, off=0.0, behind=None):
    """A candidate of a comparison; `behind`: by how much it falls short of density 0, unit -> nats."""
    evidence = Evidence(
        fit, Estimate(value, error, 1e3), Estimate(value + off, error, 1e3), 0.1, value, fit.model.priors, {}
    )
    spread = np.random.default_rng(1).normal(size=12)
    left_out = {
        unit: Predictive(unit, -nats / 12 + (0.1 * spread if nats else 0 * spread), np.full(12, 0.2))
        for unit, nats in (behind or {}).items()
    }
    return Candidate(name, evidence, None, len(fit.model.priors), left_out)


def compared(
    runs=RUNS, names=("chinchilla", "kaplan", "constant"), left_out="10% of the runs at either end of D/N"
):
    """A comparison of three models: the first is 2.5 nats before the second, and the third is in doubt."""
    fit = fit_of("chinchilla", some(BESIROGLU), runs=runs)
    units = {"run": (0.0, 2.0, 30.0), "future": (0.0, -1.0, 12.0)}
    values, off = (-10.0, -12.5, -60.0), (0.0, 0.0, 1.0)
    every = [
        candidate(name, fit, values[k], off=off[k], behind={unit: nats[k] for unit, nats in units.items()})
        for k, name in enumerate(names)
    ]
    return Comparison(Ranking(tuple(every)), names[2], {left_out: Ranking(tuple(every[:2]))})


def backtested(runs=RUNS, off=0.1):
    """A back-test of two folds of a law that is off by so many nats for each decade."""
    compute, truth = np.asarray(runs.columns["C"], float), np.asarray(runs.response, float)
    folds = []
    for cut in np.quantile(compute, (0.3, 0.6)):
        gap = np.log10(compute / cut)
        asked = gap > 0.1
        index = np.flatnonzero(asked)
        noise = 0.02 * np.random.default_rng(len(index)).standard_normal(len(index))
        drawn = truth[index] * np.exp(0.02 * norm.ppf(PROBABILITIES)[:, None] + noise + off * gap[index])
        rivals = {"last": np.full(drawn.shape, truth[~asked].min())}
        fold = Fold(f"C up to {label(float(cut))}", ~asked, asked, gap)
        folds.append(Forecasts(fold, "chinchilla", (), (), index, drawn, np.zeros(len(index)), rivals))
    return Backtest(runs, "C", tuple(folds))
