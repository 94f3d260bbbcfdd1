"""The findings of a page: those of each fit, of all of its answers, and of several fits of the same runs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jax import Array, random

from bayescale import words
from bayescale.check.findings import SEVERITIES, Finding, findings
from bayescale.check.of_refits import SAMPLED, all_findings
from bayescale.decide.apart import Asked, apart
from bayescale.decide.surface import Surface
from bayescale.fit import Fit
from bayescale.page import of_checks
from bayescale.page.answers import Answer

REFITTED = "CLUSTER, SUPPORT, IRRELEVANT, and FLOOR_PINNED and EMBED with what other fits say"


def of_fits(
    fits: Mapping[str, Fit], given: Mapping[str, Iterable[Finding]], key: Array | None
) -> tuple[dict[str, list[Finding]], list[str]]:
    """The findings of each fit, and in words what was not looked for.

    Args:
        fits: name -> fit.
        given: name -> findings that are known already.
        key: the random key of the refits; without it none are made.
    """
    if unknown := sorted(set(given) - set(fits)):
        raise ValueError(f"checked names {unknown[0]!r}, and the fits are {', '.join(fits)}")
    found: dict[str, list[Finding]] = {}
    without: dict[str, list[str]] = {}
    for number, (name, fit) in enumerate(fits.items()):
        if name in given:
            found[name] = list(given[name])
            continue
        why = _why_not(fit) or ("" if key is not None else "they take refits, which were left out")
        if key is not None and not why:
            try:
                found[name] = list(all_findings(random.fold_in(key, number), fit))
                continue
            except ValueError as error:
                why = f"the refits failed: {error}"
        found[name] = list(findings(fit))
        without.setdefault(why, []).append(name)
    of = {why: f" of {', '.join(names)}" if len(fits) > 1 else "" for why, names in without.items()}
    return found, [f"Not checked{of[why]}: {REFITTED}; {why}." for why in without]


def _why_not(fit: Fit) -> str:
    if fit.method not in SAMPLED:
        return f"of a {fit.method.replace('_', ' ')} fit there are no priors to fit anew with"
    return "" if fit.converged else "it has not converged"


def told(
    of_fit: Mapping[str, list[Finding]], asked: Mapping[str, list[Answer]], fits: Mapping[str, Fit]
) -> list[dict[str, Any]]:
    """All findings as texts, the most severe first; each once, with what it is of."""
    about: dict[Finding, dict[str, list[str]]] = {}  # finding -> fit -> questions; none, of the fit itself
    for name, found in of_fit.items():
        for finding in found:
            about.setdefault(finding, {})[name] = []
        for one in asked[name]:
            for finding in one.decision.findings:
                of = about.setdefault(finding, {})
                if name not in of:
                    of[name] = [one.title]
                elif of[name] and one.title not in of[name]:
                    of[name].append(one.title)
    for finding in _apart(asked):
        about[finding] = {}
    names = {p for fit in fits.values() for p in (*fit.model.law.parameters, *fit.model.noise.parameters)}
    ordered = sorted(about.items(), key=lambda pair: -SEVERITIES.index(pair[0].severity))
    return [
        of_checks.told(words.plain(vars(finding)), _of(of, len(fits) > 1), names) for finding, of in ordered
    ]


def _of(of: Mapping[str, list[str]], several: bool) -> str:
    """What a finding is of, such as "tied, for what a loss of 1.85 takes"."""
    said = []
    for name, questions in of.items():
        parts = ([name] if several else []) + ([f"for {' and '.join(questions)}"] if questions else [])
        said += [", ".join(parts)] if parts else []
    return "; ".join(said)


def _apart(asked: Mapping[str, list[Answer]]) -> Iterator[Finding]:
    """MODELSENS, of every question that several fits of the same runs have answered."""
    for title in dict.fromkeys(one.title for own in asked.values() for one in own):
        same = {name: one for name, own in asked.items() for one in own if one.title == title}
        yield from apart({name: Asked(_surface(one), one.decision) for name, one in same.items()})


def _surface(one: Answer) -> Surface:
    """The law that has given an answer, with what was held."""
    held = {c: float(v) for c, v in one.decision.asked.items() if c not in ("N", "D", "C", *one.case.levels)}
    return one.case.surface(held)


def warned(found: Iterable[Mapping[str, Any]]) -> str:
    """What stands beside an answer of which there are severe findings."""
    codes = list(dict.fromkeys(one["code"] for one in found if one["severity"] == SEVERITIES[-1]))
    if not codes:
        return ""
    many = "s stand" if len(codes) > 1 else " stands"
    return f"Severe finding{many} against this answer: {', '.join(codes)}; see the findings below."
