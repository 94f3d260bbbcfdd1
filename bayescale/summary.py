"""The summary of a fit: each parameter with its interval, how well it was sampled, and what the data taught."""

import html
from dataclasses import asdict, dataclass

import numpy as np
from jax import random
from numpyro.distributions import Distribution, biject_to

from bayescale import parallel
from bayescale.fit import Fit, of_chains
from bayescale.model import effect_of, varies_by

QUANTILES = (0.05, 0.5, 0.95)
PRIOR_DRAWS = 20_000  # the contraction is good to two digits


@dataclass(frozen=True)
class Row:
    """One parameter: mean, sd, 5%, 50% and 95%, R-hat, effective sample sizes, and contraction.

    The contraction is 1 - (posterior variance) / (prior variance) in the unconstrained space: 1 where the data
    taught everything, 0 where they taught nothing.
    """

    name: str
    mean: float
    sd: float
    q5: float
    q50: float
    q95: float
    r_hat: float | None = None
    ess_bulk: float | None = None
    ess_tail: float | None = None
    contraction: float | None = None


HEADINGS = ("", "mean", "sd", "5%", "50%", "95%", "R-hat", "ESS bulk", "ESS tail", "contraction")


@dataclass(frozen=True)
class Summary:
    """The rows, and the verdict on the fit they are from."""

    rows: tuple[Row, ...]
    verdict: str
    title: str

    def __getitem__(self, name: str) -> Row:
        """The row of that name."""
        found = {row.name: row for row in self.rows}
        if name not in found:
            raise KeyError(f"there is no row {name!r}; there are {', '.join(found)}")
        return found[name]

    def cells(self) -> list[tuple[str, ...]]:
        """The rows as text, in the order of `HEADINGS`."""
        return [
            (
                row.name,
                *_significant(row),
                *("" if v is None else f"{v:.{digits}f}" for v, digits in _sampling(row)),
            )
            for row in self.rows
        ]

    def to_dict(self) -> dict:
        """The summary as plain numbers, for JSON."""
        return {"title": self.title, "verdict": self.verdict, "rows": [asdict(row) for row in self.rows]}

    def __str__(self) -> str:
        table = [HEADINGS, *self.cells()]
        widths = [max(len(cells[i]) for cells in table) for i in range(len(HEADINGS))]
        lines = [
            "  ".join(
                [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
            )
            for cells in table
        ]
        return "\n".join([self.title, *(line.rstrip() for line in lines), self.verdict])

    def to_html(self) -> str:
        """The summary as a table of a notebook; names from the data are escaped."""

        def line(cells, tag):
            return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(line(cells, "td") for cells in self.cells())
        return (
            f"<table><caption>{html.escape(self.title)}</caption><thead>{line(HEADINGS, 'th')}</thead>"
            f"<tbody>{body}</tbody></table><p>{html.escape(self.verdict)}</p>"
        )


def _significant(row: Row) -> list[str]:
    """Mean, sd and quantiles to the digits that the sd leaves meaning in: two of its own."""
    values = (row.mean, row.sd, row.q5, row.q50, row.q95)
    scale = row.sd if row.sd > 0 else abs(row.mean)
    if not np.isfinite(scale) or scale == 0:
        return [f"{v:.4g}" for v in values]
    digits = 1 - int(np.floor(np.log10(scale))) + 2 * (row.sd == 0)
    if digits > 6 or digits < -3 or abs(row.mean) >= 1e6:
        return [f"{v:.3g}" if i == 1 else f"{v:.4g}" for i, v in enumerate(values)]
    return [f"{v:.{max(digits, 0)}f}" for v in values]


def _sampling(row: Row) -> list[tuple[float | None, int]]:
    return [(row.r_hat, 3), (row.ess_bulk, 0), (row.ess_tail, 0), (row.contraction, 2)]


def summarise(fit: Fit) -> Summary:
    """The summary of a fit, in natural units where the law says how."""
    model, runs = fit.model, fit.runs
    chains = next(iter(fit.draws.values())).shape[:2]
    prior_variance, posterior_variance = _variances(fit)
    contraction = {n: 1 - posterior_variance[n] / prior_variance[n] for n in prior_variance if len(fit) > 1}
    rows = []

    def add(name: str, values: np.ndarray, site: str | None = None) -> None:
        rows.append(_row(name, values.reshape(chains), fit.method, contraction.get(site or "")))

    for p, values in fit.centre().items():
        add(p, values, p)
    for by in dict.fromkeys(pooling.by for pooling in model.pooling):
        varying = [p for pooling in model.pooling if pooling.by == by for p in pooling.vary]
        for level in runs.levels[by]:
            with parallel.workbench():
                at = fit.natural(fit.relative({by: level}))
            for p in varying:
                add(f"{p}[{by}={level}]", at[p])
    for p in model.noise.parameters:
        scale = runs.unit if (p, model.noise.name) == ("sigma", "gaussian") else 1.0
        add(p, fit.flat(p) * scale, p)
    for site in _scales(fit):
        add(_said(fit, site), fit.flat(site), site)
    natural = "" if model.law.natural is not None else ", relative to the reference run"
    title = f"{model.law.name}, {model.noise.name} noise, {len(runs)} runs of {runs.source}{natural}"
    return Summary(tuple(rows), fit.verdict, title)


def _scales(fit: Fit) -> list[str]:
    return [f"{name}_scale" for names in fit.model.factors.values() for name in names]


def _said(fit: Fit, site: str) -> str:
    """The name of a scale as a reader would say it."""
    for by in fit.model.factors:
        if site == f"{effect_of(by)}_scale":
            return f"sd of shocks by {by}"
        if site.endswith(f"{varies_by(by)}_scale"):
            return f"sd of {site.removesuffix(f'{varies_by(by)}_scale')} by {by}"
    return site


def _row(name: str, values: np.ndarray, method: str, contraction: float | None) -> Row:
    if values.size == 1:  # a point fit has no interval to give
        nothing = float("nan")
        return Row(name, float(values.item()), nothing, nothing, float(values.item()), nothing)
    low, middle, high = np.quantile(values, QUANTILES).tolist()
    sampling = of_chains(values).tolist() if method == "nuts" else [None, None, None]
    return Row(
        name,
        float(values.mean()),
        float(values.std(ddof=1)),
        low,
        middle,
        high,
        *sampling,
        contraction=contraction,
    )


def _variances(fit: Fit) -> tuple[dict[str, float], dict[str, float]]:
    """Of each parameter and scale, in the unconstrained space: of the prior and of the posterior."""
    priors: dict[str, Distribution] = dict(fit.model.priors)
    for by in fit.model.factors:
        priors |= {f"{name}_scale": prior for name, prior in fit.model.priors_of_scales(by).items()}
    before, after = {}, {}
    with parallel.workbench():
        for index, (name, prior) in enumerate(priors.items()):
            inverse = biject_to(prior.support).inv
            draws = prior.sample(random.fold_in(random.key(0), index), (PRIOR_DRAWS,))
            before[name] = float(np.var(np.asarray(inverse(draws))))
            after[name] = float(np.var(np.asarray(inverse(fit.flat(name)))))
    return before, after
