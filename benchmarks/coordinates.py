"""What coordinates of its own are worth to a law: each is sampled in them, and in its parameters.

The tables are those of calibration.py, from the priors of each law; each is fitted by NUTS with both forms of the same
posterior. Converged is what a user is told: no divergence, R-hat to 1.01, 400 effective draws. Gradients are those of
all tries, seconds the median of a table once all is compiled.

    python benchmarks/coordinates.py --tables 16
"""

import argparse
import time
from typing import TYPE_CHECKING, Any

import calibration
import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.model import Model
    from bayescale.runs import Runs


def measure(model: "Model", design: "Runs", responses: np.ndarray) -> dict[str, Any]:
    """How many fits converge, and what a fit takes."""
    import jax

    from bayescale.infer.nuts import nuts
    from bayescale.infer.simulated import table_of

    fits, seconds = [], []
    for i, response in enumerate(responses):
        began = time.perf_counter()
        fit = nuts(jax.random.key(i), model, table_of(design, response), **calibration.ONE_BY_ONE)
        seconds.append(time.perf_counter() - began)
        fits.append(fit.stats | {"converged": fit.converged})
    kinds = ("gradients", "warmup_gradients", "discarded_gradients")
    return {
        "converged": sum(bool(one["converged"]) for one in fits),
        "second_tries": sum(one["attempt"] == 2 for one in fits),
        "gradients": round(float(np.mean([sum(one[kind] for kind in kinds) for one in fits]))),
        "seconds": round(float(np.median(seconds[1:])), 2),
    }


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
    results |= {"tables": tables, "measured": []}
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
        for form, one in (("coordinates", model), ("parameters", bare)):
            found = measure(one, design, responses)
            results["measured"].append({"law": name, "form": form} | found)
            print(
                f"{name:14} {form:12} {found['converged']:9} {found['second_tries']:13} {found['gradients']:10} "
                f"{found['seconds']:8}",
                flush=True,
            )
            jax.clear_caches()
        record.write("coordinates", results)


if __name__ == "__main__":
    main()
