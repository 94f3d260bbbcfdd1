"""What a run would reach: predictions of a fit as decisions."""

from collections.abc import Mapping

import jax

from bayescale.check.discrepancy import carried
from bayescale.check.record import Tested, record_of
from bayescale.decide.decision import Decision
from bayescale.decide.support import decision
from bayescale.decide.surface import surface
from bayescale.fit import Fit


def predict_loss(
    fit: Fit,
    point: Mapping[str, float],
    *,
    kind: str = "mean",
    key: jax.Array | None = None,
    backtest: Tested | None = None,
    **levels: str,
) -> Decision:
    """The loss at a point, with how far it lies beyond the runs.

    Args:
        fit: a fit of a law of loss.
        point: covariate -> value, such as {"N": 7e10, "D": 1.4e12}; C and D may be left to C = 6ND.
        kind: "mean", the curve of the law at the named levels; "new_run", a run on that curve with noise and shocks of
            its own; "new_level", a run of a level not seen yet of every factor that is not named.
        key: the random key of the last two.
        backtest: a back-test of the law, or what `bayescale backtest -o` wrote of it: beyond the runs the loss
            gets its drift.
        levels: the level of each factor by which parameters differ; for "new_level" of those to be kept.

    Raises:
        ValueError: as for `Fit.predict`; the law is not one of loss; or the back-test is of another law.
    """
    if fit.model.law.response != "loss":
        raise ValueError(f"law {fit.model.law.name} is of {fit.model.law.response}; this needs a law of loss")
    drawn = fit.predict({c: [v] for c, v in point.items()}, kind=kind, key=key, **levels)
    record = record_of(backtest, fit) if backtest is not None else None
    if record:
        drawn = carried(drawn, record.gap(fit, {c: [v] for c, v in point.items()}), record.drift)
    at_level = (
        surface(fit, centre=True) if kind == "new_level" else surface(fit, at=None, centre=False, **levels)
    )
    asked: dict[str, float | str] = {c: float(v) for c, v in point.items()} | {"kind": kind}
    found = decision("predict_loss", at_level, asked, {"loss": drawn[:, 0]}, point, record=record)
    return found.replace(asked={**asked, **levels})
