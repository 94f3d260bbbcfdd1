"""The optimum that counts serving: parameters cost at every token of inference, training tokens once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bayescale.decide import frontier
from bayescale.decide.allocate import BOUNDS, at_bound, check_bounds, wasted
from bayescale.decide.attempt import attempt
from bayescale.decide.budget import needed
from bayescale.decide.decision import Decision, mean
from bayescale.decide.efficiency import check_positive
from bayescale.decide.frontier import Flop, six
from bayescale.decide.support import decision, unreachable
from bayescale.decide.surface import Surface, surface
from bayescale.fit import Fit

FORWARD = 3.0  # a token of training costs three of inference: 6N and 2N FLOP
HOUR = 3600.0  # seconds


@dataclass(frozen=True)
class Price:
    """What a FLOP costs.

    Attributes:
        hour: the price of an accelerator for an hour, in any money.
        peak: its FLOP in a second at best.
        utilisation: the share of them that is made use of (MFU).

    >>> round(1e24 * Price(hour=2.0, peak=1e15, utilisation=0.4).flop)
    1388889
    """

    hour: float
    peak: float
    utilisation: float

    def __post_init__(self):
        check_positive(hour=self.hour, peak=self.peak, utilisation=self.utilisation)
        if self.utilisation > 1:
            raise ValueError(f"utilisation is {self.utilisation}; it is a share, such as 0.4")

    @property
    def flop(self) -> float:
        """The money for one FLOP."""
        return self.hour / (HOUR * self.peak * self.utilisation)


def inference_optimal(
    fit: Fit | Surface,
    tokens: float,
    *,
    loss: npt.ArrayLike | None = None,
    budget: float | None = None,
    training: Price | None = None,
    serving: Price | None = None,
    at: Mapping[str, float] | None = None,
    bounds: tuple[float, float] = BOUNDS,
    flop: Flop = six,
    centre: bool = False,
    **levels: str,
) -> Decision:
    """The model of a loss that costs least to train and to serve, or the best one that a budget trains and serves.

        least 6ND + 2NT where L(N, D) = loss,    or    least L(N, D) where 6ND + 2NT = budget

    At the optimum an e-fold of parameters takes off 1 + T/3D times what an e-fold of tokens does.

    Args:
        fit: a fit of a law of loss in N and D, or its surface.
        tokens: T, the tokens of inference over the life of the model.
        loss: the loss to reach: a number, or one for each draw, (draws,); this or `budget`.
        budget: what training and serving may cost together, in FLOP, or in money where prices are given.
        training: what a FLOP of training costs; with `serving`, everything is in money.
        serving: what a FLOP of inference costs.
        at: further covariates of the law, column -> the value they are held at.
        bounds: the least and the most parameters considered for a budget.
        flop: the FLOP of training for each token, of N; 6N by default, and a third of it for a token of inference.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        N, D, D/N, the loss, the cost of training and of inference and the total. For a loss also what is saved over
        the model that is cheapest to train, absolute and as a share; it is infinite where the loss is out of reach.
        For a budget the choice is the N of the least expected loss, and the regret the share of the budget it wastes;
        for a loss it is the run whose cost, serving included, is wasted least on average, all of it where the run
        misses the loss; see `attempt`.

    Raises:
        ValueError: both or neither of loss and budget are given, or only one price; or as for `compute_optimal`.

    Source:
        Sardana et al. 2024, arXiv:2401.00448.
    """
    if (loss is None) == (budget is None):
        raise ValueError("give the loss to reach or the budget to spend, one of them")
    if (training is None) != (serving is None):
        raise ValueError("give both prices, of training and of serving, or none")
    if not (np.isfinite(tokens) and tokens >= 0):
        raise ValueError(f"tokens is {tokens}; it is the number of tokens of inference, 0 or more")
    at_level = surface(fit, at=at, centre=centre, **levels)
    at_level.holds("N", "D")
    price = training.flop if training else 1.0
    dearer = serving.flop / price if serving else 1.0
    bill = _Bill(float(tokens), price, dearer, "money" if training else "FLOP", flop)
    if budget is not None:
        check_positive(budget=budget)
        check_bounds(bounds)
        return _for_budget(at_level, bill, budget, bounds)
    wanted = np.asarray(loss, float)
    check_positive(loss=wanted)
    return _for_loss(at_level, bill, np.broadcast_to(wanted, len(at_level)))


@dataclass(frozen=True)
class _Bill:
    tokens: float
    price: float  # of a FLOP of training
    dearer: float  # how many times that a FLOP of inference costs
    unit: str
    flop: Flop

    @property
    def served(self) -> float:
        """The tokens of training that cost what the inference does."""
        return self.dearer * self.tokens / FORWARD

    def costs(self, N: np.ndarray, D: np.ndarray) -> dict[str, np.ndarray]:
        each = self.price * frontier.cost(N, self.flop)
        parts = {"training": each * D, "inference": each * self.served}
        return {**parts, "total": parts["training"] + parts["inference"]}

    def units(self, *names: str) -> dict[str, str]:
        return dict.fromkeys(("training", "inference", "total", *names), self.unit)


def _for_loss(at_level: Surface, bill: _Bill, wanted: np.ndarray) -> Decision:
    asked = {"T": bill.tokens, "loss": float(np.median(wanted))}
    served, flop = bill.served, bill.flop
    K = needed(at_level, wanted, served=served, flop=flop)
    alone = needed(at_level, wanted, flop=flop)  # the compute where only training counts
    reached = np.isfinite(K) & np.isfinite(alone) & (K > 0)
    best = frontier.best(at_level, np.where(reached, K, 1.0), served=served, flop=flop)
    cheapest = frontier.best(at_level, np.where(reached, alone, 1.0), flop=flop)
    total = bill.costs(best.N, best.D)
    saved = bill.costs(cheapest.N, cheapest.D)["total"] - total["total"]

    def where_reached(values: np.ndarray, other: npt.ArrayLike = np.nan) -> np.ndarray:
        return np.where(reached, values, other)

    N, D = (where_reached(v, K) for v in (best.N, best.D))
    draws = {
        "N": N,
        "D": D,
        "D/N": where_reached(best.D / best.N),
        "loss": where_reached(wanted),
        **{name: where_reached(v, K) for name, v in total.items()},
        "saved": where_reached(saved),
        "share saved": where_reached(saved / (saved + total["total"])),
    }
    run = attempt(at_level, wanted, K, N, served=served, flop=flop)
    return decision(
        "inference_optimal",
        at_level,
        asked,
        draws,
        {"N": N, "D": D},
        choice={"N": run.N, "D": run.D, "total": run.spent * bill.price} if run else None,
        regret=run.regret if run else None,
        units=bill.units("saved"),
        findings=unreachable(K),
    )


def _for_budget(at_level: Surface, bill: _Bill, budget: float, bounds: tuple[float, float]) -> Decision:
    K, served, flop = budget / bill.price, bill.served, bill.flop
    if frontier.tokens(K, bounds[0], served=served, flop=flop) <= 0:
        raise ValueError(
            f"the budget does not serve {bill.tokens:g} tokens with a model of {bounds[0]:g} parameters, let alone "
            "train it; give more, or wider bounds (bounds=, --bounds)"
        )
    best = frontier.best(at_level, K, served=served, flop=flop, bounds=bounds)
    if best.least.any() or best.most.any():
        raise ValueError(at_bound(K, bounds, best.least, best.most))
    N = frontier.choice(at_level, K, best.N, served=served, flop=flop)
    D = float(frontier.tokens(K, N, served=served, flop=flop))
    got = at_level.each(N=N, D=D)
    found = {"N": best.N, "D": best.D, "D/N": best.D / best.N, "loss": at_level.each(N=best.N, D=best.D)}
    return decision(
        "inference_optimal",
        at_level,
        {"T": bill.tokens, "budget": float(budget)},
        found | bill.costs(best.N, best.D),
        {"N": best.N, "D": best.D},
        choice={"N": N, "D": D, "loss": mean(got)},
        regret=wasted(at_level, got, K, served=served, flop=flop),
        units=bill.units(),
    )


def revealed_demand(
    fit: Fit | Surface,
    *,
    N: float,
    D: float,
    at: Mapping[str, float] | None = None,
    centre: bool = False,
    **levels: str,
) -> Decision:
    """The tokens of inference for which a model of N parameters and D tokens would have been the best choice.

        T = 3D (e_N / e_D - 1),    e_x = -dL / d ln x

    It is negative where a model with more tokens for each parameter would have been cheaper even to train.

    Args:
        fit: a fit of a law of loss in N and D, or its surface.
        N: parameters.
        D: training tokens.
        at: further covariates of the law, column -> the value they are held at.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        T, T/D, and the ratio e_N / e_D of what an e-fold of parameters and one of tokens take off the loss.

    Source:
        The first-order condition of Sardana et al. 2024, arXiv:2401.00448, solved for the inference.
    """
    check_positive(N=N, D=D)
    at_level = surface(fit, at=at, centre=centre, **levels)
    at_level.holds("N", "D")
    takes = at_level.elasticities(N=N, D=D)
    ratio = takes["N"] / takes["D"]
    T = FORWARD * D * (ratio - 1)
    return decision(
        "revealed_demand",
        at_level,
        {"N": float(N), "D": float(D)},
        {"T": T, "T/D": T / D, "e_N/e_D": ratio},
        {"N": N, "D": D},
        units={"T": "tokens"},
    )
