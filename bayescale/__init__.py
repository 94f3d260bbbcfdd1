"""Scaling laws with uncertainty: hierarchical Bayesian fits of loss and of task success.

The public names are imported when they are first used, so that `bayescale --help` needs neither JAX nor NumPyro.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayescale import data as data
    from bayescale import models as models
    from bayescale import noise as noise
    from bayescale import plot as plot
    from bayescale import plot_of_checks as plot_of_checks
    from bayescale.check.backtest import backtest as backtest
    from bayescale.check.backtested import Backtest as Backtest
    from bayescale.check.compare import compare as compare
    from bayescale.check.compared import Comparison as Comparison
    from bayescale.check.findings import Finding as Finding
    from bayescale.check.findings import findings as findings
    from bayescale.check.relevance import Relevance as Relevance
    from bayescale.check.relevance import relevance as relevance
    from bayescale.check.replicates import findings_of_study as findings_of_study
    from bayescale.check.replicates import narrow as narrow
    from bayescale.check.sensitivity import sensitivity as sensitivity
    from bayescale.decide.allocate import compute_optimal as compute_optimal
    from bayescale.fit import Fit as Fit
    from bayescale.infer.bootstrap import bootstrap as bootstrap
    from bayescale.infer.bootstrap import load_study as load_study
    from bayescale.infer.evidence import Evidence as Evidence
    from bayescale.infer.evidence import log_evidence as log_evidence
    from bayescale.infer.nuts import nuts as nuts
    from bayescale.infer.optimize import laplace as laplace
    from bayescale.infer.optimize import optimize as optimize
    from bayescale.infer.resample import Resampling as Resampling
    from bayescale.infer.study import Study as Study
    from bayescale.law import Law as Law
    from bayescale.law import irrelevant as irrelevant
    from bayescale.model import Model as Model
    from bayescale.noise import Noise as Noise
    from bayescale.pooling import Effect as Effect
    from bayescale.pooling import Pooling as Pooling
    from bayescale.runs import Runs as Runs
    from bayescale.storage import load as load
    from bayescale.storage import save as save
    from bayescale.tasks.emergence import emergence as emergence
    from bayescale.tasks.overlap import budget as budget
    from bayescale.tasks.overlap import overlap as overlap
    from bayescale.tasks.suite import new_models as new_models
    from bayescale.tasks.verdict import predictable as predictable
    from bayescale.tasks.verdict import verdict as verdict

_MODULES = ("data", "models", "noise", "plot", "plot_of_checks")
_HOMES = {
    "Backtest": "check.backtested",
    "Comparison": "check.compared",
    "Effect": "pooling",
    "Evidence": "infer.evidence",
    "Finding": "check.findings",
    "Fit": "fit",
    "Law": "law",
    "Model": "model",
    "Noise": "noise",
    "Pooling": "pooling",
    "Relevance": "check.relevance",
    "Resampling": "infer.resample",
    "Runs": "runs",
    "Study": "infer.study",
    "backtest": "check.backtest",
    "bootstrap": "infer.bootstrap",
    "budget": "tasks.overlap",
    "emergence": "tasks.emergence",
    "findings": "check.findings",
    "findings_of_study": "check.replicates",
    "narrow": "check.replicates",
    "sensitivity": "check.sensitivity",
    "compare": "check.compare",
    "compute_optimal": "decide.allocate",
    "irrelevant": "law",
    "laplace": "infer.optimize",
    "load": "storage",
    "load_study": "infer.bootstrap",
    "log_evidence": "infer.evidence",
    "new_models": "tasks.suite",
    "nuts": "infer.nuts",
    "optimize": "infer.optimize",
    "overlap": "tasks.overlap",
    "predictable": "tasks.verdict",
    "relevance": "check.relevance",
    "save": "storage",
    "verdict": "tasks.verdict",
}
__all__ = [*_MODULES, *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str):
    """The public names, from where they live."""
    if name in _MODULES:
        return importlib.import_module(f"bayescale.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"bayescale.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'bayescale' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
