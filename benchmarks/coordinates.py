"""What coordinates of its own are worth to a law: each is sampled in them, and in its parameters.

The tables are those of calibration.py, from the priors of each law; each is fitted by NUTS with both forms of the same
posterior. Converged is what a user is told: no divergence, R-hat to 1.01, 400 effective draws. Gradients are those of
all tries, seconds the median of a table once all is compiled. Apart is the share of the means of parameters, of tables
where both forms converged, that are more than three standard errors from each other: by chance some 1 in 300, in
which parameters of one table hang together.

    python benchmarks/coordinates.py --tables 16
"""

import argparse
import time
from typing import TYPE_CHECKING, Any

import calibration
import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.fit import Fit
    from bayescale.model import Model
    from bayescale.runs import Runs


def fits_of(model: "Model", design: "Runs", responses: np.ndarray) -> list[tuple["Fit", float]]:
    """The fit of each table, and the seconds that it took."""
    import jax

    from bayescale.infer.nuts import nuts
    from bayescale.infer.simulated import table_of

    found = []
    for i, response in enumerate(responses):
        began = time.perf_counter()
        fit = nuts(jax.random.key(i), model, table_of(design, response), **calibration.ONE_BY_ONE)
        found.append((fit, time.perf_counter() - began))
    return found


def said_of(fits: list[tuple["Fit", float]]) -> dict[str, Any]:
    """How many fits converge, and what a fit takes; the first is left out of the seconds, for it is compiled."""
    kinds = ("gradients", "warmup_gradients", "discarded_gradients")
    return {
        "converged": sum(bool(fit.converged) for fit, _ in fits),
        "second_tries": sum(fit.stats["attempt"] == 2 for fit, _ in fits),
        "gradients": round(float(np.mean([sum(fit.stats[kind] for kind in kinds) for fit, _ in fits]))),
        "seconds": round(float(np.median([seconds for _, seconds in fits[1:]])), 2),
    }


def apart(fits: list["Fit"], others: list["Fit"]) -> float | None:
    """The share of means that are more than three standard errors from each other; None where no table has both."""

    def told(fit: "Fit", name: str) -> tuple[float, float]:
        draws = fit.flat(name)
        return float(draws.mean()), float(draws.var() / fit.diagnostics[name].reshape(-1, 3)[0, 1])

    far = []
    for fit, other in zip(fits, others, strict=True):
        for name in fit.model.law.parameters if fit.converged and other.converged else ():
            (mean, error), (its_mean, its_error) = told(fit, name), told(other, name)
            far.append(abs(mean - its_mean) > 3 * np.sqrt(error + its_error))
    return round(float(np.mean(far)), 4) if far else None


def main() -> None:
    """Measure every law that has coordinates, print the table and write the results."""
    import jax

    from bayescale import parallel
    from bayescale.infer.simulated import from_priors
    from bayescale.model import Model

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=16)
    tables = parser.parse_args().tables
    results = record.header(f"python benchmarks/coordinates.py --tables {tables}")
    results |= {"tables": tables, "measured": [], "apart": {}}
    print(f"{'law':14} {'form':12} converged  second tries  gradients  seconds")
    for name, make in calibration.studies():
        model, design = make()
        if name != model.law.name or model.law.coordinates is None:
            continue
        model = model.specialise(design)
        with parallel.workbench():
            keys = jax.random.split(jax.random.key(5), tables)
        _, responses = from_priors(keys, model, design)
        bare = Model(model.law.replace(coordinates=None), model.noise, effects=())
        every = {}
        for form, one in (("coordinates", model), ("parameters", bare)):
            every[form] = fits_of(one, design, responses)
            found = said_of(every[form])
            results["measured"].append({"law": name, "form": form} | found)
            print(
                f"{name:14} {form:12} {found['converged']:9} {found['second_tries']:13} {found['gradients']:10} "
                f"{found['seconds']:8}",
                flush=True,
            )
            jax.clear_caches()
        results["apart"][name] = apart(*([fit for fit, _ in fits] for fits in every.values()))
        print(f"{name}: {results['apart'][name]} of the means apart", flush=True)
        record.write("coordinates", results)


if __name__ == "__main__":
    main()
