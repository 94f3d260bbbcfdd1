"""The verb that writes a page: `bayescale report`."""

from pathlib import Path
from typing import Any

import click

from bayescale import arguments
from bayescale.options import as_json, seed, writable
from bayescale.printed import print_json

ASKED = ("compute", "target", "inference", "unique")


@click.command()
@click.argument("fits", nargs=-1, required=True, metavar="FIT...", type=click.Path())
@click.option(
    "--compute", help="The budget asked about, in FLOP, as 1e24; by default ten times the largest run."
)
@click.option("--target", help="A loss to be reached.")
@click.option("--inference", help="Tokens to be answered after training, as 2T.")
@click.option("--unique", help="The tokens there are to train on, as 500B, for a law with repeated data.")
@click.option(
    "--at", multiple=True, help="A further covariate of the law and its value, as experts=8; may be repeated."
)
@click.option("--level", multiple=True, help="The level of a factor, as family=pythia; may be repeated.")
@click.option("--title", help="Title of the page.")
@click.option("--comparison", type=click.Path(), help="A file of what `bayescale compare --json` printed.")
@click.option("--backtest", type=click.Path(), help="A file of what `bayescale backtest --json` printed.")
@click.option(
    "--quick",
    is_flag=True,
    help="Without the findings that take refits, as CLUSTER and SUPPORT; the page says so.",
)
@seed
@click.option("--law", help="The file of the law, where it is not one of `bayescale laws`.")
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
    """Write a page of what fits say: one file, for a browser, that loads nothing."""
    import jax

    from bayescale.check.as_data import load_check
    from bayescale.page.answers import Question
    from bayescale.page.report import write
    from bayescale.page.reproduce import command

    at = {
        n: arguments.amount_of(v, "--at")
        for n, v in arguments.pairs_of(given["at"], "--at", "experts=8").items()
    }
    levels = arguments.pairs_of(given["level"], "--level", "family=pythia")
    asked = {n: None if given[n] is None else arguments.amount_of(given[n], f"--{n}") for n in ASKED}
    asked["unique"] = asked["unique"] or at.pop("U", None)
    checks = {n: load_check(given[n], n) if given[n] else None for n in ("comparison", "backtest")}
    own = arguments.law_of(law) if law else None
    found = {name: arguments.fit_in(path, own) for name, path in _named(fits).items()}
    typed = command(
        "report", fits, {**given, "law": law, "quick": quick, "seed": None if quick else seed, "o": output}
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
