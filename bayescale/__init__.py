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
    from bayescale import plot_of_tasks as plot_of_tasks
    from bayescale.check.as_data import load_check as load_check
    from bayescale.check.as_data import save_check as save_check
    from bayescale.check.backtest import backtest as backtest
    from bayescale.check.backtested import Backtest as Backtest
    from bayescale.check.calibrated import Calibration as Calibration
    from bayescale.check.calibration import calibrate as calibrate
    from bayescale.check.compare import compare as compare
    from bayescale.check.compared import Comparison as Comparison
    from bayescale.check.finding import Finding as Finding
    from bayescale.check.findings import findings as findings
    from bayescale.check.of_refits import all_findings as all_findings
    from bayescale.check.of_runs import findings_of_runs as findings_of_runs
    from bayescale.check.published import published as published
    from bayescale.check.quantile_residuals import quantile_residuals as quantile_residuals
    from bayescale.check.relevance import Relevance as Relevance
    from bayescale.check.relevance import relevance as relevance
    from bayescale.check.replicates import findings_of_study as findings_of_study
    from bayescale.check.replicates import narrow as narrow
    from bayescale.check.sensitivity import sensitivity as sensitivity
    from bayescale.check.simulate import Simulated as Simulated
    from bayescale.check.simulate import simulate as simulate
    from bayescale.check.widened import widen as widen
    from bayescale.decide import flops as flops
    from bayescale.decide.allocate import compute_optimal as compute_optimal
    from bayescale.decide.allocate import split as split
    from bayescale.decide.apart import Asked as Asked
    from bayescale.decide.apart import apart as apart
    from bayescale.decide.better import Rivals as Rivals
    from bayescale.decide.better import better as better
    from bayescale.decide.better import rivals as rivals
    from bayescale.decide.cross_check import CrossCheck as CrossCheck
    from bayescale.decide.cross_check import cross_check as cross_check
    from bayescale.decide.data_limited import data_limited_optimal as data_limited_optimal
    from bayescale.decide.decision import Curve as Curve
    from bayescale.decide.decision import Decision as Decision
    from bayescale.decide.decision import curve as curve
    from bayescale.decide.design import design as design
    from bayescale.decide.design import rival_of as rival_of
    from bayescale.decide.designed import Design as Design
    from bayescale.decide.effective import effective_compute as effective_compute
    from bayescale.decide.efficiency import efficiency as efficiency
    from bayescale.decide.efficiency import regret as regret
    from bayescale.decide.envelope import envelope as envelope
    from bayescale.decide.gain import compute_equivalent_gain as compute_equivalent_gain
    from bayescale.decide.gain import relative_efficiency as relative_efficiency
    from bayescale.decide.gain import speedup as speedup
    from bayescale.decide.inference import Price as Price
    from bayescale.decide.inference import inference_optimal as inference_optimal
    from bayescale.decide.inference import revealed_demand as revealed_demand
    from bayescale.decide.invert import compute_for as compute_for
    from bayescale.decide.invert import data_for as data_for
    from bayescale.decide.invert import params_for as params_for
    from bayescale.decide.isoflop import IsoFlop as IsoFlop
    from bayescale.decide.isoflop import isoflop as isoflop
    from bayescale.decide.parabola import parabola as parabola
    from bayescale.decide.parabola import parabola_bias as parabola_bias
    from bayescale.decide.predict import predict_loss as predict_loss
    from bayescale.decide.rules import power_rule as power_rule
    from bayescale.decide.rules import rule_of_thumb as rule_of_thumb
    from bayescale.decide.slices import Optima as Optima
    from bayescale.decide.surface import Surface as Surface
    from bayescale.decide.surface import surface as surface
    from bayescale.decide.targets import Target as Target
    from bayescale.fit import Fit as Fit
    from bayescale.infer.bootstrap import bootstrap as bootstrap
    from bayescale.infer.bootstrap import load_study as load_study
    from bayescale.infer.evidence import Evidence as Evidence
    from bayescale.infer.evidence import log_evidence as log_evidence
    from bayescale.infer.nuts import nuts as nuts
    from bayescale.infer.optimize import laplace as laplace
    from bayescale.infer.optimize import optimize as optimize
    from bayescale.infer.resample import Resampling as Resampling
    from bayescale.infer.simulated import truth_of as truth_of
    from bayescale.infer.study import Study as Study
    from bayescale.law import Law as Law
    from bayescale.law import irrelevant as irrelevant
    from bayescale.model import Model as Model
    from bayescale.noise import Noise as Noise
    from bayescale.page.report import report as report
    from bayescale.pooling import Effect as Effect
    from bayescale.pooling import Pooling as Pooling
    from bayescale.runs import Runs as Runs
    from bayescale.storage import load as load
    from bayescale.storage import save as save
    from bayescale.tasks.assess import Assessment as Assessment
    from bayescale.tasks.assess import assess_suite as assess_suite
    from bayescale.tasks.backtest import backtest_suite as backtest_suite
    from bayescale.tasks.companions import companions as companions
    from bayescale.tasks.emergence import emergence as emergence
    from bayescale.tasks.forecast import forecast_suite as forecast_suite
    from bayescale.tasks.forecast import through_loss as through_loss
    from bayescale.tasks.held_out import backtest_tasks as backtest_tasks
    from bayescale.tasks.horizons import horizon_items as horizon_items
    from bayescale.tasks.horizons import horizons as horizons
    from bayescale.tasks.items import Items as Items
    from bayescale.tasks.items import aggregated as aggregated
    from bayescale.tasks.items import item_response as item_response
    from bayescale.tasks.overlap import overlap as overlap
    from bayescale.tasks.overlap import overlap_budget as overlap_budget
    from bayescale.tasks.passes import mean_log_pass_rate as mean_log_pass_rate
    from bayescale.tasks.passes import pass_at_k as pass_at_k
    from bayescale.tasks.passes import passes as passes
    from bayescale.tasks.plateau import Plateau as Plateau
    from bayescale.tasks.plateau import plateau as plateau
    from bayescale.tasks.series import suite_scores as suite_scores
    from bayescale.tasks.suite import new_models as new_models
    from bayescale.tasks.suite_folds import Suite as Suite
    from bayescale.tasks.trend import backtest_horizons as backtest_horizons
    from bayescale.tasks.trend import forecast_horizons as forecast_horizons
    from bayescale.tasks.trend import measured_horizons as measured_horizons
    from bayescale.tasks.verdict import predictable as predictable
    from bayescale.tasks.verdict import verdict as verdict

_MODULES = ("data", "models", "noise", "plot", "plot_of_checks", "plot_of_tasks")
_DEEPER = {"flops": "decide.flops"}
_HOMES = {
    "Asked": "decide.apart",
    "Backtest": "check.backtested",
    "Calibration": "check.calibrated",
    "Comparison": "check.compared",
    "CrossCheck": "decide.cross_check",
    "Curve": "decide.decision",
    "Decision": "decide.decision",
    "Design": "decide.designed",
    "Effect": "pooling",
    "Evidence": "infer.evidence",
    "Finding": "check.finding",
    "Fit": "fit",
    "IsoFlop": "decide.isoflop",
    "Items": "tasks.items",
    "Law": "law",
    "Model": "model",
    "Noise": "noise",
    "Optima": "decide.slices",
    "Pooling": "pooling",
    "Price": "decide.inference",
    "Relevance": "check.relevance",
    "Resampling": "infer.resample",
    "Rivals": "decide.better",
    "Runs": "runs",
    "Simulated": "check.simulate",
    "Study": "infer.study",
    "Surface": "decide.surface",
    "Target": "decide.targets",
    "aggregated": "tasks.items",
    "all_findings": "check.of_refits",
    "apart": "decide.apart",
    "backtest": "check.backtest",
    "better": "decide.better",
    "bootstrap": "infer.bootstrap",
    "overlap_budget": "tasks.overlap",
    "companions": "tasks.companions",
    "calibrate": "check.calibration",
    "compare": "check.compare",
    "compute_equivalent_gain": "decide.gain",
    "compute_for": "decide.invert",
    "compute_optimal": "decide.allocate",
    "cross_check": "decide.cross_check",
    "curve": "decide.decision",
    "data_for": "decide.invert",
    "data_limited_optimal": "decide.data_limited",
    "design": "decide.design",
    "effective_compute": "decide.effective",
    "efficiency": "decide.efficiency",
    "emergence": "tasks.emergence",
    "envelope": "decide.envelope",
    "findings": "check.findings",
    "findings_of_runs": "check.of_runs",
    "findings_of_study": "check.replicates",
    "horizon_items": "tasks.horizons",
    "horizons": "tasks.horizons",
    "inference_optimal": "decide.inference",
    "irrelevant": "law",
    "isoflop": "decide.isoflop",
    "item_response": "tasks.items",
    "laplace": "infer.optimize",
    "load": "storage",
    "load_check": "check.as_data",
    "load_study": "infer.bootstrap",
    "log_evidence": "infer.evidence",
    "narrow": "check.replicates",
    "new_models": "tasks.suite",
    "nuts": "infer.nuts",
    "optimize": "infer.optimize",
    "overlap": "tasks.overlap",
    "parabola": "decide.parabola",
    "parabola_bias": "decide.parabola",
    "params_for": "decide.invert",
    "power_rule": "decide.rules",
    "predict_loss": "decide.predict",
    "predictable": "tasks.verdict",
    "published": "check.published",
    "quantile_residuals": "check.quantile_residuals",
    "regret": "decide.efficiency",
    "relative_efficiency": "decide.gain",
    "relevance": "check.relevance",
    "report": "page.report",
    "revealed_demand": "decide.inference",
    "rival_of": "decide.design",
    "rivals": "decide.better",
    "rule_of_thumb": "decide.rules",
    "save": "storage",
    "save_check": "check.as_data",
    "sensitivity": "check.sensitivity",
    "simulate": "check.simulate",
    "speedup": "decide.gain",
    "split": "decide.allocate",
    "surface": "decide.surface",
    "Assessment": "tasks.assess",
    "Suite": "tasks.suite_folds",
    "assess_suite": "tasks.assess",
    "backtest_horizons": "tasks.trend",
    "backtest_suite": "tasks.backtest",
    "backtest_tasks": "tasks.held_out",
    "forecast_horizons": "tasks.trend",
    "forecast_suite": "tasks.forecast",
    "mean_log_pass_rate": "tasks.passes",
    "measured_horizons": "tasks.trend",
    "pass_at_k": "tasks.passes",
    "passes": "tasks.passes",
    "Plateau": "tasks.plateau",
    "plateau": "tasks.plateau",
    "suite_scores": "tasks.series",
    "through_loss": "tasks.forecast",
    "truth_of": "infer.simulated",
    "verdict": "tasks.verdict",
    "widen": "check.widened",
}
__all__ = [*_MODULES, *_DEEPER, *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str):
    """The public names, from where they live."""
    if name in _MODULES:
        return importlib.import_module(f"bayescale.{name}")
    if name in _DEEPER:
        return importlib.import_module(f"bayescale.{_DEEPER[name]}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"bayescale.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'bayescale' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
