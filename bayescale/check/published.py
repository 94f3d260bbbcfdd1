"""Parameters that a paper prints, as a fit of which everything else can be asked."""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

import numpy as np
from jax.typing import ArrayLike

from bayescale import parallel
from bayescale.check.finding import Finding
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.model import Model
from bayescale.noise import log_normal
from bayescale.runs import Runs

DIGITS = 3  # with fewer the best N moves by a fifth: beta of .28 for .2849 in Hoffmann et al. 2022
REFERENCE = {"N": 1e9, "D": 2e10, "U": 2e10, "C": 1.2e20, "experts": 8.0}  # any will do; others count in 1


def published(
    law: Law,
    parameters: Mapping[str, float | str],
    *,
    runs: Runs | None = None,
    draws: int = 1,
    seed: int = 0,
    source: str = "published parameters",
) -> Fit:
    """Printed parameters as a fit: one draw, or several within what rounding leaves open.

    Args:
        law: the law.
        parameters: name -> value in natural units. A text keeps the digits that were printed: "0.340" has three.
        runs: the table that they were fitted to, where it is at hand; without it how far a decision lies beyond the
            runs is not known.
        draws: how many; if more than one, each parameter is drawn evenly from the values that round to what is
            printed, and so the intervals are of rounding alone.
        seed: of these draws.
        source: where they are printed.

    Raises:
        ValueError: a parameter is missing, unknown or no number, or there are not that many draws.
    """
    missing = [p for p in law.parameters if p not in parameters]
    unknown = [p for p in parameters if p not in law.parameters]
    if missing or unknown:
        named = f"{missing[0]} is missing" if missing else f"there is no {unknown[0]}"
        raise ValueError(f"law {law.name} has the parameters {', '.join(law.parameters)}; {named}")
    if draws < 1:
        raise ValueError(f"draws is {draws}; it is a whole number from 1 on")
    printed = {p: _printed(p, parameters[p]) for p in law.parameters}
    random = np.random.default_rng(seed)
    natural = {}
    for p, value in printed.items():
        step = float(Decimal((0, (1,), int(value.as_tuple().exponent))))
        spread = random.uniform(-0.5, 0.5, draws) * step if draws > 1 else np.zeros(1)
        natural[p] = float(value) + spread
    table = _nothing(law, {p: float(v) for p, v in printed.items()}, source) if runs is None else runs
    with parallel.workbench():
        relative = law.to_reference(natural, table.reference, table.unit)
        sites = {p: np.broadcast_to(np.asarray(v, float), draws)[None] for p, v in relative.items()}
    sites["sigma"] = np.full((1, draws), np.nan)  # nothing is known of the noise
    stats = {
        "at_bound": [],
        "mode_converged": True,
        "digits": {p: len(value.as_tuple().digits) for p, value in printed.items()},
    }
    return Fit(Model(law, log_normal, effects=()), table, sites, "published", stats)


def rounded(fit: Fit) -> Iterator[Finding]:
    """ROUND, where parameters are printed with fewer than three digits."""
    few = {p: n for p, n in fit.stats.get("digits", {}).items() if n < DIGITS}
    if fit.method == "published" and few:
        said = ", ".join(f"{p} ({n})" for p, n in few.items())
        yield Finding(
            "ROUND",
            "warning",
            f"parameters are printed with fewer than {DIGITS} significant digits: {said}; exponents so rounded move "
            "the best number of parameters by a fifth and more",
            float(min(few.values())),
            "Take them from the source with more digits, or see with draws=1000 what rounding leaves open",
        )


def _printed(name: str, value: float | str) -> Decimal:
    try:
        found = Decimal(value.strip() if isinstance(value, str) else repr(float(value)))
    except (InvalidOperation, TypeError, ValueError):
        found = Decimal("nan")
    if not found.is_finite():
        raise ValueError(f"{name} is {value!r}; it is a number as it is printed, such as '0.340'")
    return found


def _nothing(law: Law, parameters: Mapping[str, float], source: str) -> Runs:
    """A table without runs, with a reference run to count in."""
    reference: dict[str, ArrayLike] = {c: np.float64(REFERENCE.get(c, 1.0)) for c in law.covariates}
    with parallel.workbench():
        unit = np.float64(np.asarray(law(reference, parameters)))
    empty = np.empty(0)
    columns: dict[str, ArrayLike] = dict.fromkeys(law.covariates, empty)
    return Runs(columns, empty, {}, empty, reference, unit, kind=law.response, source=source)
