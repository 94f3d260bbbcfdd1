"""Which of two runs would be better, and whether that is for the data or for the model to say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bayescale.check.findings import Finding
from bayescale.decide.decision import Decision
from bayescale.decide.pairs import both, paired
from bayescale.decide.support import decision
from bayescale.decide.surface import Surface, surface
from bayescale.fit import Fit

APART = 0.2  # probabilities of a decision that differ by more are for the model to say, not for the data
CLOSE = 4.0  # nats of predictive density: a model farther behind is no rival


def better(
    of: Fit | Surface,
    first: Mapping[str, float],
    second: Mapping[str, float],
    *,
    over: Fit | Surface | None = None,
    joint: bool | None = None,
) -> Decision:
    """Whether one run would have a lower loss than another, on their curves.

    `probability("difference", below=0)` is the probability that the first is better.

    Args:
        of: the fit or the surface that says what the first run would reach.
        first: a point, covariate -> value, such as {"N": 1e10, "D": 1.7e12}.
        second: another one.
        over: the fit or the surface of the second run, where it is of another level or another fit.
        joint: whether draw number k of both belongs together; by default where both are of one fit.

    Returns:
        The loss of the first less that of the second, and both losses.

    Raises:
        ValueError: a covariate of a law is missing, or not positive.
    """
    one, other = paired(surface(of), surface(of if over is None else over), joint)
    for run in (first, second):
        for c, value in run.items():
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{c} of a run is {value}; it is a positive number")
    losses = one.each(**first), other.each(**second)
    asked = {
        f"{c} {which}": float(v)
        for which, run in (("first", first), ("second", second))
        for c, v in run.items()
    }
    draws = {
        "difference": losses[0] - losses[1],
        "loss of the first": losses[0],
        "loss of the second": losses[1],
    }
    nats = dict.fromkeys(draws, "nats for each token")
    answer = decision("better", one, asked, draws, first, units=nats)
    return both(answer, decision("better", other, {}, {}, second))


@dataclass(frozen=True, eq=False, repr=False)
class Rivals:
    """One question asked of several fits.

    Attributes:
        decisions: name of the fit -> its answer.
        probabilities: name of the fit -> the probability that was asked for.
        rivals: the names of those that the data do not put far behind; the finding is of these.
        findings: MODELSENS, where it is for the model to say.
    """

    decisions: dict[str, Decision]
    probabilities: dict[str, float]
    rivals: tuple[str, ...]
    findings: tuple[Finding, ...]

    def stacked(self, weights: Mapping[str, float]) -> float:
        """The probability by all fits together, weighted, such as by the stacking weights of a comparison.

        Raises:
            ValueError: a weight is of no fit, is negative, or all are 0.
        """
        unknown = [name for name in weights if name not in self.probabilities]
        total = sum(weights.values())
        if unknown or min(weights.values(), default=-1.0) < 0 or total <= 0:
            known = ", ".join(self.probabilities)
            raise ValueError(f"weights are {dict(weights)}; they are 0 or more, not all 0, of {known}")
        return sum(weight * self.probabilities[name] for name, weight in weights.items()) / total

    def __repr__(self) -> str:
        said = ", ".join(f"{value:.3f} ({name})" for name, value in self.probabilities.items())
        return f"Rivals({said}{''.join(f'; {finding}' for finding in self.findings)})"


def rivals(
    fits: Mapping[str, Fit | Surface],
    ask: Callable[[Fit | Surface], Decision],
    quantity: str,
    *,
    above: float | None = None,
    below: float | None = None,
    elpd: Mapping[str, float] | None = None,
) -> Rivals:
    """A question asked of fits of different laws or noises to the same runs, and whether they agree.

    Args:
        fits: name -> a fit or a surface.
        ask: a function of one of them that gives a decision, such as
            `lambda fit: better(fit, {"N": 1e10, "D": 1.7e12}, {"N": 1e11, "D": 1.7e11})`.
        quantity: the quantity of the decision that the probability is of.
        above: the probability is that the quantity is above this,
        below: and below this.
        elpd: name -> the expected log predictive density, in nats; a fit more than 4 behind the best is no rival. With
            nothing said, all are, but for fits of one draw, of which a probability is 0 or 1.

    Raises:
        ValueError: there are fewer than two fits, or a fit has no elpd.
    """
    if len(fits) < 2:
        raise ValueError(f"{len(fits)} fit has no rivals; give two or more, by name")
    if elpd is not None and (missing := [name for name in fits if name not in elpd]):
        raise ValueError(f"{missing[0]} has no elpd; give one for each of {', '.join(fits)}, or none")
    decisions = {name: ask(fit) for name, fit in fits.items()}
    found = {name: one.probability(quantity, above=above, below=below) for name, one in decisions.items()}
    best = max(elpd[name] for name in fits) if elpd else 0.0
    drawn = [name for name, one in decisions.items() if len(one) > 1]
    close = tuple(name for name in drawn if elpd is None or elpd[name] >= best - CLOSE)
    return Rivals(decisions, found, close, _sensitive({name: found[name] for name in close}, quantity))


def _sensitive(probabilities: Mapping[str, float], quantity: str) -> tuple[Finding, ...]:
    apart = max(probabilities.values(), default=0.0) - min(probabilities.values(), default=0.0)
    if not apart > APART:
        return ()
    said = ", ".join(f"{value:.2f} with {name}" for name, value in probabilities.items())
    straddles = max(probabilities.values()) > 0.5 > min(probabilities.values())
    return (
        Finding(
            "MODELSENS",
            "severe" if straddles else "warning",
            f"the probability asked of {quantity} is {said}: that is for the model to say, and not for these data",
            apart,
            "Weigh the models by how they predict (bayescale compare gives stacking weights), or add runs near it",
        ),
    )
