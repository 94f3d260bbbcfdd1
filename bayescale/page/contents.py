"""The sections of a report that follow from the fits alone: runs, parameters, priors, methods, versions."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import random

from bayescale import parallel
from bayescale.columns import MEANINGS, label
from bayescale.fit import Fit
from bayescale.page import reproduce
from bayescale.page.tables import table
from bayescale.priors import prior_in_words
from bayescale.summary import HEADINGS

PRIOR_DRAWS = 20_000  # the 5% and 95% quantiles are good to two digits
METHODS = {
    "nuts": "draws of the posterior with NUTS",
    "laplace": "the normal approximation of the posterior at its mode",
    "map": "the mode of the posterior, a point without an interval",
    "maximum_likelihood": "the maximum of the likelihood, a point without an interval and without priors",
    "bootstrap": "refits to resampled runs",
    "published": "parameters as they are printed, with no interval but what rounding leaves open",
}


def section(id: str, title: str, **parts: list) -> dict[str, Any]:
    """A section of the page: texts, figures, tables, lists and codes, in that order."""
    empty: dict[str, list] = {"texts": [], "figures": [], "tables": [], "lists": [], "codes": []}
    return {"id": id, "title": title} | empty | parts


def fitted(fits: Mapping[str, Fit]) -> dict[str, Any]:
    """The fits side by side."""
    rows = []
    for name, fit in fits.items():
        pooling = "; ".join(f"{', '.join(p.vary)} by {p.by}" for p in fit.model.pooling) or "none"
        effects = ", ".join(e.by for e in fit.model.effects or ()) or "none"
        state = "yes" if fit.converged else f"NO: {'; '.join(fit.trouble)}"
        model = [fit.model.law.name, fit.model.noise.name, pooling, effects]
        rows.append([name, *model, str(len(fit.runs)), fit.method, str(len(fit)), state])
    headings = [
        "fit",
        "law",
        "noise",
        "differs by level",
        "shared shocks",
        "runs",
        "method",
        "draws",
        "converged",
    ]
    return section("fits", "Fits", tables=[table("Models, and how they were fitted", headings, rows)])


def parameters(fits: Mapping[str, Fit]) -> dict[str, Any]:
    """Each parameter with interval, R-hat, effective sample sizes and contraction; then what was believed before."""
    tables = []
    for name, fit in fits.items():
        summary = fit.summary()
        tables.append(
            table(
                f"{name}: {_of(fit)}",
                list(HEADINGS),
                [["–" if one == "nan" else one for one in c] for c in summary.cells()],
                _sentence(summary.verdict),
                data=summary.to_dict()["rows"],
            )
        )
        tables.append(_priors(fit, name))
    text = "The contraction is 1 where the data taught all that is known of a parameter, 0 where they taught nothing."
    return section("parameters", "Parameters", texts=[text], tables=tables)


def _of(fit: Fit) -> str:
    """What the parameters are of; the source without its folder, which only matters to who makes the fit again."""
    source = Path(fit.runs.source).name or fit.runs.source
    natural = "" if fit.model.law.natural is not None else ", relative to the reference run"
    return (
        f"law {fit.model.law.name}, {fit.model.noise.name} noise, {len(fit.runs)} runs of {source}{natural}"
    )


def _priors(fit: Fit, name: str) -> dict[str, Any]:
    law, before, after = fit.model.law, prior(fit), fit.centre()
    rows, data = [], []
    for p in law.parameters:
        one, told_before, told_after = len(after[p]) == 1, _quantiles(before[p]), _quantiles(after[p])
        ends, learnt = ([_short(q) for q in told.values()] for told in (told_before, told_after))
        contraction = None if fit.method == "published" else fit.summary()[p].contraction
        told = ["", learnt[1], ""] if one else learnt
        told_after = {"q50": told_after["q50"]} if one else told_after
        said = {"parameter": p, "prior, relative": prior_in_words(law.priors[p])}
        data.append(said | {"prior": told_before, "posterior": told_after, "contraction": contraction})
        rows.append(
            [
                p,
                prior_in_words(law.priors[p]),
                *ends,
                *told,
                "" if contraction is None else f"{contraction:.2f}",
            ]
        )
    rows += [[p, prior_in_words(q), *[""] * 7] for p, q in fit.model.noise.priors.items()]
    data += [
        {"parameter": p, "prior, relative": prior_in_words(q)} for p, q in fit.model.noise.priors.items()
    ]
    headings = [
        "",
        "prior, relative",
        *(f"{of} {q}%" for of in ("prior", "posterior") for q in (5, 50, 95)),
        "contraction",
    ]
    note = (
        "Priors are relative to the reference run, where each covariate is 1 and so is the least response measured; "
        "the quantiles are in natural units."
    )
    return table(f"{name}: priors against posteriors", headings, rows, note, data=data)


def _quantiles(values: np.ndarray) -> dict[str, float]:
    return dict(zip(("q5", "q50", "q95"), np.quantile(values, (0.05, 0.5, 0.95)).tolist(), strict=True))


def _short(value: float) -> str:
    """Three digits, without an exponent below a million."""
    return (
        f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}".replace("e+0", "e").replace("e+", "e")
    )


def prior(fit: Fit) -> dict[str, np.ndarray]:
    """Draws of the parameters of the law from their prior, in natural units."""
    law = fit.model.law
    with parallel.workbench():
        keys = random.split(random.key(0), max(len(law.parameters), 1))
        drawn = {
            p: law.priors[p].sample(k, (PRIOR_DRAWS,)) for p, k in zip(law.parameters, keys, strict=False)
        }
        return {p: np.asarray(jax.device_get(v)) for p, v in fit.natural(drawn).items()}


def runs(fits: Mapping[str, Fit]) -> dict[str, Any]:
    """What the runs are, each table of them once."""
    tables, lists = [], []
    different: dict[str, tuple[str, Fit]] = {}
    for name, fit in fits.items():
        different.setdefault(fit.runs.hash, (name, fit))
    for hash, (name, fit) in different.items():
        if not len(fit.runs):
            lists.append({"title": f"Without runs: {name}", "items": [fit.runs.source]})
            continue
        table_of, several = fit.runs, len(different) > 1
        columns = {table_of.kind: np.asarray(table_of.response, float)}
        columns |= {c: np.asarray(v, float) for c, v in table_of.columns.items()}
        ends = {c: np.quantile(v, (0, 0.5, 1)).tolist() for c, v in columns.items()}
        rows = [
            [f"{c}, {MEANINGS[c][0]}" if c in MEANINGS else c, *map(label, three)]
            for c, three in ends.items()
        ]
        data = [
            {"column": c, **dict(zip(("least", "median", "most"), three, strict=True))}
            for c, three in ends.items()
        ]
        rows += [[f"factor {by}", f"{len(levels)} levels", "", ""] for by, levels in table_of.levels.items()]
        caption = f"{len(table_of)} runs of {table_of.source}" + (f", of {name}" if several else "")
        data += [{"column": by, "levels": len(levels)} for by, levels in table_of.levels.items()]
        note = f"SHA-256 of these runs: {hash}"
        tables.append(table(caption, ["", "least", "median", "most"], rows, note, data=data))
        if table_of.notes:
            title = "How the table was read, and what was left out" + (f": {name}" if several else "")
            lists.append({"title": title, "items": list(table_of.notes)})
    return section("runs", "Runs", tables=tables, lists=lists)


def methods(fits: Mapping[str, Fit]) -> dict[str, Any]:
    """Laws, noise, how the draws were made, and with which versions."""
    texts, codes = [], []
    for name, fit in fits.items():
        texts.append(f"{name}: {METHODS.get(fit.method, fit.method)}{_how(fit)}. {_sentence(fit.verdict)}")
    for law in {fit.model.law.name: fit.model.law for fit in fits.values()}.values():
        text = getattr(law.mean, "__globals__", {}).get("__doc__") or ""
        codes.append({"title": f"The law {law.name}", "text": f"{text.strip()}\n\nSource: {law.source}"})
    versions = {name: fit.stats.get("versions", {}) for name, fit in fits.items()}
    packages = list(dict.fromkeys(p for found in versions.values() for p in found))
    rows = [[p, *(found.get(p, "") for found in versions.values())] for p in packages]
    rows += [["device", *(str(fit.stats.get("device", "")) for fit in fits.values())]]
    rows += [["Python of this report", *[".".join(map(str, sys.version_info[:3]))] * len(fits)]]
    tables = [table("Versions that made the fits", ["", *fits], rows)]
    return section("methods", "Methods and versions", texts=texts, tables=tables, codes=codes)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _how(fit: Fit) -> str:
    stats = fit.stats
    if fit.method != "nuts":
        return ""
    chains, draws = next(iter(fit.draws.values())).shape[:2]
    target = stats.get("target", "?")
    said = f", {chains} chains of {draws} draws after {stats.get('warmup', '?')} of warm-up, target acceptance {target}"
    if least := stats.get("e_bfmi"):
        said += f", E-BFMI at least {min(least):.2f}"
    return said


def reproduction(fits: Mapping[str, Fit], codes: list[dict[str, str]]) -> dict[str, Any]:
    """The commands: those of the report, then those of each fit."""
    several = len(fits) > 1
    for name, fit in fits.items():
        for title, text in reproduce.fitting(fit):
            codes = [*codes, {"title": f"{title}: {name}" if several else title, "text": text}]
    text = "The numbers follow from the runs, the seed and the versions; on another machine the last digits may differ."
    return section("reproduce", "To reproduce it", texts=[text], codes=codes)
