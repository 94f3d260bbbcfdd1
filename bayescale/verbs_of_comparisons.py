"""The verbs that ask which law, if any: `bayescale compare`, `bayescale backtest` and `bayescale relevance`."""

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import click

from bayescale import arguments
from bayescale.files import put_figure
from bayescale.options import as_csv, as_json, comparing, csv_of, examples, figure, reading, seed, writable
from bayescale.printed import afterwards, print_json, print_table, write_rows

draws = click.option(
    "--draws", type=click.IntRange(100), default=1000, show_default=True, help="Draws of each chain."
)


def _kept(example: str) -> Callable:
    """The option of a file for all that was found."""
    said = f"File of everything found, as {example}.json, for `bayescale report` and `bayescale plot`."
    return click.option("-o", "--output", callback=writable, type=click.Path(dir_okay=False), help=said)


@click.command(
    epilog=examples(
        "bayescale compare runs.csv --law chinchilla --law coupled --law power_floor --along C",
        "bayescale compare runs.csv --law chinchilla --noise student_t --noise log_normal --figure which.png",
        "bayescale compare runs.csv --law chinchilla --law coupled -o comparison.json",
    )
)
@click.argument("runs")
@comparing("; repeat it for each law.", "; repeat it, and every law is taken with every noise.")
@click.option(
    "--no-support", is_flag=True, help="Do not repeat the comparison without the ends of the design."
)
@click.option(
    "--no-predictive", is_flag=True, help="Leave no runs out: evidence alone, in a third of the time."
)
@click.option(
    "--cluster",
    metavar="FACTOR",
    help="Factor of which one level after the other is left out; by default run, model or size.",
)
@click.option(
    "--future",
    metavar="COLUMN",
    help="Covariate along which small runs predict large ones; by default C, D or N.",
)
@click.option(
    "--third", is_flag=True, help="Ask sequential Monte Carlo too; takes hundreds of times as long."
)
@draws
@_kept("comparison")
@figure
@seed
@reading
@csv_of("the models, with all that the tables say of them,")
@as_json
def compare(
    runs: str,
    csv: str | None,
    as_json: bool,
    seed: int,
    no_support: bool,
    no_predictive: bool,
    output: str | None,
    figure: str | None,
    **options: Any,
) -> None:
    """Say which law the runs speak for, if any.

    By model evidence, and by how each law predicts what it is not shown. RUNS is a file (CSV, TSV, JSON lines or
    Parquet) or the name of a data set; a constant is always among the laws.
    """
    import jax

    from bayescale import words_of_comparisons as words
    from bayescale.check.compare import compare as run

    own = {name: options.pop(name) for name in ("cluster", "future", "third", "draws")}
    table, tried = _given(runs, as_json, options, own["cluster"])
    with _said(as_json) as report:
        found = run(
            jax.random.key(seed),
            table,
            tried,
            support={} if no_support else None,
            predictive=not no_predictive,
            report=report,
            **own,
        )
    told = found.to_dict()
    afterwards(_keep, found, told, output, csv, figure, quiet=as_json)
    if as_json:
        return print_json(told)
    title = f"{len(table)} runs, log marginal likelihood in nats, all models as likely before"
    print_table(list(words.MODELS), words.of_models(told), title=title)
    headings, rows = words.of_left_out(told)
    if headings:
        print_table(
            headings,
            rows,
            title="Log predictive density of what was left out, in nats behind the first model, ± the standard error; "
            "? where some are in doubt",
        )
    for left_out, others in told["support"].items():
        click.echo(f"without {left_out}: {others['said']}")
    for finding in found.findings:
        click.echo(str(finding))
    click.secho(found.verdict, bold=True, fg="red" if found.trouble else None)


@click.command(
    epilog=examples(
        "bayescale backtest runs.csv --law chinchilla --figure tested.png",
        "bayescale backtest runs.csv --law chinchilla --hold-out corpus -o backtest.json",
    )
)
@click.argument("runs")
@comparing("; repeat it for each law.", "; repeat it, and every law is taken with every noise.")
@click.option(
    "--hold-out",
    default="C",
    show_default=True,
    metavar="COLUMN|FACTOR",
    help="Covariate whose largest runs are predicted from the small ones, or factor whose levels are, in turn.",
)
@click.option(
    "--cutoffs",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="The most folds along a covariate.",
)
@draws
@_kept("backtest")
@figure
@seed
@reading
@csv_of("the scores")
@as_json
def backtest(
    runs: str,
    csv: str | None,
    as_json: bool,
    seed: int,
    hold_out: str,
    output: str | None,
    figure: str | None,
    **options: Any,
) -> None:
    """Fit the small runs, predict the large ones, score the forecasts.

    Or leave out one corpus, or another factor, after the other. RUNS is a file (CSV, TSV, JSON lines or Parquet) or the
    name of a data set; of several laws each fold takes the one that its known runs speak for.
    """
    import jax

    from bayescale import words_of_comparisons as words
    from bayescale.check.backtest import backtest as run

    own = {name: options.pop(name) for name in ("cutoffs", "draws")}
    table, tried = _given(runs, as_json, options, hold_out)
    with _said(as_json) as report:
        found = run(jax.random.key(seed), tried, table, by=hold_out, report=report, **own)
    told = found.to_dict()
    afterwards(_keep, found, told, output, csv, figure, quiet=as_json)
    if as_json:
        return print_json(told)
    unit = "the loss" if table.kind == "loss" else "the share of successes"
    rows = [told["total"], *told["by_gap"], *told["by_fold"]]
    print_table(
        list(words.BACKTEST),
        [words.cells(row) for row in rows],
        title=f"{len(found.index)} forecasts of {len(set(found.index.tolist()))} runs in {len(found.forecasts)} folds, "
        f"scored on {unit}; 50% and 90%: how often such intervals held",
    )
    if found.drift:
        print_table(
            list(words.BACKTEST),
            [words.cells(row) for row in (told["with_drift"]["total"], *told["with_drift"]["by_gap"])],
            title=f"with a drift of {found.drift:.3g} a decade, for each run found from the forecasts of all others",
        )
    if len(tried) > 1:
        for one in found.forecasts:
            click.echo(f"{one.fold.name}: {one.model}")
    for finding in found.findings:
        click.echo(str(finding))
    click.secho(found.verdict, bold=True)


@click.command(
    epilog=examples(
        "bayescale relevance runs.csv gpus --law chinchilla",
        "bayescale relevance runs.csv gpus --law power_floor --along C",
    )
)
@click.argument("runs")
@click.argument("covariate")
@comparing(".", ".")
@click.option(
    "--scale",
    type=click.FloatRange(0, min_open=True),
    default=0.05,
    show_default=True,
    help="Prior standard deviation of the exponent of the covariate.",
)
@draws
@seed
@reading
@as_csv
@as_json
def relevance(
    runs: str,
    covariate: str,
    csv: str | None,
    as_json: bool,
    seed: int,
    scale: float,
    draws: int,
    **options: Any,
) -> None:
    """Say whether one more covariate matters, given a law.

    As the number of GPUs at fixed compute. RUNS is a file (CSV, TSV, JSON lines or Parquet) or the name of a data set,
    and COVARIATE one of its columns.
    """
    import jax
    import numpyro.distributions as dist

    from bayescale.check.relevance import relevance as run

    table, tried = _given(runs, as_json, options)
    if len(tried) > 1:
        raise ValueError(
            "one law with one noise, given which the covariate may matter; give --law and --noise once"
        )
    found = run(jax.random.key(seed), tried[0], table, covariate, prior=dist.Normal(0.0, scale), draws=draws)
    told = found.to_dict()
    afterwards(_keep, found, told, None, csv, quiet=as_json)
    if as_json:
        return print_json(told)
    for finding in found.findings:
        click.echo(str(finding))
    click.secho(found.verdict, bold=True, fg="red" if found.findings else None)


def _given(runs: str, quiet: bool, options: dict[str, Any], factor: str | None = None):
    table, tried = arguments.table_and_models(runs, options, factor)
    if not quiet:
        for note in table.notes:
            click.echo(f"note: {note}")
    return table, tried


def _keep(
    found,
    told: dict[str, Any],
    output: str | None,
    csv: str | None,
    figure: str | None = None,
    *,
    quiet: bool,
) -> None:
    """Write what was found to the files that were asked for, and say where it is."""
    from bayescale.check.as_data import save_check
    from bayescale.words_of_comparisons import rows_of

    if output:
        save_check(found, output)
    if csv:
        write_rows(csv, rows_of(told))
    if figure:
        from bayescale import plot_of_checks

        draw = plot_of_checks.comparison if told["of"] == "comparison" else plot_of_checks.backtest
        put_figure(draw(told), figure)
    for what, file in (("what was found", output), ("the table", csv), ("the figure", figure)):
        if file and not quiet:
            click.echo(f"{what} is in {file}")


def _said(quiet: bool):
    """A report of what is being done, on the terminal and nowhere else."""
    if quiet or not sys.stderr.isatty():
        return contextlib.nullcontext()
    from bayescale.progress import line

    return line()
