"""A block of a calibration: tables that are simulated, a fit of each, and what it says of the truth."""

import contextlib
import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from bayescale import parallel
from bayescale.check import bootstrapped
from bayescale.check.calibrated import FINE, LIKELIHOOD, RANKS, REFUSED, UNFINISHED
from bayescale.fit import Fit
from bayescale.infer.many import nuts_in_lanes, tries
from bayescale.infer.nuts import Tried, begin
from bayescale.infer.optimize import laplace
from bayescale.infer.parcel import Packed, packed, unpacked
from bayescale.infer.pointwise import log_likelihood
from bayescale.infer.simulated import METHOD, STATS, from_priors, from_truth, table_of
from bayescale.infer.study import Study
from bayescale.model import Model
from bayescale.runs import Runs

# Of a block, which is what is lost when a study is interrupted.
TABLES = {"nuts": 16, "lanes": 1024, "laplace": 16, "bootstrap": 16}
SECOND = 0.95  # the target acceptance of a second try in lanes
R_HAT = 1.05  # above, four chains are not of one posterior; results are asked for more, see `bayescale.fit`
ENOUGH = 200  # draws of the priors, by which quantities are told that are always positive
Quantity = Callable[[Fit], np.ndarray]
# NumPyro must not trace in two threads of a worker; a block has threads of its own.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, eq=False)
class Trial:
    """All that a block depends on. Called with the numbers of blocks, it gives them.

    Args:
        key: the random key.
        model: the model that is fitted, with its effects chosen.
        design: the runs; their responses do not matter.
        truth: the parameters behind all tables; drawn from the priors if None.
        method: how tables are fitted, one of `TABLES`.
        sampler: its settings.
        quantities: what is asked of each fit besides what `asked` has.
    """

    key: Array
    model: Model
    design: Runs
    truth: Fit | None
    method: str
    sampler: dict[str, Any]
    quantities: Mapping[str, Quantity]

    def __call__(self, numbers: tuple[int, ...]) -> list[np.ndarray]:
        """The records of the replicates in these blocks, each (tables,)."""
        return [_block(self, number) for number in numbers]

    @cached_property
    def asked(self) -> dict[str, Quantity]:
        """What is asked of each fit; of parameters, where the truth has the same."""
        model, design, truth = self.model, self.design, self.truth
        found: dict[str, Quantity] = {}
        if truth is None or truth.model.law.mean is model.law.mean:
            found |= {p: (lambda fit, p=p: fit.centre()[p]) for p in model.law.parameters}
        if truth is None:
            found |= {p: (lambda fit, p=p: fit.flat(p)) for p in model.noise.parameters}
        # A bootstrap has levels as they are, and no likelihood of its own.
        if truth is None and self.method != "bootstrap":
            for by, names in model.factors.items():
                for name in names:
                    found[f"{name}_scale"] = lambda fit, name=name: fit.flat(f"{name}_scale")
                    found[f"{name} {design.levels[by][0]}"] = lambda fit, name=name: fit.flat(name)[:, 0]
            found[LIKELIHOOD] = lambda fit: log_likelihood(fit).sum(axis=1)
        return found | dict(self.quantities)

    @cached_property
    def signs(self) -> list[bool]:
        """Which quantities are looked at by their logarithm: those that are positive at every draw of the priors."""
        truth = self.truth
        if truth is None:
            with parallel.workbench():
                keys = random.split(random.fold_in(self.key, 2**31), ENOUGH)
            truth, _ = from_priors(keys, self.model, self.design)
        with np.errstate(all="ignore"):
            return [
                name != LIKELIHOOD and bool(np.all(np.asarray(f(truth)) > 0))
                for name, f in self.asked.items()
            ]


class Sent:
    """A trial that can be sent. Called with the numbers of blocks it gives them, wherever it is.

    Functions that are asked of fits go by name, so workers need the modules that they are of.

    Raises:
        ValueError: a law is in no file, a prior or a noise cannot be named, or a quantity is a function of no module.
    """

    def __init__(self, trial: Trial, begun: dict[str, Any]):
        key = np.asarray(random.key_data(trial.key))
        if key.shape != (2,):
            raise ValueError(
                "workers take random keys of jax.random.key(seed) as it comes; other kinds are not told apart"
            )
        said = {"method": trial.method, "sampler": trial.sampler, "asked": list(trial.asked)}
        self.model = packed(trial.model, trial.design, begun, {"key": key}, **said)
        self.truth = None
        if (truth := trial.truth) is not None:
            self.truth = packed(truth.model, truth.runs, begun, dict(truth.draws))
        for name, quantity in trial.quantities.items():
            try:
                pickle.dumps(quantity)
            except Exception as error:
                raise ValueError(
                    f"workers cannot have the quantity {name!r}, which is no function of a module ({error}); define it "
                    "in one, or do without workers"
                ) from error
        self.quantities = pickle.dumps(dict(trial.quantities))

    def __call__(self, numbers: tuple[int, ...]) -> list[np.ndarray]:
        """The records of the replicates in these blocks, each (tables,)."""
        with _ONE_AT_A_TIME:
            return _opened(self.model, self.truth, self.quantities)(numbers)


@lru_cache(maxsize=4)
def _opened(model: Packed, truth: Packed | None, quantities: bytes) -> Trial:
    """The trial that was sent; the same object each time."""
    fitted, design, own, said = unpacked(model)
    key = random.wrap_key_data(jnp.asarray(own["key"]), impl="threefry2x32")
    behind = None
    if truth is not None:
        other = unpacked(truth)
        behind = Fit(other.model, other.runs, other.arrays, METHOD, STATS)
    try:
        named = pickle.loads(quantities)
    except (AttributeError, ImportError) as error:
        raise ValueError(f"a worker does not have a function that is asked of fits: {error}") from error
    trial = Trial(key, fitted, design, behind, said["method"], said["sampler"], named)
    if list(trial.asked) != said["asked"]:
        raise ValueError(
            f"a worker would ask of fits {', '.join(trial.asked)}, not {', '.join(said['asked'])}"
        )
    return trial


def _block(trial: Trial, number: int) -> np.ndarray:
    """The records of some replicates: truth, and what the posterior says of it."""
    key, model, design, method, sampler = trial.key, trial.model, trial.design, trial.method, trial.sampler
    with parallel.workbench():
        places = np.arange(TABLES[method]) + number * TABLES[method]
        keys = jax.vmap(lambda place: random.fold_in(key, place))(jnp.asarray(places, jnp.uint32))
        of_fits = random.fold_in(random.fold_in(key, 2**32 - 1), number)
    truths, responses = (
        from_priors(keys, model, design) if trial.truth is None else from_truth(keys, trial.truth)
    )
    records = np.zeros(len(places), dtype_of(len(trial.asked)))
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
            records[i] = _record(one, fit, trial, rng)
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


def _record(truth: Fit, fit: Fit | Study, trial: Trial, rng: np.random.Generator) -> tuple:
    """What the draws of a fit say of each quantity of the truth."""
    of_truth, below, mean, sd = (np.full(len(trial.asked), np.nan) for _ in range(4))
    rank = np.zeros(len(trial.asked), np.uint16)
    for j, quantity in enumerate(trial.asked.values()):
        # What is not defined counts as the largest: to leave out a truth for what it is would make ranks uneven.
        own = _defined(quantity(truth))[0]
        if isinstance(fit, Study):
            draws, rank[j], below[j] = bootstrapped.within(fit, quantity, own, trial.sampler["interval"])
        else:
            draws = _defined(quantity(fit))
            some = draws[np.linspace(0, len(draws) - 1, RANKS).round().astype(int)]
            rank[j] = np.sum(some < own) + rng.integers(0, np.sum(some == own) + 1)
            below[j] = (np.sum(draws < own) + 0.5 * np.sum(draws == own)) / len(draws)
        with np.errstate(all="ignore"):
            of_truth[j] = np.log(own) if trial.signs[j] else own
            scaled = np.log(draws) if trial.signs[j] else draws
            mean[j], sd[j] = scaled.mean(), scaled.std()
    return (FINE if sound(fit) else UNFINISHED, rank, of_truth, below, mean, sd)


def _defined(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float).ravel()
    return np.where(np.isnan(values), np.inf, values)
