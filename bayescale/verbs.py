"""The verbs that fit and predict: `bayescale fit` and `bayescale predict`."""

import sys
from typing import Any

import click

from bayescale import arguments
from bayescale.options import (
    MODEL,
    as_csv,
    as_json,
    as_tested,
    csv_of,
    examples,
    law_file,
    level,
    modelling,
    reading,
    seed,
    writable,
)
from bayescale.printed import afterwards, print_json, print_table, show, write_rows

METHODS = ("nuts", "map", "maximum_likelihood", "laplace")


@click.command(
    epilog=examples(
        "bayescale fit runs.csv --law chinchilla",
        "bayescale fit runs.csv --law chinchilla --vary E,B --by corpus -o fit.nc",
        "bayescale fit runs.csv --law power_floor --along C --noise log_normal",
    )
)
@click.argument("runs")
@modelling("By default student_t and beta_binomial.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="nuts",
    show_default=True,
    help="Draws of the posterior, or points: its mode, the maximum of the likelihood, the normal about the mode.",
)
@click.option("--chains", type=click.IntRange(1), default=4, show_default=True, help="Chains of NUTS.")
@click.option("--draws", type=click.IntRange(1), default=1000, show_default=True, help="Draws of each chain.")
@click.option(
    "--warmup", type=click.IntRange(1), default=500, show_default=True, help="Iterations before the draws."
)
@click.option(
    "--target-accept",
    "target",
    type=float,
    default=0.95,
    show_default=True,
    help="Acceptance probability that NUTS aims at.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Leave out the checks that fit anew, and the shocks and steps that residuals would call for.",
)
@click.option(
    "-o",
    "--output",
    callback=writable,
    type=click.Path(dir_okay=False),
    default="fit.nc",
    show_default=True,
    help="File of the fit.",
)
@seed
@reading
@csv_of("the table of parameters")
@as_json
def fit(
    runs: str, output: str, csv: str | None, as_json: bool, seed: int, quick: bool, **options: Any
) -> None:
    """Fit a law to a table of runs, check the fit, and keep it.

    RUNS is a file (CSV, TSV, JSON lines or Parquet) or the name of a data set. Where runs of one size, model or
    training run hang together, the fit is made anew with a shock for each of them, unless --effect says what there
    is; and where the noise is wider at one end of a covariate or a ratio, with steps of its scale, unless
    --noise-steps or --noise-scale does.
    """
    from bayescale import words
    from bayescale.storage import save

    own = {name: options.pop(name) for name in ("method", "chains", "draws", "warmup", "target")}
    model = {name: options.pop(name) for name in MODEL}
    table = arguments.table_of(runs, **options)
    if not as_json:
        for note in table.notes:
            click.echo(f"note: {note}")
    found = _infer(arguments.model_of(table.kind, **model), table, seed, quiet=as_json, **own)
    said = {"shocks": not model["effect"], "steps": not (model["noise_steps"] or model["noise_scale"])}
    found, findings = _checked(found, seed, quick=quick, **said)

    def keep() -> None:
        save(found, output)
        if csv:
            write_rows(csv, found.summary().to_dict()["rows"])
        if not as_json:
            click.echo(f"the fit is in {output}" + (f", and the table in {csv}" if csv else ""))

    afterwards(keep)
    if as_json:
        return print_json({**words.of_fit(found), "findings": words.of_findings(findings), "file": output})
    show(found, findings)


def _checked(found, seed: int, *, quick: bool, shocks: bool, steps: bool):
    """The fit, with what its residuals call for where nothing else was said, and what there is to say of it."""
    import jax

    from bayescale.check.finding import sorted_by_severity
    from bayescale.check.findings import findings
    from bayescale.check.of_refits import all_findings
    from bayescale.check.widened import widen

    if quick:
        return found, findings(found)
    key_widen, key_checks = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1))
    found, told = widen(key_widen, found, shocks=shocks, steps=steps)
    return found, sorted_by_severity([*told, *all_findings(key_checks, found)])


def _infer(
    model, table, seed: int, *, quiet: bool, method: str, chains: int, draws: int, warmup: int, target: float
):
    import jax

    from bayescale.infer.nuts import nuts
    from bayescale.infer.optimize import laplace, optimize

    key = jax.random.key(seed)
    if method == "laplace":
        return laplace(key, model, table, draws=chains * draws)
    if method != "nuts":
        return optimize(key, model, table, priors=method == "map")
    sampler = {"chains": chains, "draws": draws, "warmup": warmup, "target": target}
    if quiet or not sys.stderr.isatty():
        return nuts(key, model, table, **sampler)
    from bayescale.progress import bar

    with bar() as report:
        return nuts(key, model, table, report=report, **sampler)


@click.command(
    epilog=examples(
        "bayescale predict fit.nc --at N=7e10,D=1.4e12",
        "bayescale predict fit.nc --at N=7B,D=140B --at N=70B,D=1.4T --kind new_run --level corpus=web",
    )
)
@click.argument("path", metavar="FIT", type=click.Path())
@click.option(
    "--at",
    required=True,
    multiple=True,
    metavar="POINT",
    help="A point, as N=7e10,D=1.4e12; may be repeated.",
)
@click.option(
    "--kind",
    type=click.Choice(["mean", "new_run", "new_level"]),
    default="mean",
    show_default=True,
    help="The law itself; what a run would measure; what a run of a level not seen would.",
)
@level
@law_file
@as_tested
@seed
@as_csv
@as_json
def predict(
    path: str,
    at: tuple[str, ...],
    kind: str,
    level: tuple[str, ...],
    law: str | None,
    backtest: str | None,
    seed: int,
    csv: str | None,
    as_json: bool,
) -> None:
    """Predict the loss, or the success, at points, with intervals."""
    import jax

    from bayescale import words
    from bayescale.check.as_data import load_check
    from bayescale.check.discrepancy import carried
    from bayescale.check.record import record_of

    found = arguments.fit_in(path, arguments.law_of(law) if law else None)
    points = [arguments.point_of(one) for one in at]
    if len({tuple(sorted(p)) for p in points}) > 1:
        raise ValueError("each --at names the same covariates")
    levels = arguments.pairs_of(level, "--level", "family=pythia")
    columns = {c: [p[c] for p in points] for c in points[0]}
    draws = found.predict(columns, kind=kind, key=jax.random.key(seed), **levels)
    tested = load_check(backtest, "backtest") if backtest else None
    record = record_of(tested, found) if tested else None
    if record:
        draws = carried(draws, record.gap(found, columns), record.drift, found.runs.kind)
    rows = words.of_predictions(found, columns, draws, record)
    if csv:
        write_rows(csv, rows)
    if as_json:
        return print_json({"verdict": found.verdict, "kind": kind, "levels": levels, "points": rows})
    print_table(
        ["point", "5%", "50%", "95%", "beyond the runs"],
        [(r["point"], *(f"{r[q]:.4g}" for q in ("q5", "q50", "q95")), r["beyond"]) for r in rows],
        title=f"{found.runs.kind}, {kind}" + (f" at {', '.join(level)}" if level else ""),
    )
    for row in rows if record else []:
        click.echo(f"{row['point']}: {row['tested']}")
    if csv:
        click.echo(f"the table is in {csv}")
    if not found.converged:
        click.secho(found.verdict, bold=True, fg="red")
