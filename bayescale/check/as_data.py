"""Comparisons, back-tests and covariates that may not matter, as plain values: for JSON, for figures, for a report.

Numbers may be nan or infinite; a file of JSON has null for them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale import files
from bayescale.check.forecasts import Row
from bayescale.check.loo import said_of
from bayescale.check.scores import read_off
from bayescale.infer.evidence import Evidence
from bayescale.priors import prior_in_words
from bayescale.runs import Runs

if TYPE_CHECKING:
    from bayescale.check.backtested import Backtest
    from bayescale.check.compared import Comparison
    from bayescale.check.ranking import Candidate, Ranking
    from bayescale.check.relevance import Relevance

VERBS = {"comparison": "compare", "backtest": "backtest"}  # what each is made by
QUANTILES = {"q5": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


def plain(value: Any, *, infinite: bool = False) -> Any:
    """The value with numbers that JSON lacks as null; with `infinite`, as of decisions, inf as "inf" and "-inf".

    What is infinite is out of reach, and what is null is not known.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v, infinite=infinite) for k, v in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, Sequence):
        return [plain(v, infinite=infinite) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value) if infinite and math.isinf(value) else None
    return value


def save_check(found: "Comparison | Backtest", file: str | Path) -> None:
    """Write a comparison or a back-test as JSON, for a report and for figures.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    files.put(file, json.dumps(plain(found.to_dict()), indent=2, allow_nan=False) + "\n")


def load_check(file: str | Path, of: str | None = None) -> dict[str, Any]:
    """A comparison or a back-test as plain values: what `save_check` wrote, or `-o` and `--json` on the command line.

    Args:
        file: the file.
        of: "comparison" or "backtest", where it has to be that; either, if None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file.
    """
    verb = VERBS.get(of or "", "compare")
    wanted = f"give what `bayescale {verb} -o {of or 'comparison'}.json` wrote"
    if not Path(file).is_file():
        raise FileNotFoundError(f"there is no file {file}; {wanted}")
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON ({error}); {wanted}") from None
    said = found.get("of") if isinstance(found, Mapping) else None
    if not isinstance(said, str) or said not in VERBS:
        raise ValueError(f"{file} is not what `bayescale {verb}` wrote; {wanted}")
    if of is not None and said != of:
        raise ValueError(f"{file} is what `bayescale {VERBS[said]}` wrote; {wanted}")
    return dict(found)


def of_runs(runs: Runs) -> dict[str, Any]:
    """Which runs something is of; the hash is without factors, of which one fit has more than another."""
    return {"source": runs.source, "count": len(runs), "kind": runs.kind, "hash": runs.measured}


def of_evidence(of: Evidence) -> dict[str, Any]:
    """An evidence."""
    return {
        "log_evidence": of.value,
        "error": of.error,
        "bridge": of.bridge._asdict(),
        "importance": {**of.importance._asdict(), "pareto_k": of.pareto_k},
        "laplace": of.laplace,
        "tempered": of.tempered and of.tempered._asdict(),
        "priors": {name: prior_in_words(prior) for name, prior in of.priors.items()},
        "prior_sensitivity": {
            ", ".join(block): {"halved": halved.value, "doubled": doubled.value}
            for block, (halved, doubled) in of.sensitivity.items()
        },
        "trouble": list(of.trouble),
    }


# ---- Comparisons


def of_comparison(found: "Comparison") -> dict[str, Any]:
    """A comparison: models by evidence and by what they predict unseen, and what holds without the ends."""
    return {
        "of": "comparison",
        "verdict": found.verdict,
        "trouble": list(found.trouble),
        "runs": of_runs(found.candidates[0].evidence.fit.runs),
        "models": [_of_candidate(found, one) for one in found.candidates],
        "support": {left_out: _of_ranking(others) for left_out, others in found.support.items()},
        "findings": [vars(finding) for finding in found.findings],
    }


def _of_candidate(found: "Comparison", one: "Candidate") -> dict[str, Any]:
    return {
        "model": one.name,
        **of_evidence(one.evidence),
        "behind": found.candidates[0].evidence.value - one.evidence.value,
        "probability": found.probabilities.get(one.name),
        "stacking": found.stacking.get(one.name),
        "left_out": {unit: _of_predictive(found, one, unit) for unit in one.predictive},
        "aic": one.aic,
        "bic": one.bic,
    }


def _of_ranking(others: "Ranking") -> dict[str, Any]:
    return {
        "said": of_support(others),
        "probabilities": others.probabilities,
        "models": [
            {
                "model": one.name,
                "log_evidence": one.evidence.value,
                "error": one.evidence.error,
                "trouble": list(one.trouble),
            }
            for one in others.candidates
        ],
    }


def of_support(others: "Ranking") -> str:
    """What runs speak for, in words, without some of them."""
    if others.open:
        return f"{others.open[0].name} is in doubt, and nothing is told"
    best = others.sound[0].evidence
    rest = (one for one in others.sound if one.name not in others.best)
    behind = [
        f"{one.name} {best.value - one.evidence.value:.2f} ± {np.hypot(best.error, one.evidence.error):.2g} behind"
        for one in rest
    ]
    return "; ".join([" or ".join(others.best), ", ".join(behind[:2])]).removesuffix("; ")


def _of_predictive(found: "Comparison", one: "Candidate", unit: str) -> dict[str, Any]:
    """How a candidate predicts what it is not shown, and by how much it falls short of the first one."""
    own, first = one.predictive[unit], found.candidates[0].predictive[unit]
    behind, error = first.less(own)
    return {
        "of": said_of(unit),
        "log_score": own.value,
        "behind": behind,
        "error": error,
        "units": len(own.pointwise),
        "doubtful": own.doubtful,
    }


# ---- Back-tests


def of_backtest(found: "Backtest") -> dict[str, Any]:
    """A back-test: its scores in all, by distance and by fold, and every forecast with what came."""
    return {
        "of": "backtest",
        "verdict": found.verdict,
        "runs": of_runs(found.runs),
        "by": found.by,
        "total": of_row(found.total),
        "by_gap": [of_row(row) for row in found.by_gap],
        "by_fold": [
            {**of_row(row), "model": one.model, "trouble": list(one.trouble), "doubt": list(one.doubt)}
            for row, one in zip(found.by_fold, found.forecasts, strict=True)
        ],
        "drift": found.drift,
        "with_drift": {
            "total": of_row(found.widened.total),
            "by_gap": [of_row(row) for row in found.widened.by_gap],
        }
        if found.drift
        else None,
        "each": _each(found),
        "findings": [vars(finding) for finding in found.findings],
    }


def of_row(row: Row) -> dict[str, Any]:
    """The scores of some forecasts."""
    return {
        "forecasts": row.said,
        **asdict(row.ours),
        "best_baseline": {"name": row.rival, **asdict(row.theirs)},
        "skill": row.skill,
        "skill_error": row.error,
    }


def _each(found: "Backtest") -> list[dict[str, Any]]:
    """Every forecast: its fold, the run counted from 0, how far it reached, what was measured, and its quantiles."""
    columns = {
        "fold": [one.fold.name for one in found.forecasts for _ in one.index],
        "run": found.index.tolist(),
        "gap": found.gap.tolist(),
        "measured": found.truth.tolist(),
        **dict(zip(QUANTILES, read_off(found.quantiles, list(QUANTILES.values())).tolist(), strict=True)),
        "pit": found.pit.tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


# ---- Covariates


def of_relevance(found: "Relevance") -> dict[str, Any]:
    """Whether a covariate matters."""
    return {
        "of": "relevance",
        "verdict": found.verdict,
        "covariate": found.covariate,
        "without": of_evidence(found.without),
        "within": of_evidence(found.within),
        "log_bayes_factor": None
        if found.findings
        else dict(zip(("value", "error"), found.log_bayes_factor, strict=True)),
        "exponent": dict(zip(("q5", "q50", "q95"), found.gamma, strict=True)),
        "own_variance": found.own,
        "moves_with": found.tracked,
        "findings": [vars(finding) for finding in found.findings],
    }
