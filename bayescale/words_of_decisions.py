"""What the command line says of decisions: tables, probabilities, advice and findings."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from bayescale.printed import print_json, print_table, write_csv

if TYPE_CHECKING:
    from bayescale.check.finding import Finding

HEADINGS = ("fit", "question", "asked", "quantity", "unit", "low", "median", "high", "defined", "infinite")
# The probability that each question is asked for: a quantity, its bounds, and how to say it.
LIKELY = {
    "compute_equivalent_gain": ("gain", {"above": 1.0}, "a gain above 1"),
    "relative_efficiency": ("gain", {"above": 1.0}, "a gain above 1"),
    "better": ("difference", {"below": 0.0}, "the first being better"),
    "compute_for": ("C", {"below": float("inf")}, "the loss being within reach"),
    "data_for": ("D", {"below": float("inf")}, "the loss being within reach"),
    "params_for": ("N", {"below": float("inf")}, "the loss being within reach"),
}


def answer(
    found, probability: float, csv: str | None, as_json: bool, agreed=None, apart: "Iterable[Finding]" = ()
) -> None:
    """Print decisions and write them.

    Args:
        found: names of fits and their decisions, in pairs.
        probability: of the intervals.
        csv: the file of the table, or None.
        as_json: whether to print JSON.
        agreed: the `Rivals` of several fits, or None.
        apart: findings of answers that do not agree.
    """
    from bayescale import words

    if csv:
        rows = [
            {"fit": name, "question": one.question, "asked": one.described, **row}
            for name, one in found
            for row in one.rows(probability)
        ]
        write_csv(csv, HEADINGS, [[row[heading] for heading in HEADINGS] for row in rows])
    if as_json:
        plain = [
            {"fit": name, **one.to_dict(probability), "probability": _likely(one)} for name, one in found
        ]
        whole: dict[str, Any] = {"decisions": plain}
        if agreed is not None:
            whole["probabilities"] = agreed.probabilities
            whole["elpd"] = agreed.elpd
            apart = (*agreed.findings, *apart)
        whole["findings"] = [vars(finding) for finding in apart]
        return print_json(words.plain(whole, infinite=True))
    for name, one in found:
        _show(name, one, probability)
    if agreed is not None:
        click.echo(f"The probability of the first being better is {agreed.said}.")
        apart = (*agreed.findings, *apart)
    for finding in apart:
        click.echo(str(finding))
    if csv:
        click.echo(f"the table is in {csv}")


def _likely(one) -> float | None:
    if one.question not in LIKELY:
        return None
    quantity, bounds, _ = LIKELY[one.question]
    return one.probability(quantity, **bounds)


def _show(name: str, one, probability: float) -> None:
    from bayescale.decide.decision import number

    tail = 100 * (1 - probability) / 2
    click.secho(f"{name}: {one.question}, {one.described}", bold=True)
    print_table(
        ["", f"{tail:g}%", "50%", f"{100 - tail:g}%", "defined"],
        [
            (
                f"{row['quantity']}, {row['unit']}" if row["unit"] else row["quantity"],
                *(number(row[column], row["unit"]) for column in ("low", "median", "high")),
                f"{row['defined']:.1%}",
            )
            for row in one.rows(probability)
        ],
    )
    if (likely := _likely(one)) is not None and len(one) > 1:
        click.echo(f"The probability of {LIKELY[one.question][2]} is {likely:.3f}.")
    if one.advice:
        click.echo(f"{one.advice[0].upper()}{one.advice[1:]}.")
    for finding in one.findings:
        click.echo(str(finding))
    if one.trouble:
        click.secho(f"NOT CONVERGED: {'; '.join(one.trouble)}", bold=True, fg="red")
    click.echo()
