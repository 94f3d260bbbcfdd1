"""Published fits of laws, by name: the constants of papers and notebooks as parameters of the laws of this package."""

import csv
import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayescale.law import Law

TABLE = Path(__file__).parent / "published_fits.csv"


@functools.cache
def _printed() -> dict[str, tuple[str, dict[str, float]]]:
    """Fit -> family of its law, and its constants."""
    found: dict[str, tuple[str, dict[str, float]]] = {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            _, own = found.setdefault(row["fit"], (row["law_family"], {}))
            own[row["parameter"]] = float(row["value"])
    for _, own in found.values():
        # Kaplan's N_c and D_c are numbers of parameters and tokens; A and B are losses.
        own |= {
            name: own[c] ** own[p]
            for name, c, p in (("A", "N_c", "alpha"), ("B", "D_c", "beta"))
            if c in own and p in own
        }
    return found


def constants(name: str, law: "Law") -> dict[str, float]:
    """The parameters of a published fit, in natural units: N in parameters, D and U in tokens, losses in nats.

    Args:
        name: of the fit, such as "besiroglu2024"; `published_fits.csv` says where each is printed.
        law: the law that it is a fit of.

    Raises:
        ValueError: there is no such fit of the law.

    >>> from bayescale import models
    >>> constants("besiroglu2024", models.load("chinchilla"))["alpha"]
    0.34781
    """
    fits = {
        fit: {p: own[p] for p in law.parameters}
        for fit, (family, own) in _printed().items()
        if family == law.name and set(law.parameters) <= set(own)
    }
    if name not in fits:
        there = f"there are {', '.join(fits)}" if fits else "of that law none is known"
        raise ValueError(f"there is no published fit {name!r} of law {law.name}; {there}")
    return fits[name]
