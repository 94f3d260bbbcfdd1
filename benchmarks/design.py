"""What one more run of 1e21 FLOP would tell of the compute-optimal size at 1e24, on the 240 Chinchilla points.

By the formula that `bayescale design` ranks by, by weighting posterior draws with simulated runs, and by fitting anew
with NUTS the points and one simulated run each time. Student-t noise on log loss, runs taken as independent; the same
under a rival law, and with shocks that runs of one size share.

    python benchmarks/design.py --outcomes 4000 --refits 64
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import record
from nuts import DATA

if TYPE_CHECKING:
    from bayescale.fit import Fit
    from bayescale.runs import Runs

BUDGET, TARGET = 1e21, "N@1e24"
RATIOS = (1.0, 5.0, 20.0, 100.0, 500.0, 2000.0)  # tokens for each parameter
REFITTED = (20.0, 2000.0)
DRAWS = 2500  # of each of four chains
AGAIN = 1500  # of each of four chains, of a refit


def points() -> dict[str, np.ndarray]:
    """The runs that might be done, all of one budget."""
    N = np.sqrt(BUDGET / (6 * np.array(RATIOS)))
    return {"N": N, "D": np.array(RATIOS) * N}


def fits() -> dict[str, "Fit"]:
    """The posterior that is asked, and two rivals."""
    import jax

    from bayescale import data, models, noise
    from bayescale.infer.nuts import nuts
    from bayescale.model import Model
    from bayescale.pooling import Effect

    runs = data.load(DATA)
    asked = {
        "chinchilla": Model(models.load("chinchilla"), noise.student_t, effects=()),
        "coupled": Model(models.load("coupled"), noise.student_t, effects=()),
        "chinchilla, effect of size": Model(
            models.load("chinchilla"), noise.student_t, effects=(Effect("size"),)
        ),
    }
    return {name: nuts(jax.random.key(0), model, runs, draws=DRAWS) for name, model in asked.items()}


def by_weights(fit: "Fit", outcomes: int) -> list[dict[str, float]]:
    """What each run removes, by the formula and by weighting the draws with simulated outcomes."""
    import jax

    from bayescale.decide import candidates, nested
    from bayescale.decide.design import design
    from bayescale.decide.targets import target_of

    values = target_of(TARGET).draws(fit)
    formula = design(fit, TARGET, BUDGET, candidates=points()).own
    table = candidates.points_of([fit], BUDGET, points(), 1, {})
    found = []
    for i, ratio in enumerate(RATIOS):
        run = candidates.chosen(table, [i])
        told = nested.of_values(values, nested.outcomes(jax.random.key(i), fit, run, {}, outcomes))
        row = {"ratio": ratio, "formula": float(formula[i]), "weighted": told.removed, "error": told.error}
        found.append(row | {"effective": told.effective})
    return found


def with_one_more(runs: "Runs", run: dict[str, float], loss: float) -> "Runs":
    """The runs and one more, measured as they are, so that the prior is the same."""
    columns = {c: np.append(values, run.get(c, 1.0)) for c, values in runs.columns.items()}
    return runs.replace(
        columns=columns,
        response=np.append(runs.response, loss),
        factors={by: np.append(index, 0).astype(np.int32) for by, index in runs.factors.items()},
        weight=np.append(runs.weight, 1.0),
    )


def by_refits(fit: "Fit", ratio: float, count: int) -> dict[str, Any]:
    """What one run removes, by as many posteriors of the points and one simulated run.

    The variance that goes is that of the posterior means between outcomes, less that of their own Monte-Carlo error;
    what stays is the posterior variance, on average over outcomes. Both are shares of the variance before, which is
    itself known to 2% from the draws of one fit. Beside each mean is that by weighted draws.
    """
    import jax

    from bayescale import diagnostics
    from bayescale.decide import candidates, nested
    from bayescale.decide.targets import target_of
    from bayescale.infer.nuts import nuts

    target = target_of(TARGET)
    values = target.draws(fit)
    i = RATIOS.index(ratio)
    run = candidates.chosen(candidates.points_of([fit], BUDGET, points(), 1, {}), [i])
    drawn = nested.outcomes(jax.random.key(100 + i), fit, run, {}, count)
    weights = np.exp(drawn.log_weights - drawn.log_weights.max(axis=1, keepdims=True))
    weighted = weights @ values / weights.sum(axis=1)
    at = {c: float(np.asarray(v)[0]) for c, v in run.columns.items()}
    means, variances, errors, troubled = [], [], [], 0
    for j, loss in enumerate(drawn.responses[:, 0].tolist()):
        table = with_one_more(fit.runs, at, loss)
        again = nuts(jax.random.key(1000 + j), fit.model, table, draws=AGAIN)
        own = target.draws(again)
        effective = diagnostics.ess_mean(own.reshape(4, -1))
        means.append(float(own.mean()))
        variances.append(float(own.var()))
        errors.append(float(own.var() / effective))
        troubled += bool(again.trouble)
        print(
            f"  D/N {ratio:g}, {j + 1} of {count}: mean {means[-1]:.4f}, weighted {weighted[j]:.4f}",
            flush=True,
        )
    before, noise = float(values.var()), float(np.mean(errors))
    between = np.var(means, ddof=1)
    return {
        "refits": count,
        "not_converged": troubled,
        "removed": float((between - noise) / before),
        "error": float(between * np.sqrt(2 / (count - 1)) / before),
        "left": float(np.mean(variances) / before),
        "left_error": float(np.std(variances, ddof=1) / np.sqrt(count) / before),
        "error_of_means": float(np.sqrt(noise / before)),
        "apart_from_weighted": float(np.sqrt(np.mean((np.array(means) - weighted) ** 2) / before)),
        "slope_on_weighted": float(np.polyfit(weighted, means, 1)[0]),
    }


def main() -> None:
    """All of it; prints the table and writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--outcomes", type=int, default=4000, help="simulated runs that draws are weighted with"
    )
    parser.add_argument(
        "--refits", type=int, default=64, help="simulated runs that are fitted anew, of each kind"
    )
    given = parser.parse_args()
    from bayescale import data
    from bayescale.decide.targets import target_of

    try:
        data.load(DATA)
    except FileNotFoundError as error:
        sys.exit(f"benchmarks/design.py: {error}; or say where it lies with BAYESCALE_DATA")
    command = f"python benchmarks/design.py --outcomes {given.outcomes} --refits {given.refits}"
    results = record.header(command) | {"budget": BUDGET, "target": TARGET, "outcomes": given.outcomes}
    asked = fits()
    results["sd"] = {name: float(target_of(TARGET).draws(fit).std()) for name, fit in asked.items()}
    results["weights"] = {}
    for name, fit in asked.items():
        results["weights"][name] = by_weights(fit, given.outcomes)
        print(f"{name}: {fit.verdict}")
        for row in results["weights"][name]:
            print(
                f"  D/N {row['ratio']:>5g}: formula {row['formula']:.3%}, weighted {row['weighted']:.3%} "
                f"± {row['error']:.3%}"
            )
    own = asked["chinchilla"]
    results["refits"] = {f"{ratio:g}": by_refits(own, ratio, given.refits) for ratio in REFITTED}
    for ratio, row in results["refits"].items():
        print(f"D/N {ratio}: refits {row['removed']:.3%} ± {row['error']:.3%}, left {row['left']:.2%}")
    print(f"written to {record.write('design', results)}")


if __name__ == "__main__":
    main()
