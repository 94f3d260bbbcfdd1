"""The verb that fits many times: `bayescale bootstrap`."""

import contextlib
import sys
from typing import Any

import click

from bayescale import arguments
from bayescale.options import MODEL, as_csv, as_json, examples, modelling, reading, seed, shared
from bayescale.printed import print_json, print_table, write_rows


@click.command(
    epilog=examples(
        "bayescale bootstrap runs.csv --law chinchilla --cluster size --compute 5.76e23",
        "bayescale bootstrap runs.csv --law chinchilla --replicates 1M --out study/ --workers 8",
        "bayescale bootstrap runs.csv --law chinchilla --replicates 2M --out study/ --resume",
    )
)
@click.argument("runs")
@modelling("By default huber and binomial.")
@click.option("--replicates", default="4096", show_default=True, help="How many refits, as 1000000 or 1M.")
@click.option(
    "--kind",
    type=click.Choice(["pairs", "bayesian", "residual", "wild", "parametric"]),
    default="pairs",
    show_default=True,
    help="What is resampled.",
)
@click.option(
    "--cluster",
    multiple=True,
    metavar="FACTOR",
    help="Factor whose levels are resampled as a whole; may be repeated.",
)
@click.option(
    "--signs",
    type=click.Choice(["rademacher", "webb"]),
    default="rademacher",
    show_default=True,
    help="What residuals are multiplied with where the kind is wild.",
)
@click.option("--priors", is_flag=True, help="Let the priors count, which a bootstrap leaves out otherwise.")
@click.option("--errors", is_flag=True, help="Standard errors in each replicate, for studentised intervals.")
@click.option(
    "--interval",
    type=click.Choice(["percentile", "basic", "bca", "studentised"]),
    default="percentile",
    show_default=True,
    help="Kind of the intervals.",
)
@click.option(
    "--probability",
    "level",
    type=click.FloatRange(0, 1, True, True),
    default=0.95,
    show_default=True,
    help="Of the intervals.",
)
@click.option(
    "--compute", metavar="FLOP", help="Budget in FLOP, as 5.76e23: the best N, D and D/N for it too."
)
@click.option(
    "--at",
    multiple=True,
    metavar="POINT",
    help="A point, as N=7e10,D=1.4e12: the loss there too; may be repeated.",
)
@click.option(
    "-o", "--out", type=click.Path(file_okay=False), help="Folder of the study, from which it can be resumed."
)
@click.option("--resume", is_flag=True, help="Go on with the study in --out.")
@shared
@click.option("--double", is_flag=True, help="Double precision from the first step on.")
@seed
@reading
@as_csv
@as_json
def bootstrap(runs: str, csv: str | None, as_json: bool, seed: int, **options: Any) -> None:
    """Refit a law to resampled runs: an interval for each number.

    RUNS is a file (CSV, TSV, JSON lines or Parquet) or the name of a data set.
    """
    import jax

    from bayescale import words, workers
    from bayescale.blocks import BLOCK
    from bayescale.check.replicates import findings_of_study
    from bayescale.infer.bootstrap import bootstrap as run
    from bayescale.infer.resample import Resampling

    replicates = arguments.count_of(options.pop("replicates"), "--replicates")
    own = {
        name: options.pop(name) for name in ("out", "resume", "priors", "errors", "double", "compute", "at")
    }
    said = {name: options.pop(name) for name in ("interval", "level", "workers", "dask")}
    resampling = Resampling(options.pop("kind"), options.pop("cluster"), options.pop("signs"))
    if own["resume"] and not own["out"]:
        raise ValueError("--resume goes on with the study in a folder; say which, as --out study/")
    if said["interval"] == "studentised" and not own["errors"]:
        raise ValueError("--interval studentised needs the standard errors of --errors")
    if said["interval"] == "bca" and len(resampling.cluster) > 1:
        raise ValueError("clusters that cross have no BCa interval; take --interval percentile")
    if said["interval"] == "studentised" and options["vary"]:
        raise ValueError("levels have no standard errors of their own; take --interval percentile")
    model = {name: options.pop(name) for name in MODEL}
    options["factors"] = tuple(dict.fromkeys((*options["factors"], *resampling.cluster)))
    table = arguments.table_of(runs, **options)
    model["noise"] = model["noise"] or ("huber" if table.kind == "loss" else "binomial")
    made = arguments.model_of(table.kind, **model)
    quantities = arguments.quantities_of(made.law, own["compute"], own["at"])
    if not as_json:
        for note in table.notes:
            click.echo(f"note: {note}")
    with (
        workers.of(said["workers"], said["dask"]) as (executor, in_flight),
        watched(as_json, BLOCK) as report,
    ):
        study = run(
            jax.random.key(seed),
            made,
            table,
            replicates=replicates,
            resampling=resampling,
            priors=own["priors"],
            errors=own["errors"],
            mixed=not own["double"],
            folder=own["out"],
            resume=own["resume"],
            executor=executor,
            in_flight=in_flight,
            report=report,
        )
    rows = words.of_study(study, quantities, kind=said["interval"], level=said["level"])
    findings = findings_of_study(study)
    if csv:
        write_rows(csv, rows)
    if as_json:
        return print_json(
            {
                "law": made.law.name,
                "noise": made.noise.name,
                "resampling": vars(resampling),
                "interval": said["interval"],
                "level": said["level"],
                "replicates": study.replicates,
                "counts": vars(study.counts),
                "converged": study.converged,
                "point": study.point.verdict,
                "quantities": rows,
                "findings": words.of_findings(findings),
                "folder": own["out"],
            }
        )
    tail, columns = 100 * (1 - said["level"]) / 2, ("standard_error", "low", "median", "high")
    print_table(
        ["quantity", "estimate", "standard error", f"{tail:g}%", "50%", f"{100 - tail:g}%"],
        [
            (r["quantity"], f"{r['estimate']:.5g}", *(words.with_error(r[column]) for column in columns))
            for r in rows
        ],
        title=f"{made.law.name}, {made.noise.name} noise, {len(table)} runs, {said['interval']} intervals; "
        "± is the Monte-Carlo error",
    )
    for row in rows:
        if row["refused"]:
            click.echo(f"{row['quantity']} has no {said['interval']} interval: {row['refused']}")
        elif row["left_out"]:
            click.echo(f"{row['quantity']} is not known in {row['left_out']} replicates, which are left out")
    for finding in findings:
        click.echo(str(finding))
    click.echo(f"point: {study.point.verdict}")
    click.secho(study.verdict, bold=True, fg=None if study.converged else "red")
    if own["out"]:
        click.echo(f"the study is in {own['out']}")
    if csv:
        click.echo(f"the table is in {csv}")


def watched(quiet: bool, size: int):
    """A bar of the blocks that are there, of so many replicates each, where somebody looks."""
    if quiet or not sys.stderr.isatty():
        return contextlib.nullcontext()
    from bayescale.progress import bar_of_blocks

    return bar_of_blocks(size)
