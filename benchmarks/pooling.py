"""What choosing the form of each level's deviations by its data is worth: 3 strong groups, and 40 weak ones.

Simulated runs of the Chinchilla law, in which E, A and B differ by corpus: 3 corpora of 80 runs each, and 40
corpora of 5 runs each. Each is sampled in three forms of the same posterior: by the rule of
`bayescale.infer.frame.local`, always non-centred, and always centred.

    python benchmarks/pooling.py
"""

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import record

if TYPE_CHECKING:
    from bayescale.model import Model
    from bayescale.runs import Runs

DESIGNS = {"strong": (3, 80), "weak": (40, 5)}  # corpora, and runs of each
VARY = ("E", "A", "B")
TRUTH = {"E": 1.8, "A": 0.5, "B": 0.5, "alpha": 0.35, "beta": 0.35}  # A and B are the terms at the centre
SCALES = {"E": 0.05, "A": 0.3, "B": 0.3}  # how far corpora differ, in e-folds
SIGMA = 0.01
FORMS = ("rule", "non-centred", "centred")
CERTAIN = 1e12  # the precision of a level whose data say everything


def simulate(design: str | tuple[int, int], seed: int = 0) -> tuple["Runs", dict[str, np.ndarray]]:
    """The runs of a design, and the parameters of its corpora, (corpora,), about N = 1e9 and D = 2e10."""
    from bayescale.runs import Runs

    corpora, each = DESIGNS[design] if isinstance(design, str) else design
    rng = np.random.default_rng(seed)
    corpus = np.repeat(np.arange(corpora), each)
    N = 1e9 * 10 ** rng.uniform(-1.25, 1.25, len(corpus))
    D = 2e10 * 10 ** rng.uniform(-1.25, 1.25, len(corpus))
    own = {p: TRUTH[p] * np.exp(SCALES[p] * rng.normal(size=corpora)) for p in VARY}
    E, A, B = (own[p][corpus] for p in VARY)
    mean = E + A * (N / 1e9) ** -TRUTH["alpha"] + B * (D / 2e10) ** -TRUTH["beta"]
    loss = mean * np.exp(SIGMA * rng.normal(size=len(corpus)))
    columns = {"N": N, "D": D, "loss": loss, "corpus": [f"corpus {c}" for c in corpus]}
    return Runs.make(columns, factors=["corpus"]), own


def model() -> "Model":
    """The law the runs are from, with its own priors."""
    from bayescale import models, noise
    from bayescale.model import Model
    from bayescale.pooling import Pooling

    return Model(models.load("chinchilla"), noise.log_normal, (Pooling(VARY, by="corpus"),), effects=())


def measure(design: str, form: str, seed: int, *, draws: int = 1000, chains: int = 4) -> dict[str, Any]:
    """Divergences, leapfrogs for each draw, and effective sample size of one form."""
    import jax

    from bayescale.infer import frame, nuts

    runs, _ = simulate(design, seed)
    rule = frame.local

    def other(*of_levels):
        found = rule(*of_levels)
        certain = 0.0 if form == "non-centred" else CERTAIN
        eye = np.broadcast_to(certain * np.eye(len(VARY)), np.shape(found.precision))
        return found._replace(precision=jax.numpy.asarray(eye))

    frame.local = rule if form == "rule" else other
    try:
        began = time.perf_counter()
        fit = nuts.nuts(jax.random.key(seed), model(), runs, chains=chains, draws=draws, retry=False)
        seconds = time.perf_counter() - began
    finally:
        frame.local = rule
    found = np.concatenate([values.reshape(-1, 3) for values in fit.diagnostics.values()])
    gradients = int(fit.stats["gradients"])
    return {
        "divergences": int(fit.stats["diverging"].sum()),
        "draws": len(fit),
        "leapfrogs": round(gradients / len(fit), 1),
        "r_hat": round(float(found[:, 0].max()), 4),
        "ess": round(float(found[:, 1:].min())),
        "ess_per_1000_gradients": round(1000 * float(found[:, 1:].min()) / gradients, 2),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Measure every form on every design, print the table and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="tables simulated of each design")
    seeds = parser.parse_args().seeds
    results = record.header(f"python benchmarks/pooling.py --seeds {seeds}") | {"measured": []}
    print(f"{'design':8} {'form':12} seed diverging leapfrogs  R-hat   ESS  ESS/1000 gradients  seconds")
    for design in DESIGNS:
        for seed in range(seeds):
            for form in FORMS:
                one = measure(design, form, seed)
                results["measured"].append({"design": design, "form": form, "seed": seed} | one)
                print(
                    f"{design:8} {form:12} {seed:4} {one['divergences']:9} {one['leapfrogs']:9} {one['r_hat']:6.3f} "
                    f"{one['ess']:5} {one['ess_per_1000_gradients']:19} {one['seconds']:8}",
                    flush=True,
                )
            record.write("pooling", results)
    print(f"written to {record.write('pooling', results)}")


if __name__ == "__main__":
    main()
