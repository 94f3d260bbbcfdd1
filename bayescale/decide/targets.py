"""What the next runs are to tell: the target of a design, by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayescale.columns import label, number
from bayescale.decide.allocate import split
from bayescale.decide.surface import surface
from bayescale.fit import Fit

FORMS = "N@1e24, loss@N=70B,D=1.4T, better@N=10B,D=1.7T:N=100B,D=170B or law"


@dataclass(frozen=True)
class Target:
    """What is to be known better.

    Attributes:
        kind: "optimum", the logarithm of the compute-optimal N; "loss", the logarithm of the loss at a point; "better",
            which of two points has less loss; or "law", which of several fits is right.
        at: the points, each covariate -> value; {"C": compute} for an optimum.
    """

    kind: str
    at: tuple[Mapping[str, float], ...] = ()

    @property
    def name(self) -> str:
        """The target as it is written on the command line."""
        points = [",".join(f"{c}={label(v)}" for c, v in point.items()) for point in self.at]
        return {
            "optimum": lambda: f"N@{label(self.at[0]['C'])}",
            "loss": lambda: f"loss@{points[0]}",
            "better": lambda: f"better@{points[0]}:{points[1]}",
            "law": lambda: "law",
        }[self.kind]()

    @property
    def said(self) -> str:
        """What is uncertain, in words."""
        points = [", ".join(f"{c} = {label(v)}" for c, v in point.items()) for point in self.at]
        return {
            "optimum": lambda: f"the variance of ln N* at {label(self.at[0]['C'])} FLOP",
            "loss": lambda: f"the variance of the log loss at {points[0]}",
            "better": lambda: f"the entropy of which is better, {points[0]} or {points[1]}",
            "law": lambda: "the entropy of which law is right",
        }[self.kind]()

    def draws(self, fit: Fit, *, at: Mapping[str, float] | None = None, **levels: str) -> np.ndarray:
        """The number whose sign or value is to be known, for each draw, (draws,); nan where it is not defined.

        Args:
            fit: a fit of a law of loss.
            at: further covariates of the law, column -> the value they are held at.
            levels: the level of each factor by which parameters differ.

        For "better" it is the difference of the log losses, negative where the first point is better.

        Raises:
            ValueError: the law has no such target, or it is which law, of which a fit knows nothing.
        """
        if self.kind == "law":
            raise ValueError(
                "which law is right is a question to several fits; one of them has no draws of it"
            )
        own = surface(fit, at=at, centre=False, **levels)
        if self.kind == "optimum":
            return np.log(split(own, self.at[0]["C"], strict=False)[0])
        logs = [np.log(own.loss(**point)[:, 0]) for point in self.at]
        return logs[0] if self.kind == "loss" else logs[0] - logs[1]


def target_of(text: str) -> Target:
    """The target of a text such as "N@1e24".

    >>> target_of("better@N=10B,D=1.7T:N=100B,D=170B").at[1]
    {'N': 100000000000.0, 'D': 170000000000.0}

    Raises:
        ValueError: it is no target.
    """
    kind, _, rest = text.partition("@")
    if kind == "law" and not rest:
        return Target("law")
    if kind == "N":
        return Target("optimum", ({"C": _number(text, rest)},))
    points = tuple(_point(text, part) for part in rest.split(":"))
    if (kind, len(points)) in (("loss", 1), ("better", 2)):
        return Target(kind, points)
    raise ValueError(f"the target is {text!r}; it is one of {FORMS}")


def _point(text: str, part: str) -> dict[str, float]:
    pairs = [re.fullmatch(r"\s*(\w+)\s*=\s*(\S+)\s*", pair) for pair in part.split(",")]
    if not all(pairs):
        raise ValueError(f"the target is {text!r}; it is one of {FORMS}")
    return {pair[1]: _number(text, pair[2]) for pair in pairs if pair}


def _number(text: str, cell: str) -> float:
    value = number(cell)
    if value is None or not (np.isfinite(value) and value > 0):
        raise ValueError(f"the target is {text!r}: {cell!r} is no positive number; write it as 7e10 or 70B")
    return value
