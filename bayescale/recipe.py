"""Recipe: a model as plain data, and the model that the data describe.

No code is stored. What is run is the file of a law of the user's own, where the user names it.
"""

import importlib.util
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import Distribution
from numpyro.distributions.transforms import AffineTransform, ExpTransform

from bayescale import models, noise
from bayescale.law import AXIS, Law, irrelevant
from bayescale.model import Model
from bayescale.pooling import Effect, Pooling
from bayescale.priors import LogitNormal

_NAMED = (
    "Beta Cauchy Chi2 Exponential Gamma Gumbel HalfCauchy HalfNormal InverseGamma Kumaraswamy Laplace "
    "LogNormal Logistic Normal Pareto StudentT Uniform Weibull"
)
PRIORS: dict[str, Any] = {name: getattr(dist, name) for name in _NAMED.split()} | {"LogitNormal": LogitNormal}


class UnknownLawError(ValueError):
    """A law that has to be given, or another than the one given."""


def prior_as_data(prior: Distribution, of: str) -> list:
    """A prior as its name and its numbers."""
    kind = type(prior).__name__
    if type(prior) is dist.TransformedDistribution:
        steps = [_step(t) for t in prior.transforms]
        if all(steps):
            return ["TransformedDistribution", {"base": prior_as_data(prior.base_dist, of), "steps": steps}]
    if PRIORS.get(kind) is not type(prior) or prior.batch_shape or prior.event_shape:
        known = ", ".join(sorted(PRIORS))
        raise ValueError(f"the prior of {of} is {kind}, which a file cannot name; it can {known}")
    return [kind, {name: float(getattr(prior, name)) for name in type(prior).arg_constraints}]


def _step(transform: Any) -> list | None:
    if isinstance(transform, AffineTransform) and np.ndim(transform.loc) == np.ndim(transform.scale) == 0:
        return ["affine", float(np.asarray(transform.loc)), float(np.asarray(transform.scale))]
    return ["exp"] if isinstance(transform, ExpTransform) else None


def as_data(model: Model) -> dict[str, Any]:
    """A model as names and numbers.

    Raises:
        ValueError: it has a prior or a noise that cannot be named.
    """
    law, scatter = model.law, model.noise
    if scatter.name not in noise.names():
        raise ValueError(f"a file cannot name {scatter.name} noise; it can {', '.join(noise.names())}")
    groups = [("pooling by", p) for p in model.pooling] + [("effect of", e) for e in model.effects or ()]
    scales = [g.scale and prior_as_data(g.scale, f"the scale of the {said} {g.by}") for said, g in groups]
    effects = model.effects
    if effects is not None:
        effects = [[e.by, scale] for e, scale in zip(effects, scales[len(model.pooling) :], strict=True)]
    return {
        "law": law.name,
        "ours": law.name in models.names() and models.load(law.name).mean is law.mean,
        "law_priors": {p: prior_as_data(prior, p) for p, prior in law.priors.items()},
        "spread": {p: float(v) for p, v in law.spread.items()},
        "columns": dict(law.columns),
        "irrelevant": law.irrelevant,
        "noise": scatter.name,
        "settings": scatter.settings,
        "scaled_by": scatter.scaled_by,
        "stepped_by": {by: list(edges) for by, edges in scatter.stepped_by.items()},
        "noise_priors": {p: prior_as_data(prior, p) for p, prior in scatter.priors.items()},
        "pooling": [[p.vary, p.by, scale] for p, scale in zip(model.pooling, scales, strict=False)],
        "effects": effects,
    }


def law_in(path: Path) -> Law:
    """The law that a file of the user's defines; the file is run.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it fails, or it defines no law.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: there is no such file; --law is a name of `bayescale laws`, or a file"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    if not isinstance(getattr(module, "law", None), Law):
        raise ValueError(
            f"{path} defines no law; end it with law = Law(name=..., mean=..., priors=..., source=...)"
        )
    return module.law


def source_of(law: Law) -> str | None:
    """The file of a law that is none of `bayescale.models`, as text: what another machine needs to have it.

    Raises:
        ValueError: it is in no file, or it is not what its file makes of it.
    """
    if law.name in models.names() and models.load(law.name).mean is law.mean:
        own = _placed(models.load(law.name), law.columns, law.irrelevant).replace(priors=law.priors)
        for part in ("response", "natural", "floor", "terms", "coordinates", "absolute"):
            if getattr(law, part) != getattr(own, part):
                raise ValueError(
                    f"law {law.name} has other {part} than bayescale.models gives it, which a study that is kept, or "
                    "spread over workers, cannot say; write the law in a file of its own"
                )
        return None
    try:
        file = inspect.getsourcefile(inspect.unwrap(law.mean))
    except TypeError:  # what is called is no function: a partial one, say
        file = None
    if file is None or not Path(file).is_file():
        raise ValueError(
            f"law {law.name} is in no file; a study that is kept, or spread over workers, needs it in one"
        )
    if Path(file).parent == Path(models.__file__).parent:
        raise ValueError(
            f"law {law.name} borrows the formula of {Path(file).stem}, and a study that is kept, or spread over "
            "workers, would take it for that law; keep that name, or write the formula in a file of its own"
        )
    return Path(file).read_text(encoding="utf-8")


def _placed(law: Law, columns: Mapping[str, str], others: Iterable[str]) -> Law:
    """A law along the columns that it is read from, and times the covariates that may not matter."""
    law = law.along(columns[AXIS]) if columns else law
    for covariate in others:
        law = law if covariate in law.irrelevant else irrelevant(law, covariate)
    return law


def as_prior(said: list) -> Distribution:
    """The prior that `prior_as_data` described."""
    kind, numbers = said
    if kind != "TransformedDistribution":
        return PRIORS[kind](**{name: float(value) for name, value in numbers.items()})
    base, steps = as_prior(numbers["base"]), []
    support: Any = base.support
    for name, *values in numbers["steps"]:
        numeric = [float(v) for v in values]
        steps.append(ExpTransform(support) if name == "exp" else AffineTransform(*numeric, domain=support))
        support = steps[-1].codomain
    return dist.TransformedDistribution(base, steps)


def as_model(said: dict[str, Any], law: Law | None) -> Model:
    """The model that `as_data` described; with `law`, where the law is none of `bayescale.models`.

    Raises:
        UnknownLawError: the law is another, or has to be given.
    """
    name = said["law"]
    if law is None:
        if not said["ours"] or name not in models.names():
            raise UnknownLawError(
                f"law {name} is none of bayescale.models; pass law= (--law on the command line)"
            )
        law = models.load(name)
    elif law.name != name:
        raise UnknownLawError(f"the fit is of law {name}, and law= is {law.name}")
    law = _placed(law, said["columns"], said["irrelevant"])
    priors = {p: as_prior(one) for p, one in said["law_priors"].items()}
    law = law.replace(priors=priors, spread=said["spread"])
    scatter = noise.load(said["noise"], **said["settings"])
    priors = {p: as_prior(one) for p, one in said["noise_priors"].items()}
    steps = {by: tuple(edges) for by, edges in said.get("stepped_by", {}).items()}  # which older files lack
    scatter = scatter.replace(scaled_by=tuple(said["scaled_by"]), stepped_by=steps, priors=priors)
    pooling = tuple(Pooling(tuple(vary), by, one and as_prior(one)) for vary, by, one in said["pooling"])
    effects = said["effects"]
    if effects is not None:
        effects = tuple(Effect(by, one and as_prior(one)) for by, one in effects)
    return Model(law, scatter, pooling, effects)
