"""Back-tests of suites: small models predict large ones by several laws, whose weights are learned on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jax import Array, random
from scipy.special import logsumexp

from bayescale.check.backtested import Backtest, Forecasts, measured
from bayescale.check.baselines import baselines
from bayescale.check.discrepancy import drift_of, drifted
from bayescale.check.folds import CUTOFFS, Fold
from bayescale.check.scores import read_off
from bayescale.fit import PARETO_K
from bayescale.runs import Runs
from bayescale.tasks.members import NO_LAW, Member, Said, members, says
from bayescale.tasks.pool import before, lifted, mixed, stacked
from bayescale.tasks.rivals import rivals
from bayescale.tasks.suite_folds import Suite, chance_of, family_folds, scale_folds, series, units

SHORT = 0.8  # coverage of 90% intervals in what came so far, below which the next are widened
LEARNED = 4  # targets that a drift is learned of
FEW = 3  # models of a task, with fewer of which it is not forecast


@dataclass(frozen=True, eq=False)
class SuiteBacktest:
    """A back-test of a suite.

    Attributes:
        backtest: the forecasts, their rivals and scores.
        weights: what the laws counted for in each fold on average, member -> weight, as what came before it said and
            the evidence of those that it knows.
        drift: by which the forecasts of each fold were widened, in logits for each decade, (folds,).
        next_weights: those for the next forecast, by all folds and before its evidence.
        next_drift: the drift for the next forecast.
        alone: what each law alone forecast, member -> (quantiles, forecasts).
        suite: what was taken for what.
    """

    backtest: Backtest
    weights: tuple[dict[str, float], ...]
    drift: np.ndarray
    next_weights: dict[str, float]
    next_drift: float
    alone: dict[str, np.ndarray]
    suite: Suite

    @cached_property
    def skills(self) -> dict[str, float]:
        """The skill at each cutoff, 1 - CRPS / CRPS of the best baseline there."""
        return {row.said: row.skill for row in self.backtest.by_fold}

    @property
    def refuse(self) -> bool:
        """Whether forecasts had no skill at the two largest cutoffs, or at the only one."""
        return all(skill <= 0 for skill in list(self.skills.values())[-2:])


def backtest_suite(
    key: Array,
    runs: Runs,
    suite: Suite,
    *,
    cuts: Sequence[float] | None = None,
    cutoffs: int = CUTOFFS,
    shown: int | None = None,
    report: Callable[[str], None] | None = None,
) -> SuiteBacktest:
    """Forecast the large models of a suite from the small ones, at every cutoff, and score the forecasts.

    Laws, floors, losses, weights of laws and widening are of the models up to the cutoff alone: the weights are those
    with which forecasts from smaller cutoffs would have had the least CRPS on the models up to it.

    With `shown` one family after the other is left out instead, but for so many of its smallest models. Then weights
    are those before any forecast, times what the evidence leaves, and nothing is widened.

    Args:
        key: the random key.
        runs: the table, of success; a column `chance` is the success of guessing.
        suite: what is what in it.
        cuts: the cutoffs; by default those that leave nine models or more, and two beyond one and a half times as much.
        cutoffs: how many of those there are at most.
        shown: how many models of a family that is left out are known; by default none is left out.
        report: called with what is being done.

    Raises:
        ValueError: the table is not of success, or allows no fold.
    """
    parts = scale_folds(runs, suite, cuts, cutoffs) if shown is None else family_folds(runs, suite, shown)
    every = members(runs, suite.loss, along=suite.along)
    made = []
    for k, fold in enumerate(parts):
        if report is not None:
            report(fold.name)
        made.append(fold_of(random.fold_in(key, k), runs, suite, every, fold))
    return learned(runs, suite, every, parts, made, by=suite.along if shown is None else suite.family)


@dataclass(frozen=True, eq=False)
class Made:
    """What the laws and the baselines say in one fold.

    Attributes:
        index: which rows were asked for, (forecasts,).
        said: member -> quantiles, (quantiles, forecasts).
        log_score: member -> (forecasts,).
        lift: what the evidence leaves of the weight of each member, member -> (forecasts,).
        rivals: the baselines, name -> (quantiles, forecasts).
        doubt: why some evidence is not to be trusted.
    """

    index: np.ndarray
    said: dict[str, np.ndarray]
    log_score: dict[str, np.ndarray]
    lift: dict[str, np.ndarray]
    rivals: dict[str, np.ndarray]
    doubt: tuple[str, ...]


def fold_of(key: Array, runs: Runs, suite: Suite, every: Sequence[Member], fold: Fold) -> Made:
    """What all laws and baselines say in one fold."""
    found, places, doubts = [], [], []
    losses: dict[bytes, tuple[np.ndarray, float]] = {}
    for i, rows in enumerate(series(runs, suite)):
        known, asked = fold.known[rows], fold.asked[rows]
        if not asked.any() or known.sum() < FEW:
            continue
        own = runs.subset(np.isin(np.arange(len(runs)), rows))
        own = own.replace(factors=_part(runs.factors, rows), levels=runs.levels)  # levels keep their numbers
        said = {
            m.name: says(
                random.fold_in(random.fold_in(key, i), j),
                m,
                own,
                known,
                asked,
                along=suite.along,
                by=suite.family,
                loss=suite.loss,
                chance=chance_of(own),
                losses=losses,
            )
            for j, m in enumerate(every)
        }
        share = lifted({n: s.evidence for n, s in said.items()})
        found.append((said, share, _rivals(own, suite, known, asked)))
        places.append(rows[asked])
        doubts += _doubts(said, share)
    names = [m.name for m in every]
    quantiles = {n: np.concatenate([said[n].quantiles for said, _, _ in found], axis=1) for n in names}
    scores = {n: np.concatenate([said[n].log_score for said, _, _ in found]) for n in names}
    lift = {n: np.concatenate([np.full(s[n].quantiles.shape[1], e[n]) for s, e, _ in found]) for n in names}
    return Made(
        np.concatenate(places),
        quantiles,
        scores,
        lift,
        {n: np.concatenate([other[n] for _, _, other in found], axis=1) for n in found[0][2]},
        tuple(dict.fromkeys(doubts)),
    )


def learned(
    runs: Runs,
    suite: Suite,
    every: Sequence[Member],
    parts: Sequence[Fold],
    made: Sequence[Made],
    *,
    by: str | None = None,
) -> SuiteBacktest:
    """The back-test of forecasts that are put together by what came before each of them; of families nothing has."""
    by = by or suite.along
    truth, unit = measured(runs), units(runs, suite)
    first = first_weights(every)
    forecasts, weights, drifts = [], [], []

    def so_far(upto: int, known: np.ndarray) -> tuple[dict[str, float], float]:
        """The weights and the drift by the forecasts of the folds before, of what is known now."""
        keep = [known[one.index] for one in made[:upto]]
        if by != suite.along or not sum(k.sum() for k in keep):
            return first, 0.0
        index = np.concatenate([one.index[k] for one, k in zip(made, keep, strict=False)])
        said = {
            n: np.concatenate([one.said[n][:, k] for one, k in zip(made, keep, strict=False)], axis=1)
            for n in first
        }
        lift = {
            n: np.concatenate([one.lift[n][k] for one, k in zip(made, keep, strict=False)]) for n in first
        }
        share = stacked(said, lift, truth[index], unit[index], first)
        gap = np.concatenate([p.gap[one.index[k]] for p, one, k in zip(parts, made, keep, strict=False)])
        together = mixed([said[n] for n in share], _weights(share, lift))
        return share, _widening(together, truth[index], gap, unit[index])

    for k, (fold, one) in enumerate(zip(parts, made, strict=True)):
        share, drift = so_far(k, fold.known)
        plain, density, counted = put_together(one, share)
        wide = plain
        if drift:  # of which there is none where levels were left out, at no distance
            wide = np.clip(drifted(plain, fold.gap[one.index], drift, "success"), 0.0, 1.0)
        most = max(counted, key=lambda n: counted[n])
        forecasts.append(Forecasts(fold, most, (), one.doubt, one.index, wide, density, one.rivals))
        weights.append(counted)
        drifts.append(drift)
    share, drift = so_far(len(made), np.ones(len(runs), bool))
    alone = {n: np.concatenate([one.said[n] for one in made], axis=1) for n in first}
    found = Backtest(runs, by, tuple(forecasts))
    return SuiteBacktest(found, tuple(weights), np.array(drifts), share, drift, alone, suite)


def first_weights(every: Sequence[Member]) -> dict[str, float]:
    """The weights of members of which nothing was tested yet."""
    return before(
        [m.name for m in every],
        [m.name for m in every if m.loss is not None],
        [m.name for m in every if m.success == NO_LAW],
    )


def put_together(one: Made, share: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """The mixture of what members say in a fold: quantiles, log densities, and what each counted for on average."""
    weights = _weights(share, one.lift)
    weights = weights / weights.sum(axis=0)
    plain = mixed([one.said[n] for n in share], weights)
    density = logsumexp([one.log_score[n] for n in share], axis=0, b=weights)
    return plain, np.asarray(density), dict(zip(share, weights.mean(axis=1).tolist(), strict=True))


def _weights(share: Mapping[str, float], lift: Mapping[str, np.ndarray]) -> np.ndarray:
    """The weight of each member in each forecast, (members, forecasts)."""
    return np.stack([value * lift[name] for name, value in share.items()])


def _widening(quantiles: np.ndarray, truth: np.ndarray, gap: np.ndarray, unit: np.ndarray) -> float:
    """The drift under which what came is likeliest; none where 90% intervals held, or next to nothing has come."""
    if len(np.unique(unit)) < LEARNED:
        return 0.0
    low, high = read_off(quantiles, (0.05, 0.95))
    if np.mean((low <= truth) & (truth <= high)) >= SHORT:
        return 0.0
    return drift_of(quantiles, truth, gap, "success")


def _doubts(said: Mapping[str, Said], share: Mapping[str, float]) -> list[str]:
    # What is far behind may be as wrong as it likes.
    return [
        f"the Pareto-k of {n} is {one.pareto_k:.2f}"
        for n, one in said.items()
        if one.pareto_k > PARETO_K and share[n] > 0.1
    ]


def _part(factors: Mapping[str, object], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(index)[rows] for name, index in factors.items()}


def _rivals(own: Runs, suite: Suite, known: np.ndarray, asked: np.ndarray) -> dict[str, np.ndarray]:
    distance, share = np.asarray(own.columns[suite.along], float), measured(own)
    group = np.zeros(len(own), int) if suite.family is None else np.asarray(own.factors[suite.family])
    train, test = np.flatnonzero(known), np.flatnonzero(asked)
    both = {c: np.asarray(own.columns[c], float) for c in "ND" if c in own.columns}
    sizes = np.stack(list(both.values()), axis=1) if len(both) > 1 else distance[:, None]
    loss = None if suite.loss is None else np.asarray(own.columns[suite.loss], float)
    plain = baselines(suite.along, distance, {}, share, group, train, test, kind="success")
    own_kind = rivals(
        suite.along, distance, share, group, train, test, chance=chance_of(own), sizes=sizes, loss=loss
    )
    return plain | own_kind
