"""The verb that writes a page: `bayescale report`."""

from pathlib import Path
from typing import Any

import click

from bayescale import arguments
from bayescale.options import as_json, examples, hold, law_file, level, seed, writable
from bayescale.printed import print_json

ASKED = ("compute", "target", "inference", "unique")
CALLED = {"target": "loss"}  # options that the page has another name for


@click.command(
    epilog=examples(
        "bayescale report fit.nc --compute 1e24",
        "bayescale report fit.nc --compute 1e24 --loss 1.95 --inference 2T --level corpus=web -o page.html",
        "bayescale report chinchilla.nc coupled.nc --comparison comparison.json --backtest backtest.json",
    )
)
@click.argument("fits", nargs=-1, required=True, metavar="FIT...", type=click.Path())
@click.option(
    "--compute",
    metavar="FLOP",
    help="The budget asked about, in FLOP, as 1e24; by default ten times the largest run.",
)
@click.option("--loss", "target", metavar="LOSS", help="A loss to be reached, as 1.95.")
@click.option("--inference", metavar="TOKENS", help="Tokens to be answered after training, as 2T.")
@click.option(
    "--unique",
    metavar="TOKENS",
    help="The tokens there are to train on, as 500B, for a law with repeated data.",
)
@hold
@level
@click.option("--title", help="Title of the page.")
@click.option(
    "--comparison", type=click.Path(), help="What `bayescale compare -o` wrote: it is told and drawn too."
)
@click.option(
    "--backtest", type=click.Path(), help="What `bayescale backtest -o` wrote: it is told and drawn too."
)
@click.option("--tasks", type=click.Path(), help="What `bayescale tasks --json` printed: it is told too.")
@click.option(
    "--quick",
    is_flag=True,
    help="Without the findings that take refits, as CLUSTER and SUPPORT; the page says so.",
)
@seed
@law_file
@click.option(
    "-o",
    "--output",
    callback=writable,
    type=click.Path(dir_okay=False),
    default="report.html",
    show_default=True,
    help="The page.",
)
@as_json
def report(
    fits: tuple[str, ...], output: str, law: str | None, quick: bool, seed: int, as_json: bool, **given: Any
) -> None:
    """Write one page of what fits say, for a browser.

    FIT is what `bayescale fit` wrote. The page loads nothing from any network: answers, findings, sliders, figures, and
    tables that can be taken from it as CSV.
    """
    import jax

    from bayescale.check.as_data import load_check
    from bayescale.page.answers import Question
    from bayescale.page.report import write
    from bayescale.page.reproduce import command

    at = arguments.held_of(given["hold"])
    levels = arguments.pairs_of(given["level"], "--level", "corpus=web")
    asked = {
        n: None if given[n] is None else arguments.amount_of(given[n], f"--{CALLED.get(n, n)}") for n in ASKED
    }
    asked["unique"] = asked["unique"] or at.pop("U", None)
    checks = {n: load_check(given[n], n) if given[n] else None for n in ("comparison", "backtest")}
    checks["tasks"] = _printed(given["tasks"]) if given["tasks"] else None
    own = arguments.law_of(law) if law else None
    found = {name: arguments.fit_in(path, own) for name, path in _named(fits).items()}
    options = {CALLED.get(name, name): value for name, value in given.items()}
    typed = command(
        "report", fits, {**options, "law": law, "quick": quick, "seed": None if quick else seed, "o": output}
    )
    question = Question(**asked, at=at, levels=levels)
    key = None if quick else jax.random.key(seed)
    said = write(found, output, question, title=given["title"], command=typed, key=key, **checks)
    if as_json:
        return print_json({**said, "file": output})
    for one in said["trouble"]:
        click.secho(f"NOT CONVERGED: {one['name']}: {one['text']}", bold=True, fg="red")
    for one in said["answers"]:
        click.echo(": ".join(part for part in (one["name"], one["text"]) if part))
    if said["warned"]:
        click.secho(said["warned"], bold=True, fg="red")
    for text in (*said["unanswered"], *said["unchecked"]):
        click.echo(text)
    if said["counted"]:
        click.echo(f"Findings: {said['counted']}.")
    click.echo(f"the report is in {output}")


def _named(fits: tuple[str, ...]) -> dict[str, str]:
    """The files by short names: what they are called without folder and ending, where that tells them apart."""
    stems = [Path(path).stem for path in fits]
    if len(set(fits)) < len(fits):
        raise ValueError("a fit is named twice; name each once")
    return {stem if stems.count(stem) == 1 else path: path for stem, path in zip(stems, fits, strict=True)}


def _printed(path: str) -> dict[str, Any]:
    """What `bayescale tasks --json` printed."""
    import json

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}; give what `bayescale tasks --json` printed")
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is not JSON ({error}); give what `bayescale tasks --json` printed"
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not what `bayescale tasks --json` printed")
    return found
