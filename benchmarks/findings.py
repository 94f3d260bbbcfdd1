"""How often each finding fires on a fault that was planted, and how often on tables that have none.

Clean tables are of six designs: slices of equal compute, a grid whose sizes share shocks that are modelled, one whose
sizes share nothing and that is fitted without shocks, a ladder with a law in compute, runs anywhere, and training runs
with several rows each. Each is fitted (the Laplace approximation; by NUTS for FLOOR_PRIOR and MODELSENS), and gets all
checks, those of decisions within the range of the runs, and with equal compute that of the parabola.

    python benchmarks/findings.py --clean 34 --planted 60
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import findings_tables as tables
import numpy as np
import record
from scipy.stats import beta

if TYPE_CHECKING:
    from bayescale.fit import Fit
    from bayescale.model import Model
    from bayescale.runs import Runs

DRAWS = 2000
PRINTED = {"E": "1.69", "A": "406.4", "B": "410.7", "alpha": "0.34", "beta": "0.28"}  # Hoffmann et al. 2022
IN_FULL = {"E": "1.6934", "A": "406.40", "B": "410.70", "alpha": "0.33917", "beta": "0.28491"}
CODES = (
    *("EXTRAP", "COLLINEAR", "FEW_LEVELS", "FEW_RUNS", "FLOOR_PRIOR", "FLOOR_PINNED", "MIDSCHED", "DUP_RUN"),
    *("EMBED", "FLOPDEF", "INTFLOP", "UNITS", "OUTLIER", "CLUSTER", "SUPPORT", "MODELSENS", "A2_BIAS"),
    *("REPEAT", "OVERTRAIN", "TUNED", "ROUND", "IRRELEVANT"),
)
WITHIN = {"N": 2e9, "D": 4e10}, {"N": 1e9, "D": 8e10}  # two runs within the range of the clean ones
# Of the planted tables; of the question that laws answer apart the noise has a say too.
LEAST = {code: 0.8 if code == "MODELSENS" else 0.95 for code in CODES}
MOST = 0.05  # of clean tables
BEYOND = {"N": 1e10, "D": 1.7e12}, {"N": 1e11, "D": 3.3e11}  # two that are far out
DESIGNS = {
    "isoflop": (tables.isoflop, "chinchilla", "log_normal", None),
    "grid": (tables.grid, "chinchilla", "student_t", None),
    "grid of independent runs": (lambda rng: tables.grid(rng, shock=0.0), "chinchilla", "log_normal", ()),
    "ladder": (tables.ladder, "power_floor", "log_normal", ()),
    "scattered": (tables.scattered, "chinchilla_tied", "student_t", None),
    "branches": (tables.branches, "chinchilla", "log_normal", None),
}


@cache
def model(law: str, noise: str, effects: tuple | None, *, pinned: bool = False, over: str = "") -> "Model":
    """A model, made once: what is compiled belongs to it."""
    import numpyro.distributions as dist

    from bayescale import models
    from bayescale import noise as noises
    from bayescale.law import AXIS, irrelevant
    from bayescale.model import Model

    form = models.load(law)
    form = form.along("C") if AXIS in form.covariates else form
    if pinned:
        form = form.replace(priors={"E": dist.LogNormal(float(np.log(0.7)), 0.003)})
    form = irrelevant(form, over) if over else form
    return Model(form, noises.load(noise), effects=effects)


def fitted(seed: int, one: "Model", runs: "Runs") -> "Fit":
    """The Laplace approximation of a fit."""
    import jax

    from bayescale.infer.optimize import laplace

    return laplace(jax.random.key(seed), one, runs, draws=DRAWS)


def sampled(seed: int, one: "Model", runs: "Runs") -> "Fit":
    """A fit by NUTS, where runs say so little that the Laplace approximation is none."""
    import jax

    from bayescale.infer.nuts import nuts

    return nuts(jax.random.key(seed), one, runs, draws=DRAWS // 4, retry=False)


def read(columns: dict[str, Any]) -> "Runs":
    """The table of some columns."""
    from bayescale.runs import Runs

    return Runs.make(columns, response="loss")


def of_fit(seed: int, fit: "Fit") -> set[str]:
    """The codes of all findings of a fit, and by which other rules its floor would be called not learned."""
    import jax

    from bayescale.check.of_fits import learned
    from bayescale.check.of_refits import all_findings

    rules = {
        "KL < 0.2": learned(fit, "E") < 0.2,
        "contraction < 0.5": (fit.summary()["E"].contraction or 0.0) < 0.5,
    }
    found = {one.code for one in all_findings(jax.random.key(seed), fit)}
    return found | {name for name, fires in rules.items() if fires}


def of_few(seed: int) -> set[str]:
    """The codes of a fit to a few runs."""
    runs = read(tables.few(np.random.default_rng([seed, 2])))
    return of_fit(seed, sampled(seed, model("power_floor", "log_normal", ()), runs))


def of_decision(fit: "Fit", times: float) -> set[str]:
    """The codes of the findings of the best split of so many times the largest compute of the runs."""
    from bayescale.decide.allocate import compute_optimal

    return {
        one.code for one in compute_optimal(fit, times * np.max(fit.runs.columns["C"]), strict=False).findings
    }


def of_rivals(seed: int, runs: "Runs", pair: tuple[dict[str, float], dict[str, float]]) -> set[str]:
    """Whether it is for the law to say which of two runs is better, of two laws that predict as well."""
    from bayescale.check.loo import leave_one_out
    from bayescale.decide.better import better, rivals

    fits = {
        law: sampled(seed, model(law, "student_t", ()), runs) for law in ("chinchilla", "chinchilla_tied")
    }
    elpd = {name: leave_one_out(fit).value for name, fit in fits.items()}
    asked = rivals(fits, lambda fit: better(fit, *pair), "difference", below=0.0, elpd=elpd)
    return {one.code for one in asked.findings if one.severity != "note"}


def of_parabola(seed: int, runs: "Runs") -> set[str]:
    """The codes of the findings of approach 2."""
    import jax

    from bayescale.decide.parabola import parabola

    try:
        return {
            one.code for one in parabola(jax.random.key(seed), runs, by="budget", replicates=200).findings
        }
    except ValueError:  # no minimum at all is told too
        return {"A2_BIAS"}


def clean(name: str, seed: int) -> set[str]:
    """The codes of everything that is found on a clean table of a design."""
    from bayescale import models
    from bayescale.check.published import published

    simulate, law, noise, effects = DESIGNS[name]
    runs = read(simulate(np.random.default_rng([seed, 1])))
    fit = fitted(seed, model(law, noise, effects), runs)
    found = of_fit(seed, fit)
    if {"N", "D"} <= set(fit.model.law.covariates):
        found |= of_decision(fit, 3.0)
    if name == "isoflop":
        found |= of_parabola(seed, runs)
    if name == "scattered":
        found |= of_rivals(seed, runs, WITHIN)
        found |= _of_published(published(models.load("chinchilla"), IN_FULL, runs=runs))
    return found


def _of_published(fit: "Fit") -> set[str]:
    from bayescale.check.findings import findings

    return {one.code for one in findings(fit)}


def faults() -> dict[str, Callable[[int], set[str]]]:
    """Code -> what is found on a table with that fault, a function of a seed."""
    from bayescale import models
    from bayescale.check.of_runs import findings_of_runs
    from bayescale.check.published import published

    def at(seed: int) -> np.random.Generator:
        return np.random.default_rng([seed, 2])

    def of_table(simulate) -> Callable[[int], set[str]]:
        form = models.load("chinchilla")
        return lambda seed: {one.code for one in findings_of_runs(read(simulate(at(seed))), form, shared=())}

    def of_fits(simulate, *given, **changed) -> Callable[[int], set[str]]:
        one = model(*given, **changed)
        return lambda seed: of_fit(seed, fitted(seed, one, read(simulate(at(seed)))))

    def decided(times: float, simulate=tables.scattered) -> Callable[[int], set[str]]:
        one = model("chinchilla_tied", "student_t", ())
        return lambda seed: of_decision(fitted(seed, one, read(simulate(at(seed)))), times)

    def parabolas(seed: int) -> set[str]:
        # One way of being off after the other.
        ways = ({"off": 3.0}, {"width": 16.0}, {"drift": 6.0}, {"off": 10.0})
        return of_parabola(seed, read(tables.isoflop(at(seed), **ways[seed % len(ways)])))

    return {
        "EXTRAP": decided(10.0**1.5),
        "COLLINEAR": of_table(tables.collinear),
        "FEW_LEVELS": of_table(tables.two_sizes),
        "FEW_RUNS": of_table(lambda rng: tables.scattered(rng, runs=12)),
        "FLOOR_PRIOR": of_few,
        "FLOOR_PINNED": of_fits(tables.ladder, "power_floor", "log_normal", (), pinned=True),
        "MIDSCHED": of_table(tables.checkpoints),
        "DUP_RUN": of_table(tables.checkpoints),
        "EMBED": of_table(tables.embedded),
        "FLOPDEF": of_table(tables.other_flop),
        "INTFLOP": of_table(tables.overflowed),
        "UNITS": of_table(tables.in_bits),
        "OUTLIER": of_fits(tables.off, "chinchilla", "log_normal", None),
        "CLUSTER": of_fits(
            lambda rng: tables.grid(rng, sizes=16, shock=0.006), "chinchilla", "student_t", ()
        ),
        "SUPPORT": of_fits(tables.off_at_the_ends, "chinchilla", "log_normal", None),
        "MODELSENS": lambda seed: of_rivals(seed, read(tables.narrow(at(seed))), BEYOND),
        "A2_BIAS": parabolas,
        "REPEAT": of_table(tables.repeated),
        "OVERTRAIN": decided(1.0, lambda rng: tables.scattered(rng, ratios=(200.0, 1000.0))),
        "TUNED": of_table(tables.untuned),
        "ROUND": lambda seed: _of_published(published(models.load("chinchilla"), PRINTED)),
        "IRRELEVANT": of_fits(
            lambda rng: tables.gpus(rng, effect=0.0), "power_floor", "log_normal", (), over="gpus"
        ),
    }


def rate(fired: int, of: int) -> dict[str, Any]:
    """How often, with the standard error and the 95% interval of Clopper and Pearson."""
    share = fired / of
    low = float(beta.ppf(0.025, fired, of - fired + 1)) if fired else 0.0
    high = float(beta.ppf(0.975, fired + 1, of - fired)) if fired < of else 1.0
    error = float(np.sqrt(share * (1 - share) / of))
    return {
        "fired": fired,
        "of": of,
        "rate": round(share, 4),
        "error": round(error, 4),
        "between": [round(low, 4), round(high, 4)],
    }


def measured(
    asked: dict[str, Callable[[int], set[str]]], seeds: range
) -> Iterator[tuple[str, list[set[str]]]]:
    """What each of some functions of a seed finds, one after the other, said as it comes."""
    import jax

    for name, one in asked.items():
        jax.clear_caches()  # each compiled function takes memory maps, of which a process has so many
        began = time.perf_counter()
        found = [one(seed) for seed in seeds]
        counts = Counter(code for codes in found for code in codes)
        said = ", ".join(f"{code} {times}" for code, times in counts.most_common())
        print(
            f"{name}: {len(seeds)} tables, {time.perf_counter() - began:.0f} s: {said or 'nothing'}",
            flush=True,
        )
        yield name, found


def main() -> None:
    """Simulate, fit, check, print the rates and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clean", type=int, default=34, help="tables of each clean design")
    parser.add_argument("--planted", type=int, default=60, help="tables with each fault")
    parser.add_argument("--first", type=int, default=1000, help="seed: limits were chosen on those from 0")
    parser.add_argument(
        "--only", nargs="*", default=None, help="designs and codes, for a look; nothing is written"
    )
    given = parser.parse_args()
    many, few = (range(given.first, given.first + count) for count in (given.planted, given.clean))
    designs = {name: (lambda seed, name=name: clean(name, seed)) for name in DESIGNS}
    planted = faults()
    if given.only is not None:
        list(measured({n: f for n, f in designs.items() if n in given.only}, few))
        list(measured({n: f for n, f in planted.items() if n in given.only}, many))
        return
    without = dict(measured(designs, few))
    within = dict(measured(planted, many))
    every = [codes for found in without.values() for codes in found]
    results = record.header(f"python benchmarks/findings.py --clean {given.clean} --planted {given.planted}")
    results["designs"] = {
        name: {code: sum(code in codes for codes in found) for code in CODES if any(code in c for c in found)}
        for name, found in without.items()
    }
    results["clean tables with any"] = rate(sum(bool(codes & set(CODES)) for codes in every), len(every))
    results["rules of FLOOR_PRIOR"] = {
        rule: {
            "planted": rate(sum(rule in codes for codes in within["FLOOR_PRIOR"]), given.planted),
            "clean": rate(sum(rule in codes for codes in every), len(every)),
        }
        for rule in ("FLOOR_PRIOR", "KL < 0.2", "contraction < 0.5")
    }
    results["codes"] = {
        code: {
            "planted": rate(sum(code in codes for codes in within[code]), given.planted),
            "clean": rate(sum(code in codes for codes in every), len(every)),
        }
        for code in CODES
    }
    for code, one in results["codes"].items():
        said = (
            f"{one[kind]['rate']:6.1%} [{one[kind]['between'][0]:.1%}, {one[kind]['between'][1]:.1%}]"
            for kind in one
        )
        print(f"{code:13} planted {' clean '.join(said)}")
    print(f"written to {record.write('findings', results)}")


if __name__ == "__main__":
    main()
