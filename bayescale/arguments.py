"""Arguments: what is typed on the command line, as tables, laws, models and points.

Everything is imported where it is needed, so that help and mistakes cost nothing.
"""

from pathlib import Path


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
    import importlib.util

    from bayescale.law import Law

    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(
            f"{name}: there is no such file; --law is a name of `bayescale laws`, or a file"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{name}: {type(error).__name__}: {error}") from error
    if not isinstance(getattr(module, "law", None), Law):
        raise ValueError(
            f"{name} defines no law; end it with law = Law(name=..., mean=..., priors=..., source=...)"
        )
    return module.law


def model_of(kind: str, *, law, along, irrelevant, noise, delta, noise_scale, vary, by, effect):
    """The model that the options of `bayescale fit` describe, for responses of a kind."""
    from bayescale import noise as noises
    from bayescale.law import AXIS
    from bayescale.law import irrelevant as multiplied
    from bayescale.model import Model
    from bayescale.pooling import Effect, Pooling

    form = law_of(law)
    if along:
        form = form.along(along)
    elif AXIS in form.covariates:
        raise ValueError(f"{form.name} is a law in one axis: say which column, as --along C")
    for covariate in irrelevant:
        form = multiplied(form, covariate)
    name = noise or ("student_t" if kind == "loss" else "beta_binomial")
    scatter = noises.huber(delta) if name == "huber" else noises.load(name)
    for ratio in noise_scale:
        scatter = scatter.scaled(ratio)
    if len(vary) != len(by):
        raise ValueError(
            f"{len(vary)} --vary and {len(by)} --by: give each --vary its --by, as --vary E,B --by corpus"
        )
    pooling = [Pooling(tuple(p.strip() for p in v.split(",")), b) for v, b in zip(vary, by, strict=True)]
    effects = None if not effect else [Effect(name) for name in effect if name != "none"]
    return Model(form, scatter, pooling=tuple(pooling), effects=effects)  # pyright: ignore[reportArgumentType]


def point_of(text: str) -> dict[str, float]:
    """A point, covariate -> value, of a text such as "N=7e10,D=1.4T"."""
    from bayescale.columns import number

    found = {}
    for name, cell in pairs_of((text,), "--at", "N=7e10,D=1.4e12").items():
        value = number(cell)
        if value is None:
            raise ValueError(f"--at {name}={cell}: {cell} is not a number; write it as 7e10 or 70B")
        found[name] = value
    return found
