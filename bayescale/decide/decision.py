"""Decision: what a fit says of one question, draw by draw, and how far it may be trusted."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayescale.check.findings import Finding
from bayescale.columns import label

INFINITE = 1e300  # beyond it a quantile lies between numbers of which one is infinite
COUNTS = ("parameters", "tokens", "FLOP")  # units that are written as 70B or 5.76e23
WASTE = 0.95  # the quantile of the regret that a verdict names


@dataclass(frozen=True, eq=False, repr=False)
class Decision:
    """What a fit says of one question: a number for each draw of each quantity, and how far they may be trusted.

    Attributes:
        question: the name of the function that was asked.
        asked: what it was given, such as {"C": 5.76e23, "corpus": "web"}.
        draws: quantity -> (draws,), natural units, in the order they are printed; nan where a quantity is not
            defined, inf where it is out of reach.
        units: quantity -> "parameters", "tokens", "FLOP", "nats for each token", ..., or "".
        beyond: covariate or ratio -> the decades by which the median answer lies outside the range of the runs, 0
            inside, nan where the runs are not known.
        choice: what to do, name -> value: of least expected loss over the draws; empty where nothing is chosen.
        regret: the share of the compute that acting on `choice` wastes in each draw, (draws,), or None.
        findings: what there is to say of the decision itself.
        trouble: why the fit is no result; empty where it has converged.
    """

    question: str
    asked: dict[str, float | str]
    draws: dict[str, np.ndarray]
    units: dict[str, str]
    beyond: dict[str, float]
    choice: dict[str, float | str]
    regret: np.ndarray | None
    findings: tuple[Finding, ...]
    trouble: tuple[str, ...]

    def replace(self, **changes) -> "Decision":
        """The decision with some of its fields changed."""
        return replace(self, **changes)

    def __len__(self) -> int:
        return len(next(iter(self.draws.values())))

    def __getitem__(self, quantity: str) -> np.ndarray:
        """The draws of a quantity, (draws,)."""
        if quantity not in self.draws:
            raise KeyError(f"{self.question} has no quantity {quantity!r}; it has {', '.join(self.draws)}")
        return self.draws[quantity]

    def defined(self, quantity: str) -> float:
        """The share of the draws in which a quantity is a finite number: the probability that it exists."""
        return float(np.mean(np.isfinite(self[quantity])))

    def probability(self, quantity: str, *, above: float | None = None, below: float | None = None) -> float:
        """The probability that a quantity is above one number and below another, of the draws that are not nan.

        `below=inf` is the probability that it is finite.
        """
        values = self[quantity]
        values = values[~np.isnan(values)]
        inside = np.ones(len(values), bool)
        inside &= values > above if above is not None else True
        inside &= values < below if below is not None else True
        return float(np.mean(inside)) if len(values) else float("nan")

    def interval(self, quantity: str, level: float = 0.9) -> tuple[float, float, float]:
        """Low, median and high of a quantity over the draws in which it is a number; infinite ones count.

        One draw has no spread: (nan, x, nan).

        Raises:
            ValueError: the level is no probability between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level is {level}; it is a probability between 0 and 1, such as 0.9")
        values = self[quantity]
        if len(values) == 1:
            return float("nan"), float(values[0]), float("nan")
        low, middle, high = quantiles(values, ((1 - level) / 2, 0.5, (1 + level) / 2))
        return low, middle, high

    def rows(self, level: float = 0.9) -> list[dict[str, Any]]:
        """Each quantity with its unit, low, median and high, and in what shares of the draws it is a finite number
        and infinite.
        """
        found = []
        for quantity in self.draws:
            low, middle, high = self.interval(quantity, level)
            row: dict[str, Any] = {"quantity": quantity, "unit": self.units.get(quantity, "")}
            shares = {"defined": self.defined(quantity), "infinite": float(np.mean(np.isinf(self[quantity])))}
            found.append(row | {"low": low, "median": middle, "high": high} | shares)
        return found

    def to_dict(self, level: float = 0.9) -> dict[str, Any]:
        """The decision as plain values, for JSON; numbers may be nan or infinite."""
        named = ("mean", "q95", "all")
        regret = None if self.regret is None else dict(zip(named, _wasted(self.regret), strict=True))
        return {
            "question": self.question,
            "asked": dict(self.asked),
            "verdict": self.verdict,
            "level": level,
            "quantities": self.rows(level),
            "choice": dict(self.choice),
            "regret": regret,
            "beyond": dict(self.beyond),
            "findings": [vars(finding) for finding in self.findings],
            "trouble": list(self.trouble),
        }

    @property
    def verdict(self) -> str:
        """One sentence: the answer with its 90% interval, and what to do."""
        parts = [self._said(quantity) for quantity in self.draws] + ([self.advice] if self.choice else [])
        said = f"{self.question}({self.described}): {'; '.join(parts)}"
        return f"NOT CONVERGED ({'; '.join(self.trouble)}): {said}" if self.trouble else said

    @property
    def described(self) -> str:
        """What was asked, in words."""
        return ", ".join(f"{k} = {v if isinstance(v, str) else label(v)}" for k, v in self.asked.items())

    @property
    def advice(self) -> str:
        """What to do, and what it may waste; nothing where nothing is chosen."""
        if not self.choice:
            return ""
        chosen = [
            f"{name} = {value if isinstance(value, str) else number(value, self.units.get(name, ''))}"
            for name, value in self.choice.items()
        ]
        said = f"choose {', '.join(chosen)}"
        if self.regret is None:
            return said
        mean, high, whole = _wasted(self.regret)
        said += f", which wastes {mean:.1%} of the compute on average"
        if whole > 0:
            return f"{said}, all of it in {whole:.1%} of the draws"
        return said + (f" and {high:.1%} or less in {WASTE:.0%} of the draws" if len(self.regret) > 1 else "")

    def _said(self, quantity: str) -> str:
        low, middle, high = self.interval(quantity)
        if np.isnan(middle):
            return f"{quantity} not known"
        unit = self.units.get(quantity, "")
        text = f"{quantity} {number(middle, unit)}"
        if len(self) == 1:
            return text
        text += f" (90% {number(low, unit)} to {number(high, unit)})"
        share = self.defined(quantity)
        return text if share == 1 else f"{text}, a finite number in {share:.1%} of the draws"

    def __repr__(self) -> str:
        return f"Decision({self.verdict})"


@dataclass(frozen=True, eq=False, repr=False)
class Curve:
    """The same question asked at one value after the other, of the same draws.

    Attributes:
        along: what changes, such as "C".
        points: its values, (points,).
        decisions: the answer at each.
    """

    along: str
    points: np.ndarray
    decisions: tuple[Decision, ...]

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, quantity: str) -> np.ndarray:
        """The draws of a quantity at each point, (draws, points)."""
        return np.stack([decision[quantity] for decision in self.decisions], axis=1)

    def interval(self, quantity: str, level: float = 0.9) -> np.ndarray:
        """Low, median and high of a quantity at each point, (3, points)."""
        return np.array([decision.interval(quantity, level) for decision in self.decisions]).T

    def probability(
        self, quantity: str, *, above: float | None = None, below: float | None = None
    ) -> np.ndarray:
        """The probability at each point that a quantity is above one number and below another, (points,)."""
        return np.array([one.probability(quantity, above=above, below=below) for one in self.decisions])

    def rows(self, level: float = 0.9) -> list[dict[str, Any]]:
        """The rows of all decisions, each with the point it is of."""
        pairs = zip(self.points.tolist(), self.decisions, strict=True)
        return [{self.along: point, **row} for point, decision in pairs for row in decision.rows(level)]

    def __repr__(self) -> str:
        return f"Curve({self.decisions[0].question} at {len(self)} values of {self.along})"


def curve(ask: Callable[[float], Decision], **points: Iterable[float]) -> Curve:
    """A question asked at one value after the other.

    Args:
        ask: a function of one number that gives a decision, such as `lambda C: compute_optimal(fit, C)`.
        points: what changes and its values, as C=[1e20, 1e22].

    Raises:
        ValueError: not one thing changes, or it has no values.
    """
    if len(points) != 1:
        raise ValueError(
            f"a curve is along one thing, as C=[1e20, 1e22]; given {', '.join(points) or 'none'}"
        )
    ((along, values),) = points.items()
    values = np.asarray(list(values), float)
    if not len(values):
        raise ValueError(f"{along} has no values; give some, as {along}=[1e20, 1e22]")
    return Curve(along, values, tuple(ask(float(value)) for value in values))


def quantiles(values: np.ndarray, probabilities: Iterable[float]) -> list[float]:
    """Quantiles over what is not nan, where infinite values are the largest and the smallest; nan of nothing."""
    values = values[~np.isnan(values)]
    if not len(values):
        return [float("nan") for _ in probabilities]
    # NumPy's interpolation makes nan of two infinite neighbours; of two huge numbers it does not.
    found = np.quantile(np.clip(values, -1e307, 1e307), list(probabilities))
    return [float(np.copysign(np.inf, q) if abs(q) > INFINITE else q) for q in found]


def number(value: float, unit: str = "") -> str:
    """A number as people write it in its unit; nothing where it is not known.

    >>> number(7.04e10, "parameters"), number(1.9744, "nats for each token"), number(float("inf"), "FLOP")
    ('70.4B', '1.974', 'inf')
    """
    if not np.isfinite(value):
        return "" if np.isnan(value) else str(float(value))
    return label(value) if unit in COUNTS or abs(value) >= 1e4 else f"{value:.4g}"


def mean(values: np.ndarray) -> float:
    """The mean over what is not nan; nan of nothing."""
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else float("nan")


def _wasted(regret: np.ndarray) -> tuple[float, float, float]:
    """The mean and the 95% quantile of the regret, and how often it is everything, of the draws that have one."""
    known = regret[~np.isnan(regret)]
    return mean(known), quantiles(known, (WASTE,))[0], mean((known == 1.0).astype(float))
