"""Tables whose truth is known: losses of a law on a design, with noise that a model may not know."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import random

from bayescale import parallel
from bayescale.check import designs
from bayescale.check.designs import Columns
from bayescale.law import Law

UNIT = 2.0  # nats, where the truth is drawn from the priors: what they call 1
NOISES = ("log_normal", "student_t", "gaussian")
LARGER = 1.5  # decades of compute, from the greatest of the runs to the greatest of those ahead
ALIKE = 3  # digits of N, in which the runs of one size agree


@dataclass(frozen=True, eq=False)
class Simulated:
    """A table and its truth.

    Attributes:
        columns: the table, column -> (runs,).
        ahead: larger runs of the same truth, which are not part of it; None where none were asked for.
        truth: what it was made with, as plain data.
    """

    columns: Columns
    ahead: Columns | None
    truth: dict[str, Any]


@np.errstate(all="ignore")  # losses that are no numbers are refused with a sentence
def simulate(
    seed: int,
    law: Law,
    *,
    truth: dict[str, float] | None = None,
    design: str = "isoflop",
    runs: int = 42,
    decades: tuple[float, float] = designs.DECADES,
    noise: str = "log_normal",
    sigma: float = 0.005,
    nu: float = 3.0,
    wider: float = 0.0,
    shock: float = 0.0,
    digits: int | None = None,
    undertuned: float = 0.0,
    bent: float | None = None,
    ahead: int = 0,
) -> Simulated:
    """Losses of a law on a design.

    Args:
        seed: of all that is random.
        law: the law; of a loss, and along a column where it is one in one axis.
        truth: its parameters in natural units; drawn from its priors if None.
        design: isoflop, ladder, ray, random, overtrained or checkpoints.
        runs: about how many.
        decades: the least and the greatest compute, log10 of FLOP.
        noise: log_normal, student_t or gaussian.
        sigma: its scale, of the log loss; of gaussian noise relative to the mean loss.
        nu: degrees of freedom of student_t noise.
        wider: the scale is sigma (D/N / 20)^wider.
        shock: the scale of what the rows of one training run, or the runs of one size, share of the log loss.
        digits: decimals that losses are rounded to.
        undertuned: the share by which the losses of the size in the middle are too high.
        bent: compute, FLOP, beyond which what is left above the floor falls with half the exponent.
        ahead: how many larger runs there are besides, at 20 tokens for each parameter, up to 1.5 decades beyond.

    Raises:
        ValueError: the law is of success, a parameter is missing or unknown, or a number makes no sense.
    """
    if law.response != "loss":
        raise ValueError(f"law {law.name} is of success; a suite of tasks is made by `suite`")
    if noise not in NOISES:
        raise ValueError(f"noise is {noise!r}; it is one of {', '.join(NOISES)}")
    if min(sigma, nu) <= 0 or shock < 0 or undertuned <= -1 or (digits is not None and digits < 0):
        raise ValueError("sigma and nu are positive, shock and decimals 0 or more, and undertuned above -1")
    if not np.isfinite([sigma, nu, wider, shock, undertuned]).all() or seed < 0:
        raise ValueError(
            "sigma, nu, wider, shock and undertuned are finite numbers, and the seed is 0 or more"
        )
    rng = np.random.default_rng(seed)
    columns = designs.columns_of(design, rng, law.covariates, runs=runs, decades=decades)
    drawn = truth is None
    truth = _drawn(seed, law, columns) if truth is None else _checked(law, truth)

    def measured(table: Columns, shocks: np.ndarray | float) -> np.ndarray:
        mean = _mean(law, truth, table, bent)
        scale = sigma * (table["D"] / table["N"] / designs.RATIO) ** wider
        noisy = scale * (
            rng.standard_t(nu, len(mean)) if noise == "student_t" else rng.standard_normal(len(mean))
        )
        return (mean * (1 + noisy) if noise == "gaussian" else mean * np.exp(noisy)) * np.exp(shocks)

    size = np.array([float(f"{one:.{ALIKE}g}") for one in columns["N"]])
    groups, index = np.unique(columns.get("run", size), return_inverse=True)
    loss = measured(columns, (shock * rng.standard_normal(len(groups)))[index])
    rung = np.sort(np.unique(size))[len(np.unique(size)) // 2]
    loss = np.where(size == rung, loss * (1 + undertuned), loss)
    larger = None
    if ahead:
        rungs = max(ahead + 1, 3)  # of which the first is the largest size of the runs
        larger = designs.columns_of(
            "ladder", rng, law.covariates, runs=2 * rungs, decades=(decades[1], decades[1] + LARGER)
        )
        larger = {name: values[::2][-ahead:] for name, values in larger.items() if name != "seed"}
        larger["loss"] = _rounded(measured(larger, shock * rng.standard_normal(ahead)), digits)
    said = {
        "law": law.name,
        "parameters": truth,
        "drawn_from_priors": drawn,
        "design": design,
        "noise": {"kind": noise, "sigma": sigma, "wider": wider}
        | ({"nu": nu} if noise == "student_t" else {}),
        "shock": {"scale": shock, "by": "run" if "run" in columns else "size"},
        "decimals": digits,
        "undertuned": {"share": undertuned, "N": float(rung)} if undertuned else None,
        "bent_beyond": bent,
        "seed": seed,
    }
    return Simulated({**columns, "loss": _rounded(loss, digits)}, larger, said)


def _drawn(seed: int, law: Law, columns: Columns) -> dict[str, float]:
    with parallel.workbench():
        keys = random.split(random.key(seed), len(law.priors))
        own = {
            p: float(np.asarray(prior.sample(k)))
            for k, (p, prior) in zip(keys, law.priors.items(), strict=True)
        }
        reference = {c: np.exp(np.mean(np.log(columns[c]))) for c in law.covariates}
        if "U" in reference:
            reference["U"] = np.exp(np.mean(np.log(columns["D"])))
        natural = jax.device_get(law.to_natural(own, reference, UNIT))
    return {p: float(np.asarray(value)) for p, value in natural.items()}


def _checked(law: Law, truth: dict[str, float]) -> dict[str, float]:
    if wrong := sorted(set(law.parameters) ^ set(truth)):
        said = "is missing" if wrong[0] in law.parameters else "is unknown"
        raise ValueError(f"{wrong[0]} {said}; law {law.name} has {', '.join(law.parameters)}")
    return {p: float(truth[p]) for p in law.parameters}


def _mean(law: Law, truth: dict[str, float], columns: Columns, bent: float | None) -> np.ndarray:
    """The loss of the law, with what is above its floor bent beyond some compute along the same tokens a parameter."""

    def at(points):
        with parallel.workbench():
            own = law({c: points[c] for c in law.covariates}, truth)
            return np.broadcast_to(np.asarray(own, float), np.shape(columns["C"]))

    mean = at(columns)
    if bent is None:
        return mean
    less = np.minimum(bent / columns["C"], 1.0)
    edge = at(
        columns | {"N": columns["N"] * less**0.5, "D": columns["D"] * less**0.5, "C": columns["C"] * less}
    )
    floor = truth[law.floor] if law.floor else 0.0
    return floor + np.sqrt((mean - floor) * (edge - floor))


def _rounded(loss: np.ndarray, digits: int | None) -> np.ndarray:
    found = loss if digits is None else np.round(loss, digits)
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise ValueError("this truth and noise give losses that are not positive numbers; take others")
    return found
