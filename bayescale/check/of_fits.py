"""What there is to say of one fit, from its draws alone: how it was sampled, and what its runs have taught."""

from collections.abc import Iterator

import numpy as np
from jax import random
from numpyro.distributions import constraints
from scipy.stats import norm

from bayescale import parallel
from bayescale.check.finding import Finding
from bayescale.check.floors import PINNED, floor_of, pinned
from bayescale.check.outliers import DRAWS, outliers
from bayescale.check.relevance import DECISIVE, irrelevance
from bayescale.check.scatter import scatter
from bayescale.fit import Fit
from bayescale.model import effect_of

# Nats that a posterior is from its prior: a floor with less is told within a fifth of what its prior leaves open, or
# worse. Three to five runs over a decade of compute give .4 to .9, designs of two decades and more 1.5 to 3.
LEARNED, NOTHING = 1.0, 0.2  # with less than the second, nothing worth the name was learned
BINS, PRIOR_DRAWS = 20, 20_000  # of the prior, all as likely, for that distance
CONTRACTION = 0.5  # below it the posterior has more than half of the variance of the prior
RIVAL = 5.0  # nats: a mode lower by more has under 1% of the weight of the best, if as wide
E_BFMI = 0.3  # below it, Betancourt 2016, arXiv:1604.00695, the energies of a chain hardly move
REACHED = 0.2  # the share of draws in which the floor may be within the noise of the least loss
# What may help where a fit by some method has not converged; a point has nothing to draw longer.
OTHERWISE = {"nuts": "draw longer, or choose", "laplace": "sample it with nuts, or choose"}
DEEPEST = 0.01  # the share of draws that may need the deepest tree allowed


def of_fit(fit: Fit) -> list[Finding]:
    """What there is to say of a fit, but for its runs."""
    checks = (
        _not_converged,
        _at_bound,
        _energy,
        _tree_depth,
        _floor_told_by_prior,
        _prior_dominated,
        _floor_pinned,
        _floor_reached,
        _irrelevant,
        _second_mode,
        outliers,
        scatter,
        _effects,
    )
    return [finding for of in checks for finding in of(fit)]


def _not_converged(fit: Fit) -> Iterator[Finding]:
    if fit.trouble:
        yield Finding(
            "NOT_CONVERGED",
            "severe",
            f"the {fit.method} fit has not converged: {'; '.join(fit.trouble)}",
            float(len(fit.trouble)),
            f"Take nothing from it; {OTHERWISE.get(fit.method, 'choose')} a law with fewer parameters",
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


# ---- What the runs have taught


def learned(fit: Fit, name: str) -> float:
    """How far the posterior of a parameter is from its prior, KL(posterior | prior) in nats.

    Draws are counted in bins that the prior fills alike; what counting alone gives is taken off.
    """
    prior, draws = fit.model.priors[name], fit.flat(name)
    with parallel.workbench():
        before = np.sort(np.asarray(prior.sample(random.key(0), (PRIOR_DRAWS,))))
    place = np.minimum(np.searchsorted(before, draws) * BINS // PRIOR_DRAWS, BINS - 1)
    share = np.bincount(place, minlength=BINS) / len(draws)
    effective = min(fit.diagnostics[name][1], len(draws)) if name in fit.diagnostics else len(draws)
    filled = share[share > 0]
    # Miller and Madow: a count of n draws in k bins has (k - 1) / 2n nats too many.
    return float(np.sum(filled * np.log(filled * BINS)) - (len(filled) - 1) / (2 * max(effective, 1)))


def _floor_told_by_prior(fit: Fit) -> Iterator[Finding]:
    name = floor_of(fit.model.law)
    if name is None or fit.method not in ("nuts", "laplace") or pinned(fit.model.law) is not None:
        return
    if (told := learned(fit, name)) < LEARNED:
        said = "was not learned" if told < NOTHING else "was learned loosely"
        yield Finding(
            "FLOOR_PRIOR",
            "warning",
            f"the floor {said}: the posterior of {name} is {max(told, 0):.2f} nats from its prior",
            told,
            "Give no floor, and nothing that follows from it, as measured; runs over more decades tell it",
        )


def _prior_dominated(fit: Fit) -> Iterator[Finding]:
    if len(fit) < 2:  # a point has no variance to compare
        return
    summary = fit.summary()
    for name in fit.model.law.parameters:
        contraction = summary[name].contraction
        if contraction is not None and contraction < CONTRACTION and name != floor_of(fit.model.law):
            yield Finding(
                "PRIOR_DOMINATED",
                "warning",
                f"the data say little about {name} beyond its prior: contraction {contraction:.2f}",
                contraction,
                f"See how the answer changes with the prior of {name}, or add runs that tell it",
            )


def _floor_pinned(fit: Fit) -> Iterator[Finding]:
    if (floor := pinned(fit.model.law)) is not None:
        value = floor * float(np.asarray(fit.runs.unit))
        yield Finding(
            "FLOOR_PINNED",
            "warning",
            f"the floor is fixed at {value:.4g}, to {PINNED:.0%}, and not learned: what follows from it holds there "
            "only",
            value,
            "See what the answer is with a floor 20% lower and higher (bayescale check), or let it be a parameter",
        )


def _irrelevant(fit: Fit) -> Iterator[Finding]:
    """The covariates multiplied onto a law that do not matter, by Savage and Dickey.

    The evidence for an exponent of 0 is the posterior density there over that of the prior; the posterior is near
    normal, as the prior is.
    """
    for c in fit.model.law.irrelevant if len(fit) >= DRAWS and fit.method in ("nuts", "laplace") else ():
        draws = fit.flat(f"gamma_{c}")
        prior = float(np.asarray(fit.model.law.priors[f"gamma_{c}"].log_prob(0.0)))
        lead = float(norm.logpdf(0.0, draws.mean(), draws.std(ddof=1))) - prior
        if lead > DECISIVE:
            yield irrelevance(c, fit.model.law.name, lead)


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
