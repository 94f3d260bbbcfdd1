"""What the problems of GSM8K share, by the plain binomial model with a number for each problem of each checkpoint.

It shares nothing with bayescale but the table: one slope, thresholds of problems, a shock of each checkpoint, and 4,096
numbers for what a problem is at a checkpoint, all sampled by NumPyro; bayescale integrates those out.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bayescale.runs import Runs

MOST = 512  # tries of a problem at a checkpoint, of those up to 60,000, in the second of the two
SAMPLER: dict[str, Any] = {"num_warmup": 500, "num_samples": 1500, "num_chains": 2}
HYPER = ("slope", "threshold", "difficulty", "shock", "scatter")  # what convergence is asked of


def _model(problem, checkpoint, tries, won, decades):
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    def numbers(name: str, count: int) -> Any:
        with numpyro.plate(f"{name}s", count):
            return numpyro.sample(f"{name} z", dist.Normal(0, 1))

    slope = numpyro.sample("slope", dist.LogNormal(jnp.log(1.5), 0.6))  # the prior of both
    logits = numpyro.sample("threshold", dist.Normal(-5, 3)) + slope * decades
    index = {"difficulty": problem, "shock": checkpoint, "scatter": np.arange(len(won))}
    for name, most in {"difficulty": 3.0, "shock": 1.5, "scatter": 1.5}.items():
        scale = numpyro.sample(name, dist.HalfNormal(most))
        logits += scale * numbers(name, int(index[name].max()) + 1)[index[name]]
    numpyro.sample("won", dist.BinomialLogits(logits, tries), obs=won)


def fewer(runs: "Runs") -> "Runs":
    """The table with at most 512 tries of each problem at a checkpoint, drawn from those there are."""
    tries, won = (np.asarray(v).astype(int) for v in (runs.columns["trials"], runs.response))
    some = np.minimum(tries, MOST)
    kept = np.random.default_rng(0).hypergeometric(won, tries - won, some)
    return runs.replace(columns={**runs.columns, "trials": some.astype(float)}, response=kept.astype(float))


def plain(runs: "Runs") -> dict[str, Any]:
    """The shares by the plain model: mean, 5% and 95%."""
    import jax
    import numpyro
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    tries, won = (np.asarray(v).astype(int) for v in (runs.columns["trials"], runs.response))
    decades = np.log10(np.asarray(runs.columns["C"])) - 21
    problem, checkpoint = (np.asarray(runs.factors[by]) for by in ("task", "model"))
    with jax.enable_x64(True):
        kernel = numpyro.infer.NUTS(
            lambda: _model(problem, checkpoint, tries, won, decades), target_accept_prob=0.85
        )
        sampler = numpyro.infer.MCMC(kernel, chain_method="sequential", progress_bar=False, **SAMPLER)
        sampler.run(jax.random.key(0))
        draws = {name: np.asarray(sampler.get_samples(group_by_chain=True)[name]) for name in HYPER}
    shock, scatter = draws["shock"], draws["scatter"]
    quantities = {
        "spread": draws["difficulty"] / draws["slope"],
        "slope": draws["slope"],
        "model shock": shock,
        "shared": shock**2 / (shock**2 + scatter**2),
        "problem of one checkpoint, logits": scatter,
    }
    found: dict[str, Any] = {
        name: [round(float(v), 3) for v in (values.mean(), *np.quantile(values, (0.05, 0.95)))]
        for name, values in quantities.items()
    }
    return found | {
        "most tries": int(tries.max()),
        "r_hat": round(max(float(split_gelman_rubin(v)) for v in draws.values()), 4),
        "ess": round(min(float(effective_sample_size(v)) for v in draws.values())),
    }
