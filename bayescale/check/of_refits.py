"""What there is to say of a fit that takes others to find out: fewer runs, groups of them, another floor, another N."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale import parallel
from bayescale.check.clusters import again, clusters
from bayescale.check.finding import Finding, sorted_by_severity
from bayescale.check.findings import findings
from bayescale.check.floors import LIFT, exponents_of, floor_of, lifted, pinned
from bayescale.check.of_columns import SHARE, embedding_share
from bayescale.check.relevance import DECISIVE, irrelevance
from bayescale.check.supports import support
from bayescale.fit import PARETO_K, Fit
from bayescale.infer.density import Density
from bayescale.infer.evidence import Evidence, first_look, log_evidence
from bayescale.infer.frame import Mode
from bayescale.infer.mode import find
from bayescale.infer.optimize import optimize
from bayescale.runs import Runs

SAMPLED = ("nuts", "laplace", "map")  # methods whose priors count
LIFTS = (0.8, 1.0, 1.2)  # of a fixed floor
ROOM = 0.02  # of the least loss is left between it and a floor that is lifted
NEAR = 0.5  # nats on either side of what is decisive, within which importance sampling alone does not tell
FAR = 5.0  # the same where its weights have a heavy tail: their mean is right, so that it is e^5 times too large in .7%
PLAIN = 10.0  # nats of a mode over that without a covariate: it matters, and no evidence is needed


def all_findings(key: Array, fit: Fit) -> tuple[Finding, ...]:
    """All there is to say of a fit, with what takes other fits to find out, the most severe first.

    Beside `findings`: CLUSTER, SUPPORT, IRRELEVANT, and what the answer would be with another floor where the floor is
    fixed, and with another count of parameters where embeddings are many.

    Args:
        key: the random key.
        fit: the fit; of parameters that were printed, and of a bootstrap, there is nothing to refit.
    """
    if fit.method not in SAMPLED:
        return findings(fit)
    keys = random.split(key, 5)
    found = [
        *clusters(keys[0], fit),
        *support(keys[1], fit),
        *_irrelevant(keys[2], fit),
        *_other_floors(keys[3], fit),
        *_other_count(keys[4], fit),
    ]
    again_told = {one.code for one in found} & {"FLOOR_PINNED", "EMBED"}  # with what the refits say
    return sorted_by_severity([*found, *(one for one in findings(fit) if one.code not in again_told)])


# ---- FLOOR_PINNED and EMBED


def _other_floors(key: Array, fit: Fit) -> Iterator[Finding]:
    floor = pinned(fit.model.law)
    if floor is None:
        return
    law = lifted(fit.model.law, floor)
    most = (1 - ROOM) / floor  # beyond it the floor is above the least loss
    lifts = [min(lift, most) for lift in LIFTS]
    model, runs = fit.model.replace(law=law), fit.runs
    points = []
    for lift in lifts:
        columns = {**runs.columns, LIFT: np.full(len(runs), lift)}
        table = runs.replace(columns=columns, reference={**runs.reference, LIFT: np.float64(1.0)})
        points.append(optimize(key, model, table))
    names = [p for p in exponents_of(fit) if p != floor_of(fit.model.law)] or law.parameters
    low, middle, high = ({p: float(one.flat(p)[0]) for p in names} for one in points)
    name = max(middle, key=lambda p: abs(high[p] - low[p]) / max(abs(middle[p]), 1e-9))
    value = floor * float(np.asarray(runs.unit))
    yield Finding(
        "FLOOR_PINNED",
        "warning",
        f"the floor is fixed at {value:.4g} and not learned: {name} is {low[name]:.3g} with a floor of "
        f"{lifts[0] * value:.4g}, {middle[name]:.3g} with this one, {high[name]:.3g} with {lifts[2] * value:.4g}",
        value,
        "Let the floor be a parameter with a prior, or give the answer for each of these floors",
    )


def _other_count(key: Array, fit: Fit) -> Iterator[Finding]:
    law, share = fit.model.law, embedding_share(fit.runs)
    if share is None or "N" not in law.covariates or np.ptp(share) <= SHARE:
        return
    columns = {**fit.runs.columns, "N": np.asarray(fit.runs.columns["N"], float) * (1 - share)}
    other = fit.runs.replace(columns=columns)
    before, after = _exponents(key, fit, fit.runs), _exponents(key, fit, other)
    if not before or not after:
        return
    said = ", ".join(f"{p} {after[p]:.3f} instead of {before[p]:.3f}" for p in before)
    yield Finding(
        "EMBED",
        "warning",
        f"embeddings are {share.min():.0%} to {share.max():.0%} of the parameters; without them in N, {said}",
        float(np.ptp(share)),
        "Say which N an answer is of, and count C with the same one",
    )


def _exponents(key: Array, fit: Fit, runs: Runs) -> dict[str, float]:
    """The exponents of a law at the mode, and that of the best N in compute where N and D have one each."""
    terms = {term.covariate: term.exponent for term in fit.model.law.terms}
    with parallel.workbench():
        mode = find((density := Density.of(fit.model, runs)), runs, key)
        if not mode.stats["mode_converged"]:
            return {}
        values = density.constrain(jnp.asarray(mode.position))
    names = dict.fromkeys(terms.values()) or ["alpha", "beta"]
    found = {p: float(values[p]) for p in names if p in fit.model.law.parameters}
    if {"N", "D"} <= set(terms):
        alpha, beta = found[terms["N"]], found[terms["D"]]
        found["a"] = beta / (alpha + beta)
    return found


# ---- IRRELEVANT


def _irrelevant(key: Array, fit: Fit) -> Iterator[Finding]:
    """The covariates of the law itself that the runs speak against, each held at the reference run in turn."""
    law, sampled = fit.model.law, fit.method == "nuts"
    if sampled and fit.trouble:
        return
    axes = [c for c in law.covariates if c not in law.irrelevant]
    with parallel.workbench():
        density = Density.of(fit.model, fit.runs)
        whole = find(density, fit.runs, key)
        doubtful = []
        for c in axes:
            held = _held(fit.runs, c)
            without = find(density, held, key)
            if whole.stats["log_density"] - without.stats["log_density"] < PLAIN:
                doubtful.append((c, held, without))
        keys = random.split(random.fold_in(key, len(axes)), 1 + len(doubtful))
    if sampled and doubtful:
        leads = _leads(keys, fit, density, [held for _, held, _ in doubtful])
    else:
        leads = [_laplace(without) - _laplace(whole) for _, _, without in doubtful]
    for (c, _, _), lead in zip(doubtful, leads, strict=True):
        if lead is not None and lead > DECISIVE:
            yield irrelevance(c, law.name, lead)


def _leads(keys: Array, fit: Fit, density: Density, tables: list[Runs]) -> list[float | None]:
    """By how many nats the evidence for each table is greater than that for the table of a fit; None where in doubt."""
    of_whole = log_evidence(keys[0], fit)
    if not (of_whole.pareto_k < PARETO_K and of_whole.error < NEAR / 2):
        return [None] * len(tables)
    return [_lead(key, fit, of_whole, density, held) for key, held in zip(keys[1:], tables, strict=True)]


def _lead(key: Array, fit: Fit, of_whole: Evidence, density: Density, held: Runs) -> float | None:
    """The same for one table, whose posterior is sampled only where importance sampling alone does not tell.

    To sample it takes minutes, and may come to nothing: a term that has lost its covariate is a ridge. Importance
    sampling that misses a mode or a tail finds too little evidence, and rarely too much. So it may say that a lead is
    decisive whatever its weights, and that one is not with good weights only.
    """
    keys = random.split(key, 3)
    look = first_look(keys[0], density, held)
    lead, error = look.estimate.value - of_whole.value, look.estimate.error + of_whole.error
    sound = look.pareto_k < PARETO_K
    more = lead - error > DECISIVE + (NEAR if sound else FAR)
    less = lead + error < DECISIVE - NEAR and sound
    if np.isfinite([lead, error]).all() and (more or less):
        return lead
    of_held = log_evidence(keys[1], again(keys[2], fit, fit.model, held))
    return None if of_whole.trouble or of_held.trouble else of_held.value - of_whole.value


def _held(runs: Runs, covariate: str) -> Runs:
    """The runs as if all had the covariate of the reference run."""
    value = np.full(len(runs), np.asarray(runs.reference[covariate], float))
    return runs.replace(columns={**runs.columns, covariate: value})


def _laplace(mode: Mode) -> float:
    """The log evidence by the curvature at the mode."""
    _, volume = np.linalg.slogdet(2 * np.pi * mode.covariance)
    return float(mode.stats["log_density"] + volume / 2)
