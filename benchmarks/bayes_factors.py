"""Whether posterior probabilities of laws are what they say: tables simulated from two laws in turn.

20 runs over 2.5 decades of N and of D each. The parameters of every table are drawn from the priors of its law, and
so are those of the noise; the unit of losses is that of the priors, the same for all tables. The laws are that of
Chinchilla with two exponents and with one, so that many tables do not tell them apart.

- Reliability: of the tables to which the second law is so likely, that many are of the second law. What is told is
  the greatest distance of the cumulated sums, and how often chance alone makes it as great.
- The expected Bayes factor of the wrong law against the right one is 1, whatever the laws: it is the integral of the
  wrong law's density. Where the wrong law is the wider, its plain mean over tables of the right law is made of tables
  which that law gives once in a million, and no simulation sees it. But half of the tables here are of either law,
  and so all of them are drawn from the mixture m = (right + wrong) / 2, from which the same integral is sampled with
  weights between 0 and 2:

      E_right[wrong / right] = E_m[wrong / m] = E_m[2 P(wrong | table)].

  Its error is right, as no rare table can weigh more than 2. The two laws' numbers sum to 2: it is one statement.
- Beside it the plain mean, and what every sample of it can be held to: up to any bound, the mean Bayes factor of the
  wrong law is how often the wrong law gives tables with a Bayes factor up to that bound.

    python benchmarks/bayes_factors.py --tables 200
"""

import argparse
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.model import Model
    from bayescale.runs import Runs

LAWS = "chinchilla_tied", "chinchilla"
RUNS, DECADES, UNIT = 20, 2.5, 2.0
DRAWS = 500  # of each of 4 chains
BOUNDS = 1.0, 3.0, 10.0  # of Bayes factors
CHANCES = 20_000  # tables of chance that a distance is compared with
BINS = 0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0  # of probabilities, for the table


@cache
def models() -> tuple["Model", "Model"]:
    """Both laws with their own priors and log-normal noise."""
    from bayescale import models, noise
    from bayescale.model import Model

    first, second = (Model(models.load(name), noise.log_normal, effects=()) for name in LAWS)
    return first, second


def design(seed: int) -> "Runs":
    """Runs with no losses but the unit that priors call 1."""
    from bayescale.runs import Runs

    rng = np.random.default_rng([seed, RUNS])
    N, D = (at * 10 ** rng.uniform(-DECADES / 2, DECADES / 2, RUNS) for at in (1e9, 2e10))
    return Runs.make({"N": N, "D": D, "loss": np.full(RUNS, UNIT)}, response="loss")


def simulate(seed: int) -> "Runs":
    """A table: its number says which law it is of, parameters and losses come from the model itself."""
    import jax
    from numpyro import handlers

    from bayescale import parallel

    runs = design(seed)
    with parallel.workbench():
        model = handlers.seed(models()[seed % 2], jax.random.key(seed))
        trace = handlers.trace(model).get_trace(runs.replace(response=None))
        return runs.replace(response=np.asarray(trace["response"]["value"]))


def measure(seed: int) -> dict[str, Any]:
    """How far the second law is before the first on one table, in nats, and why that may be no result."""
    import jax

    from bayescale.infer.evidence import log_evidence
    from bayescale.infer.nuts import nuts

    runs, keys = simulate(seed), jax.random.split(jax.random.key(seed), 4)
    first, second = (
        log_evidence(keys[2 + i], nuts(keys[i], one, runs, draws=DRAWS)) for i, one in enumerate(models())
    )
    return {
        "right": seed % 2,
        "lead": second.value - first.value,
        "error": float(np.hypot(first.error, second.error)),
        "trouble": [f"{one.fit.model.law.name}: {why}" for one in (first, second) for why in one.trouble],
    }


def reliability(lead: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """The greatest distance of cumulated sums, (tables,) by the probability of the second law, and its p-value.

    Args:
        lead: of the second law, in nats, (tables,).
        right: whether a table is of the second law, (tables,).
    """
    probability = 1 / (1 + np.exp(-lead))
    order = np.argsort(probability)
    probability, right = probability[order], right[order]

    def distance(drawn):
        return np.abs(np.cumsum(drawn - probability, axis=-1)).max(axis=-1)

    chance = distance(np.random.default_rng(0).random((CHANCES, len(lead))) < probability)
    found = float(distance(right))
    where = np.clip(np.searchsorted(BINS, probability, side="right"), 1, len(BINS) - 1)
    rows = [
        [int(here.sum()), round(float(probability[here].mean()), 3), round(float(right[here].mean()), 3)]
        for here in (where == i for i in range(1, len(BINS)))
        if here.any()
    ]
    return {
        "distance": round(found, 3),
        "distance_exceeded_by_chance_in_1_percent": round(float(np.quantile(chance, 0.99)), 3),
        "p_value": round(float((1 + np.sum(chance >= found - 1e-9)) / (1 + CHANCES)), 4),
        "tables_probability_and_share_of_the_second_law": rows,
    }


def expected(wrong: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """The expected Bayes factor of the wrong law against the right one, sampled from the mixture of both.

        1/2 mean_right(w) + 1/2 mean_wrong(w),   w = 2 P(wrong | table) = 2 / (1 + exp(-log Bayes factor))

    The tables of either law are a stratum of the mixture, each half of it, however many there are.

    Args:
        wrong: the log Bayes factor of the wrong law on tables of the right one, (tables,).
        other: the same log Bayes factor on tables of the law that is wrong there, (tables,).

    Returns:
        The mean, 1 where all evidences are right, and its standard error.

    Source: Owen 2013, Monte Carlo theory, methods and examples, sections 9.11 (mixtures) and 8.4 (strata). That it is
        1 is also where Bennett 1976 finds the ratio of two integrals from samples of both, with the least error.
    """
    weights = [2 / (1 + np.exp(-lead)) for lead in (wrong, other)]
    error = np.hypot(deviation(weights[0]), deviation(weights[1])) / 2
    return {"mean": four(np.mean([one.mean() for one in weights])), "error": four(error)}


def balance(wrong: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """The mean Bayes factor of the wrong law over tables of the right one, plainly, and up to bounds.

    Args:
        wrong: the log Bayes factor of the wrong law on tables of the right one, (tables,).
        other: the same log Bayes factor on tables of the law that is wrong there, (tables,).
    """
    factor, of_other = np.exp(wrong), np.exp(other)
    found: dict[str, Any] = {"plain_mean": four(factor.mean()), "plain_error": four(deviation(factor))}
    found |= {"greatest": four(factor.max()), "bounded": []}
    for bound in BOUNDS:
        below, share = factor * (factor <= bound), of_other <= bound
        error = np.hypot(deviation(below), deviation(share))
        found["bounded"].append([bound, four(below.mean()), four(share.mean()), four(error)])
    return found


def deviation(values: np.ndarray) -> float:
    """The standard error of a mean; of shares with one more of either kind, or 0 of 100 would be certain."""
    if values.dtype == bool:
        share = (values.sum() + 1) / (len(values) + 2)
        return float(np.sqrt(share * (1 - share) / len(values)))
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def four(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def digest(tables: list[dict[str, Any]]) -> dict[str, Any]:
    """What all tables say together, with those in doubt and without; a table without any number is left out.

    Expectations over the mixture are of those in doubt too: doubt depends on the table, so that the others alone are
    no sample of the mixture.
    """
    lead, right = (np.array([one[name] for one in tables]) for name in ("lead", "right"))
    sound = np.array([not one["trouble"] for one in tables])
    finite = np.isfinite(lead)
    sounds, alls = ([lead[among & (right == law)] for law in (0, 1)] for among in (sound & finite, finite))
    return {
        "tables": len(tables),
        "in_doubt": {str(i): one["trouble"] for i, one in enumerate(tables) if one["trouble"]},
        "reliability": reliability(lead[sound], right[sound]),
        "reliability_with_those_in_doubt": reliability(lead[finite], right[finite]),
        f"{LAWS[0]}_wrong": expected(-alls[1], -alls[0]) | balance(-sounds[1], -sounds[0]),
        f"{LAWS[1]}_wrong": expected(alls[0], alls[1]) | balance(sounds[0], sounds[1]),
    }


def study(tables: int) -> list[dict[str, Any]]:
    """All tables, one after the other."""
    found, began = [], time.perf_counter()
    for seed in range(tables):
        found.append(measure(seed))
        if seed % 20 == 19:
            doubted = sum(bool(one["trouble"]) for one in found)
            seconds = time.perf_counter() - began
            print(f"{seed + 1} tables, {doubted} in doubt, {seconds:.0f} s", flush=True)
    return found


def main() -> None:
    """Simulate, compare, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=200, help="half of each law")
    tables = parser.parse_args().tables
    found = study(tables)
    results: dict[str, Any] = record.header(f"python benchmarks/bayes_factors.py --tables {tables}")
    results |= {"laws": LAWS} | digest(found)
    results["leads"] = [round(one["lead"], 3) for one in found]
    told = results["reliability"]
    print(f"reliability: distance {told['distance']}, p-value {told['p_value']}")
    print(f"{'tables':>8}{'probability':>13}{'share':>8}")
    for count, probability, share in told["tables_probability_and_share_of_the_second_law"]:
        print(f"{count:8}{probability:13.3f}{share:8.3f}")
    for law in LAWS:
        one = results[f"{law}_wrong"]
        print(f"{law} wrong: expected Bayes factor {one['mean']} ({one['error']})")
        plain, error = one["plain_mean"], one["plain_error"]
        print(f"    plain mean over tables of the right law {plain} ({error}), greatest {one['greatest']}")
        for bound, mean, share, error in one["bounded"]:
            print(f"    up to {bound:g}: mean {mean}, share {share}, error {error}")
    print(f"in doubt: {len(results['in_doubt'])} of {tables}")
    print(f"written to {record.write('bayes_factors', results)}")


if __name__ == "__main__":
    main()
