"""Figures as images inside a page, each for paper and for a dark page."""

import base64
import io
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from bayescale.columns import label
from bayescale.fit import Fit
from bayescale.page.explore import factors_of
from bayescale.plot_of_checks import against_truth, calibration, coverage, evidence, predictive, skill
from bayescale.plot_of_decisions import regret
from bayescale.plot_of_levels import forest
from bayescale.plot_of_losses import loss_curves
from bayescale.plot_of_parameters import pairs, parameters
from bayescale.plot_of_residuals import residual_panels
from bayescale.plot_of_surfaces import contours, isoflop
from bayescale.plot_of_tasks import steps, thresholds
from bayescale.plot_themes import THEMES, style

Asked = tuple[float, Mapping[str, float]]  # a budget, and the covariates that are held
SHARPEST = 400_000  # bytes of an image that is lines; what is more is points, and takes less as pixels
DPI = 160  # of pixels: two for each of the screen's at the width of a page
PAGE = 96  # pixels to an inch of a page
FULL = 3  # fits that get every figure; with more of them the page could not be mailed
_COORDINATES = re.compile(r'(?<=[ \n])(d|x|y)="([^"]*)"')
_DIGITS = re.compile(r"(\.\d\d)\d+")


def figures(
    fits: Mapping[str, Fit], levels: Mapping[str, str], asked: Mapping[str, Asked]
) -> list[dict[str, Any]]:
    """The figures of all fits, at the levels that are asked for; of many fits fewer of each.

    Args:
        fits: name -> fit.
        levels: the level of each factor.
        asked: of the fits whose answer is a split, the budget and the covariates that are held.
    """
    found = []
    for name, fit in fits.items():
        own = {by: level for by, level in levels.items() if by in factors_of(fit)}
        drawn = list(_of_fit(fit, name, own, asked.get(name)))
        ends = (0, len(drawn) - 1)  # what matters most, of many fits all that there is
        found += [
            {"rank": 0 if k in ends else 1, **_image_or_why(*one)}
            for k, one in enumerate(drawn)
            if len(fits) <= FULL or k in ends
        ]
    return found


def of_comparison(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is drawn of a comparison: the evidence, and what is predicted unseen, of each model."""
    names = ", ".join(str(one["model"]) for one in said["models"])
    found = [
        _image_or_why(
            lambda: _of(evidence(said)),
            "Evidence of each model beside that of the first, with three standard errors",
            f"Log evidence of {names}, in nats more than the first.",
        )
    ]
    for unit, own in said["models"][0]["left_out"].items():
        found.append(
            _image_or_why(
                lambda unit=unit: _of(predictive(said, unit)),
                f"How each model predicts {own['of']}, beside the first, with two standard errors",
                f"Log predictive density of {own['of']}, of {names}, in nats more than the first.",
            )
        )
    return found


def of_backtest(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is drawn of a back-test: forecasts against what came, and how well they did."""
    total, count = said["total"], len(said["each"])
    shares = {share: total[f"cover{share}"] for share in (50, 90)}
    held = ", ".join(f"{share}% intervals held {of or 0:.0%} of the time" for share, of in shares.items())
    by = f"decades of {said['by']}" if said["by_gap"] else said["by"]
    along = "how far they reached" if said["by_gap"] else f"the {said['by']} that was left out"
    return [
        _image_or_why(
            lambda: _of(against_truth(said)),
            "Forecasts, with 90% intervals, against what was measured, by what was known; on the line they agree",
            f"{count} forecasts against what was measured, and the line where both are the same.",
        )
        | {"whole": True},
        _image_or_why(
            lambda: _of(calibration(said)),
            "Calibration: where in its forecast each measured value lay. Bars of one height are intervals of the right "
            "width; the band is what chance allows",
            f"Histogram of the probability integral transform of {count} forecasts.",
        ),
        _image_or_why(
            lambda: _of(coverage(said)),
            f"Coverage: how often 50% and 90% intervals held, by {along}; dotted, how often they should",
            f"Coverage by {by}; in all the {held}.",
        ),
        _image_or_why(
            lambda: _of(skill(said)),
            f"Skill: by which share the law is nearer than the best baseline, by {along}; below 0 it is farther off",
            f"Skill by {by}; in all {total['skill']:.2f}.",
        ),
    ]


def _image_or_why(draw: Callable[[], Figure], caption: str, alt: str, *folded: bool) -> dict[str, Any]:
    try:
        return {"folded": any(folded), "whole": False, **image(draw, caption, alt)}
    except ValueError as error:  # what cannot be drawn of a fit, such as a best split that is nowhere
        return {"refused": f"Not drawn: {caption}, because {error}."}


def _of_fit(fit: Fit, name: str, levels: dict[str, Any], asked: Asked | None) -> Iterator[tuple]:
    """What is drawn of a fit: how, its caption, what it says to those who do not see it, and whether it is folded.

    Nothing is drawn of a fit without runs.
    """
    if not len(fit.runs):
        return
    law, runs = fit.model.law, len(fit.runs)
    axes = {*law.covariates} | ({"C"} if {"N", "D"} <= {*law.covariates} else set())
    along = next((c for c in ("C", *law.covariates) if c in axes), None)
    what = "Loss" if law.response == "loss" else "Success"
    if along:
        yield (
            lambda: _of(loss_curves(fit, covariate=along, **levels)),
            f"{name}: {what.lower()} measured, and the law, with 90% bands",
            f"{what} of {runs} runs against {along}, with the law {law.name} to a decade beyond the runs.",
        )
    if law.response == "loss" and {"N", "D"} <= {*law.covariates}:
        yield (
            lambda: _of(contours(fit, **levels)),
            f"{name}: contours of loss over parameters and tokens, the best split with its 90% band, and the runs",
            f"Contours of the loss of {law.name} over N and D, with the best split at each budget and {runs} runs.",
        )
        yield (
            lambda: _of(isoflop(fit, **levels)),
            f"{name}: loss along curves of equal compute, with 90% bands, and the runs near them",
            f"Loss of {law.name} against N at five budgets in the range of the runs, with the best split of each.",
        )
    if asked:
        compute, held = asked
        yield (
            lambda: _of(regret(fit, compute=compute, at=held, **levels)),
            f"{name}: what each number of parameters would waste of {label(compute)} FLOP",
            f"Share of {label(compute)} FLOP that is wasted against N: the mean, 50% and 90% of the draws.",
        )
    if any(c in fit.runs.columns for c in ("C", "N", "D")):
        yield (
            lambda: residual_panels(fit),
            f"{name}: residuals of the runs, in standard deviations of the noise",
            f"Standardised residuals of {runs} runs against their covariates.",
        )
    if factors_of(fit):
        by = factors_of(fit)[0]
        yield (
            lambda: _of(forest(fit, by=by)[0]),
            f"{name}: what differs by {by}, with 90% and 50% intervals",
            f"The parameters that differ by {by}, for each of its {len(fit.runs.levels[by])} levels and for a new one.",
        )
    if "threshold" in fit.model.varying and "task" in fit.runs.levels and "slope" in law.parameters:
        tasks = len(fit.runs.levels["task"])
        yield (
            lambda: _of(thresholds(fit)),
            f"{name}: where each task turns on, with 90% intervals, and the models there are",
            f"Thresholds of {tasks} tasks along {law.covariates[0]}, those beyond the largest model apart.",
        )
        yield (
            lambda: _of(steps(fit)),
            f"{name}: the curves of single tasks, and how they add up to that of the suite",
            f"Success of {tasks} tasks along {law.covariates[0]} as thin lines, and their mean as a thick one.",
        )
    if len(fit) > 1 and len(law.parameters) > 1:
        yield (
            lambda: pairs(fit)[0, 0].figure,
            f"{name}: the draws of the parameters against each other",
            f"Draws of {', '.join(law.parameters)} in pairs, with their correlations.",
            True,
        )
    said = "; ".join(
        f"{row.name} {row.q5:.3g} to {row.q95:.3g}" for row in fit.summary().rows if np.isfinite(row.q5)
    )
    yield (
        lambda: _of(parameters(fit)[0]),
        f"{name}: what was believed of the parameters before, and what is after",
        f"Densities of prior and posterior. 90% intervals: {said}." if said else "Priors and the estimates.",
    )


def _of(axes: Any) -> Figure:
    return axes.figure


def image(draw: Callable[[], Figure], caption: str, alt: str) -> dict[str, Any]:
    """A figure as addresses that hold it, one for each theme, with its size in pixels of the page."""
    addresses, size = {}, (0, 0)
    for theme in THEMES:
        with style(theme):
            figure = draw()
            _plain(figure)
            addresses[theme] = _address(figure)
            size = tuple(round(PAGE * inches) for inches in figure.get_size_inches())
    return {**addresses, "width": size[0], "height": size[1], "caption": caption, "alt": alt}


def _address(figure: Figure) -> str:
    drawn, kind = _written(figure, "svg"), "svg+xml"
    if len(drawn) > SHARPEST:
        drawn, kind = _written(figure, "png"), "png"
    return f"data:image/{kind};base64,{base64.b64encode(drawn).decode()}"


def _written(figure: Figure, form: str) -> bytes:
    file = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    # The same fit gives the same bytes. What a font has no letter for is drawn as a box.
    with mpl.rc_context({"svg.hashsalt": "bayescale", "svg.fonttype": "path"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format=form, dpi=DPI, metadata=metadata)
    if form != "svg":
        return file.getvalue()
    # A hundredth of a point is not seen, and its further digits are a third of the file.
    text = _COORDINATES.sub(lambda found: _DIGITS.sub(r"\1", found[0]), file.getvalue().decode())
    return text.encode()


def _plain(figure: Figure) -> None:
    """Names out of the data are no formulas, and have no letters that a file of lines cannot hold."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_text("".join(c for c in text.get_text() if c == "\n" or unicodedata.category(c)[0] != "C"))
