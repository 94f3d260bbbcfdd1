"""The verbs of runs to come and of slices of equal compute: `bayescale design` and `bayescale isoflop`."""

from typing import Any

import click

from bayescale import arguments
from bayescale.options import as_json, csv_of, examples, hold, law_file, level, reading, seed
from bayescale.printed import print_json, print_table, write_csv

SHOWN = 12  # candidates in the table that is printed; all of them are in the CSV and in the JSON
OPTIMUM = ("by", "quantity", "estimate", "low", "high")


@click.command(
    epilog=examples(
        "bayescale design fit.nc --budget 1e21 --target N@1e24 --batch 4",
        "bayescale design fit.nc --budget 1e21 --target loss@N=70B,D=1.4T --rival coupled",
        "bayescale design fit.nc --rival coupled.nc --budget 1e20 --target law",
    )
)
@click.argument("fit", metavar="FIT", type=click.Path())
@click.option(
    "--rival",
    "rivals",
    metavar="FIT",
    multiple=True,
    help="A fit of another law to the same runs, or the name of a law, which is then fitted to them as the fit was, in "
    "half a minute or so; may be repeated.",
)
@click.option("--budget", required=True, metavar="FLOP", help="For all runs together, in FLOP, as 1e21.")
@click.option(
    "--target",
    required=True,
    help="What is to be known: N@1e24, loss@N=70B,D=1.4T, better@N=10B,D=1.7T:N=100B,D=170B, or law.",
)
@click.option(
    "--batch", type=click.IntRange(1), default=1, show_default=True, help="The most runs there may be."
)
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    help="A run there might be, as N=1e9,D=2e10; a grid where none is given.",
)
@click.option("--weight", "weights", help="For law: probabilities of the fit and of its rivals, as 0.7,0.3.")
@level
@hold
@law_file
@seed
@csv_of("the table of all candidates")
@as_json
def design(
    fit, rivals, budget, target, batch, candidates, weights, level, hold, law, seed, csv, as_json
) -> None:
    """Say which runs to do next: what each would tell for its compute.

    FIT is what `bayescale fit` wrote. Runs are ranked by how much of the variance of the target each is expected to
    remove for each FLOP.
    """
    import jax

    from bayescale.columns import label
    from bayescale.decide.design import design as run
    from bayescale.decide.designed import NOT_ASKED

    points = [arguments.point_of(one, "--candidate") for one in candidates]
    if len({tuple(sorted(point)) for point in points}) > 1:
        raise ValueError("each --candidate names the same covariates")
    own = arguments.law_of(law) if law else None
    first = arguments.fit_in(fit, own)
    found = run(
        first,
        target,
        arguments.amount_of(budget, "--budget"),
        candidates={c: [point[c] for point in points] for c in points[0]} if points else None,
        batch=batch,
        rivals=[arguments.rival_in(one, first, seed, own) for one in rivals],
        weights=arguments.amounts_of(weights, "--weight") if weights else None,
        key=jax.random.key(seed),
        at=arguments.held_of(hold),
        **arguments.pairs_of(level, "--level", "corpus=web"),
    )
    rows = found.rows()
    if csv:
        write_csv(csv, list(rows[0]), [list(row.values()) for row in rows])
    if as_json:
        return print_json(found.to_dict())
    counted = [c for c in found.points if c != "D/N"]
    others = [c for c in rows[0] if c.startswith("removed by")]
    silent = [] if others or found.target.kind == "law" else ["under rival laws"]
    headings = [*counted, "D/N", "FLOP", "removed", "for each FLOP", "nested", *others, *silent, "beyond"]
    print_table(
        [*headings, "in the batch"],
        [
            (
                *(label(row[c]) for c in counted),
                f"{row['D/N']:.4g}" if "D/N" in row else "-",
                label(row["C"]),
                f"{row['removed']:.2%}",
                f"{row['per_flop']:.2g}",
                f"{row['exact']:.2%} ± {row['error']:.2%}" if row["exact"] is not None else "",
                *(f"{row[c]:.2%}" for c in others),
                *(NOT_ASKED for _ in silent),
                f"{row['beyond']:.1f}" if row["beyond"] else "",
                row["batch"] or "",
            )
            for row in rows[:SHOWN]
        ],
        title=f"{len(rows)} candidates by what they remove of {found.target.said} for each FLOP; nested: by nested "
        "Monte Carlo; beyond: decades outside the runs",
    )
    for finding in found.findings:
        click.echo(str(finding))
    click.secho(found.verdict, bold=True, fg="red" if found.trouble else None)
    if csv:
        click.echo(f"the table is in {csv}")


@click.command(
    epilog=examples(
        "bayescale isoflop runs.csv --compute 1e24",
        "bayescale isoflop runs.csv --compute 1e24 --fit fit.nc --level corpus=web",
    )
)
@click.argument("runs")
@click.option(
    "--compute", required=True, metavar="FLOP", help="The compute that the optimum is for, in FLOP, as 1e24."
)
@click.option(
    "--fit",
    "fits",
    metavar="FIT",
    multiple=True,
    help="A fit of a law in N and D to compare with; may be repeated.",
)
@law_file
@click.option("--by", metavar="COLUMN", help="Column that says the budget of each run; by default C.")
@click.option(
    "--tolerance",
    type=float,
    default=0.1,
    show_default=True,
    help="How far runs of one budget may be apart, as a share of it.",
)
@click.option(
    "--curves", default="size", show_default=True, help="Factor whose levels are the curves of approach 1."
)
@click.option(
    "--replicates", type=click.IntRange(50), default=1000, show_default=True, help="Refits of the bootstraps."
)
@click.option(
    "--level", multiple=True, metavar="FACTOR=LEVEL", help="Runs of one level of a factor, as corpus=web."
)
@click.option(
    "--probability",
    type=click.FloatRange(0, 1, True, True),
    default=0.9,
    show_default=True,
    help="Probability of the intervals.",
)
@seed
@reading
@csv_of("the table of the optimum")
@as_json
def isoflop(
    runs: str,
    compute: str,
    fits: tuple[str, ...],
    law: str | None,
    by: str | None,
    tolerance: float,
    curves: str,
    replicates: int,
    level: tuple[str, ...],
    probability: float,
    seed: int,
    csv: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the optimum by approaches 1 and 2 of the literature.

    Each with its known bias on such runs, and beside the optimum of laws (--fit). RUNS is a file (CSV, TSV, JSON
    lines or Parquet) or the name of a data set.
    """
    import jax

    from bayescale import words
    from bayescale.decide.cross_check import cross_check
    from bayescale.decide.envelope import envelope
    from bayescale.decide.parabola import parabola

    budget = arguments.amount_of(compute, "--compute")
    levels = arguments.pairs_of(level, "--level", "corpus=web")
    laws = dict(arguments.fits_in(fits, law))
    table = arguments.table_of(runs, **options)
    if not as_json:
        for note in table.notes:
            click.echo(f"note: {note}")
    table = _of_levels(table, levels)
    keys = jax.random.split(jax.random.key(seed), 3)
    found, refused = [], []
    for approach in (
        lambda: parabola(keys[0], table, by=by, tolerance=tolerance, replicates=replicates),
        lambda: envelope(keys[1], table, by=curves, replicates=replicates),
    ):
        try:
            found.append(approach())
        except ValueError as error:  # of one approach; the other may have what it needs
            refused.append(str(error))
    if not found:
        raise ValueError(f"neither approach can be followed. {refused[0]}. {refused[1]}")
    checks = []
    for one in found:
        for name, fit in laws.items():
            own = {factor: value for factor, value in levels.items() if factor in fit.model.factors}
            checks.append((name, cross_check(keys[2], fit, one, table, budget, **own)))
    rows = _optima(found, checks, budget, probability)
    findings = {str(finding): finding for one in found for finding in one.findings}
    findings |= {str(finding): finding for _, check in checks for finding in check.findings}
    if csv:
        write_csv(csv, OPTIMUM, [[row[c] for c in OPTIMUM] for row in rows])
    if as_json:
        return print_json(
            {
                "C": budget,
                "optimum": rows,
                "slices": {
                    one.approach: one.rows(probability) for one in found if one.approach == "parabola"
                },
                "verdicts": {f"{name}, {check.approach.approach}": check.verdict for name, check in checks},
                "findings": words.of_findings(findings.values()),
                "refused": refused,
            }
        )
    _show(found, checks, rows, refused, budget, probability)
    for said in findings:
        click.echo(said)
    for name, check in checks:
        click.secho(f"{name}: {check.verdict}", bold=True)
    if csv:
        click.echo(f"the table is in {csv}")


def _of_levels(table, levels: dict[str, str]):
    """The runs of the levels named, as far as the table tells them apart."""
    import numpy as np

    for factor, value in levels.items():
        if factor not in table.levels:
            known = ", ".join(table.levels) or "no factor"
            raise ValueError(f"{table.source}: there is no factor {factor}; there are {known}")
        if value not in table.levels[factor]:
            raise ValueError(f"{factor} has no level {value!r}; it has {', '.join(table.levels[factor])}")
        table = table.subset(np.asarray(table.factors[factor]) == table.levels[factor].index(value))
    return table


def _optima(found, checks, compute: float, probability: float) -> list[dict[str, Any]]:
    """The optimum by every approach and by every law, a row for each quantity."""
    rows = []
    for one in found:
        decision, estimate = one.at(compute), one.estimate(compute)
        rows += [
            _row(one.approach, quantity, estimate[quantity], decision, probability) for quantity in estimate
        ]
    for name, check in dict(checks).items():
        law = check.law
        rows += [
            _row(name, quantity, law.interval(quantity, probability)[1], law, probability)
            for quantity in ("N", "D", "D/N", "a", "b")
        ]
    return rows


def _row(by: str, quantity: str, estimate: float, decision, probability: float) -> dict[str, Any]:
    low, _, high = decision.interval(quantity, probability)
    return {"by": by, "quantity": quantity, "estimate": estimate, "low": low, "high": high}


def _show(found, checks, rows, refused: list[str], compute: float, probability: float) -> None:
    from bayescale.columns import label

    def cell(row) -> str:
        return f"{label(row['estimate'])} ({label(row['low'])} to {label(row['high'])})"

    for one in found:
        if one.approach == "parabola":
            click.echo("approach 2: the minimum of a parabola in each slice of equal compute")
            print_table(
                ["budget", "best N", "low", "high", "best D"],
                [
                    tuple(label(row[c]) for c in ("C", "N", "N low", "N high", "D"))
                    for row in one.rows(probability)
                ],
            )
    quantities = ("a", "b", "N", "D", "D/N")
    print_table(
        ["by", *quantities],
        [
            (by, *(cell(next(r for r in rows if r["by"] == by and r["quantity"] == q)) for q in quantities))
            for by in dict.fromkeys(row["by"] for row in rows)
        ],
        title=f"the optimum at {label(compute)} FLOP, with {probability:.0%} intervals; parabola: approach 2, "
        "envelope: approach 1",
    )
    for why in refused:
        click.echo(f"not followed: {why}")
