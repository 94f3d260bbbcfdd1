"""What there is to say of a table of runs before anything is fitted to it: whether the design can teach a law."""

from collections.abc import Iterable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to

from bayescale import parallel
from bayescale.check.finding import Finding, sorted_by_severity
from bayescale.check.of_checkpoints import checkpoints
from bayescale.check.of_columns import columns
from bayescale.law import Law
from bayescale.model import repeated
from bayescale.runs import Runs

CORRELATION, SPREAD = 0.95, 0.5  # of ln N and ln D; the sd of ln D/N: 90% of runs within a factor of 5
CONDITION = (
    1e6  # of the slopes of a law, each of length 1: beyond it rounding decides what two parameters share
)
TOGETHER = 0.3  # the share of a parameter, of length 1, in the direction that the runs do not tell
STEP = 1e-4  # of a difference that is a slope: good to 1e-8, which tells a condition number up to CONDITION
RUNS = 3  # for each parameter
LEVELS, LEVELS_OF_BENDS = (
    3,
    6,
)  # the values of a covariate that tell a power and a floor; that tell a bend besides
BENDS = 6  # parameters: a law of so many that is no sum of power terms bends
APART = 0.1  # in ln x: values closer than that are one level
EPOCHS = 4  # what is seen more often teaches less than new tokens: Muennighoff et al. 2023, arXiv:2305.16264
MEDIANS = 1001  # draws of a prior whose median is wanted


def findings_of_runs(
    runs: Runs, law: Law | None = None, *, shared: Iterable[str] | None = None
) -> tuple[Finding, ...]:
    """What there is to say of a table before anything is fitted to it, the most severe first.

    Args:
        runs: the table.
        law: the law it is meant for; what depends on the law is not asked, if None.
        shared: the factors whose levels share something in the model; those that a fit finds by itself, if None.
    """
    return sorted_by_severity(of_table(runs, law, shared))


def of_table(
    runs: Runs, law: Law | None, shared: Iterable[str] | None, at: Mapping[str, float] | None = None
) -> list[Finding]:
    """The same unsorted, with the slopes of the law taken at parameters relative to the reference run."""
    together = {effect.by for effect in repeated(runs)} if shared is None else set(shared)
    runs = _there(runs)
    few = list(_few_levels(runs, law))
    return [
        *_collinear(runs, law, None if few else (at or {})),
        *few,
        *_few_runs(runs, law),
        *_repeated_data(runs, law),
        *columns(runs, together),
        *checkpoints(runs, law, together),
    ]


def _there(runs: Runs) -> Runs:
    """The runs that count, as the same reference run measures them."""
    there = np.asarray(runs.weight) > 0
    return runs if there.all() else runs.subset(there).replace(reference=runs.reference, unit=runs.unit)


def logs(runs: Runs, name: str) -> np.ndarray | None:
    """The logarithm of a column, (runs,); None where it is not there, or not positive."""
    if name not in runs.columns or not np.isfinite(runs.reference[name]):
        return None
    return np.log(np.asarray(runs.columns[name], float))


# ---- COLLINEAR


def _collinear(runs: Runs, law: Law | None, at: Mapping[str, float] | None) -> Iterator[Finding]:
    """By the design, and by the slopes of the law at `at`, the medians of its priors if empty; not by them if None."""
    log_n, log_d = logs(runs, "N"), logs(runs, "D")
    wanted = law is None or {"N", "D"} <= set(law.covariates)
    if wanted and log_n is not None and log_d is not None:
        spread = float(np.std(log_d - log_n))
        moves = np.ptp(log_n) > 0 and np.ptp(log_d) > 0  # what does not move has no correlation
        correlation = float(np.corrcoef(log_n, log_d)[0, 1]) if moves else 0.0
        if correlation > CORRELATION or spread < SPREAD:
            yield Finding(
                "COLLINEAR",
                "severe" if law is not None else "warning",
                f"N and D of the runs move together: correlation of their logarithms {correlation:.2f}, "
                f"sd of ln D/N {spread:.2f}; what each of them does for the loss is told by the prior",
                correlation if correlation > CORRELATION else spread,
                "Add runs with many and with few tokens for each parameter",
            )
            return
    if law is None or at is None or not set(law.covariates) <= set(runs.columns):
        return
    number, names = condition(runs, law, at or None)
    if number > CONDITION:
        one = len(names) == 1
        said = f"nothing in the runs depends on {names[0]}" if one else f"{' and '.join(names)} move together"
        yield Finding(
            "COLLINEAR",
            "severe",
            f"{said}: the slopes of {law.name} at the runs have the condition number {number:.2g}",
            number,
            f"Add runs that tell {'it' if one else 'them apart'}, or choose a law without {names[-1]}",
        )


def condition(runs: Runs, law: Law, at: Mapping[str, float] | None = None) -> tuple[float, tuple[str, ...]]:
    """The condition number of the slopes of the log response at the runs, each slope of the length 1.

    Slopes are those in the unconstrained space, with covariates measured from the reference run.

    Args:
        runs: the table.
        law: the law.
        at: the parameters relative to the reference run; the medians of their priors, if None.

    Returns:
        The number, and the parameters in the direction that the runs tell least of; 0 and none where the law has
        one parameter, or cannot be evaluated there.
    """
    names = law.parameters
    with parallel.workbench():
        to = {p: biject_to(law.priors[p].support) for p in names}
        middle = _medians(law) if at is None else at
        free = np.array([float(to[p].inv(jnp.asarray(middle[p]))) for p in names])
        moved = free + STEP * np.concatenate([np.eye(len(names)), -np.eye(len(names))])
        values = {p: np.asarray(to[p](jnp.asarray(moved[:, i]))) for i, p in enumerate(names)}
        relative = {
            c: np.asarray(runs.columns[c])[:, None] / np.asarray(runs.reference[c]) for c in law.covariates
        }
        mean = np.broadcast_to(np.asarray(law(relative, values)), (len(runs), len(moved)))
        shape = np.log(mean) if law.response == "loss" else np.log(mean / (1 - mean))
    slopes = (shape[:, : len(names)] - shape[:, len(names) :]) / (2 * STEP)
    if len(names) < 2 or not np.isfinite(slopes).all():
        return 0.0, ()
    length = np.linalg.norm(slopes, axis=0)
    if (length < length.max() / CONDITION).any():
        return float("inf"), tuple(
            p for p, one in zip(names, length, strict=True) if one < length.max() / CONDITION
        )[:1]
    _, values, vectors = np.linalg.svd(slopes / length, full_matrices=False)
    least = tuple(p for p, share in zip(names, np.abs(vectors[-1]), strict=True) if share > TOGETHER)
    return float(values[0] / max(values[-1], 1e-300)), least


def _medians(law: Law) -> dict[str, float]:
    """The medians of the priors of a law."""
    key = jax.random.key(0)
    return {p: float(np.median(prior.sample(key, (MEDIANS,)))) for p, prior in law.priors.items()}


# ---- How many


def levels(values: np.ndarray) -> int:
    """How many values a covariate takes: the fewest intervals of 0.1 in its logarithm that hold all of them."""
    count, end = 0, -np.inf
    for value in np.sort(np.log(values)):
        if value > end:
            count, end = count + 1, value + APART
    return count


def _few_levels(runs: Runs, law: Law | None) -> Iterator[Finding]:
    bends = law is not None and not law.terms and len(law.parameters) >= BENDS
    asked = ("N", "D") if law is None else tuple(c for c in law.covariates if c not in law.irrelevant)
    for name in asked:
        log = logs(runs, name)
        if log is None:
            continue
        least = LEVELS_OF_BENDS if bends and name not in ("U", "experts") else LEVELS
        found = levels(np.exp(log))
        if found < least:
            said = "a power law with a floor" if law is None else law.name
            yield Finding(
                "FEW_LEVELS",
                "severe" if law is not None else "warning",
                f"{name} takes {found} {'values' if found > 1 else 'value'} in all runs; {said} in {name} needs "
                f"{least}: what is said of it beyond them is the prior",
                float(found),
                f"Add runs of other {name}, or choose a law without {name}",
            )


def _few_runs(runs: Runs, law: Law | None) -> Iterator[Finding]:
    if law is not None and len(runs) < RUNS * len(law.parameters):
        yield Finding(
            "FEW_RUNS",
            "warning",
            f"{len(runs)} runs for the {len(law.parameters)} parameters of {law.name} "
            f"({', '.join(law.parameters)})",
            float(len(runs)),
            f"Add runs, {RUNS * len(law.parameters)} or more in all, or choose a law with fewer parameters",
        )


# ---- REPEAT


def _repeated_data(runs: Runs, law: Law | None) -> Iterator[Finding]:
    log_d, log_u = logs(runs, "D"), logs(runs, "U")
    if log_d is None or log_u is None or (law is not None and "U" in law.covariates):
        return
    epochs = np.exp(log_d - log_u)
    often = epochs > EPOCHS
    if often.any():
        yield Finding(
            "REPEAT",
            "warning",
            f"{often.sum()} of {len(runs)} runs see their tokens more than {EPOCHS} times, up to {epochs.max():.3g} "
            "times, and repeated tokens teach less than new ones",
            float(epochs.max()),
            "Choose a law in U, the unique tokens, or leave such runs out",
        )
