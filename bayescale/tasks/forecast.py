"""Forecasts of success: of a suite by laws as their back-test weighs them, and by way of the loss."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jax import Array, random

from bayescale import parallel
from bayescale.check.discrepancy import drifted
from bayescale.check.folds import Fold
from bayescale.check.scores import read_off
from bayescale.fit import Fit
from bayescale.forecast import TOGETHER, complete, new_shocks
from bayescale.model import shocked
from bayescale.runs import Runs
from bayescale.tasks.backtest import SuiteBacktest, first_weights, fold_of, put_together
from bayescale.tasks.members import members
from bayescale.tasks.suite_folds import Suite

GUESS = 0.5  # the success that stands where none was measured; nothing is fitted to it


@dataclass(frozen=True, eq=False)
class SuiteForecast:
    """What may be measured of models that are not.

    Attributes:
        points: covariate -> (points,).
        quantiles: of the score of the suite, (quantiles, points), each from 0 to 1.
        gap: by how many decades each is beyond the models that are measured, (points,).
        weights: member -> what it counts for.
        drift: by which the back-test has the forecasts widened, in logits for each decade.
        refused: whether forecasts from smaller models had no skill: then the best baseline is to be taken.
        rival: the baseline that did best at the two largest cutoffs; empty where there was no back-test.
        rival_interval: what that says, with the 5% and 95% of its errors in the back-test, (3, points); nan without.
        doubt: why what it is made of is not to be trusted in full; empty where there is no reason.
    """

    points: dict[str, np.ndarray]
    quantiles: np.ndarray
    gap: np.ndarray
    weights: dict[str, float]
    drift: float
    refused: bool
    rival: str
    rival_interval: np.ndarray
    doubt: tuple[str, ...]

    def interval(self, level: float = 0.9) -> np.ndarray:
        """The low end, the median and the high end of each, (3, points)."""
        aside = (1 - level) / 2
        return read_off(self.quantiles, (aside, 0.5, 1 - aside))


def forecast_suite(
    key: Array,
    runs: Runs,
    found: SuiteBacktest | Suite,
    points: Mapping[str, npt.ArrayLike],
    *,
    trials: float | None = None,
    **levels: str,
) -> SuiteForecast:
    """Forecast the score of new models, with the weights and the widening that a back-test of the suite calls for.

    Of a suite that no back-test is possible of, laws weigh what they do before any, times what the evidence leaves.

    Args:
        key: the random key.
        runs: the table of the back-test, a row for each model.
        found: its back-test; or, where there is none, what the table is read as.
        points: covariate -> (points,), natural units. Where a law is in N and D, and C alone is given, they are those
            of as many tokens for each parameter as the largest model has.
        trials: of the score that is forecast; by default the median of the table.
        levels: the level of the factor of families, as family="pythia"; by default one that is not seen yet.

    Raises:
        ValueError: the back-test is of single tasks, or a covariate or level is missing.
    """
    tested = None if isinstance(found, Suite) else found
    suite = found if isinstance(found, Suite) else found.suite
    if suite.task is not None:
        raise ValueError("the back-test is of single tasks; forecast the mean with one of suite_scores")
    given = _completed(runs, points, suite.along)
    new = len(given[suite.along])
    every = members(runs, suite.loss, along=suite.along)
    columns = {}
    for name, values in runs.columns.items():
        values = np.asarray(values, float)
        middle = np.median(values) if name != "trials" or trials is None else trials
        columns[name] = np.concatenate([values, given.get(name, np.full(new, middle))])
    factors, named = {}, dict(runs.levels)
    for name, index in runs.factors.items():
        place = len(named[name])
        if name in levels:
            if levels[name] not in named[name]:
                raise ValueError(f"{name} has no level {levels[name]!r}; it has {', '.join(named[name])}")
            place = named[name].index(levels[name])
        else:
            named[name] = (*named[name], "(new)")
        factors[name] = np.concatenate([np.asarray(index), np.full(new, place)]).astype(np.int32)
    asked = np.arange(len(runs) + new) >= len(runs)
    table = runs.replace(
        columns=columns,
        response=np.concatenate([np.asarray(runs.response, float), GUESS * columns["trials"][asked]]),
        factors=factors,
        levels=named,
        weight=np.ones(len(asked)),
    )
    largest = np.asarray(runs.columns[suite.along], float).max()
    gap = np.maximum(np.log10(columns[suite.along] / largest), 0.0)
    made = fold_of(key, table, suite, every, Fold("all", ~asked, asked, gap))
    plain, _, share = put_together(made, tested.next_weights if tested else first_weights(every))
    drift = tested.next_drift if tested else 0.0
    wide = np.clip(drifted(plain, gap[asked], drift, "success"), 0.0, 1.0)
    rival, beside = _rival(tested, made.rivals) if tested else ("", np.full((3, new), np.nan))
    return SuiteForecast(
        given, wide, gap[asked], share, drift, tested is not None and tested.refuse, rival, beside, made.doubt
    )


def _rival(tested: SuiteBacktest, said: Mapping[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """The best baseline at the two largest cutoffs, and what it says, give or take what it was off by at all."""
    backtest = tested.backtest
    count = sum(len(one.index) for one in backtest.forecasts[-2:])
    name = backtest.row("", np.arange(len(backtest.index)) >= len(backtest.index) - count).rival
    off = backtest.truth - np.median(backtest.rivals[name], axis=0)
    middle = np.median(said[name], axis=0)
    return name, np.clip([middle + np.quantile(off, 0.05), middle, middle + np.quantile(off, 0.95)], 0.0, 1.0)


def through_loss(
    key: Array,
    loss: Fit,
    link: Fit,
    points: Mapping[str, npt.ArrayLike],
    *,
    kind: str = "mean",
    loss_levels: Mapping[str, str] | None = None,
    link_levels: Mapping[str, str] | None = None,
) -> np.ndarray:
    """Success at points by way of the loss, (draws, points): each draw of a law of the loss through one of the link.

    What is not known of the loss, and its noise, go through the link with what is not known of that: what comes out has
    all three. The two fits are taken for independent, as they are where one is of losses and the other given them.

    Args:
        key: the random key.
        loss: a fit of a law of the loss.
        link: a fit of success whose only measured covariate is the loss, as of `success_of_loss`.
        points: covariates of the law of the loss, and those of the link besides, covariate -> (points,); of a new run
            also the trials of its score, by default one.
        kind: "mean", the curves alone; or "new_run", the share of successes of a run, with the noise of both.
        loss_levels: levels of the first fit, as {"corpus": "web"}.
        link_levels: levels of the second.

    Raises:
        ValueError: the fits are not of a loss and of success given it.
    """
    if loss.runs.kind != "loss" or link.runs.kind != "success" or "loss" not in link.model.law.covariates:
        raise ValueError(
            f"the fits are of {loss.runs.kind} and of {link.runs.kind} in {', '.join(link.model.law.covariates)}; "
            "they are of a loss, and of success in the loss"
        )
    link.require(link_levels or {})
    key_loss, key_pairs, key_shock, key_noise = random.split(key, 4)
    own = {c: v for c, v in points.items() if c in (*loss.model.law.covariates, *TOGETHER)}
    drawn = loss.predict(own, kind=kind, key=key_loss, **(loss_levels or {}))
    rest = {
        c: np.broadcast_to(np.asarray(v, float), drawn.shape[1])
        for c, v in {"trials": 1.0, **points}.items()
        if c in (*link.model.law.covariates, "trials")
    }
    draws = min(len(drawn), len(link))
    of_loss = np.asarray(random.permutation(key_pairs, len(drawn)))[:draws]
    of_link = np.linspace(0, len(link) - 1, draws).astype(int)
    found = np.empty((draws, drawn.shape[1]))
    with parallel.workbench():
        parameters = {n: np.asarray(v)[of_link] for n, v in link.relative(link_levels or {}).items()}
        shocks = np.asarray(new_shocks(link.model, link.flat, key_shock, (len(link), drawn.shape[1])))
        for i in range(drawn.shape[1]):  # each draw has a loss of its own, as rows of a table
            columns = {"loss": drawn[of_loss, i]} | {c: np.full(draws, v[i]) for c, v in rest.items()}
            grid = link.runs.replace(
                columns=columns, response=None, factors={}, weight=np.ones(draws), levels={}
            )
            mean = link.model.mean(grid, parameters)
            if kind != "mean":
                mean = shocked(mean, shocks[of_link, i], "success")
                mean = (
                    link.model.noise(mean, grid, parameters).sample(random.fold_in(key_noise, i))
                    / columns["trials"]
                )
            found[:, i] = np.asarray(mean)
    return found


def _completed(runs: Runs, points: Mapping[str, npt.ArrayLike], along: str) -> dict[str, np.ndarray]:
    """The points with N and D beside C, as the largest model has them for each other."""
    found = {c: np.atleast_1d(np.asarray(v, float)) for c, v in points.items()}
    if along == "C" and "C" in found and {"N", "D"} <= set(runs.columns) and not {"N", "D"} & set(found):
        largest = int(np.argmax(np.asarray(runs.columns["C"])))
        ratio = float(np.asarray(runs.columns["D"])[largest] / np.asarray(runs.columns["N"])[largest])
        found["N"] = np.sqrt(found["C"] / 6 / ratio)
        found["D"] = ratio * found["N"]
    found = {c: np.atleast_1d(v) for c, v in complete(found).items()}
    if along not in found:
        raise ValueError(f"each point needs {along}, along which the suite is forecast")
    size = max(len(v) for v in found.values())
    found = {c: np.broadcast_to(v, size).astype(float) for c, v in found.items()}
    if not (found[along] > 0).all():
        raise ValueError(f"{along} at a point is {found[along].min():g}; it is a positive number")
    return found
