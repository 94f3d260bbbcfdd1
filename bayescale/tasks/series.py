"""A table of models and tasks as one row for each model: the mean success over the tasks, and how well it is known."""

import numpy as np

from bayescale.runs import Runs

WHOLE = 0.9  # of the tasks; a model that was measured on fewer is left out


def suite_scores(runs: Runs, *, task: str = "task", model: str = "model") -> Runs:
    """The mean success of each model over the tasks, as a table with one row for each model.

    Its trials are those of one task with the same error: S (1 - S) / Var(S), where Var(S) = sum_i p_i (1 - p_i) / m_i
    / n^2 and p_i = (k_i + 1/2) / (m_i + 1). What is the same in all rows of a model is kept; the chance level is the
    mean over its tasks. Models measured on fewer than nine tenths of the tasks are left out, and a note says so.

    Args:
        runs: of success, a row for each model and task.
        task: the factor of tasks.
        model: the factor of models.

    Raises:
        ValueError: there is no such factor, or the table is not of success.
    """
    if runs.kind != "success":
        raise ValueError(f"{runs.source}: the response is {runs.kind}; a suite of tasks is of success")
    for by in (task, model):
        if by not in runs.factors:
            raise ValueError(
                f"{runs.source}: there is no factor {by}; there are {', '.join(runs.levels) or 'none'}"
            )
    runs = added_up(runs, task, model)
    index, rows = np.asarray(runs.factors[model]), len(runs.levels[model])
    count = np.bincount(index, minlength=rows)
    kept = np.flatnonzero(count >= WHOLE * len(runs.levels[task]))
    if len(kept) < 2:
        raise ValueError(f"{runs.source}: fewer than two models were measured on {WHOLE:.0%} of the {task}s")
    won, tried = np.asarray(runs.response, float), np.asarray(runs.columns["trials"], float)
    p = (won + 0.5) / (tried + 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return (np.bincount(index, weights=values, minlength=rows) / np.maximum(count, 1))[kept]

    score, smooth = mean(won / tried), mean(p)
    variance = mean(p * (1 - p) / tried) / count[kept]
    trials = np.maximum(smooth * (1 - smooth) / variance, 1.0)
    first = np.array([np.flatnonzero(index == one)[0] for one in kept])
    columns = {"trials": trials}
    for name, values in runs.columns.items():
        values = np.asarray(values, float)
        if name == "chance":
            columns[name] = mean(values)
        elif name != "trials" and (values == values[first[_place(kept, index)]])[np.isin(index, kept)].all():
            columns[name] = values[first]
    factors, levels = {}, {}
    for name, level in runs.factors.items():
        level = np.asarray(level)
        if name != task and (level == level[first[_place(kept, index)]])[np.isin(index, kept)].all():
            there, factors[name] = np.unique(level[first], return_inverse=True)
            factors[name] = factors[name].astype(np.int32)
            levels[name] = tuple(runs.levels[name][one] for one in there)
    left = rows - len(kept)
    notes = (f"{left} models measured on fewer than {WHOLE:.0%} of the {task}s left out",) if left else ()
    return runs.replace(
        columns=columns,
        response=score * trials,
        factors=factors,
        levels=levels,
        weight=np.ones(len(kept)),
        reference={c: np.exp(np.mean(np.log(v))) if (v > 0).all() else np.nan for c, v in columns.items()},
        notes=(*runs.notes, f"success is the mean over {len(runs.levels[task])} {task}s", *notes),
    )


def added_up(runs: Runs, task: str, model: str) -> Runs:
    """The table with one row for each model and task: counts added up, and the mean of all else."""
    pair = np.asarray(runs.factors[model]).astype(np.int64) * len(runs.levels[task]) + runs.factors[task]
    _, first, group = np.unique(pair, return_index=True, return_inverse=True)
    if len(first) == len(runs):
        return runs
    group = np.argsort(np.argsort(first))[group]  # in the order of the table
    count = np.bincount(group)
    columns = {c: np.bincount(group, np.asarray(v, float)) for c, v in runs.columns.items()}
    return runs.subset(np.isin(np.arange(len(runs)), first)).replace(
        columns={c: v if c == "trials" else v / count for c, v in columns.items()},
        response=np.bincount(group, np.asarray(runs.response, float)),
    )


def _place(kept: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Where the level of each row is among those kept; of others the first."""
    place = np.zeros(index.max() + 1, int)
    place[kept] = np.arange(len(kept))
    return place[index]
