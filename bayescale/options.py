"""The options that several verbs of the command line share."""

import functools
from collections.abc import Callable
from pathlib import Path

import click

from bayescale import files

NOISES = "log_normal, student_t, huber, lad or gaussian; of success binomial, beta_binomial, logit_normal or average"
MODEL = ("law", "along", "irrelevant", "noise", "delta", "noise_scale", "noise_steps", "vary", "by", "effect")

FORMATS = (".png", ".pdf", ".svg", ".jpg")  # of figures

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")


def examples(*lines: str) -> str:
    """What stands at the end of the help of a verb: commands to begin with."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def writable(ctx: click.Context, option: click.Parameter, file: str | None) -> str | None:
    """Refuse, before anything is worked out, a file that could not be written."""
    if file is not None:
        try:
            files.check(file)
        except OSError as error:
            raise OSError(f"{option.opts[-1]} {error}") from None
    return file


def _drawable(ctx: click.Context, option: click.Parameter, figure: str | None) -> str | None:
    """Refuse, before anything is worked out, a figure that could not be written."""
    if figure is not None and Path(figure).suffix not in FORMATS:
        raise ValueError(f"--figure is {figure!r}; its name ends in one of {', '.join(FORMATS)}")
    return writable(ctx, option, figure)


figure = click.option(
    "--figure",
    callback=_drawable,
    type=click.Path(dir_okay=False),
    help="File of a figure, as which.png, .pdf or .svg.",
)


def csv_of(what: str) -> Callable:
    """The option of a file for a table; `what` says which table."""
    said = f"Write {what} to a CSV file too, numbers in full."
    return click.option("--csv", callback=writable, type=click.Path(dir_okay=False), help=said)


as_csv = csv_of("the table")
level = click.option(
    "--level",
    multiple=True,
    metavar="FACTOR=LEVEL",
    help="The level of a factor by which parameters differ, as corpus=web; may be repeated.",
)
hold = click.option(
    "--hold",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="A further covariate of the law, and its value, as experts=8; may be repeated.",
)
law_file = click.option(
    "--law",
    metavar="FILE",
    help="The file of the law of fits, where it is not one of `bayescale laws`: ./my_law.py.",
)
along = click.option(
    "--along",
    metavar="COLUMN",
    help="What a law in one axis, such as power, is along: N, D, C or another column.",
)
as_tested = click.option(
    "--backtest",
    type=click.Path(),
    help="What `bayescale backtest -o` wrote: answers beyond the runs get the drift that it found.",
)
seed = click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),  # what a random key can be made of
    default=0,
    show_default=True,
    help="Seed of everything random.",
)


def shared(function: Callable) -> Callable:
    """The options of a study that others may share the work of."""
    for option in (
        click.option("--dask", help="Address of a Dask scheduler whose workers share the work."),
        click.option("--workers", type=click.IntRange(1), help="Processes that share the work."),
    ):
        function = option(function)
    return function


def reading(function: Callable) -> Callable:
    """The options of a verb that reads a table of runs."""
    options = [
        click.option(
            "--response",
            metavar="COLUMN",
            help="Column of the loss or of the successes; by default a usual name.",
        ),
        click.option(
            "--factor",
            "factors",
            multiple=True,
            metavar="COLUMN",
            help="Column that groups runs, as corpus; may be repeated.",
        ),
        click.option("--where", metavar="CONDITION", help="Rows that count, as 'in_fit_subset = 1'."),
        click.option(
            "--name",
            "names",
            multiple=True,
            metavar="N=COLUMN",
            help="Which column is which, as N=params_total; may be repeated.",
        ),
        click.option(
            "--vocabulary", type=float, help="Size of the vocabulary; a loss above its logarithm is refused."
        ),
        click.option(
            "--separator", default=",", show_default=True, help="What separates cells of a .csv file."
        ),
        click.option(
            "--keep-duplicates",
            is_flag=True,
            help="Count rows that are the same in every column, which are refused otherwise.",
        ),
    ]
    return functools.reduce(lambda f, option: option(f), reversed(options), function)


def modelling(noise: str) -> Callable:
    """The options of a verb that makes a model; `noise` says what it is where nothing is said."""
    options = [
        click.option(
            "--law", required=True, help="Name of a law, see `bayescale laws`; or a file: ./my_law.py."
        ),
        along,
        click.option(
            "--irrelevant",
            multiple=True,
            metavar="COLUMN",
            help="Covariate that multiplies the law with an exponent that may be zero; may be repeated.",
        ),
        click.option("--noise", help=f"{NOISES}. {noise}"),
        click.option("--delta", type=float, default=1e-3, show_default=True, help="Huber's delta."),
        *_of_groups(),
    ]
    return lambda function: functools.reduce(lambda f, option: option(f), reversed(options), function)


def comparing(law: str, noise: str) -> Callable:
    """The options of a verb that makes models of several laws and noises; `law` and `noise` say how many."""
    options = [
        click.option(
            "--law", required=True, multiple=True, help=f"Name of a law, or a file: ./my_law.py{law}"
        ),
        along,
        click.option("--noise", multiple=True, help=f"{NOISES}{noise}"),
        click.option("--delta", type=float, default=1e-3, show_default=True, help="Huber's delta."),
        *_of_groups(),
    ]
    return lambda function: functools.reduce(lambda f, option: option(f), reversed(options), function)


def _of_groups() -> list[Callable]:
    return [
        click.option(
            "--noise-scale",
            multiple=True,
            metavar="COLUMN",
            help="What the log scale of the noise is linear in, as D/N; may be repeated.",
        ),
        click.option(
            "--noise-steps",
            multiple=True,
            metavar="COLUMN",
            help="What the noise has a scale of its own in each fifth of, as D/N; may be repeated; none for one scale.",
        ),
        click.option(
            "--vary",
            multiple=True,
            metavar="PARAMETERS",
            help="Parameters that differ between levels, as E,B; may be repeated, each with its --by.",
        ),
        click.option(
            "--by", multiple=True, metavar="FACTOR", help="The factor by which they differ, as corpus."
        ),
        click.option(
            "--effect",
            multiple=True,
            metavar="FACTOR",
            help="Factor whose levels share a shock, as size; or none. By default those that repeat in the table.",
        ),
    ]
