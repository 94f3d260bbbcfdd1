"""What there is to say of a bootstrap, and of a posterior beside one."""

from collections.abc import Iterator

import numpy as np

from bayescale.check.finding import Finding, sorted_by_severity
from bayescale.check.findings import findings
from bayescale.fit import Fit
from bayescale.infer.study import Study

PRECISE = 0.05  # the relative Monte-Carlo error of a standard error that is worth a word
CLUSTERS = 10  # with fewer, resampling clusters gives intervals that are too narrow
NARROW = 1.5  # a posterior that is narrower by more takes the noise for what it is not


def findings_of_study(study: Study) -> tuple[Finding, ...]:
    """What there is to say of a study, of the fit of its table and of its runs, the most severe first."""
    checks = (_unfinished, _at_bound, _few_clusters, _monte_carlo)
    found = [finding for of in checks for finding in of(study)]
    return sorted_by_severity([*found, *findings(study.point)])


def _unfinished(study: Study) -> Iterator[Finding]:
    bad = study.counts.unfinished
    if bad:
        yield Finding(
            "UNFINISHED",
            "severe" if bad > study.replicates / 1000 else "note",
            f"{bad} of {study.replicates} replicates reached no minimum and are left out",
            bad / study.replicates,
            "Choose a law with fewer parameters, let the priors count, or add runs",
        )


def _at_bound(study: Study) -> Iterator[Finding]:
    share = study.counts.at_bound / study.replicates
    if share:
        yield Finding(
            "REPLICATES_AT_BOUND",
            "warning" if share > 0.01 else "note",
            f"in {share:.2%} of the replicates a parameter ran to its bound; they count with the value they reached",
            share,
            "Let the priors count, or choose a law without that parameter",
        )


def _few_clusters(study: Study) -> Iterator[Finding]:
    resampling = study.job.resampling
    model = "a model in which they differ (--effect)"
    wild = f"a wild bootstrap with Webb's signs (--kind wild --signs webb), or {model}"
    for by, count in zip(resampling.cluster, resampling.counts(study.job.runs), strict=False):
        if count < CLUSTERS and not (resampling.kind == "wild" and resampling.signs == "webb"):
            yield Finding(
                "FEW_CLUSTERS",
                "warning",
                f"there are only {count} levels of {by} to resample: intervals come out too narrow",
                float(count),
                f"Take {model if study.point.model.noise.residuals is None else wild}",
            )


def _monte_carlo(study: Study) -> Iterator[Finding]:
    errors = {}
    for name in study.point.model.law.parameters:
        sd = study.describe(name).sd
        if sd.value > 0:
            errors[name] = sd.error / sd.value
    if errors and (worst := max(errors, key=lambda name: errors[name])) and errors[worst] > PRECISE:
        yield Finding(
            "MONTE_CARLO",
            "note",
            f"the standard error of {worst} is itself known to {errors[worst]:.0%} only, from {study.replicates} "
            "replicates",
            errors[worst],
            f"Take {round((errors[worst] / PRECISE) ** 2 + 1)} times as many for {PRECISE:.0%}",
        )


def narrow(fit: Fit, study: Study) -> tuple[Finding, ...]:
    """Parameters of which a posterior claims to know far more than resampling its runs bears out.

    Args:
        fit: a posterior.
        study: a bootstrap of the same law and runs, by cluster where runs share one.

    Returns:
        A finding for each parameter whose standard error is more than 1.5 times the posterior's standard deviation.

    Raises:
        ValueError: they are of different laws or runs.
    """
    if fit.model.law.name != study.point.model.law.name or fit.runs.hash != study.point.runs.hash:
        raise ValueError("a posterior is compared with a bootstrap of the same law and the same runs")
    found = []
    for name, draws in fit.centre().items():
        error, sd = study.describe(name).sd, float(np.std(draws, ddof=1))
        # Only where the Monte-Carlo error of the bootstrap does not explain it.
        if error.value - 2 * error.error > NARROW * sd:
            found.append(
                Finding(
                    "NARROW",
                    "severe",
                    f"the posterior of {name} is {error.value / sd:.1f} times narrower than its bootstrap: the noise "
                    "is not as the model says",
                    error.value / sd,
                    "Let the noise have a scale of its own in each fifth of a covariate (--noise-steps D/N), or let "
                    "runs share a shock (--effect)",
                )
            )
    return tuple(found)
