"""Recovery: every law, and the known parameters that simulated runs were made with.

Each law gets tables of 100 runs, with covariates over 2.5 decades, losses at known parameters (in most, the
medians of its priors) and log-normal noise of 1%. The truth is the same in every table, so the share of intervals
that hold it is their coverage; what the data say little of is held at the prior, which is centred on the truth,
and covers more often than 90%. Laws of success get 200 tries in each run instead, and binomial noise.

    python benchmarks/recovery.py --replicates 10
"""

import argparse
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.fit import Fit
    from bayescale.law import Law
    from bayescale.noise import Noise
    from bayescale.runs import Runs

SIZE = 100
SIGMA = 0.01
UNIT = 2.0  # nats; what priors call 1
DECADES = 2.5
CENTRE = {"N": 1e9, "D": 2e10, "experts": 32.0, "loss": 3.0, "minutes": 30.0}
TRIALS = 200  # of each run, for laws of success
NARROW = 0.4  # decades of the loss, which varies by a factor of 2.5
ABSOLUTE = {"chance": (0.0, 0.5), "date": (2022.0, 2026.0)}
ATTEMPTS = 3.0  # decades of the number of attempts
# Where the median of the prior says nothing of the parameters: a break that does not bend, a decay that is over
# in a third of the design, and a floor that noise then puts above the least loss measured.
TRUTHS: dict[str, dict[str, float]] = {
    "broken_power": {"shift": 0.3, "alpha": 0.2},
    "exponential": {"kappa": 0.1},
    # Curves that bend within the design.
    "logistic": {"threshold": 1.0, "slope": 2.4},
    "time_horizon_break": {"before": 0.8, "after": 0.3},
    "inverse": {"threshold": 1.0, "slope": 2.4},
    "logistic_floor": {"threshold": 1.0, "slope": 2.4},
    "logistic_chance": {"threshold": 1.0, "slope": 2.4},
    "broken_success": {"A": 0.7, "alpha": 0.2, "shift": 0.8, "location": 1.0},
    "staircase": {"threshold": 0.3, "gap": 20.0},
}


class Study(NamedTuple):
    """Simulated runs, and what they were made with."""

    law: "Law"
    runs: "Runs"
    truth: dict[str, float]  # in natural units
    mean: np.ndarray  # (runs,), before the noise
    noise: "Noise"


def simulate(
    name: str,
    seed: int,
    *,
    size: int = SIZE,
    decades: float = DECADES,
    truth: Mapping[str, float] | None = None,
) -> Study:
    """A table of runs of a law; `truth` is laid over what the law has by default."""
    import jax

    from bayescale import models, noise, parallel
    from bayescale.law import AXIS
    from bayescale.runs import Runs

    law = models.load(name)
    if AXIS in law.covariates:
        law = law.along("N")
    rng = np.random.default_rng([seed, size])
    columns = {}
    for c in CENTRE:
        if c in law.covariates or c == "N":
            half = min(decades / 2, np.log10(CENTRE[c]))  # a layer has one expert at least
            half = NARROW / 2 if c == "loss" else half
            columns[c] = CENTRE[c] * 10 ** rng.uniform(-half, half, size)
    if "U" in law.covariates:  # up to 60 epochs, and a third of the runs of one epoch
        columns["U"] = columns["D"] / np.maximum(1, 60 ** rng.uniform(-0.5, 1, size))
    for c in law.absolute:
        attempts = np.rint(10 ** rng.uniform(0, ATTEMPTS, size))
        columns[c] = attempts if c == "k" else rng.uniform(*ABSOLUTE[c], size)
    unit = UNIT if law.response == "loss" else 1.0
    with parallel.workbench():
        key = jax.random.key(0)
        median = {p: float(np.median(prior.sample(key, (20_001,)))) for p, prior in law.priors.items()}
        median |= TRUTHS.get(name, {}) | dict(truth or {})
        centre = CENTRE | {"U": CENTRE["D"]}
        natural = {p: float(v) for p, v in law.to_natural(median, centre, unit).items()}
        mean = np.broadcast_to(np.asarray(unit * law(law.relative(columns, centre), median)), (size,))
    if law.response == "success":
        counts = {"successes": rng.binomial(TRIALS, mean), "trials": np.full(size, TRIALS)}
        runs = Runs.make({**columns, **counts}, response="successes", duplicates="keep")
        return Study(law, runs, natural, mean, noise.binomial)
    loss = mean * np.exp(SIGMA * rng.normal(size=size))
    return Study(law, Runs.make({**columns, "loss": loss}), natural, mean, noise.log_normal)


def errors(study: Study, fit: "Fit") -> tuple[dict[str, float], dict[str, bool], float]:
    """How far the posterior is from the truth.

    Returns:
        The z-score of each parameter, in the unconstrained space; whether its 90% interval holds the truth; and the
        squared distance of all together in the posterior's own covariance, about chi-squared.
    """
    from numpyro.distributions import biject_to

    from bayescale import parallel

    with parallel.workbench():
        relative = study.law.to_reference(study.truth, fit.runs.reference, fit.runs.unit)
        priors = fit.model.priors
        relative = {"sigma": SIGMA} | {p: float(v) for p, v in relative.items()}
        at, drawn = [], []
        for p, prior in priors.items():
            inverse = biject_to(prior.support).inv
            at.append(float(inverse(relative[p])))
            drawn.append(np.asarray(inverse(fit.flat(p))))
    truth, draws = np.array(at), np.stack(drawn, axis=1)
    gap = truth - draws.mean(axis=0)
    distance = float(gap @ np.linalg.solve(np.cov(draws.T).reshape(len(gap), -1), gap))
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    z = dict(zip(priors, (gap / draws.std(axis=0)).tolist(), strict=True))
    return z, dict(zip(priors, ((low <= truth) & (truth <= high)).tolist(), strict=True)), distance


def misfit(study: Study, fit: "Fit") -> float:
    """Squared distance of the fitted curve from the true one over the noise, summed over the runs."""
    points = {c: study.runs.columns[c] for c in study.law.covariates}
    curve = fit.predict(points)[0] if points else next(iter(fit.centre().values()))
    if study.law.response == "success":
        return float(np.sum((curve - study.mean) ** 2 / (study.mean * (1 - study.mean) / TRIALS)))
    return float(np.sum((np.log(curve / study.mean) / SIGMA) ** 2))


def measure(name: str, replicates: int, draws: int) -> dict[str, Any]:
    """z-scores and coverage of one law over its tables."""
    import jax

    from bayescale.infer.nuts import nuts
    from bayescale.model import Model

    began = time.perf_counter()
    z, held, distances, sound = [], [], [], 0
    model = None
    for seed in range(replicates):
        study = simulate(name, seed)
        model = model or Model(study.law, study.noise, effects=())
        fit = nuts(jax.random.key(seed), model, study.runs, draws=draws)
        scores, inside, distance = errors(study, fit)
        z.append(scores)
        held.append(inside)
        distances.append(round(distance, 2))
        sound += fit.converged
    parameters = list(z[0])
    return {
        "converged": sound,
        "coverage": round(float(np.mean([[one[p] for p in parameters] for one in held])), 3),
        "coverage_of": {p: round(float(np.mean([one[p] for one in held])), 3) for p in parameters},
        "z": {p: [round(one[p], 2) for one in z] for p in parameters},
        "distance": distances,
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Recover every law, print the table and write the results."""
    from bayescale import models

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=10, help="tables of each law")
    parser.add_argument("--draws", type=int, default=1000, help="of each of 4 chains")
    arguments = parser.parse_args()
    command = f"python benchmarks/recovery.py --replicates {arguments.replicates} --draws {arguments.draws}"
    results = record.header(command) | {"runs": SIZE, "sigma": SIGMA, "decades": DECADES, "laws": {}}
    print(f"{'law':18} converged  coverage of 90%  worst |z|  worst distance / parameters  seconds")
    for name in models.names():
        one = measure(name, arguments.replicates, arguments.draws)
        results["laws"][name] = one
        worst = max(abs(v) for values in one["z"].values() for v in values)
        print(
            f"{name:18} {one['converged']:6}/{arguments.replicates:<3} {one['coverage']:14.3f} {worst:11.2f} "
            f"{max(one['distance']):16.1f} / {len(one['z']):<9} {one['seconds']:8}",
            flush=True,
        )
        record.write("recovery", results)
    print(f"written to {record.write('recovery', results)}")


if __name__ == "__main__":
    main()
