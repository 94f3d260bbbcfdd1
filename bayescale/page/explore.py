"""What the sliders of a page work with: laws as JavaScript, and draws of their parameters, thinned evenly."""

import base64
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayescale import parallel
from bayescale.decide.surface import surface
from bayescale.fit import Fit
from bayescale.infer.powers import as_exponentials
from bayescale.page.javascript import UntranslatableError, translate

DRAWS = 500  # kept of each case: the ends of a 90% interval are then known to a tenth of an sd
CASES = 12  # more lines in the table of a page are not read
MOST = 1e40  # that the page takes of anything, as report.js does
BEYOND = 4  # decades of compute beyond the runs that the slider reaches
TOKENS = (1e8, 1e16)  # of inference, and
UNIQUE = (1e8, 1e15)  # of what may be trained on: what is written about lies between


class Case(NamedTuple):
    """A fit at levels of its factors, as one line of the table of answers.

    Attributes:
        fit: the fit.
        name: what the fit is called.
        levels: the level of each factor; empty for the parameters that levels differ from.
    """

    fit: Fit
    name: str
    levels: dict[str, str]

    @property
    def said(self) -> str:
        """The levels in words; nothing where there are none."""
        if self.levels:
            return ", ".join(f"for {by} {level}" for by, level in self.levels.items())
        return f"for a typical {' and '.join(factors_of(self.fit))}" if factors_of(self.fit) else ""

    def surface(self, at: Mapping[str, float]):
        """The law of the case as a function of covariates, those in `at` being held."""
        own = {c: v for c, v in at.items() if c in self.fit.model.law.covariates}
        return surface(self.fit, at=own, centre=not self.levels, **self.levels)


def factors_of(fit: Fit) -> tuple[str, ...]:
    """The factors by which parameters differ."""
    return tuple(dict.fromkeys(pooling.by for pooling in fit.model.pooling))


def cases_of(fit: Fit, name: str, asked: Mapping[str, str]) -> list[Case]:
    """The case that is asked for, then what is typical and every combination of levels, if they are few.

    Args:
        fit: the fit.
        name: what it is called.
        asked: the levels that are asked for; those of other fits are passed over.
    """
    factors = factors_of(fit)
    own = {by: level for by, level in asked.items() if by in factors}
    if own:
        fit.require(own)
    found = [own, {}] if own else [{}]
    combinations = itertools.product(*(fit.runs.levels[by] for by in factors)) if factors else ()
    others = list(itertools.islice((dict(zip(factors, c, strict=True)) for c in combinations), CASES + 1))
    if len(others) <= CASES - len(found):
        found += [levels for levels in others if levels not in found]
    return [Case(fit, name, levels) for levels in found]


def why_not(fit: Fit) -> str | None:
    """Why there are no sliders for a fit; nothing where there are."""
    law = fit.model.law
    if fit.trouble:
        return "it has not converged"
    if law.response != "loss" or not {"N", "D"} <= set(law.covariates):
        return f"its law is of {law.response} in {', '.join(law.covariates) or 'no covariate'}, not of loss in N and D"
    try:
        formula(fit, {})
    except UntranslatableError as error:
        return f"its law has no translation into JavaScript: {error}"
    return None


def formula(fit: Fit, at: Mapping[str, float]) -> str:
    """The law of a fit in JavaScript, as `optimum.js` takes it.

    Covariates other than N, D, U and C are held at `at`, or else where the reference run has them.

    Raises:
        UntranslatableError: it is made of something that has no translation.
    """
    law, runs = fit.model.law, fit.runs

    def loss(n, d, u, *own):
        N, D, U = (
            jnp.exp(n),
            jnp.exp(d),
            jnp.exp(jnp.minimum(u, d)),
        )  # no more tokens are unique than are seen
        points = {"N": N, "D": D, "U": U, "C": 6 * N * D}
        held = {c: at.get(c, float(np.asarray(runs.reference[c]))) for c in law.covariates}
        relative = {c: points.get(c, held[c]) / float(np.asarray(runs.reference[c])) for c in law.covariates}
        return float(np.asarray(runs.unit)) * law(relative, dict(zip(law.parameters, own, strict=True)))

    arguments = ["n", "d", "u", *(f"p[o + {i}]" for i in range(len(law.parameters)))]
    steps, (value,) = translate(as_exponentials(loss), arguments)
    slopes, values = translate(jax.value_and_grad(as_exponentials(loss), argnums=(0, 1)), arguments)
    both = (*slopes, *(f"out[{i}] = {what};" for i, what in enumerate(values)))
    return (
        f"{{loss(n, d, u, p, o) {{ {' '.join(steps)} return {value}; }},\n"
        f" slopes(n, d, u, p, o, out) {{ {' '.join(both)} }}}}"
    )


def thinned(count: int) -> np.ndarray:
    """Which of `count` draws are kept: `DRAWS` of them, evenly."""
    return np.arange(min(DRAWS, count)) * count // min(DRAWS, count)


def packed(case: Case) -> dict[str, Any]:
    """The draws of a case: the bits of doubles, the parameters of a draw side by side."""
    with parallel.workbench():
        relative = case.fit.relative(case.levels)
    own = np.stack([np.asarray(relative[p], "<f8") for p in case.fit.model.law.parameters], axis=1)
    own = own[thinned(len(own))]
    bits = base64.b64encode(np.ascontiguousarray(own).tobytes()).decode()
    return {"draws": bits, "count": len(own), "of": len(case.fit), "width": own.shape[1]}


def explored(
    cases: list[Case], asked: Mapping[str, float], at: Mapping[str, float]
) -> tuple[list[str], dict[str, Any]]:
    """The laws of some cases in JavaScript, and what the page has to know besides, for JSON.

    Args:
        cases: of fits that nothing speaks against; see `why_not`.
        asked: what is asked: C, and perhaps T, U and loss.
        at: covariates that are held.
    """
    fits = list({id(case.fit): case.fit for case in cases}.values())
    laws = [formula(fit, at) for fit in fits]
    number = {id(fit): i for i, fit in enumerate(fits)}
    told = [
        {
            "name": case.name,
            "levels": case.said,
            "law": number[id(case.fit)],
            "repeats": "U" in case.fit.model.law.covariates,
            "most": None if (known := compute_of(case.fit)) is None else float(known.max()),
            **packed(case),
        }
        for case in cases
    ]
    return laws, {"cases": told, "controls": list(_controls(cases, asked))}


def compute_of(fit: Fit) -> np.ndarray | None:
    """The compute of each run, where it is known; there may be no runs, of published parameters."""
    columns = fit.runs.columns
    if not len(fit.runs):
        return None
    if "C" in columns:
        return np.asarray(columns["C"], float)
    return 6.0 * np.asarray(columns["N"]) * np.asarray(columns["D"]) if {"N", "D"} <= set(columns) else None


def _controls(cases: list[Case], asked: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """The sliders: name, ends, step and where each begins; all but that of the loss in logarithms to base 10."""
    known = [found for case in cases if (found := compute_of(case.fit)) is not None]
    every = np.concatenate([*known, [asked["C"]]])
    low, high = _decades(every.min(), every.max() * 10**BEYOND, asked["C"])
    yield {"name": "C", "low": low, "high": high, "start": asked["C"]}
    ends = [_fair(case, 10.0**decade, asked) for case in cases for decade in (low, high)]
    yield {"name": "T", "low": np.log10(TOKENS[0]), "high": np.log10(TOKENS[1]), "start": asked.get("T", 0.0)}
    if any("U" in case.fit.model.law.covariates for case in cases):
        low, high = _decades(*UNIQUE, asked["U"])
        yield {"name": "U", "low": low, "high": high, "start": asked["U"]}
    yield {
        "name": "loss",
        "low": min(*ends, asked["loss"]),
        "high": max(*ends, asked["loss"]),
        "start": asked["loss"],
    }


def _fair(case: Case, compute: float, asked: Mapping[str, float]) -> float:
    """About the loss that compute buys: the median at 20 tokens for each parameter."""
    N = np.sqrt(compute / (6 * 20))
    points = {"N": N, "D": 20 * N, "U": asked.get("U", np.inf)}
    law = case.fit.model.law
    held = {
        c: np.asarray(case.fit.runs.reference[c]).item() for c in law.covariates if c not in (*points, "C")
    }
    return float(
        np.median(case.surface(held).loss(**{c: v for c, v in points.items() if c in law.covariates}))
    )


def _decades(low: float, high: float, asked: float) -> tuple[float, float]:
    """Whole decades that hold three numbers, as logarithms."""
    ends = np.floor(np.log10(min(low, asked))), np.ceil(np.log10(max(high, asked)))
    return float(ends[0]), float(ends[1])
