"""What to type to get a fit and its report again."""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bayescale import data, models, noise, recipe
from bayescale.check.clusters import ADDED
from bayescale.fit import Fit
from bayescale.law import Law, irrelevant
from bayescale.model import Model
from bayescale.noise import Noise
from bayescale.pooling import Effect, Pooling
from bayescale.priors import prior_in_words

_WHERE = re.compile(r"where (.*): \d+ of \d+ rows left out")  # a note of the table
FUNCTIONS = {"nuts": "nuts", "laplace": "laplace", "map": "optimize", "maximum_likelihood": "optimize"}


def command(verb: str, arguments: Iterable[str], options: Mapping[str, Any]) -> str:
    """A command line, quoted for a POSIX shell; a flag is True; what is None, False or empty is left out."""
    words = ["bayescale", verb, *arguments]
    for name, value in options.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None and one is not False and one != "":
                words += [f"-{name}" if len(name) == 1 else f"--{name}", *([] if one is True else [str(one)])]
    return shlex.join(words)


def fitting(fit: Fit) -> list[tuple[str, str]]:
    """How a fit is made again: (title, text), on the command line where that can say it, and in Python."""
    if fit.method == "published":
        values = {p: float(np.median(v)) for p, v in fit.centre().items()}
        said = f"bs.published({_law(fit.model.law, {})}, {values!r}, source={fit.runs.source!r})"
        return [
            (
                "What is published, in Python",
                f"import bayescale as bs\nfrom bayescale import models\n\nfit = {said}",
            )
        ]
    if fit.method not in FUNCTIONS:
        return [("The fit", f"# a {fit.method} of {len(fit)} draws, made by other means than one fit")]
    python = ("The fit, in Python", _python(fit))
    typed = _typed(fit)
    return [("The fit, on the command line", typed), python] if typed else [python]


# ---- In Python


def _python(fit: Fit) -> str:
    source, method = fit.runs.source, fit.method
    where = f", where={_where(fit)!r}" if _where(fit) else ""
    where += f", factors={_factors(fit)!r}" if _factors(fit) else ""
    reader = "bs.data.load" if source in data.names() else "bs.Runs.read"
    read = f"{reader}({source!r}{where})"
    key, own = fit.stats.get("key"), _sampled(fit)
    changed = _changed(fit.model)
    numbers = key is not None and _seed(key) is None
    lines = ["import jax", *(["import numpy as np"] if numbers else [])]
    lines += ["import numpyro.distributions as dist"] if changed else []
    lines += ["import bayescale as bs", "from bayescale import models, noise"]
    lines += ["from bayescale.priors import LogitNormal"] if "LogitNormal" in str(changed) else []
    lines += [
        "",
        f"runs = {read}  # and whatever else its notes tell of",
        f"assert runs.hash == {fit.runs.hash!r}",
    ]
    if fit.model.law.name not in models.names():
        lines.append(f"# law is the Law {fit.model.law.name!r}, out of the file that defines it")
    lines += [
        "",
        "model = bs.Model(",
        f"    {_law(fit.model.law, changed)},",
        f"    {_noise(fit.model.noise)},",
    ]
    if fit.model.pooling:
        lines += [
            f"    pooling=[{', '.join(f'bs.Pooling({p.vary!r}, by={p.by!r})' for p in fit.model.pooling)}],"
        ]
    lines += [f"    effects=[{', '.join(f'bs.Effect({e.by!r})' for e in fit.model.effects or ())}],", ")"]
    options = [f"{name}={value}" for name, value in own.items()]
    if method == "maximum_likelihood":
        options.append("priors=False")
    if method == "laplace":
        options.append(f"draws={len(fit)}")
    lines.append(f"fit = bs.{FUNCTIONS[method]}({', '.join([_key(key), 'model', 'runs', *options])})")
    if _rebuilt(fit.model) is None and not changed and fit.model.law.name in models.names():
        lines.append("# a prior, of the noise or of the spread over levels, was another than the default")
    return "\n".join(lines)


def _where(fit: Fit) -> str:
    """Which rows of the table counted, as its notes have it."""
    return next((found[1] for note in fit.runs.notes if (found := _WHERE.fullmatch(note))), "")


def _factors(fit: Fit) -> list[str]:
    """The factors that the table has only where they are asked for."""
    return [note.split()[1].rstrip(":") for note in fit.runs.notes if note.endswith(ADDED)]


def _sampled(fit: Fit) -> dict[str, Any]:
    """How the sampler was run. A second try takes twice the iterations, and comes about by itself."""
    if fit.method != "nuts":
        return {}
    tries = fit.stats.get("attempt", 1)
    chains, draws = next(iter(fit.draws.values())).shape[:2]
    found = {"chains": chains, "draws": draws // tries, "warmup": fit.stats.get("warmup", 0) // tries}
    return found | ({"target": fit.stats["target"]} if tries == 1 and "target" in fit.stats else {})


def _seed(key: Any) -> int | None:
    """The seed that a key was made of, where it was made of one."""
    return int(key[1]) if len(key) == 2 and key[0] == 0 else None


def _key(key: Any) -> str:
    if key is None:
        return "jax.random.key(0)"
    seed = _seed(key)
    bits = ", ".join(str(int(k)) for k in key)
    return f"jax.random.key({seed})" if seed is not None else f"jax.random.wrap_key_data(np.uint32([{bits}]))"


def _law(law: Law, changed: Mapping[str, str]) -> str:
    said = f"models.load({law.name!r})" if law.name in models.names() else "law"
    said += "".join(f".along({column!r})" for column in law.columns.values())
    for covariate in law.irrelevant:
        said = f"bs.irrelevant({said}, {covariate!r})"
    return (
        f"{said}.replace(priors={{{', '.join(f'{p!r}: {q}' for p, q in changed.items())}}})"
        if changed
        else said
    )


def _noise(scatter: Noise) -> str:
    said = (
        f"noise.huber({scatter.settings['delta']!r})" if scatter.name == "huber" else f"noise.{scatter.name}"
    )
    said += "".join(f".scaled({ratio!r})" for ratio in scatter.scaled_by)
    return said + "".join(f".stepped({ratio!r})" for ratio in scatter.stepped_by)


def _changed(model: Model) -> dict[str, str]:
    """The priors of a law of the package that are other than its own."""
    law = model.law
    if law.name not in models.names():
        return {}
    own = _own_law(law).priors
    said = {p: prior_in_words(prior) for p, prior in law.priors.items() if p in own}
    return {
        p: text if text.startswith("LogitNormal") else f"dist.{text}"
        for p, text in said.items()
        if text != prior_in_words(own[p])
    }


# ---- On the command line


def _typed(fit: Fit) -> str:
    """The verb that makes the fit; nothing where it cannot say the model."""
    model, key = fit.model, fit.stats.get("key")
    seed = None if key is None else _seed(key)
    if seed is None or _rebuilt(model) is None:
        return ""
    options = {
        "where": _where(fit),
        "factor": _factors(fit),
        "law": model.law.name,
        "along": list(model.law.columns.values()),
        "irrelevant": list(model.law.irrelevant),
        "noise": model.noise.name,
        "delta": model.noise.settings["delta"] if model.noise.name == "huber" else None,
        "noise-scale": list(model.noise.scaled_by),
        "noise-steps": list(model.noise.stepped_by) or (["none"] if _may_step(fit) else []),
        "vary": [",".join(p.vary) for p in model.pooling],
        "by": [p.by for p in model.pooling],
        "effect": [e.by for e in model.effects or ()] or ["none"],
        "method": fit.method,
        **{{"target": "target-accept"}.get(name, name): value for name, value in _sampled(fit).items()},
        "seed": seed,
    }
    if fit.method == "laplace":  # as many chains as there are by default, of which it has none
        options |= {"chains": 1, "draws": len(fit)}
    return command("fit", [fit.runs.source], options)


def _may_step(fit: Fit) -> bool:
    """Whether `bayescale fit` may give the noise steps where nothing is said of them."""
    scatter = fit.model.noise
    sized = "sigma" in scatter.parameters and scatter.residuals is not None
    return sized and not scatter.depends_on and fit.method != "maximum_likelihood"


def _own_law(law: Law) -> Law:
    found = models.load(law.name)
    for column in law.columns.values():
        found = found.along(column)
    for covariate in law.irrelevant:
        found = irrelevant(found, covariate)
    return found


def _rebuilt(model: Model) -> Model | None:
    """The model as names alone make it; nothing where that is another one."""
    law, scatter = model.law, model.noise
    if law.name not in models.names() or scatter.name not in noise.names():
        return None
    plain = noise.load(scatter.name, **scatter.settings)
    for ratio in scatter.scaled_by:
        plain = plain.scaled(ratio)
    for ratio in scatter.stepped_by:
        plain = plain.stepped(ratio)
    plain = plain.replace(stepped_by=scatter.stepped_by)  # which the table says
    pooling = tuple(Pooling(p.vary, p.by) for p in model.pooling)
    effects = tuple(Effect(e.by) for e in model.effects or ())
    found = Model(_own_law(law), plain, pooling, effects)
    try:
        return (
            found
            if recipe.as_data(found) == recipe.as_data(model.replace(effects=model.effects or ()))
            else None
        )
    except ValueError:  # a prior that has no name
        return None
