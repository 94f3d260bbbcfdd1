"""The evidence of seven laws on the 240 Chinchilla points, by four estimators that share nothing but the likelihood.

Student-t noise on log loss, runs taken as independent, the priors of the package. Bridge sampling is made of the draws
of NUTS, importance sampling begins at the modes, sequential Monte Carlo at the prior; and nested sampling is
dynesty's, which knows neither our coordinates nor our derivatives.

And whether the middle of the design says what all of it says: the coupled law beside Chinchilla's by all runs, and
without the tenth of them with the fewest and the tenth with the most tokens for each parameter.

    python benchmarks/laws.py
    python benchmarks/laws.py --flip    # nothing but the last
"""

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

import evidence_peers as peers
import record
from nuts import DATA

if TYPE_CHECKING:
    from bayescale.infer.evidence import Evidence
    from bayescale.model import Model

RIVALS = "chinchilla", "coupled"
LAWS = ("kaplan", "kaplan_floor", "power", "power_floor", "chinchilla_tied", "chinchilla", "coupled")


def model(name: str) -> "Model":
    """The law of that name, those in one axis along compute."""
    from bayescale import models, noise
    from bayescale.law import AXIS
    from bayescale.model import Model

    law = models.load(name)
    return Model(law.along("C") if AXIS in law.covariates else law, noise.student_t, effects=())


def measure(name: str, *, third: bool) -> "Evidence":
    """The evidence of a law; `third`: by sequential Monte Carlo too."""
    import jax

    from bayescale import data
    from bayescale.infer.evidence import log_evidence
    from bayescale.infer.nuts import nuts

    runs = data.load(DATA)
    return log_evidence(jax.random.key(1), nuts(jax.random.key(0), model(name), runs), third=third)


def told(found: "Evidence") -> dict[str, Any]:
    """Every estimate with its error, and what there is to say against them."""
    estimates = {"bridge": found.bridge, "importance": found.importance, "tempered": found.tempered}
    shown = {name: [round(one.value, 3), round(one.error, 4)] for name, one in estimates.items() if one}
    more = {"pareto_k": round(found.pareto_k, 3), "laplace": round(found.laplace, 3)}
    return shown | more | {"trouble": list(found.trouble)}


def flip() -> dict[str, Any]:
    """The comparison of the rivals, by all runs and by the middle of D/N: what is found of it and said."""
    import jax
    import numpy as np

    import bayescale as bs

    runs = bs.data.load(DATA)
    found = bs.compare(
        jax.random.key(0), runs, [model(name) for name in RIVALS], support={"D/N": 0.1}, predictive=False
    )
    in_logs = 2 * float(np.log(runs.response).sum())
    rankings = {"all runs": found.whole} | dict(found.support)
    return {
        "trouble": list(found.trouble),
        "verdict": found.verdict,
        "best": list(found.best),
        "findings": {one.code: one.message for one in found.findings},
        "bic_of_log_losses": {
            name: round(bic - in_logs, 2) for name in RIVALS if (bic := found[name].bic) is not None
        },
        "log_evidence": {
            said: {one.name: told(one.evidence) for one in ranking.candidates}
            for said, ranking in rankings.items()
        },
    }


def main() -> None:
    """Every law by every estimator; prints the table and writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flip", action="store_true", help="nothing but the rivals by the middle of D/N")
    only_flip = parser.parse_args().flip
    from bayescale import data

    if not only_flip and "dynesty" in peers.missing():
        sys.exit("benchmarks/laws.py: nested sampling is dynesty's; pip install dynesty")
    try:
        runs = data.load(DATA)
    except FileNotFoundError as error:
        sys.exit(f"benchmarks/laws.py: {error}; or say where it lies with BAYESCALE_DATA")
    both = record.header("python benchmarks/laws.py --flip") | flip()
    print(both["verdict"], *both["findings"].values(), sep="\n", flush=True)
    if only_flip:
        print(f"written to {record.write('laws', record.read('laws') | {'flip': both})}")
        return
    results = record.header("python benchmarks/laws.py") | {"runs": len(runs), "laws": {}, "flip": both}
    results["values"] = "nats, standard error; of the losses in natural units"
    columns = ("bridge", "importance", "tempered", "nested")
    print(f"{'law':18}" + "".join(f"{name:>20}" for name in columns) + "   seconds")
    for name in LAWS:
        began = time.process_time()
        one = told(measure(name, third=True))
        nested = peers.dynesty(0, model(name), runs)
        one["nested"] = [round(nested.value, 3), round(nested.error, 4)]
        results["laws"][name] = one
        cells = "".join(f"{f'{one[c][0]:.3f} ({one[c][1]:.2g})':>20}" for c in columns)
        print(f"{name:18}{cells}{time.process_time() - began:10.0f}", *one["trouble"], flush=True)
    print(f"written to {record.write('laws', results)}")


if __name__ == "__main__":
    main()
