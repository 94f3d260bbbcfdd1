"""Noise that is wider where tokens are few, as on the Chinchilla points: which models hold the truth, and what is said.

On the 240 designs of Besiroglu et al. 2024 losses are simulated from their constants with normal log noise of .0128 in
the lowest fifth of D/N and .0047 elsewhere, as the residuals of the points have it. Models: the default one (Student-t
noise, shocks of the sizes that repeat, and steps of the scale where NOISE_SCALE is said, as `bayescale fit` adds
them); that without the steps; Student-t noise without shocks, of one scale and with a scale that follows D/N; and what
none could do better than: normal noise of which all is known. Coverage of 90% intervals by NUTS, of parameters and of
N at 1e23 FLOP, with the 95% interval of their mean over tables; and how often NOISE_SCALE is said.

Along the five directions that parameters are learned from the noise is drawn by a scrambled Sobol sequence, and along
the other 235 by chance: coverage has the same mean as with chance alone, and scatters less from one study to another.

    python benchmarks/uneven_noise.py --tables 128
"""

import argparse
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import record
from nuts import DATA

if TYPE_CHECKING:
    from bayescale.fit import Fit
    from bayescale.model import Model
    from bayescale.runs import Runs

TRUTH = {"E": 1.8172, "A": 477.83, "B": 2143.4, "alpha": 0.34731, "beta": 0.36717}
WIDE, NARROW, FIFTH = 0.0128, 0.0047, 0.2
BUDGET = 1e23
DEFAULT = "default"
SAMPLER = {"chains": 2, "draws": 400, "warmup": 300, "target": 0.9}
AT_ONCE = 16  # tables fitted side by side


def models_of(runs: "Runs") -> "dict[str, Model]":
    """Name -> model."""
    import jax.numpy as jnp
    import numpyro.distributions as dist

    from bayescale import models, noise
    from bayescale.model import Model
    from bayescale.noise import Noise

    law, known = models.load("chinchilla"), scale_of(runs)

    def exact(mean, runs):
        return dist.LogNormal(jnp.log(mean), jnp.asarray(known))

    return {
        DEFAULT: Model(law, noise.student_t).specialise(runs),
        "default, one scale": Model(law, noise.student_t),
        "student_t, one scale": Model(law, noise.student_t, effects=()),
        "student_t, scale with D/N": Model(law, noise.student_t.scaled("D/N"), effects=()),
        "normal, known": Model(law, Noise("known", exact, {}), effects=()),
    }


def scale_of(runs: "Runs") -> np.ndarray:
    """The scale of the noise of each run."""
    ratio = np.asarray(runs.columns["D"]) / np.asarray(runs.columns["N"])
    return np.where(ratio <= np.quantile(ratio, FIFTH), WIDE, NARROW)


def tables(count: int) -> "list[Runs]":
    """Tables of the design of the points."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    from bayescale import data

    runs = data.load(DATA)
    N, D = (np.asarray(runs.columns[c]) for c in "ND")
    of_n, of_d = TRUTH["A"] * N ** -TRUTH["alpha"], TRUTH["B"] * D ** -TRUTH["beta"]
    mean, scale = TRUTH["E"] + of_n + of_d, scale_of(runs)
    slopes = np.stack([np.ones_like(N), of_n, of_d, of_n * np.log(N), of_d * np.log(D)], axis=1)
    learned, _ = np.linalg.qr(slopes / (mean * scale)[:, None])
    normal = np.random.default_rng(0).standard_normal((count, len(N)))
    even = ndtri(qmc.Sobol(learned.shape[1], rng=0).random(count))
    normal += (even - normal @ learned) @ learned.T
    return [runs.replace(response=mean * np.exp(scale * one)) for one in normal]


def fits_of(
    name: str, model: "Model", tables: "list[Runs]", seed: int, design: "Runs"
) -> "Iterator[tuple[Fit, bool]]":
    """Fits of some tables, and whether NOISE_SCALE is said of them; with steps where it is said by default."""
    import jax

    from bayescale.check.scatter import uneven
    from bayescale.infer.many import nuts_each

    fits = nuts_each(jax.random.key(seed), model, tables, **SAMPLER)
    wider = [uneven(fit) for fit in fits]
    if name == DEFAULT:
        for along in {one.along for one in wider if one}:
            where = [i for i, one in enumerate(wider) if one and one.along == along]
            again = nuts_each(
                jax.random.key(seed), stepped(model, along, design), [tables[i] for i in where], **SAMPLER
            )
            for i, fit in zip(where, again, strict=True):
                fits[i], wider[i] = fit, uneven(fit)
    yield from zip(fits, (one is not None for one in wider), strict=True)


@cache  # one model is compiled for once, and its steps are where those of every table of the design are
def stepped(model: "Model", along: str, runs: "Runs") -> "Model":
    """The model with steps along a covariate or ratio."""
    return model.replace(noise=model.noise.stepped(along)).specialise(runs)


def said_of(fit: "Fit", told: bool) -> dict[str, Any]:
    """What a fit holds, how wide its interval of beta is, and whether it says that the noise is uneven."""
    from bayescale.decide import allocate

    draws = {name: np.asarray(fit.centre()[name]).ravel() for name in TRUTH}
    best, _ = allocate.split(fit, BUDGET, centre=True, strict=False, bounds=allocate.WIDE)
    draws["N at 1e23 FLOP"] = np.asarray(best).ravel()
    a, b = TRUTH["alpha"], TRUTH["beta"]
    at = (a * TRUTH["A"] / (b * TRUTH["B"])) ** (1 / (a + b)) * (BUDGET / 6) ** (b / (a + b))
    truth = TRUTH | {"N at 1e23 FLOP": at}
    ends = {name: np.quantile(values, (0.05, 0.95)) for name, values in draws.items()}
    return {
        "held": {name: bool(low <= truth[name] <= high) for name, (low, high) in ends.items()},
        "width": float(np.ptp(ends["beta"])),
        "told": told,
        "converged": fit.converged,
    }


def main() -> None:
    """Fit every table with every model, print a line for each, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=128)
    given = parser.parse_args()
    made = tables(given.tables)
    results = record.header("python benchmarks/uneven_noise.py --tables 128") | {"models": {}}
    for name, model in models_of(made[0]).items():
        every = []
        for begin in range(0, len(made), AT_ONCE):
            fits = fits_of(name, model, made[begin : begin + AT_ONCE], begin, made[0])
            every += [said_of(fit, told) for fit, told in fits]
        held = {q: np.array([one["held"][q] for one in every], float) for q in every[0]["held"]}
        each = np.mean(list(held.values()), axis=0)
        error = 1.96 * each.std(ddof=1) / np.sqrt(len(each))
        results["models"][name] = {
            "tables": len(every),
            "cover90": round(float(each.mean()), 3),
            "low": round(float(max(0.0, each.mean() - error)), 3),
            "high": round(float(min(1.0, each.mean() + error)), 3),
            **{q: round(float(values.mean()), 3) for q, values in held.items()},
            "width of beta": round(float(np.median([one["width"] for one in every])), 4),
            "NOISE_SCALE said": round(float(np.mean([one["told"] for one in every])), 3),
            "converged": round(float(np.mean([one["converged"] for one in every])), 3),
        }
        print(name, results["models"][name], flush=True)
        record.write("uneven_noise", results)


if __name__ == "__main__":
    main()
