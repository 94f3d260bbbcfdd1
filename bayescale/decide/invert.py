"""What a target loss takes: compute, tokens or parameters, infinite where it is out of reach."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array

from bayescale import parallel
from bayescale.check.record import Tested, record_of
from bayescale.decide import frontier
from bayescale.decide.attempt import amount, attempt, regret_of, wasted_by
from bayescale.decide.budget import least, needed
from bayescale.decide.decision import Decision
from bayescale.decide.drift import NOTHING, wanted_of_law
from bayescale.decide.efficiency import check_positive
from bayescale.decide.frontier import HALVINGS, Flop, six
from bayescale.decide.support import decision, unreachable
from bayescale.decide.surface import FLOP, Surface, completed, surface
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.runs import Runs

WIDEST = (1e-3, 1e100)  # of a covariate; what needs more is out of reach
GRID = 513  # half an e-fold each: a law that turns within less is not looked for


def compute_for(
    fit: Fit | Surface,
    loss: npt.ArrayLike,
    *,
    at: Mapping[str, float] | None = None,
    flop: Flop = six,
    backtest: Tested | None = None,
    centre: bool = False,
    **levels: str,
) -> Decision:
    """The least compute that reaches a loss, and how it is split; infinite where no compute does.

    `defined("C")` is the probability that the loss can be reached. The quantiles are of all draws, those out of reach
    among them. The choice is the one run that wastes least on average: the regret is the share of its compute that a
    draw did not need, and all of it in the draws that it misses, where it has to be begun anew; see `attempt`.

    Args:
        fit: a fit of a law of loss in N and D, or in C alone, or its surface.
        loss: the loss, in nats for each token: a number, or one for each draw, (draws,).
        at: further covariates of the law, column -> the value they are held at.
        flop: the FLOP of training for each token, of N; 6N by default.
        backtest: a back-test of the law along C, or what `bayescale backtest -o` wrote of it: the answer gets its
            drift, by which draws beyond the runs need more or less.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        C, and of a law in N and D also N, D and D/N.

    Raises:
        ValueError: the law is neither in N and D nor in C, a level or a covariate is missing, the loss is no positive
            number, or the back-test is of another law or of another covariate.
    """
    at_level, wanted = _asked(fit, loss, at, centre, levels)
    if "C" in at_level.law.covariates and not {"N", "D"} <= set(at_level.law.covariates):
        at_level.holds("C")
        return _alone("compute_for", "C", at_level, wanted, {}, backtest)
    at_level.holds("N", "D")
    asked, record = _one(wanted), record_of(backtest, at_level.fit) if backtest is not None else None
    if record:
        wanted = wanted_of_law(at_level, record, "C", wanted, lambda C: least(at_level, C, flop=flop))
    C = needed(at_level, wanted, flop=flop)
    reached = np.isfinite(C) & (C > 0)
    # Where it is out of reach, or costs nothing, there is no split; any budget serves to compute with.
    best = frontier.best(at_level, np.where(reached, C, 1.0), flop=flop)
    N, D = (np.where(reached, v, C) for v in (best.N, best.D))
    draws = {"C": C, "N": N, "D": D, "D/N": np.where(reached, best.D / best.N, np.nan)}
    run = attempt(at_level, wanted, C, N, flop=flop)
    return decision(
        "compute_for",
        at_level,
        {"loss": asked},
        draws,
        {"N": N, "D": D},
        choice={"C": run.spent, "N": run.N, "D": run.D} if run else None,
        regret=run.regret if run else None,
        findings=unreachable(C, record),
        record=record,
    )


def data_for(
    fit: Fit | Surface,
    loss: npt.ArrayLike,
    *,
    at: Mapping[str, float] | None = None,
    backtest: Tested | None = None,
    centre: bool = False,
    **levels: str,
) -> Decision:
    """The fewest training tokens that reach a loss where the other covariates are held, as at={"N": 7e9}.

    Everything else is as for `compute_for`; of a law in N also the compute 6ND is given.
    """
    return _of_covariate("data_for", "D", fit, loss, at, backtest, centre, levels)


def params_for(
    fit: Fit | Surface,
    loss: npt.ArrayLike,
    *,
    at: Mapping[str, float] | None = None,
    backtest: Tested | None = None,
    centre: bool = False,
    **levels: str,
) -> Decision:
    """The fewest parameters that reach a loss where the other covariates are held, as at={"D": 1.4e12}.

    Everything else is as for `compute_for`; of a law in D also the compute 6ND is given.
    """
    return _of_covariate("params_for", "N", fit, loss, at, backtest, centre, levels)


def regret_under(at_level: Surface, answer: Decision, choice: Mapping[str, float | str]) -> np.ndarray:
    """What the choice of another fit for the same target wastes by this one, (draws,).

    Args:
        at_level: the law.
        answer: its own answer, of `compute_for`, `data_for` or `params_for`.
        choice: that of the other.
    """
    if not {"N", "D"} <= set(choice) & set(answer.draws):
        covariate = next(iter(choice))
        return wasted_by(float(choice[covariate]), answer[covariate], answer[covariate])
    there = np.isfinite(answer["C"]) & (answer["C"] > 0)
    # The loss that it had to have, with the drift of a back-test if it has one.
    wanted = at_level.each(**{c: np.where(there, answer[c], 1.0) for c in "ND"})
    run = (float(choice[c]) for c in "ND")
    return regret_of(at_level, np.where(there, wanted, NOTHING), answer["C"], *run)


def _of_covariate(question: str, covariate: str, fit, loss, at, backtest, centre, levels) -> Decision:
    at_level, wanted = _asked(fit, loss, at, centre, levels)
    at_level.holds(covariate)
    (other,) = {"N", "D"} - {covariate}
    held = {"C": FLOP * at_level.at[other]} if other in at_level.at else {}
    return _alone(question, covariate, at_level, wanted, held, backtest)


def _alone(
    question: str,
    covariate: str,
    at_level: Surface,
    wanted: np.ndarray,
    more: Mapping[str, float],
    backtest: Tested | None,
) -> Decision:
    """What a loss takes of one covariate; `more`: quantity -> how many of it go with one of the covariate."""
    asked, record = _one(wanted), record_of(backtest, at_level.fit) if backtest is not None else None
    if record:
        along = lambda values: at_level.loss(**{covariate: values})  # noqa: E731
        wanted = wanted_of_law(at_level, record, covariate, wanted, along)
    found = inverse(at_level, covariate, wanted)
    once = amount(found)
    return decision(
        question,
        at_level,
        {"loss": asked},
        {covariate: found, **{name: times * found for name, times in more.items()}},
        {covariate: found},
        choice={covariate: once[0], **{name: times * once[0] for name, times in more.items()}}
        if once
        else None,
        regret=once[1] if once else None,
        findings=unreachable(found, record),
        record=record,
    )


def _asked(fit, loss, at, centre, levels) -> tuple[Surface, np.ndarray]:
    at_level = surface(fit, at=at, centre=centre, **levels)
    wanted = np.asarray(loss, float)
    check_positive(loss=wanted)
    if wanted.ndim > 1 or (wanted.ndim == 1 and len(wanted) != len(at_level)):
        raise ValueError(
            f"loss is {wanted.shape}; it is a number, or one for each of the {len(at_level)} draws"
        )
    return at_level, np.broadcast_to(wanted, len(at_level))


def _one(wanted: np.ndarray) -> float:
    """What was asked, as one number."""
    return float(np.median(wanted))


def inverse(at_level: Surface, covariate: str, wanted: np.ndarray) -> np.ndarray:
    """The least value of a covariate at which each draw reaches its loss, (draws,)."""
    at = {c: v for c, v in at_level.at.items() if c != covariate}
    with parallel.workbench():
        found = _reached(at_level.model, covariate, at_level.measures, at, at_level.own, wanted)
        return np.exp(np.asarray(found))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _reached(
    model: Model, covariate: str, measures: Runs, at: dict[str, Array], own: dict[str, Array], wanted: Array
) -> Array:
    """The least logarithm of a covariate at which the response is down to what is wanted, (draws,)."""
    low, high = np.log(WIDEST)
    grid = jnp.linspace(low, high, GRID)

    def of_draw(one: dict[str, Array], wanted: Array) -> Array:
        def excess(x: Array) -> Array:
            columns = completed(model.law, {**at, covariate: jnp.exp(x)})
            return model.mean(measures.replace(columns=columns), one) - wanted

        enough = jax.vmap(excess)(grid) <= 0
        first = jnp.argmax(enough)

        def halve(_, bracket):
            left, right = bracket
            middle = (left + right) / 2
            there = excess(middle) <= 0
            return jnp.where(there, left, middle), jnp.where(there, middle, right)

        bracket = grid[jnp.maximum(first - 1, 0)], grid[first]
        found = jax.lax.fori_loop(0, HALVINGS, halve, bracket)[1]
        return jnp.where(enough.any(), jnp.where(first == 0, -jnp.inf, found), jnp.inf)

    return jax.vmap(of_draw)(own, wanted)
