"""The record of a law: what a back-test says of the next forecast."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bayescale.check.backtested import Backtest, distance_of, gap_of
from bayescale.fit import Fit

Tested = Backtest | Mapping[str, Any]  # a back-test, or what `bayescale backtest -o` wrote of one


@dataclass(frozen=True)
class Held:
    """How often 90% intervals held of the forecasts over one distance.

    Attributes:
        distance: such as "1 to 1.5 decades".
        count: how many forecasts.
        share: how often their intervals held.
        with_drift: the same with the drift.
    """

    distance: str
    count: int
    share: float
    with_drift: float

    def __str__(self) -> str:
        if np.isnan(self.share):  # of forecasts that are one number
            return f"its {self.count} forecasts over {self.distance} had no intervals"
        said = f"over {self.distance} the 90% intervals of its {self.count} forecasts held {self.share:.0%} of the time"
        return said if self.with_drift == self.share else f"{said}, and {self.with_drift:.0%} with the drift"


@dataclass(frozen=True)
class Record:
    """What a back-test says of forecasts beyond the runs.

    Attributes:
        by: the covariate along which the small runs predicted the large ones.
        drift: see `Backtest.drift`.
        held: of each distance.
    """

    by: str
    drift: float
    held: tuple[Held, ...]

    def at(self, gap: float) -> Held | None:
        """What became of forecasts over such a gap in decades; None where none reached as far."""
        return next((one for one in self.held if one.distance == distance_of(gap)), None)

    def gap(self, fit: Fit, point: Mapping[str, npt.ArrayLike]) -> np.ndarray:
        """The decades by which points lie beyond the largest run, 0 among the runs, (points,)."""
        return gap_of(fit.runs, self.by, point)

    def along(self, covariate: str) -> None:
        """Refuse a record of gaps in something else.

        Raises:
            ValueError: the back-test did not go along this covariate.
        """
        if self.by != covariate:
            raise ValueError(
                f"the back-test went along {self.by}, and this needs one along {covariate}: bayescale backtest "
                f"--hold-out {covariate}"
            )

    def said(self, gap: float) -> str:
        """What became of forecasts over such a gap, in words."""
        held = self.at(gap)
        return f"in the back-test by {self.by} " + (str(held) if held else "no forecast reached as far")


def record_of(backtest: Tested, fit: Fit) -> Record:
    """The record of the law of a fit.

    Args:
        backtest: a back-test, or what `bayescale backtest -o` wrote of one.
        fit: the fit whose answers it is for.

    Raises:
        ValueError: it left out levels, is of other laws, or is no back-test.
    """
    found, laws = _read(backtest.to_dict() if isinstance(backtest, Backtest) else backtest)
    if not found.held:
        raise ValueError(f"the back-test left out levels of {found.by}; a drift in decades needs a covariate")
    if fit.model.law.name not in laws:
        raise ValueError(
            f"the back-test is of {', '.join(sorted(laws))}, and the fit of {fit.model.law.name}; give one of its law"
        )
    return found


def _read(said: Mapping[str, Any]) -> tuple[Record, set[str]]:
    try:
        wider = said["with_drift"]["by_gap"] if said["drift"] else said["by_gap"]
        held = [
            Held(str(row["forecasts"]), int(row["count"]), _share(row["cover90"]), _share(wide["cover90"]))
            for row, wide in zip(said["by_gap"], wider, strict=True)
        ]
        drift = float(said["drift"])
        if not 0 <= drift < np.inf:
            raise ValueError(f"drift {drift}")
        return Record(str(said["by"]), drift, tuple(held)), {one["model"] for one in said["by_fold"]}
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"this is not what `bayescale backtest -o` writes ({error!r} in it)") from None


def _share(value: float | None) -> float:
    return float("nan") if value is None else float(value)
