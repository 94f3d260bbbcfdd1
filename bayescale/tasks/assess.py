"""All that is asked of a suite at once: verdict, overlap, back-test, forecast, and whether it may be relied on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jax import Array, random

from bayescale.check.backtested import Backtest
from bayescale.check.finding import Finding, sorted_by_severity
from bayescale.columns import label
from bayescale.decide.decision import Decision
from bayescale.fit import Fit
from bayescale.infer.nuts import nuts
from bayescale.infer.variational import variational
from bayescale.runs import Runs
from bayescale.tasks.backtest import SuiteBacktest, backtest_suite
from bayescale.tasks.companions import companions, unresolved
from bayescale.tasks.forecast import SuiteForecast, forecast_suite
from bayescale.tasks.held_out import backtest_tasks
from bayescale.tasks.items import item_response
from bayescale.tasks.overlap import Budget, Overlap, overlap, overlap_budget
from bayescale.tasks.plateau import Plateau, plateau
from bayescale.tasks.series import suite_scores
from bayescale.tasks.suite import families, new_models, of_tasks
from bayescale.tasks.suite_folds import Suite, chance_of
from bayescale.tasks.verdict import Verdict, predictable, verdict

AHEAD = 10.0  # times the compute of the largest model, where nobody says how far
ERROR = 0.05  # of a forecast, as a standard deviation, where nobody says what is wanted
POINTS = 25  # of a forecast, along the way
CELLS = 20_000  # rows of an item response fit by NUTS that take minutes and not hours; more are approximated
NEW, SIMULATED = 50, 40_000  # models that overlap is simulated with in each draw, and cells: 160 MB in all


@dataclass(frozen=True, eq=False)
class Assessment:
    """What a table of models and tasks says of its suite.

    Attributes:
        suite: what the table is read as.
        scores: the mean success of each model, a row for each.
        verdict: whether there is a law, from all models.
        plateau: whether scores have stopped to rise; none where there are too few models.
        overlap: how many independent tasks the suite is worth at the forecast; none where it was not asked for.
        companions: spread and width of the suite, and what models share; none as above.
        unresolved: the tasks that more likely than not turn on beyond the largest model.
        budget: what the error that is wanted takes.
        backtest: how forecasts from smaller models did; none where there are too few models.
        forecast: of models from the smallest there is to the one that is asked for, which is the last.
        untested: why there is no back-test; empty where there is one.
        left_out: the back-tests with tasks or families of models left out that were asked for, by what is left out.
        counts: whether the table has counts of successes, without which overlap is not to be known.
        fit: the item response fit behind the overlap; none as above.
        predictable: whether the suite may be labelled so.
        why: why not.
    """

    suite: Suite
    scores: Runs
    verdict: Verdict
    plateau: Plateau | None
    overlap: Overlap | None
    companions: Decision | None
    unresolved: tuple[str, ...]
    budget: Budget
    backtest: SuiteBacktest | None
    forecast: SuiteForecast
    untested: str
    left_out: Mapping[str, Backtest]
    counts: bool
    fit: Fit | None
    predictable: bool
    why: tuple[str, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of all back-tests, whether the forecast is in doubt, and that the overlap is of an approximation."""
        tested = [] if self.backtest is None else [self.backtest.backtest]
        found = [finding for one in (*tested, *self.left_out.values()) for finding in one.findings]
        if self.forecast.doubt:
            found.append(
                Finding(
                    "FORECAST_DOUBTFUL",
                    "warning",
                    f"the forecast is made of draws whose weights are in doubt: {'; '.join(self.forecast.doubt)}",
                    float(len(self.forecast.doubt)),
                    "Take its interval for a rough one; the back-test, which is made alike, says how it did",
                )
            )
        if self.fit is not None and self.fit.method == "svi" and self.fit.converged:
            found.append(
                Finding(
                    "OVERLAP_APPROXIMATE",
                    "note",
                    f"the fit behind the overlap: {self.fit.verdict}",
                    self.fit.stats.get("error", 1.0),
                    f"Give fewer tasks or models for intervals that are right: up to {CELLS:,} rows NUTS takes",
                )
            )
        return sorted_by_severity(found)

    @property
    def sentence(self) -> str:
        """What it comes to."""
        head = "PREDICTABLE" if self.predictable else "NOT PREDICTABLE"
        said = f"{head}: {self.verdict}"
        if self.plateau is not None and self.plateau.flagged:
            said += f"; {self.plateau}"
        low, middle, high = self.forecast.interval()[:, -1]
        where = label(float(self.forecast.points[self.along][-1]))
        whose = f" of a model of a new {self.suite.family}" if self.suite.family else ""
        said += f"; at {where} the score{whose} is {middle:.1%} (90%: {low:.1%} to {high:.1%})"
        if self.backtest is None:
            said += ", untested"
        if self.forecast.refused and self.verdict.kind != "not yet":
            low, middle, high = self.forecast.rival_interval[:, -1]
            said += (
                f", which has no skill: take {self.forecast.rival}, {middle:.1%} ({low:.1%} to {high:.1%}, "
                "by its errors in the back-test)"
            )
        return said if self.predictable else f"{said}; {'; '.join(self.why)}"

    @property
    def along(self) -> str:
        """The covariate of the forecast."""
        return self.suite.along


def assess_suite(
    key: Array,
    runs: Runs,
    *,
    task: str = "task",
    model: str = "model",
    family: str | None = None,
    lab: str | None = None,
    loss: str | None = None,
    along: str = "C",
    at: float | None = None,
    error: float = ERROR,
    overlapping: bool | None = None,
    leave_out: Sequence[str] = (),
    cutoffs: int = 5,
    report: Callable[[str], None] | None = None,
) -> Assessment:
    """Verdict, overlap, back-test and forecast of a suite, and whether it may be called predictable.

    Args:
        key: the random key.
        runs: of success, a row for each model and task; a column `chance` is the success of guessing.
        task: the factor of tasks.
        model: the factor of models.
        family: that of families of tasks, if any.
        lab: that of families of models, if any.
        loss: a column of losses of the models, for forecasts by way of them.
        along: the covariate.
        at: where the forecast is; by default ten times beyond the largest model.
        error: the standard deviation of the forecast that is wanted, as a share.
        overlapping: whether to fit the tasks for their overlap, by default where there are counts: by NUTS, or from
            20,000 rows on by the variational approximation.
        leave_out: what is left out in back-tests of their own: "tasks", "families" or "hardest", see `backtest_tasks`,
            or "labs", families of models one after the other.
        cutoffs: of the back-test, at most.
        report: called with what is being done.

    Raises:
        ValueError: what is to be left out is not in the table.
    """
    key_verdict, key_fit, key_new, key_back, key_forecast = random.split(key, 5)
    _check(runs, along, loss, family, lab, leave_out)
    scores = suite_scores(runs, task=task, model=model)
    x = np.asarray(scores.columns[along], float)
    where = AHEAD * float(x.max()) if at is None else at
    say = report or (lambda _: None)

    say("verdict")
    tries = np.maximum(np.rint(np.asarray(scores.columns["trials"], float)), 1)
    won = np.minimum(
        np.rint(np.asarray(scores.response, float) / np.asarray(scores.columns["trials"]) * tries), tries
    )
    told = verdict(key_verdict, x, won, tries, chance=chance_of(scores))

    flat = plateau(x, won, tries)

    found, beyond, beside, fit, items = None, (), None, None, None
    counts = bool(
        (np.asarray(runs.response) % 1 == 0).all() and (np.asarray(runs.columns["trials"]) % 1 == 0).all()
    )
    if overlapping or (overlapping is None and counts):
        say("overlap")
        items = item_response(runs, along=along, task=task, model=model, family=family, lab=lab)
        fit = nuts(key_fit, *items) if len(items.runs) <= CELLS else variational(key_fit, *items)
        models = int(np.clip(SIMULATED // len(runs.levels[task]), 2, NEW))
        success = new_models(key_new, fit, {along: where}, models=models, task=task)
        groups = families(fit.runs, by=family, task=task) if family is not None else None
        found = overlap(success, families=groups)
        beyond = unresolved(fit, task=task)
        beside = companions(fit, task=task, family=family, model=model)

    suite, untested, tested = Suite(along, None, lab, loss), "", None
    try:
        tested = backtest_suite(key_back, scores, suite, cutoffs=cutoffs, report=report)
    except ValueError as refused:  # too few models for any cutoff: the rest can be said
        untested = str(refused)
    say("forecast")
    points = {along: np.geomspace(x.min(), where, POINTS)}
    forecast = forecast_suite(key_forecast, scores, tested or suite, points)
    aside: dict[str, Backtest] = {}
    for k, way in enumerate(leave_out):
        say(f"without some {way}")
        own = random.fold_in(key_back, k)
        if way == "labs":
            aside[way] = backtest_suite(own, scores, suite, shown=0, report=report).backtest
        else:
            items = items or item_response(runs, along=along, task=task, model=model, family=family, lab=lab)
            aside[way] = backtest_tasks(own, items, way, task=task, model=model, family=family, report=report)
    # What is wanted and what there is are of the same success.
    told_of = found.success if found is not None else forecast.interval()[1, -1]
    middle = float(np.clip(told_of, 0.01, 0.99))
    budget = overlap_budget(middle, error, tasks=max(len(runs.levels[task]), 2))
    effective = found.effective if found is not None else float("nan")
    good, why = predictable(told, effective, budget.required, tested.skills if tested is not None else {})
    if fit is not None and fit.trouble:
        good, why = False, (*why, f"the fit behind the overlap has not converged: {'; '.join(fit.trouble)}")
    return Assessment(
        suite,
        scores,
        told,
        flat,
        found,
        beside,
        tuple(beyond),
        budget,
        tested,
        forecast,
        untested,
        aside,
        counts,
        fit,
        good,
        why,
    )


def _check(
    runs: Runs, along: str, loss: str | None, family: str | None, lab: str | None, leave_out: Sequence[str]
) -> None:
    """That everything that is asked for is there, before anything is worked out."""
    if along == "date":
        raise ValueError(
            "a suite is forecast along compute or another scale, and not along date; horizons are: forecast_horizons"
        )
    for column, said in ((along, "to forecast along"), (loss, "of losses")):
        if column is not None and column not in runs.columns:
            raise ValueError(
                f"{runs.source}: there is no column {column} {said}; there are {', '.join(runs.columns)}"
            )
    for way, factor, said in (("families", family, "tasks"), ("labs", lab, "models")):
        if way in leave_out and factor is None:
            raise ValueError(
                f"{runs.source}: there are no families of {said} to leave out; name the factor (--family)"
            )


def grouped(runs: Runs, by: str, *, task: str = "task", model: str = "model") -> str | None:
    """Whether a factor groups "tasks" or "models"; None where it does neither."""
    for of, said in ((task, "tasks"), (model, "models")):
        if of in runs.factors and by in runs.factors and by != of and of_tasks(runs, by, of) is not None:
            return said
    return None
