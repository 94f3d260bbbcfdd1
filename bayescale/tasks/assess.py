"""All that is asked of a suite at once: verdict, overlap, back-test, forecast, and whether it may be relied on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jax import Array, random

from bayescale.columns import label
from bayescale.decide.decision import Decision
from bayescale.fit import Fit
from bayescale.infer.nuts import nuts
from bayescale.runs import Runs
from bayescale.tasks.backtest import SuiteBacktest, backtest_suite
from bayescale.tasks.companions import companions, unresolved
from bayescale.tasks.forecast import SuiteForecast, forecast_suite
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
CELLS = 20_000  # rows of an item response fit by NUTS that take minutes and not hours


@dataclass(frozen=True, eq=False)
class Assessment:
    """What a table of models and tasks says of its suite.

    Attributes:
        scores: the mean success of each model, a row for each.
        verdict: whether there is a law, from all models.
        plateau: whether scores have stopped to rise; none where there are too few models.
        overlap: how many independent tasks the suite is worth at the forecast; none where it was not asked for.
        companions: spread and width of the suite, and what models share; none as above.
        unresolved: the tasks that more likely than not turn on beyond the largest model.
        budget: what the error that is wanted takes.
        backtest: how forecasts from smaller models did; none where there are too few models.
        forecast: of models from the smallest there is to the one that is asked for, which is the last; none where
            there is no back-test.
        untested: why there is no back-test; empty where there is one.
        fit: the item response fit behind the overlap; none as above.
        predictable: whether the suite may be labelled so.
        why: why not.
    """

    scores: Runs
    verdict: Verdict
    plateau: Plateau | None
    overlap: Overlap | None
    companions: Decision | None
    unresolved: tuple[str, ...]
    budget: Budget
    backtest: SuiteBacktest | None
    forecast: SuiteForecast | None
    untested: str
    fit: Fit | None
    predictable: bool
    why: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What it comes to."""
        head = "PREDICTABLE" if self.predictable else "NOT PREDICTABLE"
        said = f"{head}: {self.verdict}"
        if self.plateau is not None and self.plateau.flagged:
            said += f"; {self.plateau}"
        if self.forecast is not None:
            low, middle, high = self.forecast.interval()[:, -1]
            where = label(float(self.forecast.points[self.along][-1]))
            said += f"; at {where} the score is {middle:.1%} ({low:.1%} to {high:.1%})"
            if self.forecast.refused:
                rival = next(iter(reversed(self.backtest.backtest.by_fold))).rival if self.backtest else ""
                said += f", which {rival} has told no worse: take that"
        return said if self.predictable else f"{said}; {'; '.join(self.why)}"

    @property
    def along(self) -> str:
        """The covariate of the forecast."""
        return self.backtest.suite.along if self.backtest is not None else "C"


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
        overlapping: whether to fit the tasks for their overlap, which takes NUTS; by default where there are counts,
            and not more than 20,000 rows.
        cutoffs: of the back-test, at most.
        report: called with what is being done.
    """
    key_verdict, key_fit, key_new, key_back, key_forecast = random.split(key, 5)
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

    found, beyond, beside, fit = None, (), None, None
    counts = bool(
        (np.asarray(runs.response) % 1 == 0).all() and (np.asarray(runs.columns["trials"]) % 1 == 0).all()
    )
    if overlapping or (overlapping is None and counts and len(runs) <= CELLS):
        say("overlap")
        fit = nuts(key_fit, *item_response(runs, along=along, task=task, model=model, family=family, lab=lab))
        success = new_models(key_new, fit, {along: where}, task=task)
        groups = families(fit.runs, by=family, task=task) if family is not None else None
        found = overlap(success, families=groups)
        beyond = unresolved(fit, task=task)
        beside = companions(fit, task=task, family=family, model=model)

    suite, untested, tested, forecast = Suite(along, None, lab, loss), "", None, None
    try:
        tested = backtest_suite(key_back, scores, suite, cutoffs=cutoffs, report=report)
        points = {along: np.geomspace(x.min(), where, POINTS)}
        forecast = forecast_suite(key_forecast, scores, tested, points)
    except ValueError as refused:  # too few models for any cutoff: the rest can be said
        untested = str(refused)
    middle = float(np.clip(forecast.interval()[1, -1], 0.01, 0.99)) if forecast is not None else 0.5
    budget = overlap_budget(middle, error, tasks=max(len(runs.levels[task]), 2))
    effective = found.effective if found is not None else float("nan")
    good, why = predictable(told, effective, budget.required, tested.skills if tested is not None else {})
    if fit is not None and fit.trouble:
        good, why = False, (*why, f"the fit behind the overlap has not converged: {'; '.join(fit.trouble)}")
    return Assessment(
        scores, told, flat, found, beside, tuple(beyond), budget, tested, forecast, untested, fit, good, why
    )


def grouped(runs: Runs, by: str, *, task: str = "task", model: str = "model") -> str | None:
    """Whether a factor groups "tasks" or "models"; None where it does neither."""
    for of, said in ((task, "tasks"), (model, "models")):
        if of in runs.factors and by in runs.factors and by != of and of_tasks(runs, by, of) is not None:
            return said
    return None
