"""Calibration by simulation: whether posteriors hold the truth as often as they say."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale import parallel, recipe
from bayescale.blocks import Memory, compute
from bayescale.check import bootstrapped
from bayescale.check.calibrated import FINE, RANKS, REFUSED, UNFINISHED, Calibration
from bayescale.fit import Fit
from bayescale.infer.many import nuts_in_lanes, tries
from bayescale.infer.nuts import Tried, begin
from bayescale.infer.optimize import laplace
from bayescale.infer.parcel import place
from bayescale.infer.pointwise import log_likelihood
from bayescale.infer.simulated import from_priors, from_truth, table_of
from bayescale.infer.study import Study
from bayescale.ledger import Ledger
from bayescale.model import Model
from bayescale.provenance import provenance
from bayescale.runs import Runs

ALGORITHM = 4  # of what a replicate is: a study that was begun with another is refused
# Of a block, which is what is lost when a study is interrupted.
TABLES = {"nuts": 16, "lanes": 1024, "laplace": 16, "bootstrap": 16}
SAMPLER = {"chains": 4, "draws": 250, "warmup": 300, "target": 0.9}
SECOND = 0.95  # the target acceptance of a second try in lanes
R_HAT = 1.05  # above, four chains are not of one posterior; results are asked for more, see `bayescale.fit`
ENOUGH = 200  # draws of the priors, by which quantities are told that are always positive
Quantity = Callable[[Fit], np.ndarray]


def calibrate(
    key: Array,
    model: Model,
    design: Runs,
    *,
    replicates: int = 1000,
    quantities: Mapping[str, Quantity] | None = None,
    truth: Fit | None = None,
    method: str = "nuts",
    folder: str | Path | None = None,
    resume: bool = False,
    report: Callable[[int, int], None] | None = None,
    **sampler: Any,
) -> Calibration:
    """Simulate tables from the priors of a model, fit each, and see where the truth lies among the draws.

    If the sampler is right, then whatever the model the rank of the truth among independent draws is evenly
    distributed, for every quantity, and an interval holds the truth as often as it says. Tables without a converged fit
    are counted and left out. That changes nothing as far as whether a fit converges is a matter of the table alone;
    where many are left out it says little of those, and LOST_FITS says how many they are.

    With a `truth`, every table is simulated from it, perhaps by another model; then ranks are no longer even, but the
    coverage of intervals is what it would be for a user who measured such tables.

    Args:
        key: the random key; replicate number k has the same table whatever their number.
        model: the model that is fitted.
        design: covariates, factors, reference run and unit of the tables; responses do not matter.
        replicates: how many tables.
        quantities: name -> function of a fit that gives a number for each draw, such as a decision or a prediction;
            besides the parameters of law and noise, scales of levels, the first level of each factor, and the log
            likelihood of the table. A study that is resumed knows them by their names alone.
        truth: the parameters behind all tables, as `truth_of` makes them; drawn from the priors of `model` if None.
        method: "nuts", one table after another on the cores of the processor, with a second try where the first did
            not converge; "lanes", NUTS of our own for 1,024 tables in one program on the default device, for an
            accelerator and for models without levels, which tries a model and not `nuts`; "laplace"; or "bootstrap",
            which refits each table to resampled runs, without priors. Runs that share a shock are resampled together.
        folder: where blocks of replicates are kept, so that the study can be resumed; in memory if None.
        resume: go on with the study in the folder.
        report: told how many blocks are there, and of how many.
        sampler: arguments of `nuts`: chains, draws, warmup, target, depth; of a bootstrap: draws, which is how many
            refits, 1,000 if nothing is said; interval, "percentile", "basic", "bca" or "studentised"; resampling,
            "pairs" or another of `Resampling`.

    Raises:
        ValueError: the design does not suit the model, or the folder holds another study.

    Source:
        Talts et al. 2018, arXiv:1804.06788; Modrak et al. 2023, arXiv:2211.02383, for the likelihood as a quantity.
    """
    if replicates < 1:
        raise ValueError(f"replicates is {replicates}; it is 1 or more")
    if method not in TABLES:
        raise ValueError(f"method is {method!r}; it is one of {', '.join(TABLES)}")
    model = model.specialise(design)
    if method == "lanes" and model.factors:
        raise ValueError("levels have deviations of their own, which lanes cannot have; take the method nuts")
    asked = _asked(model, design, truth, method) | dict(quantities or {})
    sampler = {"laplace": {}, "bootstrap": bootstrapped.REFITS}.get(method, SAMPLER) | sampler
    if method == "bootstrap":
        bootstrapped.check(sampler)
    signs = _positive(key, model, design, truth, asked)

    def work(numbers: tuple[int, ...]) -> list[np.ndarray]:
        return [
            _block(key, number, model, design, truth, method, sampler, asked, signs) for number in numbers
        ]

    blocks = -(-replicates // TABLES[method])
    if folder is None:
        store: Memory | Ledger = Memory(TABLES[method])
        compute(work, store, blocks, report=report)
    else:
        settings = _settings(key, model, design, truth, method, sampler, tuple(asked))
        with Ledger.open(folder, settings, resume=resume) as store:
            compute(work, store, blocks, report=report)
    records = np.concatenate([store.read(number) for number in range(blocks)])[:replicates]
    return Calibration(model, design, tuple(asked), tuple(signs), records, method, truth is None)


def _asked(model: Model, design: Runs, truth: Fit | None, method: str) -> dict[str, Quantity]:
    """What every study asks for; of parameters, where the truth has the same."""
    found: dict[str, Quantity] = {}
    if truth is None or truth.model.law.mean is model.law.mean:
        found |= {p: (lambda fit, p=p: fit.centre()[p]) for p in model.law.parameters}
    if truth is None:
        found |= {p: (lambda fit, p=p: fit.flat(p)) for p in model.noise.parameters}
    if truth is None and method != "bootstrap":  # which has levels as they are, and no likelihood of its own
        for by, names in model.factors.items():
            for name in names:
                found[f"{name}_scale"] = lambda fit, name=name: fit.flat(f"{name}_scale")
                found[f"{name} {design.levels[by][0]}"] = lambda fit, name=name: fit.flat(name)[:, 0]
        found["log likelihood"] = lambda fit: log_likelihood(fit).sum(axis=1)
    return found


def _positive(
    key: Array, model: Model, design: Runs, truth: Fit | None, asked: Mapping[str, Quantity]
) -> list[bool]:
    """Which quantities are looked at by their logarithm: those that are positive at every draw of the priors."""
    if truth is None:
        with parallel.workbench():
            keys = random.split(random.fold_in(key, 2**31), ENOUGH)
        truth, _ = from_priors(keys, model, design)
    with np.errstate(all="ignore"):
        return [
            name != "log likelihood" and bool(np.all(np.asarray(f(truth)) > 0)) for name, f in asked.items()
        ]


def _block(key, number, model, design, truth, method, sampler, asked, signs) -> np.ndarray:
    """The records of some replicates: truth, and what the posterior says of it."""
    with parallel.workbench():
        places = np.arange(TABLES[method]) + number * TABLES[method]
        keys = jax.vmap(lambda place: random.fold_in(key, place))(jnp.asarray(places, jnp.uint32))
        of_fits = random.fold_in(random.fold_in(key, 2**32 - 1), number)
    truths, responses = from_priors(keys, model, design) if truth is None else from_truth(keys, truth)
    records = np.zeros(len(places), dtype_of(len(asked)))
    records["state"] = REFUSED
    records["truth"] = np.nan
    lowest = 0.0 if design.kind == "loss" else -np.inf
    sound = np.isfinite(responses).all(axis=1) & (responses > lowest).all(axis=1)
    rng = np.random.default_rng(np.asarray(random.key_data(of_fits)).ravel().tolist())
    if method == "lanes":  # always as many: another number would be another program
        filled = np.where(sound[:, None], responses, responses[np.argmax(sound)])
        every = _in_lanes(of_fits, model, design, filled, sampler) if sound.any() else []
        fits = [every[i] for i in np.flatnonzero(sound)]
    else:
        tables = [table_of(design, response) for response in responses[sound]]
        fits = _fits(of_fits, model, tables, method, sampler)
    for i, fit in zip(np.flatnonzero(sound), fits, strict=True):
        if fit is None:
            continue
        one = truths.replace(
            runs=(fit.point if isinstance(fit, Study) else fit).runs,
            draws={name: values[:, i : i + 1] for name, values in truths.draws.items()},
        )
        # A bootstrap that has no interval of the kind counts as no fit.
        with contextlib.suppress(ValueError) if isinstance(fit, Study) else contextlib.nullcontext():
            records[i] = _record(one, fit, asked, signs, rng, sampler)
    return records


def _fits(
    key: Array, model: Model, tables: list[Runs], method: str, sampler: dict[str, Any]
) -> Sequence[Fit | Study | None]:
    """A fit of each table; None where no parameters were found that can give it."""
    with parallel.workbench():
        keys = list(random.split(key, len(tables))) if tables else []
    if method in ("laplace", "bootstrap"):
        one = laplace if method == "laplace" else bootstrapped.resampled
        return [_or_none(one, own, model, table, **sampler) for own, table in zip(keys, tables, strict=True)]
    tried = Tried(**sampler)

    with parallel.workbench():
        begun = [_or_none(begin, own, model, table, tried) for own, table in zip(keys, tables, strict=True)]
    fits = tries({k: one for k, one in enumerate(begun) if one is not None}, tried, sound)
    return [fits.get(k) for k in range(len(begun))]


def _in_lanes(
    key: Array, model: Model, design: Runs, responses: np.ndarray, sampler: dict[str, Any]
) -> list[Fit | None]:
    """A fit of each table, all at once; those that did not converge are tried once more with longer chains."""
    keys = random.split(key, (2, len(responses)))
    fits = nuts_in_lanes(keys[0], model, design, responses, **sampler)
    left = [i for i, fit in enumerate(fits) if fit is not None and not sound(fit)]
    if left:
        longer = {
            "draws": 2 * sampler["draws"],
            "warmup": 2 * sampler["warmup"],
            "target": max(sampler["target"], SECOND),
        }
        padded = np.resize(left, 1 << (len(left) - 1).bit_length())  # few sizes are few programs
        for i, fit in zip(
            left,
            nuts_in_lanes(keys[1][padded], model, design, responses[padded], **sampler | longer),
            strict=False,
        ):
            fits[i] = fit
    return fits


def _or_none(function: Callable, *args, **options):
    with contextlib.suppress(ValueError):
        return function(*args, **options)
    return None


def sound(fit: Fit | Study) -> bool:
    """Whether the ranks among a hundred of its draws mean something, for which less will do than for a result."""
    if isinstance(fit, Study) or fit.method != "nuts":
        return fit.converged
    every = np.concatenate([values.reshape(-1, 3) for values in fit.diagnostics.values()])
    clean = not fit.stats["diverging"].any()
    return clean and bool(np.max(every[:, 0]) <= R_HAT) and bool(np.min(every[:, 1:]) >= RANKS)


def dtype_of(count: int) -> np.dtype:
    """The fields of a record: how the fit ended and, for each quantity, truth, rank, share below, mean and scatter."""
    numbers = [(name, "<f8", (count,)) for name in ("truth", "below", "mean", "sd")]
    return np.dtype([("state", "u1"), ("rank", "<u2", (count,)), *numbers])


def _record(
    truth: Fit,
    fit: Fit | Study,
    asked: Mapping[str, Quantity],
    signs: list[bool],
    rng,
    sampler: dict[str, Any],
) -> tuple:
    """What the draws of a fit say of each quantity of the truth."""
    of_truth, below, mean, sd = (np.full(len(asked), np.nan) for _ in range(4))
    rank = np.zeros(len(asked), np.uint16)
    for j, quantity in enumerate(asked.values()):
        # What is not defined counts as the largest: to leave out a truth for what it is would make ranks uneven.
        own = _defined(quantity(truth))[0]
        if isinstance(fit, Study):
            draws, rank[j], below[j] = bootstrapped.within(fit, quantity, own, sampler["interval"])
        else:
            draws = _defined(quantity(fit))
            some = draws[np.linspace(0, len(draws) - 1, RANKS).round().astype(int)]
            rank[j] = np.sum(some < own) + rng.integers(0, np.sum(some == own) + 1)
            below[j] = (np.sum(draws < own) + 0.5 * np.sum(draws == own)) / len(draws)
        with np.errstate(all="ignore"):
            of_truth[j] = np.log(own) if signs[j] else own
            scaled = np.log(draws) if signs[j] else draws
            mean[j], sd[j] = scaled.mean(), scaled.std()
    return (FINE if sound(fit) else UNFINISHED, rank, of_truth, below, mean, sd)


def _defined(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float).ravel()
    return np.where(np.isnan(values), np.inf, values)


def _settings(key, model, design, truth, method, sampler, names) -> dict[str, Any]:
    """All that a block depends on, as plain data."""
    here = provenance(key)
    said = {
        "study": "calibration",
        "algorithm": ALGORITHM,
        "records": TABLES[method],
        "design": design.replace(response=np.ones(len(design))).hash,
        "unit": float(np.asarray(design.unit)),
        "model": recipe.as_data(model),
        "law": recipe.source_of(model.law),
        "method": method,
        "sampler": sampler,
        "quantities": list(names),
        "truth": None,
        **{name: here[name] for name in ("versions", "key")},
        **({"place": place()} if method == "lanes" else {}),
    }
    if truth is not None:
        values = {name: np.asarray(v).ravel().tolist() for name, v in truth.draws.items()}
        said["truth"] = {"model": recipe.as_data(truth.model), "values": values}
    return said
