"""The options that several verbs of the command line share."""

import functools
from collections.abc import Callable

import click

MODEL = ("law", "along", "irrelevant", "noise", "delta", "noise_scale", "vary", "by", "effect")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def writable(ctx: click.Context, option: click.Parameter, file: str | None) -> str | None:
    """Refuse, before anything is worked out, a file in no folder."""
    from pathlib import Path

    if file is not None and not Path(file).absolute().parent.is_dir():
        raise FileNotFoundError(
            f"{option.opts[-1]} {file}: there is no folder {Path(file).absolute().parent}"
        )
    return file


def csv_of(what: str) -> Callable:
    """The option of a file for a table; `what` says which table."""
    said = f"Write {what} to a file of comma-separated values too, numbers in full."
    return click.option("--csv", callback=writable, type=click.Path(dir_okay=False), help=said)


as_csv = csv_of("the table")
seed = click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")


def reading(function: Callable) -> Callable:
    """The options of a verb that reads a table of runs."""
    options = [
        click.option("--response", help="Column of the response; found where there is one."),
        click.option("--factor", "factors", multiple=True, help="Column that groups runs; may be repeated."),
        click.option("--where", help="Rows that count, as 'in_fit_subset = 1'."),
        click.option(
            "--name",
            "names",
            multiple=True,
            help="Which column is which, as N=params_total; may be repeated.",
        ),
        click.option(
            "--vocabulary", type=float, help="Tokens of the tokenizer; no loss may be above its logarithm."
        ),
        click.option("--separator", default=",", show_default=True, help="Separator of a .csv file."),
        click.option("--keep-duplicates", is_flag=True, help="Count rows that are the same in every column."),
    ]
    return functools.reduce(lambda f, option: option(f), reversed(options), function)


def modelling(noise: str) -> Callable:
    """The options of a verb that makes a model; `noise` says what it is where nothing is said."""
    options = [
        click.option("--law", required=True, help="Name of a law, or a file: ./my_law.py."),
        click.option("--along", help="Column of a law in one axis: N, D, C or another."),
        click.option(
            "--irrelevant", multiple=True, help="Covariate whose exponent may be zero; may be repeated."
        ),
        click.option(
            "--noise",
            help=f"log_normal, student_t, huber, lad, gaussian; binomial, beta_binomial. {noise}",
        ),
        click.option("--delta", type=float, default=1e-3, show_default=True, help="Huber's delta."),
        *_of_groups(),
    ]
    return lambda function: functools.reduce(lambda f, option: option(f), reversed(options), function)


def comparing(function: Callable) -> Callable:
    """The options of a verb that makes several models."""
    options = [
        click.option(
            "--law", required=True, multiple=True, help="Name of a law, or a file; repeat it for each law."
        ),
        click.option("--along", help="Column of the laws in one axis: N, D, C or another."),
        click.option("--noise", multiple=True, help="Kind of noise; every law is taken with every noise."),
        click.option("--delta", type=float, default=1e-3, show_default=True, help="Huber's delta."),
        *_of_groups(),
    ]
    return functools.reduce(lambda f, option: option(f), reversed(options), function)


def _of_groups() -> list[Callable]:
    return [
        click.option(
            "--noise-scale", multiple=True, help="What the log scale of the noise is linear in, as D/N."
        ),
        click.option(
            "--vary",
            multiple=True,
            help="Parameters that differ, as E,B; may be repeated, each with its --by.",
        ),
        click.option("--by", multiple=True, help="The factor by which they differ."),
        click.option("--effect", multiple=True, help="Factor whose levels share a shock, or none."),
    ]
