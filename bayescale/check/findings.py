"""Findings: what the statistics have to say of a fit and of the design behind it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpyro.distributions import constraints

from bayescale.fit import Fit
from bayescale.model import effect_of

SEVERITIES = ("note", "warning", "severe")
CONTRACTION = 0.5  # below it the posterior has more than half of the variance of the prior
RIVAL = 5.0  # nats: a mode lower by more has under 1% of the weight of the best, if as wide
CORRELATION, SPREAD = 0.95, 0.5  # of ln N and ln D; the sd of ln D/N: 90% of runs within a factor of 5
RUNS = 3  # for each parameter
E_BFMI = 0.3  # below it, Betancourt 2016, arXiv:1604.00695, the energies of a chain hardly move
REACHED = 0.2  # the share of draws in which the floor may be within the noise of the least loss
DEEPEST = 0.01  # the share of draws that may need the deepest tree allowed


@dataclass(frozen=True)
class Finding:
    """Something to know before an answer is believed.

    Attributes:
        code: what kind of finding it is, such as COLLINEAR.
        severity: "note", "warning" or "severe".
        message: what was found, in a sentence.
        number: the number it was found by.
        action: what to do about it.
    """

    code: str
    severity: str
    message: str
    number: float
    action: str

    def __str__(self) -> str:
        return f"{self.severity.upper()} {self.code}: {self.message}. {self.action}."


def findings(fit: Fit) -> tuple[Finding, ...]:
    """What there is to say of a fit and of its runs, the most severe first."""
    checks = (
        _not_converged,
        _at_bound,
        _energy,
        _tree_depth,
        _collinear,
        _few_runs,
        _prior_dominated,
        _floor_reached,
        _second_mode,
        _effects,
    )
    return sorted_by_severity([finding for of in checks for finding in of(fit)])


def sorted_by_severity(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, the most severe first."""
    return tuple(sorted(found, key=lambda f: -SEVERITIES.index(f.severity)))


def _not_converged(fit: Fit) -> Iterator[Finding]:
    if fit.trouble:
        yield Finding(
            "NOT_CONVERGED",
            "severe",
            f"the {fit.method} fit has not converged: {'; '.join(fit.trouble)}",
            float(len(fit.trouble)),
            "Take nothing from it; draw longer, or choose a law with fewer parameters",
        )


def _at_bound(fit: Fit) -> Iterator[Finding]:
    for name in fit.stats.get("at_bound", ()):
        yield Finding(
            "AT_BOUND",
            "severe",
            f"{name} ran to its bound: the data do not tell it from 0",
            float(np.median(fit.flat(name))) if name in fit.draws else float("nan"),
            f"Choose a law without {name}, or let its prior count",
        )


def _energy(fit: Fit) -> Iterator[Finding]:
    least = min(fit.stats.get("e_bfmi", ()), default=1.0)
    if not least >= E_BFMI:
        yield Finding(
            "ENERGY",
            "warning",
            f"the E-BFMI of a chain is {least:.2f}, below {E_BFMI}: it is slow between the tails and the middle",
            least,
            "Draw longer, and doubt the tails of the intervals",
        )


def _tree_depth(fit: Fit) -> Iterator[Finding]:
    if "tree_depth" not in fit.stats:
        return
    share = float(np.mean(fit.stats["tree_depth"] >= fit.stats["depth"]))
    if share > DEEPEST:
        yield Finding(
            "TREE_DEPTH",
            "warning",
            f"{share:.0%} of the draws needed the deepest tree allowed, of {fit.stats['depth']} doublings",
            share,
            "Allow a greater depth, or give priors or runs that narrow the posterior",
        )


def _collinear(fit: Fit) -> Iterator[Finding]:
    if not {"N", "D"} <= set(fit.model.law.covariates):
        return
    log_n, log_d = (np.log(np.asarray(fit.runs.columns[c])) for c in ("N", "D"))
    spread = float(np.std(log_d - log_n))
    moves = np.ptp(log_n) > 0 and np.ptp(log_d) > 0  # what does not move has no correlation
    correlation = float(np.corrcoef(log_n, log_d)[0, 1]) if moves else 0.0
    if correlation > CORRELATION or spread < SPREAD:
        yield Finding(
            "COLLINEAR",
            "severe",
            f"N and D of the runs move together: correlation of their logarithms {correlation:.2f}, "
            f"sd of ln D/N {spread:.2f}; what each of them does for the loss is told by the prior",
            correlation if correlation > CORRELATION else spread,
            "Add runs with many and with few tokens for each parameter",
        )


def _few_runs(fit: Fit) -> Iterator[Finding]:
    law = fit.model.law
    if len(fit.runs) < RUNS * len(law.parameters):
        yield Finding(
            "FEW_RUNS",
            "warning",
            f"{len(fit.runs)} runs for the {len(law.parameters)} parameters of {law.name} "
            f"({', '.join(law.parameters)})",
            float(len(fit.runs)),
            f"Add runs, {RUNS * len(law.parameters)} or more in all, or choose a law with fewer parameters",
        )


def _prior_dominated(fit: Fit) -> Iterator[Finding]:
    if len(fit) < 2:  # a point has no variance to compare
        return
    summary = fit.summary()
    for name in fit.model.law.parameters:
        contraction = summary[name].contraction
        if contraction is not None and contraction < CONTRACTION:
            yield Finding(
                "FLOOR_PRIOR" if name == "E" else "PRIOR_DOMINATED",
                "warning",
                f"the data say little about {name} beyond its prior: contraction {contraction:.2f}",
                contraction,
                f"See how the answer changes with the prior of {name}, or add runs that tell it",
            )


def _floor_reached(fit: Fit) -> Iterator[Finding]:
    floor = fit.model.law.priors.get("E")
    if floor is None or floor.support is not constraints.unit_interval or "E" in fit.model.varying:
        return  # of what levels differ in, the centre tells nothing
    contraction = fit.summary()["E"].contraction
    if "sigma" not in fit.draws or contraction is None or contraction < CONTRACTION:
        return  # where the prior tells the floor, no run has reached it
    share = float(np.mean(fit.flat("E") > np.exp(-2 * fit.flat("sigma"))))
    if share > REACHED:
        yield Finding(
            "FLOOR_REACHED",
            "warning",
            f"the runs have come down to the floor: in {share:.0%} of the draws E is within two scales of the noise of "
            "the least loss measured, where its prior ends. The least of many noisy losses may lie below the floor",
            share,
            "Give E a prior that reaches higher, such as law.replace(priors={'E': LogNormal(0, 0.1)})",
        )


def _second_mode(fit: Fit) -> Iterator[Finding]:
    rival = float(fit.stats.get("rival", np.inf))
    if rival < RIVAL:
        yield Finding(
            "SECOND_MODE",
            "warning",
            f"there is a second mode, only {rival:.1f} nats lower: the data have two explanations",
            rival,
            "Look whether the chains visit both, and give a prior or runs that decide between them",
        )


def _effects(fit: Fit) -> Iterator[Finding]:
    size = "of the loss" if fit.model.law.response == "loss" else "on the logit"
    for effect in fit.model.effects or ():
        scale = fit.flat(f"{effect_of(effect.by)}_scale")
        low, middle, high = np.quantile(scale, (0.05, 0.5, 0.95)).tolist()
        interval = f" (90% interval {low:.2g} to {high:.2g})" if scale.size > 1 else ""
        yield Finding(
            "EFFECTS",
            "note",
            f"runs of one {effect.by} share a shock, because levels of {effect.by} repeat or the model says "
            f"so; its sd is {middle:.2g}{interval} {size}",
            middle,
            "Pass effects=() to Model to see what it would be without",
        )
