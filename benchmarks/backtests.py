"""Back-tests on public studies: forecasts of larger runs beside what came and beside what needs no law.

    python benchmarks/backtests.py            # all four; or name some: steplaw muennighoff marin gadre

Four tables, each with the law that its authors took or that has its covariates, Student-t noise, the shocks that runs
of one size share where the known runs call for them (but of Marin's), and eight cutoffs in compute or as many as there
are. What is printed is kept in results/backtests.json, each study when it is done.
"""

import os
import sys
import time
from pathlib import Path

import record

DATA = Path(os.environ.get("BAYESCALE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
FARTHEST = 1.5  # decades: what a budget for one more generation of runs asks for
STUDIES = {
    "gadre": {
        "file": "loss_gadre2024_overtrain.csv",
        "law": "chinchilla",
        "vary": ("B",),
        "read": {"factors": ["group"]},
    },
    "muennighoff": {
        "file": "loss_muennighoff2023_repeated.csv",
        "law": "data_constrained",
        "vary": (),
        "read": {"where": "in_fit_subset = 1", "duplicates": "keep"},
    },
    "marin": {
        "file": "isoflop_marin2026.csv",
        "law": "chinchilla",
        "vary": ("B",),
        "read": {"where": "kind = isoflop", "factors": ["group"]},
        "effects": (),  # with a shock for each of its sizes the folds take many minutes
    },
    "steplaw": {
        "file": "loss_steplaw2025_dense.csv",
        "law": "chinchilla",
        "vary": (),
        "read": {"where": "is_best = 1", "response": "loss"},
    },
}


def tested(name: str) -> dict:
    """The back-test of one study."""
    import jax

    import bayescale as bs
    from bayescale.check.as_data import of_row

    of = STUDIES[name]
    runs = bs.Runs.read(DATA / of["file"], **of["read"])
    pooling = (bs.Pooling(of["vary"], "group"),) if of["vary"] else ()
    model = bs.Model(
        bs.models.load(of["law"]), bs.noise.student_t, pooling=pooling, effects=of.get("effects")
    )
    began = time.perf_counter()
    found = bs.backtest(jax.random.key(0), model, runs, by="C", draws=500)
    seconds = time.perf_counter() - began
    near = found.gap <= FARTHEST
    # Without every forecast, which would be most of the file.
    told = {k: v for k, v in found.to_dict().items() if k not in ("of", "runs", "each")}
    return {
        "law": of["law"],
        "runs": len(runs),
        "folds": len(found.forecasts),
        "seconds": seconds,
        **told,
        "near": of_row(found.row(f"up to {FARTHEST:g} decades", near)),
        "near_with_drift": of_row(found.widened.row(f"up to {FARTHEST:g} decades", near)),
    }


def main() -> None:
    """Test, print and write."""
    if not DATA.is_dir():
        sys.exit(f"there is no folder {DATA}; set BAYESCALE_DATA to the folder of public studies")
    from bayescale.printed import print_table
    from bayescale.words_of_comparisons import BACKTEST, cells

    names = sys.argv[1:] or list(STUDIES)
    if unknown := set(names) - set(STUDIES):
        sys.exit(f"there is no study {sorted(unknown)[0]}; there are {', '.join(STUDIES)}")
    studies = {}
    for name in names:
        one = studies[name] = tested(name)
        rows = [one["total"], *one["by_gap"], one["near"]]
        print_table(
            list(BACKTEST), [cells(row) for row in rows], title=f"{name}, {one['law']}, {one['runs']} runs"
        )
        if one["with_drift"]:
            rows = [one["with_drift"]["total"], *one["with_drift"]["by_gap"], one["near_with_drift"]]
            print_table(
                list(BACKTEST), [cells(row) for row in rows], title=f"with a drift of {one['drift']:.3g}"
            )
        print(one["verdict"], f"({one['seconds']:.0f} s)\n", flush=True)
        # Each study is kept when it is done: those that were not asked for stay as they were.
        kept = record.read("backtests").get("studies", {})
        told = {**record.header("python benchmarks/backtests.py"), "studies": {**kept, **studies}}
        record.write("backtests", told)


if __name__ == "__main__":
    main()
