"""The verbs that try the tool: `bayescale simulate`, tables whose truth is known, and `bayescale calibrate`."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bayescale import arguments
from bayescale.files import put, put_figure
from bayescale.options import MODEL, as_csv, as_json, examples, figure, modelling, reading, seed, shared
from bayescale.printed import afterwards, print_json, print_table, write_csv

NAMES = ("isoflop", "ladder", "ray", "random", "overtrained", "checkpoints")


@click.group(
    epilog=examples(
        "bayescale simulate runs --law chinchilla -o runs.csv", "bayescale simulate suite -o evals.csv"
    )
)
def simulate() -> None:
    """Write a table whose truth is known, and the truth."""


def _written(function):
    """The options of what is written."""
    for option in (
        as_json,
        click.option(
            "-o", "--output", type=click.Path(dir_okay=False), required=True, help="The table, as runs.csv."
        ),
        seed,
    ):
        function = option(function)
    return function


def _planned(function):
    """The options of a design."""
    for option in (
        click.option(
            "--compute", default="1e18,1e21", show_default=True, help="Least and greatest compute, in FLOP."
        ),
        click.option(
            "--size", type=click.IntRange(3), default=42, show_default=True, help="About how many runs."
        ),
        click.option(
            "--design",
            type=click.Choice(NAMES),
            default="isoflop",
            show_default=True,
            help="How runs are laid out.",
        ),
    ):
        function = option(function)
    return function


@simulate.command(
    "runs",
    epilog=examples(
        "bayescale simulate runs --law chinchilla --truth E=1.82,A=482,B=2085,alpha=.348,beta=.366 -o runs.csv",
        "bayescale simulate runs --law chinchilla --truth besiroglu2024 --design overtrained -o runs.csv",
        "bayescale simulate runs --law chinchilla --design checkpoints --shock 0.01 -o runs.csv",
        "bayescale simulate runs --law power_floor --along C --break-at 3e21 --ahead 5 -o runs.csv",
    ),
)
@click.option("--law", required=True, help="Name of a law, or a file; of a loss, in N, D, C, U and experts.")
@click.option("--along", help="Column of a law in one axis: N, D or C.")
@click.option(
    "--truth",
    help="Parameters in natural units, as E=1.82,A=482,..., or a published fit, as besiroglu2024; from the priors if "
    "not given.",
)
@_planned
@click.option(
    "--noise",
    type=click.Choice(["log_normal", "student_t", "gaussian"]),
    default="log_normal",
    show_default=True,
    help="Kind of noise.",
)
@click.option(
    "--sigma", type=float, default=0.005, show_default=True, help="Scale of the noise, of the log loss."
)
@click.option(
    "--nu", type=float, default=3.0, show_default=True, help="Degrees of freedom of student_t noise."
)
@click.option("--wider", type=float, default=0.0, help="The scale goes with this power of D/N.")
@click.option(
    "--shock", type=float, default=0.0, help="Scale of what rows of one run, or runs of one size, share."
)
@click.option("--round", "digits", type=click.IntRange(0), help="Decimals that losses are rounded to.")
@click.option(
    "--undertuned", type=float, default=0.0, help="Share by which the losses of one size are too high."
)
@click.option("--break-at", help="Compute beyond which loss falls with half the exponent, as 3e21.")
@click.option(
    "--ahead", type=click.IntRange(0), default=0, help="So many larger runs besides, in a table of their own."
)
@_written
def simulate_runs(
    output: str, law: str, along: str | None, truth: str | None, seed: int, as_json: bool, **options: Any
) -> None:
    """Write losses of a law on a design.

    The noise may be such as a fit does not know of. Besides the table there is what it was made with, runs.truth.json,
    and with --ahead the larger runs, runs.ahead.csv.
    """
    from bayescale.check.simulate import simulate as made_of

    form = arguments.placed(law, along)
    given = None if truth is None else arguments.truth_of(truth, form)
    bent = options.pop("break_at")
    made = made_of(
        seed,
        form,
        truth=given,
        runs=options.pop("size"),
        decades=_decades(options.pop("compute")),
        bent=None if bent is None else arguments.amount_of(bent, "--break-at"),
        **options,
    )
    _write(output, made.columns, made.ahead, made.truth, as_json)


@simulate.command(
    "suite",
    epilog=examples(
        "bayescale simulate suite --overlap 0.7 -o evals.csv",
        "bayescale simulate suite --overlap 1 --families 1 --slope 25 -o copies.csv",
    ),
)
@click.option("--tasks", type=click.IntRange(1), default=100, show_default=True, help="How many tasks.")
@click.option("--families", type=click.IntRange(1), default=20, show_default=True, help="Of tasks.")
@click.option("--models", type=click.IntRange(1), default=8, show_default=True, help="How many models.")
@click.option(
    "--attempts", type=click.IntRange(1), default=4, show_default=True, help="Of a model at a task."
)
@click.option(
    "--overlap",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="Of thresholds in a family.",
)
@click.option(
    "--spread", type=click.FloatRange(0), default=1.0, show_default=True, help="Of thresholds, in decades."
)
@click.option("--slope", type=float, default=4.0, show_default=True, help="Logits a decade of compute.")
@click.option("--shock", type=click.FloatRange(0), default=0.0, help="Of models at everything, in decades.")
@click.option(
    "--compute", default="1e19,1e23", show_default=True, help="Least and greatest compute, in FLOP."
)
@_written
def simulate_suite(output: str, compute: str, seed: int, as_json: bool, **options: Any) -> None:
    """Write successes of models at the tasks of a suite.

    The thresholds of its tasks, in compute, overlap by family as much as is said.
    """
    import numpy as np

    from bayescale.check.designs import suite

    rows, truth = suite(np.random.default_rng(seed), decades=_decades(compute), **options)
    said = {**options, "seed": seed, **{name: values.tolist() for name, values in truth.items()}}
    _write(output, rows, None, said, as_json)


def _write(output: str, columns: dict, ahead: dict | None, truth: dict, as_json: bool) -> None:
    """The tables and the truth, each whole or not at all."""
    import json

    path = Path(output)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"{output}: there is no folder {path.absolute().parent}")
    if path.suffix != ".csv":
        raise ValueError(f"--output is {output}; a table is written as .csv")
    told = json.dumps(truth, indent=1, allow_nan=False) + "\n"
    files = {path: columns}
    if ahead is not None:
        files[path.with_suffix(".ahead.csv")] = ahead
    for file, table in files.items():
        write_csv(file, list(table), zip(*(values.tolist() for values in table.values()), strict=True))
    put(path.with_suffix(".truth.json"), told)
    files = [*files, path.with_suffix(".truth.json")]
    if as_json:
        return print_json({"files": [str(file) for file in files], "truth": truth})
    for file in files:
        click.echo(f"written to {file}")


@click.command(
    epilog=examples(
        "bayescale calibrate --law chinchilla --replicates 1000 --budget 1e23 --out study/ --workers 8",
        "bayescale calibrate runs.csv --law chinchilla --effect size --figure ranks.png",
        "bayescale calibrate --law logistic --along C --trials 50",
        "bayescale calibrate --law chinchilla --noise huber --method bootstrap --interval bca",
    )
)
@click.argument("runs", required=False)
@modelling("Student-t or beta-binomial where nothing is said.")
@_planned
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Tries in each run of a design, of a law of success.",
)
@click.option("--replicates", type=click.IntRange(1), default=200, show_default=True, help="How many tables.")
@click.option(
    "--method",
    type=click.Choice(["nuts", "lanes", "laplace", "bootstrap"]),
    default="nuts",
    show_default=True,
    help="How each is fitted; lanes is NUTS for 1,024 tables at once, for an accelerator and models without levels; "
    "a bootstrap is 1,000 refits to resampled runs, without priors.",
)
@click.option(
    "--interval",
    type=click.Choice(["percentile", "basic", "bca", "studentised"]),
    help="Kind of the intervals of a bootstrap; percentile if nothing is said.",
)
@click.option("--budget", help="FLOP, as 1e23: the best N and D/N for it too, of a law in N and D.")
@click.option("--target", help="A loss, as 2.1: the least compute that reaches it too, of a law in N and D.")
@click.option(
    "--at", multiple=True, help="A point, as N=7e10,D=1.4e12: the response there too; may be repeated."
)
@click.option(
    "--out", type=click.Path(file_okay=False), help="Folder of the study, from which it can be resumed."
)
@click.option("--resume", is_flag=True, help="Go on with the study in --out.")
@shared
@seed
@reading
@figure
@as_csv
@as_json
def calibrate(
    runs: str | None,
    seed: int,
    figure: str | None,
    csv: str | None,
    as_json: bool,
    replicates: int,
    method: str,
    interval: str | None,
    **options: Any,
) -> None:
    """Try whether the intervals of a model hold the truth.

    Tables are simulated from its priors, and each is fitted.

    The design is that of RUNS, whose responses do not matter, or one of --design. Ranks of the truth among the draws
    are even if all is well; the table says how often even ranks would be as far off, how often intervals of 50, 80, 90
    and 95% held the truth, the z-scores, and how much of what was not known a table tells.
    """
    import jax

    from bayescale import workers
    from bayescale.check.calibrated import FALSE_ALARMS
    from bayescale.check.calibration import calibrate as run
    from bayescale.verbs_of_studies import watched

    plan = {name: options.pop(name) for name in ("design", "size", "compute", "trials")}
    own = {name: options.pop(name) for name in ("budget", "target", "at", "out", "resume", "workers", "dask")}
    if own["resume"] and not own["out"]:
        raise ValueError("--resume goes on with the study in a folder; say which, as --out study/")
    settings: dict[str, Any] = {"interval": interval} if interval else {}
    if interval and method != "bootstrap":
        raise ValueError("--interval is for --method bootstrap")
    chosen = {name: options.pop(name) for name in MODEL}
    context = click.get_current_context()
    unused = tuple(plan) if runs else tuple(options)
    for name in unused:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            said = "is for designs, and RUNS has its own" if runs else "is for a table, and there is none"
            raise ValueError(f"--{name if name in plan else name.rstrip('s').replace('_', '-')} {said}")
    table = arguments.table_of(runs, **options) if runs else _design(chosen, plan, seed)
    model = arguments.model_of(table.kind, **chosen)
    named = arguments.quantities_of(model.law, own["budget"], own["at"], own["target"], "--budget")
    asked: dict[str, Any] = {
        name.replace("at budget", f"at {own['budget']} FLOP"): function
        for name, function in named.items()
        if callable(function)
    }
    with (
        workers.of(own["workers"], own["dask"]) as (executor, in_flight),
        watched(as_json, 1) as report,
    ):
        found = run(
            jax.random.key(seed),
            model,
            table,
            replicates=replicates,
            quantities=asked,
            method=method,
            **settings,
            folder=own["out"],
            resume=own["resume"],
            executor=executor,
            in_flight=in_flight,
            report=report,
        )
    rows = found.rows()

    def keep() -> None:
        if csv:
            write_csv(csv, list(rows[0]), [tuple(row.values()) for row in rows])
        if figure:
            from bayescale.plot_of_calibration import calibration

            put_figure(calibration(found), figure)

    afterwards(keep)
    if as_json:
        from bayescale import words

        return print_json(
            {
                "law": model.law.name,
                "noise": model.noise.name,
                "counts": found.counts,
                "false_alarms": FALSE_ALARMS,
                "quantities": rows,
                "findings": words.of_findings(found.findings),
                "verdict": found.verdict,
            }
        )
    headings = ["quantity", "chance of such ranks", "50%", "80%", "90%", "95%", "z", "sd of z", "contraction"]
    how = f"bootstrap, {interval or 'percentile'} intervals" if method == "bootstrap" else method
    names = ("evenness", "cover50", "cover80", "cover90", "cover95", "z_mean", "z_sd", "contraction")
    print_table(
        headings,
        [(row["quantity"], *(f"{row[name]:.3g}" for name in names)) for row in rows],
        title=f"{model.law.name}, {model.noise.name} noise, {replicates} tables of {len(table)} runs, {how}",
    )
    for finding in found.findings:
        click.echo(str(finding))
    click.echo(f"false alarms: of sound models {FALSE_ALARMS:.0%} are called uneven")
    click.secho(found.verdict, bold=True, fg="red" if found.uneven else None)


def _design(chosen: dict[str, Any], plan: dict[str, Any], seed: int):
    """A table of a design, with responses that do not matter."""
    import numpy as np

    from bayescale.check.designs import columns_of
    from bayescale.runs import Runs

    form = arguments.placed(chosen["law"], chosen["along"])
    given = click.get_current_context().get_parameter_source("trials") is ParameterSource.COMMANDLINE
    if given and form.response == "loss":
        raise ValueError(f"--trials is for laws of success, and {form.name} is of a loss")
    columns = columns_of(
        plan["design"],
        np.random.default_rng(seed),
        form.covariates,
        runs=plan["size"],
        decades=_decades(plan["compute"]),
    )
    source, runs = f"design {plan['design']}", len(columns["N"])
    if form.response == "loss":
        return Runs.make({**columns, "loss": np.full(runs, 2.0)}, source=source)
    counts = {"successes": np.zeros(runs, int), "trials": np.full(runs, plan["trials"])}
    return Runs.make({**columns, **counts}, response="successes", source=source, duplicates="keep")


def _decades(text: str) -> tuple[float, float]:
    from math import log10

    least, comma, most = text.partition(",")
    if not comma:
        raise ValueError(f"--compute is {text!r}; write the least and the greatest, as 1e18,1e21")
    low, high = (log10(arguments.amount_of(part, "--compute")) for part in (least, most))
    if not low < high:
        raise ValueError(f"--compute is {text!r}; the first is less than the second")
    return low, high
