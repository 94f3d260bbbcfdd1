"""What the command line says of comparisons, back-tests and covariates that may not matter, as plain values."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from bayescale.check.backtested import Backtest
from bayescale.check.compared import Comparison, said_of
from bayescale.check.forecasts import Row
from bayescale.check.ranking import Candidate, Ranking
from bayescale.check.relevance import Relevance
from bayescale.infer.evidence import Evidence
from bayescale.words import of_findings, prior_in_words


def of_evidence(of: Evidence) -> dict[str, Any]:
    """An evidence for JSON."""
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
        "trouble": of.trouble,
    }


def of_comparison(found: Comparison) -> dict[str, Any]:
    """A comparison for JSON."""

    def row(one: Candidate) -> dict[str, Any]:
        return {
            "model": one.name,
            **of_evidence(one.evidence),
            "probability": found.probabilities.get(one.name),
            "stacking": found.stacking.get(one.name),
            "left_out": {unit: of_predictive(found, one, unit) for unit in one.predictive},
            "aic": one.aic,
            "bic": one.bic,
        }

    support = {
        left_out: {
            "said": of_support(others),
            "probabilities": others.probabilities,
            "models": [
                {
                    "model": one.name,
                    "log_evidence": one.evidence.value,
                    "error": one.evidence.error,
                    "trouble": one.trouble,
                }
                for one in others.candidates
            ],
        }
        for left_out, others in found.support.items()
    }
    return {
        "verdict": found.verdict,
        "models": [row(one) for one in found.candidates],
        "support": support,
        "findings": of_findings(found.findings),
    }


def of_support(others: Ranking) -> str:
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


def of_predictive(found: Comparison, one: Candidate, unit: str) -> dict[str, Any]:
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


def of_backtest(found: Backtest) -> dict[str, Any]:
    """A back-test for JSON."""
    return {
        "verdict": found.verdict,
        "by": found.by,
        "total": of_row(found.total),
        "by_gap": [of_row(row) for row in found.by_gap],
        "by_fold": [
            {**of_row(row), "model": one.model, "trouble": one.trouble, "doubt": one.doubt}
            for row, one in zip(found.by_fold, found.forecasts, strict=True)
        ],
        "drift": found.drift,
        "with_drift": {
            "total": of_row(found.widened.total),
            "by_gap": [of_row(row) for row in found.widened.by_gap],
        }
        if found.drift
        else None,
        "findings": of_findings(found.findings),
    }


def of_row(row: Row) -> dict[str, Any]:
    """The scores of some forecasts for JSON."""
    return {
        "forecasts": row.said,
        **asdict(row.ours),
        "best_baseline": {"name": row.rival, **asdict(row.theirs)},
        "skill": row.skill,
        "skill_error": row.error,
    }


BACKTEST = ("forecasts", "n", "CRPS", "bias", "50%", "90%", "width", "best baseline", "its CRPS", "skill")


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row of a back-test, as what a table prints under `BACKTEST`."""
    baseline = row["best_baseline"]
    return (
        row["forecasts"],
        str(row["count"]),
        f"{row['crps']:.4f}",
        f"{row['bias']:+.4f}",
        f"{row['cover50']:.0%}",
        f"{row['cover90']:.0%}",
        f"{row['width90']:.3f}",
        baseline["name"],
        f"{baseline['crps']:.4f}",
        # What is of one run, or of one level, has no error to be told.
        f"{row['skill']:+.2f}"
        + (f" ± {row['skill_error']:.2f}" if np.isfinite(row["skill_error"]) else " ± ?"),
    )


def of_relevance(found: Relevance) -> dict[str, Any]:
    """Whether a covariate matters, for JSON."""
    return {
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
        "findings": of_findings(found.findings),
    }
