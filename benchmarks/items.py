"""Item response models of simulated suites: whether what tasks share is recovered.

100 tasks in 20 families, 8 models on 19 to 23 decades of compute, 4 attempts of each model at each task. Thresholds
are about 21 with a standard deviation of a decade, of which families have the share rho of the variance; slopes are
some 4 logits for each decade and differ by 0.3 on the log scale. A model is better or worse than its compute at
everything, by 0.2 decades, and at each family of tasks besides, by 0.3 logits. The model fitted is the default one.

It takes up where it was stopped; what was not sampled well, with R-hat above 1.02, is sampled once more, three times as
long.

    python benchmarks/items.py --suites 40
"""

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import record
from scipy.special import expit

if TYPE_CHECKING:
    from bayescale.fit import Fit
    from bayescale.runs import Runs

RHO = (0.3, 0.7, 0.95)
TASKS, FAMILIES, MODELS, ATTEMPTS = 100, 20, 8, 4
SPREAD, SLOPE = 1.0, 4.0
CHAINS, DRAWS, WARMUP = 4, 500, 250
WELL = 1.02  # the greatest R-hat
FOUND = ("rho", "spread", "slope")


def simulate(rho: float, seed: int) -> "Runs":
    """The counts of one suite."""
    from bayescale.runs import Runs

    rng = np.random.default_rng([seed, int(1000 * rho)])
    family = np.repeat(np.arange(FAMILIES), TASKS // FAMILIES)
    shared, own = rng.normal(size=FAMILIES)[family], rng.normal(size=TASKS)
    threshold = 21 + SPREAD * (np.sqrt(rho) * shared + np.sqrt(1 - rho) * own)
    slope = SLOPE * np.exp(0.3 * rng.normal(size=TASKS))
    x = np.linspace(19, 23, MODELS)
    ability = x + 0.2 * rng.normal(size=MODELS)
    apart = 0.3 * rng.normal(size=(MODELS, FAMILIES))[:, family]
    won = rng.binomial(ATTEMPTS, expit(slope * (ability[:, None] - threshold) + apart))
    model, task = (index.ravel() for index in np.indices(won.shape))
    return Runs.make(
        {
            "C": 10 ** x[model],
            "successes": won.ravel(),
            "trials": np.full(won.size, ATTEMPTS),
            "model": [f"m{i}" for i in model],
            "task": [f"t{i}" for i in task],
            "family": [f"f{family[i]}" for i in task],
        },
        factors=["model", "task", "family"],
    )


def fitted(rho: float, seed: int, longer: int = 1) -> "Fit":
    """The default model, sampled so many times as long."""
    import jax

    from bayescale.infer.nuts import nuts
    from bayescale.tasks.items import item_response

    items = item_response(simulate(rho, seed), family="family")
    draws, warmup = longer * DRAWS, longer * WARMUP
    return nuts(
        jax.random.key(seed), *items, chains=CHAINS, draws=draws, warmup=warmup, target=0.9, retry=False
    )


def measure(rho: float, seed: int) -> dict[str, Any]:
    """What the fit of one suite says, and how well it was sampled."""
    from bayescale.tasks.companions import companions

    began = time.process_time()
    fit = fitted(rho, seed)
    worst = max(float(values[..., 0].max()) for values in fit.diagnostics.values())
    if worst > WELL:
        fit = fitted(rho, seed, longer=3)
        worst = max(float(values[..., 0].max()) for values in fit.diagnostics.values())
    told = companions(fit, family="family")
    ess = min(float(values[..., 1:].min()) for values in fit.diagnostics.values())
    quantities = {}
    for name in FOUND:
        low, _, high = told.interval(name)
        quantities[name] = [round(value, 4) for value in (float(told[name].mean()), low, high)]
    quantities |= {
        "draws": len(fit),
        "r_hat": round(worst, 4),
        "ess": round(ess),
        "divergences": int(fit.stats["diverging"].sum()),
    }
    return quantities | {"seconds": round(time.process_time() - began, 1)}


def of_thresholds(rho: float, seed: int) -> dict[str, list[float]]:
    """What thresholds themselves would say of rho and spread: mean, 5% and 95%, on a grid, with the same priors.

    No fit of counts can do better than this on average.
    """
    rng = np.random.default_rng([seed, int(1000 * rho)])
    each = TASKS // FAMILIES
    shared, own = np.repeat(rng.normal(size=FAMILIES), each), rng.normal(size=TASKS)
    b = (SPREAD * (np.sqrt(rho) * shared + np.sqrt(1 - rho) * own)).reshape(FAMILIES, each)
    middle = b.mean(axis=1)
    family, task = np.linspace(0.01, 3, 400)[:, None], np.linspace(0.05, 2, 400)[None]
    between = family**2 + task**2 / each
    log = -np.sum((b - middle[:, None]) ** 2) / 2 / task**2 - (TASKS - FAMILIES) * np.log(task)
    log = log - np.sum((middle - middle.mean()) ** 2) / 2 / between - (FAMILIES - 1) / 2 * np.log(between)
    log = log - (family**2 + task**2) / 1.5**2  # half-normal, 1.5 / sqrt(2) each
    weight = np.exp(log - log.max()).ravel()
    found = {}
    for name, values in (("rho", family**2 / (family**2 + task**2)), ("spread", np.hypot(family, task))):
        flat = values.ravel()
        order = np.argsort(flat)
        reached = np.cumsum(weight[order]) / weight.sum()
        low, high = flat[order][np.searchsorted(reached, (0.05, 0.95))]
        found[name] = [float(np.sum(weight * flat) / weight.sum()), float(low), float(high)]
    return found


def digest(rho: float, fits: list[dict[str, Any]]) -> dict[str, Any]:
    """Means, errors and covers of many suites."""
    found: dict[str, Any] = {"suites": len(fits)}
    for name, truth in zip(FOUND, (rho, SPREAD, SLOPE), strict=True):
        mean, low, high = np.array([fit[name] for fit in fits]).T
        found[name] = {
            "truth": truth,
            "mean": round(float(mean.mean()), 3),
            "interval": [round(float(end.mean()), 3) for end in (low, high)],
            "error": round(float(np.abs(mean - truth).mean()), 3),
            "covered": int(np.sum((low <= truth) & (truth <= high))),
        }
        if name != "slope":
            at_best = [of_thresholds(rho, fit["seed"])[name] for fit in fits]
            mean, low, high = np.array(at_best).T
            found[name]["error_of_thresholds"] = round(float(np.abs(mean - truth).mean()), 3)
            found[name]["covered_of_thresholds"] = int(np.sum((low <= truth) & (truth <= high)))
    found["r_hat_greatest"] = max(fit["r_hat"] for fit in fits)
    found["ess_least"] = min(fit["ess"] for fit in fits)
    found["divergences"] = sum(fit["divergences"] for fit in fits)
    found["cpu_seconds"] = float(np.median([fit["seconds"] for fit in fits]))
    return found


def main() -> None:
    """Do all, print what came out and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suites", type=int, default=20, help="of each truth")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first one")
    told = parser.parse_args()
    results = record.header(f"python benchmarks/items.py --suites {told.first + told.suites}")
    results |= {"tasks": TASKS, "families": FAMILIES, "models": MODELS, "attempts": ATTEMPTS, "truths": {}}
    results |= {
        "chains": CHAINS,
        "draws": DRAWS,
        "warmup": WARMUP,
        "values": "posterior mean, 5%, 95%",
        "fits": {},
    }
    before = record.read("items").get("fits", {})
    results["fits"] = {str(rho): before.get(str(rho), []) for rho in RHO}
    for seed in range(told.first, told.first + told.suites):
        for rho in RHO:
            fits = results["fits"][str(rho)]
            if seed in [fit["seed"] for fit in fits]:
                continue
            fits.append({"seed": seed, **measure(rho, seed)})
            print(f"rho {rho}: {fits[-1]}", flush=True)
            results["truths"][str(rho)] = digest(rho, fits)
            record.write("items", results)
    for rho in RHO:
        fits = results["fits"][str(rho)] = sorted(results["fits"][str(rho)], key=lambda fit: fit["seed"])
        results["truths"][str(rho)] = digest(rho, fits)
        print(f"rho {rho}: {results['truths'][str(rho)]}", flush=True)
    print(f"written to {record.write('items', results)}")


if __name__ == "__main__":
    main()
