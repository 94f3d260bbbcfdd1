"""The demonstration of task success: a hundred tasks that are one task, beside a hundred that are many."""

from pathlib import Path
from typing import Any, NamedTuple

import click
import jax
import numpy as np
from scipy.special import expit

from bayescale.files import put_figure
from bayescale.plot_of_tasks import side_by_side
from bayescale.printed import print_json, print_table
from bayescale.tasks.overlap import Overlap, overlap, overlap_budget
from bayescale.tasks.verdict import Verdict, verdict

TASKS, MODELS = 100, 8
RANGE, MIDDLE = (19.0, 23.0), 21.0  # decades of compute of the models, and where tasks turn on
# Thresholds of tasks in decades, about the middle of the range, and logits for each decade.
SHA, DIVERSE = (0.02, 25.0), (1.0, 4.0)
WANTED = 0.05  # the error of a forecast
NEW = 200  # suites and models that overlap is simulated with


class Made(NamedTuple):
    """A simulated suite: compute, (models,), and whether each model does each task, (models, tasks)."""

    x: np.ndarray
    wins: np.ndarray


def simulate(rng: np.random.Generator, spread: float, slope: float) -> Made:
    """A suite whose tasks turn on within `spread` decades of each other, each within 4.4 / slope decades."""
    x = np.linspace(*RANGE, MODELS)
    places = MIDDLE + spread * rng.standard_normal(TASKS)
    p = expit(slope * (x[:, None] - places))
    return Made(10**x, rng.random(p.shape) < p)


def shared(rng: np.random.Generator, spread: float, slope: float) -> Overlap:
    """The overlap of such a suite in the middle of its rise, where that is known to be between two models."""
    gap = (RANGE[1] - RANGE[0]) / (MODELS - 1)
    middle = MIDDLE + gap * rng.uniform(-0.5, 0.5, (NEW, 1, 1))
    places = middle + spread * rng.standard_normal((NEW, 1, TASKS))
    return overlap(expit(slope * (MIDDLE - np.broadcast_to(places, (NEW, 2, TASKS)))))


def run(folder: Path, seed: int, *, as_json: bool) -> None:
    """Simulate both suites, print the two verdicts, and draw them."""
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[Made, Verdict, Overlap]] = {}
    for name, of in (("sha256^n", SHA), ("diverse", DIVERSE)):
        made = simulate(rng, *of)
        told = verdict(jax.random.key(seed), made.x, made.wins.sum(axis=1), TASKS)
        found[name] = (made, told, shared(rng, *of))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "tasks.png"
    drawn = side_by_side({n: (m.x, m.wins, str(t), o.verdict) for n, (m, t, o) in found.items()})
    put_figure(drawn, file, dpi=150)
    needed = overlap_budget(0.5, WANTED)
    if as_json:
        said: dict[str, Any] = {
            name: {
                "kind": told.kind,
                "verdict": str(told),
                "probabilities": dict(told.probabilities),
                "overlap": own.omega,
                "effective": own.effective,
            }
            for name, (_, told, own) in found.items()
        }
        return print_json({"suites": said, "required": needed.required, "files": [str(file)]})
    click.echo(
        f"Two suites of {TASKS} tasks, tried once by each of {MODELS} models from 1e{RANGE[0]:g} to 1e{RANGE[1]:g} "
        "FLOP.\nsha256^n is one task a hundred times over; in the diverse suite thresholds differ by a decade.\n"
    )
    print_table(
        ["suite", *(f"{10**x:.0e}" for x in np.linspace(*RANGE, MODELS)), "overlap", "worth"],
        [
            (
                name,
                *(f"{share:.0%}" for share in made.wins.mean(axis=1)),
                f"{own.omega:.2g}",
                f"{own.effective:.3g}",
            )
            for name, (made, _, own) in found.items()
        ],
        title="Scores; overlap, and how many independent tasks they are worth, of a model in the middle of the rise",
    )
    for name, (_, told, own) in found.items():
        click.secho(f"\n{name}: {told}", bold=True)
        enough = own.effective >= needed.required
        click.echo(
            f"  for a forecast within {WANTED:.0%} it takes {needed.required:g} independent tasks: "
            f"{'it has them' if enough else f'it has {own.effective:.3g}'}"
        )
    click.echo(f"\nThe figure is in {file}.")
