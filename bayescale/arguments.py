"""Arguments: what is typed on the command line, as tables, laws, models and points.

Everything is imported where it is needed, so that help and mistakes cost nothing.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any


def table_of(runs: str, *, response, factors, where, names, vocabulary, separator, keep_duplicates):
    """The table in a file, or the data set of that name."""
    from bayescale import data
    from bayescale.runs import Runs

    options = {
        "response": response,
        "factors": factors,
        "where": where,
        "names": pairs_of(names, "--name", "N=params_total"),
        "vocabulary": vocabulary,
        "duplicates": "keep" if keep_duplicates else "refuse",
    }
    if not Path(runs).exists() and runs in data.names():
        given = {name: value for name, value in options.items() if value}
        return data.load(runs, **given)
    if separator != ",":
        return Runs.read_csv(runs, separator=separator, **options)
    return Runs.read(runs, **options)


def fit_in(path: str, law=None):
    """The fit in a file; of the law that is given where it is of none of the package."""
    from bayescale.storage import load

    try:
        return load(path)
    except ValueError:
        if law is None:
            raise
        return load(path, law=law)


def fits_in(paths: tuple[str, ...], law: str | None) -> list:
    """The fits in files, each with a short name; `law` is the file of the law of those that need it."""
    own = law_of(law) if law else None
    names = [Path(path).stem for path in paths]
    names = names if len(set(names)) == len(names) else list(paths)
    if len(set(names)) < len(names):
        raise ValueError("a fit is given twice; name each once")
    return [(name, fit_in(path, own)) for name, path in zip(names, paths, strict=True)]


def rival_in(name: str, fit, seed: int, law=None):
    """The fit in a file; or the law of that name, fitted to the runs of another fit as that was."""
    import jax

    from bayescale import models
    from bayescale.decide.design import rival_of

    if name in models.names():
        return rival_of(jax.random.fold_in(jax.random.key(seed), 1), fit, models.load(name))
    return fit_in(name, law)


def levels_of(fits: list, texts: tuple[str, ...]) -> list[dict[str, str]]:
    """Of levels such as "corpus=web" those that each fit has the factor of, in the order of the fits."""
    levels = pairs_of(texts, "--level", "corpus=web")
    known = dict.fromkeys(by for fit in fits for by in fit.model.factors)
    if unknown := [by for by in levels if by not in known]:
        there = ", ".join(known) or "no factor"
        raise ValueError(
            f"--level {unknown[0]}={levels[unknown[0]]}: nothing differs by {unknown[0]}; there is {there}"
        )
    return [{by: value for by, value in levels.items() if by in fit.model.factors} for fit in fits]


def held_of(texts: tuple[str, ...]) -> dict[str, float]:
    """What --hold holds, column -> value."""
    return {c: amount_of(v, "--hold") for c, v in pairs_of(texts, "--hold", "experts=8").items()}


def pairs_of(texts: tuple[str, ...], option: str, example: str) -> dict[str, str]:
    """The pairs in texts such as "N=7e10,D=1.4e12", by name; `example` is what the message shows."""
    found = {}
    for text in ",".join(texts).split(",") if texts else []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ValueError(f"{option} is {text!r}; write it as {example}")
        found[name.strip()] = value.strip()
    return found


def law_of(name: str):
    """The law of that name, or the one in a file."""
    from bayescale import models

    if not name.endswith(".py"):
        return models.load(name)
    from bayescale.recipe import law_in

    return law_in(Path(name))


def placed(law: str, along: str | None):
    """The law of that name or file, along a column where it is one in one axis."""
    from bayescale.law import AXIS

    form = law_of(law)
    if along:
        return form.along(along)
    if AXIS in form.covariates:
        raise ValueError(f"{form.name} is a law in one axis: say which column, as --along C")
    return form


def model_of(kind: str, *, law, along, irrelevant, noise, delta, noise_scale, noise_steps, vary, by, effect):
    """The model that the options of `bayescale fit` describe, for responses of a kind."""
    from bayescale import noise as noises
    from bayescale.law import irrelevant as multiplied
    from bayescale.model import Model
    from bayescale.pooling import Effect, Pooling

    form = placed(law, along)
    for covariate in irrelevant:
        form = multiplied(form, covariate)
    name = noise or ("student_t" if kind == "loss" else "beta_binomial")
    scatter = noises.huber(delta) if name == "huber" else noises.load(name)
    for ratio in noise_scale:
        scatter = scatter.scaled(ratio)
    if "none" in noise_steps and len(noise_steps) > 1:
        raise ValueError(
            f"--noise-steps is {', '.join(noise_steps)}; it is none, or what there are steps along"
        )
    for ratio in noise_steps if "none" not in noise_steps else ():
        scatter = scatter.stepped(ratio)
    if len(vary) != len(by):
        raise ValueError(
            f"{len(vary)} --vary and {len(by)} --by: give each --vary its --by, as --vary E,B --by corpus"
        )
    pooling = [Pooling(tuple(p.strip() for p in v.split(",")), b) for v, b in zip(vary, by, strict=True)]
    effects = None if not effect else [Effect(name) for name in effect if name != "none"]
    return Model(form, scatter, pooling=tuple(pooling), effects=effects)  # pyright: ignore[reportArgumentType]


def models_of(kind: str, *, law, noise, along, **options) -> list:
    """Every law with every noise, for responses of a kind; `along` is of those in one axis."""
    from bayescale.law import AXIS

    own = {name: along if AXIS in law_of(name).covariates else None for name in law}
    return [
        model_of(kind, law=name, noise=one, along=own[name], **options)
        for one in noise or (None,)
        for name in law
    ]


def table_and_models(runs: str, options: dict, factor: str | None = None) -> tuple:
    """The table and the models that the options of a verb that makes several models describe.

    Args:
        runs: the file, or the name of a data set.
        options: what is said of the models and of how the table is read.
        factor: what else groups runs, where it is no column of numbers.
    """
    names = ("law", "along", "noise", "delta", "noise_scale", "noise_steps", "vary", "by", "effect")
    own = {name: options.pop(name) for name in names}
    grouped = [*own["by"], *(name for name in own["effect"] if name != "none")]
    table = table_of(runs, **options)
    if factor and "/" not in factor and factor not in table.columns:
        grouped.append(factor)
    if missing := [name for name in grouped if name not in table.levels]:
        options["factors"] = (*options["factors"], *missing)
        table = table_of(runs, **options)
    return table, models_of(table.kind, irrelevant=(), **own)


def amount_of(text: str, option: str) -> float:
    """A positive amount such as "7e10" or "70B"."""
    from bayescale.columns import number

    value = number(text.strip())
    if value is None or not 0 < value < float("inf"):
        raise ValueError(f"{option} is {text!r}; it is a positive number, such as 7e10 or 70B")
    return value


def amounts_of(text: str, option: str) -> list[float]:
    """Positive amounts such as "1e24,1e25"."""
    return [amount_of(one, option) for one in text.split(",")]


def point_of(text: str, option: str = "--at") -> dict[str, float]:
    """A point, covariate -> value, of a text such as "N=7e10,D=1.4T"."""
    from bayescale.columns import number

    found = {}
    for name, cell in pairs_of((text,), option, "N=7e10,D=1.4e12").items():
        value = number(cell)
        if value is None:
            raise ValueError(f"{option} {name}={cell}: {cell} is not a number; write it as 7e10 or 70B")
        found[name] = value
    return found


def truth_of(text: str, law) -> dict[str, float]:
    """The parameters of a law, of a text such as "E=1.82,A=482" or the name of a published fit."""
    from bayescale import data

    if "=" in text:
        return point_of(text, "--truth")
    try:
        return data.constants(text, law)
    except ValueError as error:
        raise ValueError(f"--truth: {error}; or write its parameters, as E=1.82,A=482") from None


def count_of(text: str, option: str) -> int:
    """A count such as "1000000", "1e6" or "1M"."""
    from bayescale.columns import number

    value = number(text)
    if value is None or value != int(value) or value < 1:
        raise ValueError(f"{option} is {text!r}; it is a whole number from 1 on, such as 1000000 or 1M")
    return int(value)


def quantities_of(
    law, compute: str | None, at: tuple[str, ...], target: str | None = None, option: str = "--compute"
) -> dict[str, Any]:
    """What a study is asked for: the parameters of the law, an allocation, what a loss costs, the response at points.

    Args:
        law: the law that is fitted.
        compute: a budget in FLOP, which is split.
        at: points, each as N=7e10,D=1.4e12.
        target: a loss, of which the least compute is asked that reaches it.
        option: what the budget is called.
    """
    found: dict[str, Any] = {p: p for p in law.parameters}
    if compute:
        budget = _amount_in_n_and_d(law, compute, option, "a number of FLOP, such as 5.76e23")
        found |= {f"{part} at budget": partial(_allocated, part, budget) for part in ("N", "D", "D/N")}
    if target:
        loss = _amount_in_n_and_d(law, target, "--target", "a loss, such as 2.1")
        found[f"C for {law.response} {target}"] = partial(_least_compute, loss)
    for text in at:
        found[f"{law.response} at {text}"] = partial(_at_point, point_of(text))
    return found


def _amount_in_n_and_d(law, text: str, option: str, form: str) -> float:
    """The number of an option that only a law in N and D has an answer to."""
    from bayescale.columns import number

    value = number(text)
    if value is None or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{option} is {text!r}; it is {form}")
    if set(law.covariates) != {"N", "D"}:
        raise ValueError(
            f"{option}: law {law.name} is not a law in N and D, which a budget could be split into"
        )
    return value


# Functions of this module, not of the call: workers are to have them too.
def _allocated(part: str, budget: float, fit):
    from bayescale.decide import allocate

    N, D = allocate.split(fit, budget, centre=True, strict=False, bounds=allocate.WIDE)
    return {"N": N, "D": D, "D/N": D / N}[part]


def _least_compute(loss: float, fit):
    from bayescale.decide import budget
    from bayescale.decide.surface import surface

    return budget.needed(surface(fit, centre=True), loss)


def _at_point(point: dict[str, float], fit):
    return fit.mean(fit.centre(), **point)
