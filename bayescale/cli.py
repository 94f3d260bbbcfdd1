"""The command line: parses, calls, prints; no statistics.

Only Click is imported here; each verb imports what it needs, so that help and mistakes cost nothing.
"""

import gc
import json
import sys
from pathlib import Path
from typing import Any

import click

from bayescale import arguments
from bayescale.options import MODEL, as_json, modelling, reading, seed

METHODS = ("nuts", "map", "maximum_likelihood", "laplace")


class _Group(click.Group):
    """Says what is wrong with the input in one line, and exits with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, KeyError, TypeError, OSError) as error:
            # An OSError of ours has a sentence; one of the system's has a number and a file.
            text = str(error) if isinstance(error, OSError) else str(error.args[0] if error.args else error)
            click.echo(f"bayescale: {text}", err=True)
            ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bayescale")
def main() -> None:
    """Fit scaling laws with uncertainty."""
    # Tracing makes millions of objects and hardly any rubbish; looking for it so often takes a tenth of the time.
    gc.set_threshold(500_000)


def _print(value: dict) -> None:
    from bayescale.words import plain

    click.echo(json.dumps(plain(value), indent=2, allow_nan=False, default=str))


def _table(headings: list[str], rows: list[tuple], title: str | None = None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


@main.command()
@click.argument("name", required=False)
@as_json
def laws(name: str | None, as_json: bool) -> None:
    """List the laws, or describe one."""
    from bayescale import words

    if name is None:
        found = words.laws()
        return (
            _print({"laws": found})
            if as_json
            else _table(
                ["law", "response", "in", "parameters", "formula"],
                [(e["name"], e["response"], e["covariates"], e["parameters"], e["formula"]) for e in found],
            )
        )
    one = words.law(arguments.law_of(name))
    return _print(one) if as_json else click.echo(words.describe(one))


@main.group(invoke_without_command=True)
@click.pass_context
@as_json
def data(ctx: click.Context, as_json: bool) -> None:
    """List, describe, check and fetch data."""
    if ctx.invoked_subcommand is None:
        from bayescale import data

        found = [{"name": n, **data.describe(n)} for n in data.names()]
        if as_json:
            return _print({"data": found})
        _table(
            ["name", "rows", "licence", "title"],
            [(e["name"], e["rows"], e["licence"], e["title"]) for e in found],
        )


@data.command("show")
@click.argument("name")
@as_json
def show_data(name: str, as_json: bool) -> None:
    """Describe a data set: source, licence, units, and how its rows were obtained."""
    from bayescale import data

    entry = {"name": name, **data.describe(name)}
    if as_json:
        return _print(entry)
    for field, value in entry.items():
        click.echo(f"{field:<11} {value}")


@data.command("fetch")
@click.argument("name")
def fetch_data(name: str) -> None:
    """Get a public study from its repository into the cache, or into BAYESCALE_DATA."""
    from bayescale import data

    click.echo(f"{name} is in {data.fetch(name)}")


@data.command("check")
@click.argument("runs")
@reading
@as_json
def check_data(runs: str, as_json: bool, **options: Any) -> None:
    """Read a table and say what was recognised, or what is wrong with it."""
    table = arguments.table_of(runs, **options)
    if as_json:
        return _print({"runs": len(table), "notes": table.notes, "factors": table.levels, "hash": table.hash})
    for note in table.notes:
        click.echo(f"note: {note}")
    click.echo(table.describe())


@main.command()
@click.argument("runs")
@modelling("Student-t and beta-binomial where nothing is said.")
@click.option("--method", type=click.Choice(METHODS), default="nuts", show_default=True)
@click.option("--chains", type=click.IntRange(1), default=4, show_default=True)
@click.option("--draws", type=click.IntRange(1), default=1000, show_default=True, help="Draws of each chain.")
@click.option("--warmup", type=click.IntRange(1), default=500, show_default=True)
@click.option(
    "--target", type=float, default=0.95, show_default=True, help="Acceptance probability aimed at."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False), default="fit.nc", show_default=True)
@seed
@reading
@as_json
def fit(runs: str, output: str, as_json: bool, seed: int, **options: Any) -> None:
    """Fit a law to a table of runs, and write the fit."""
    from bayescale import words
    from bayescale.check.findings import findings as of
    from bayescale.storage import save

    own = {name: options.pop(name) for name in ("method", "chains", "draws", "warmup", "target")}
    model = {name: options.pop(name) for name in MODEL}
    if not Path(output).absolute().parent.is_dir():
        raise FileNotFoundError(f"{output}: there is no folder {Path(output).absolute().parent}")
    table = arguments.table_of(runs, **options)
    if not as_json:
        for note in table.notes:
            click.echo(f"note: {note}")
    found = _infer(arguments.model_of(table.kind, **model), table, seed, quiet=as_json, **own)
    save(found, output)
    findings = of(found)
    if as_json:
        return _print({**words.of_fit(found), "findings": words.of_findings(findings), "file": output})
    show(found, findings)
    click.echo(f"the fit is in {output}")


@main.command()
@click.argument("runs")
@modelling("Huber's and binomial where nothing is said.")
@click.option("--replicates", default="4096", show_default=True, help="How many, as 1000000 or 1M.")
@click.option(
    "--kind",
    type=click.Choice(["pairs", "bayesian", "residual", "wild", "parametric"]),
    default="pairs",
    show_default=True,
    help="What is resampled.",
)
@click.option(
    "--cluster", multiple=True, help="Factor whose levels are resampled as a whole; may be repeated."
)
@click.option("--signs", type=click.Choice(["rademacher", "webb"]), default="rademacher", show_default=True)
@click.option("--priors", is_flag=True, help="Let the priors count.")
@click.option("--errors", is_flag=True, help="Standard errors in each replicate, for studentised intervals.")
@click.option(
    "--interval",
    type=click.Choice(["percentile", "basic", "bca", "studentised"]),
    default="percentile",
    show_default=True,
)
@click.option("--level", type=click.FloatRange(0, 1, True, True), default=0.95, show_default=True)
@click.option("--compute", help="Budget in FLOP, as 5.76e23: the best N, D and D/N for it too.")
@click.option("--at", multiple=True, help="A point, as N=7e10,D=1.4e12: the loss there too; may be repeated.")
@click.option(
    "--out", type=click.Path(file_okay=False), help="Folder of the study, from which it can be resumed."
)
@click.option("--resume", is_flag=True, help="Go on with the study in --out.")
@click.option("--workers", type=click.IntRange(1), help="Processes that share the work.")
@click.option("--dask", help="Address of a Dask scheduler whose workers share the work.")
@click.option("--double", is_flag=True, help="Double precision from the first step on.")
@seed
@reading
@as_json
def bootstrap(runs: str, as_json: bool, seed: int, **options: Any) -> None:
    """Refit a law to resampled runs, and give each number its interval."""
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
        _watched(as_json, BLOCK) as report,
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
    if as_json:
        return _print(
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
    _table(
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


def _watched(quiet: bool, size: int):
    import contextlib

    if quiet or not sys.stderr.isatty():
        return contextlib.nullcontext()
    from bayescale.progress import bar_of_blocks

    return bar_of_blocks(size)


def show(found, findings) -> None:
    """Print a fit: its summary, its findings and its verdict."""
    from bayescale.summary import HEADINGS

    summary = found.summary()
    _table(list(HEADINGS), summary.cells(), title=summary.title)
    for finding in findings:
        click.echo(str(finding))
    click.secho(summary.verdict, bold=True, fg=None if found.converged else "red")


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


@main.command()
@click.argument("path", metavar="FIT", type=click.Path())
@click.option("--at", required=True, multiple=True, help="A point, as N=7e10,D=1.4e12; may be repeated.")
@click.option(
    "--kind", type=click.Choice(["mean", "new_run", "new_level"]), default="mean", show_default=True
)
@click.option("--level", multiple=True, help="The level of a factor, as family=pythia; may be repeated.")
@click.option("--law", help="The file of the law, where it is not one of `bayescale laws`.")
@seed
@as_json
def predict(
    path: str,
    at: tuple[str, ...],
    kind: str,
    level: tuple[str, ...],
    law: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Predict the response at points, with its interval."""
    import jax

    from bayescale import words
    from bayescale.storage import load

    found = load(path, law=arguments.law_of(law) if law else None)
    points = [arguments.point_of(one) for one in at]
    if len({tuple(sorted(p)) for p in points}) > 1:
        raise ValueError("each --at names the same covariates")
    levels = arguments.pairs_of(level, "--level", "family=pythia")
    columns = {c: [p[c] for p in points] for c in points[0]}
    draws = found.predict(columns, kind=kind, key=jax.random.key(seed), **levels)
    rows = words.of_predictions(found, columns, draws)
    if as_json:
        return _print({"verdict": found.verdict, "kind": kind, "levels": levels, "points": rows})
    _table(
        ["point", "5%", "50%", "95%", "beyond the runs"],
        [(r["point"], *(f"{r[q]:.4g}" for q in ("q5", "q50", "q95")), r["beyond"]) for r in rows],
        title=f"{found.runs.kind}, {kind}" + (f" at {', '.join(level)}" if level else ""),
    )
    if not found.converged:
        click.secho(found.verdict, bold=True, fg="red")


@main.command()
@click.option("-o", "--output", type=click.Path(file_okay=False), default="bayescale-demo", show_default=True)
@seed
@as_json
def demo(output: str, seed: int, as_json: bool) -> None:
    """Fit a hierarchical law to the table of published models, and show what it says."""
    from bayescale.demo import run

    run(Path(output), seed, as_json=as_json)
