"""Fits of which tests make reports, one of them hostile, and the page of a report as text.

A test file imports a fixture as itself, `from tests.reports import undrawn as undrawn`: so it counts as used.
"""

import html
import re
import types

import numpy as np
import pytest

from bayescale import models, noise, parallel
from bayescale.check.findings import Finding, findings
from bayescale.fit import Fit
from bayescale.model import Model
from bayescale.page import figures, of_findings, report
from bayescale.pooling import Pooling
from bayescale.runs import Runs
from tests.made import BESIROGLU, compared

N = np.geomspace(1e8, 1e10, 12)
COLUMNS = {"N": N, "D": np.tile([2e9, 3e10, 2e11], 4), "loss": np.linspace(3.3, 2.1, 12)}
RUNS = Runs.make({**COLUMNS, "corpus": list("xy") * 6}, factors=["corpus"], source="runs.csv")
REPEATED = BESIROGLU | {"R_D": 15.4, "R_N": 5.3}
STATS = {
    "at_bound": [],
    "mode_converged": True,
    "pareto_k": 0.1,
    "mode_agreed": 9,
    "mode_starts": 9,
    "key": [0, 3],
}
STATS |= {"versions": {"bayescale": "0.1.0"}, "device": "cpu"}
BUDGET = 1e22
HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "<svg onload=window.hacked=1>",
    "{{ 7 * 7 }}{% raw %}",
    "$\\frac{$ ]]> <!-- \u2028 \u202e \x01",
    "'; window.hacked = 1; '",
)


def fit_of(
    law="chinchilla", natural=None, *, draws=200, runs=RUNS, by=None, method="laplace", spread=0.02, **stats
):
    """A fit of some draws about natural parameters; parameters A differ by a factor where one is named."""
    law = models.load(law) if isinstance(law, str) else law
    if natural is None:
        natural = {p: v for p, v in REPEATED.items() if p in law.parameters}
    random = np.random.default_rng(0)
    scattered = {p: v * np.exp(spread * random.standard_normal(draws)) for p, v in natural.items()}
    with parallel.workbench():
        relative = law.to_reference(scattered, runs.reference, runs.unit)
        found = {p: np.asarray(v, float).reshape(1, -1) for p, v in relative.items()}
    found["sigma"] = np.full((1, draws), 0.01)
    pooling = (Pooling(("A",), by=by),) if by else ()
    if by:
        shifts = np.linspace(-0.3, 0.4, len(runs.levels[by]))
        found |= {f"A_by_{by}": np.tile(shifts, (1, draws, 1)), f"A_by_{by}_scale": np.full((1, draws), 0.2)}
    return Fit(Model(law, noise.log_normal, pooling, effects=()), runs, found, method, STATS | stats)


def repeated_fit(**options):
    runs = Runs.make({**COLUMNS, "U": np.minimum(COLUMNS["D"], 2e10)}, source="repeated.csv")
    return fit_of("data_constrained", runs=runs, **options)


@pytest.fixture(autouse=True)
def _unrefitted(monkeypatch):
    """Refits take seconds; of them are tests/test_findings_of_refits.py and those that say what they find."""
    monkeypatch.setattr(of_findings, "all_findings", lambda key, fit: findings(fit))


@pytest.fixture
def undrawn(monkeypatch):
    """Figures take most of the time, and most tests are not about them."""
    monkeypatch.setattr(figures, "figures", lambda *_: [])


def written(fits, folder, **options) -> str:
    report.report(fits, folder / "report.html", **options)
    return (folder / "report.html").read_text(encoding="utf-8")


def seen(page: str) -> str:
    """The page as a reader sees it, about: without script, style and tags."""
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


def hostile_page(folder, monkeypatch) -> str:
    """A page where whatever the data name is hostile; its figures are drawn."""
    corpora = [HOSTILE[i % 6] for i in range(12)]
    plain = [f"corpus {i % 6}" for i in range(12)]
    runs = Runs.make({**COLUMNS, "corpus": plain}, factors=["corpus"])
    # What no table is read with, such as control characters, may still come from Python.
    runs = runs.replace(levels={"corpus": tuple(dict.fromkeys(corpora))}, source=HOSTILE[1], notes=HOSTILE)
    law = models.load("chinchilla")
    mean = types.FunctionType(law.mean.__code__, {"__doc__": HOSTILE[2]}, "mean")
    mean.__kwdefaults__ = law.mean.__kwdefaults__
    law = law.replace(name=HOSTILE[5], mean=mean, source=HOSTILE[3])
    finding = Finding(HOSTILE[3], "warning", HOSTILE[4], 1.0, HOSTILE[0])
    monkeypatch.setattr(of_findings, "all_findings", lambda key, fit: (finding,))
    monkeypatch.setattr(of_findings, "findings", lambda fit: (finding,))
    fits = {HOSTILE[0]: fit_of(law, BESIROGLU, runs=runs, by="corpus"), HOSTILE[2]: fit_of(pareto_k=0.9)}
    said = compared(runs, HOSTILE[:3], HOSTILE[1]).to_dict()
    return written(fits, folder, compute=BUDGET, title=HOSTILE[3], command=HOSTILE[0], comparison=said)
