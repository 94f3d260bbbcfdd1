"""Figures as images inside a page."""

import base64
import io
import unicodedata
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text

from bayescale import plot
from bayescale.fit import Fit

SHARPEST = 400_000  # bytes of an image that is lines; what is more is points, and takes less as pixels
DPI = 160  # of pixels: two for each of the screen's at the width of a page
PAGE = 96  # pixels to an inch of a page


def image(figure: Figure, caption: str, alt: str) -> dict[str, Any]:
    """A figure as an address that holds it, with its size in pixels of the page."""
    _plain(figure)
    width, height = (round(PAGE * inches) for inches in figure.get_size_inches())
    drawn, kind = _written(figure, "svg"), "svg+xml"
    if len(drawn) > SHARPEST:
        drawn, kind = _written(figure, "png"), "png"
    data = f"data:image/{kind};base64,{base64.b64encode(drawn).decode()}"
    return {"data": data, "width": width, "height": height, "caption": caption, "alt": alt}


def _written(figure: Figure, form: str) -> bytes:
    file = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    # The same fit gives the same bytes. What a font has no letter for is drawn as a box.
    with mpl.rc_context({"svg.hashsalt": "bayescale", "svg.fonttype": "path"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format=form, dpi=DPI, metadata=metadata)
    return file.getvalue()


def _plain(figure: Figure) -> None:
    """Names out of the data are no formulas, and have no letters that a file of lines cannot hold."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_text("".join(c for c in text.get_text() if c == "\n" or unicodedata.category(c)[0] != "C"))


def of_fit(fit: Fit, name: str) -> Iterator[dict[str, Any]]:
    """The figures of a fit."""
    covariates = [c for c in ("C", "N", "D") if c in fit.runs.columns]
    if covariates:
        figure = Figure(figsize=(10, 5), layout="constrained")
        plot.loss_curves(fit, figure.subplots(), covariate=covariates[0])
        what = "loss" if fit.runs.kind == "loss" else "success"
        yield image(
            figure,
            f"{name}: {what} measured and fitted, with 90% bands",
            f"The {what} of {len(fit.runs)} runs against {covariates[0]}, and the fit of {fit.model.law.name}.",
        )
    panels = plot.parameters(fit)
    said = "; ".join(f"{row.name} {row.q5:.3g} to {row.q95:.3g}" for row in fit.summary().rows[:6])
    yield image(
        panels[0].figure,
        f"{name}: prior and posterior",
        f"Densities of prior and posterior. 90% intervals: {said}.",
    )
