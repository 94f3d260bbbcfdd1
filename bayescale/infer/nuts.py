"""Posterior draws with NUTS, from the mode and the curvature there."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax, random
from numpyro.infer.hmc import hmc

from bayescale import diagnostics, parallel
from bayescale.fit import Fit
from bayescale.infer.density import Density
from bayescale.infer.frame import Frame, frame, shapes
from bayescale.infer.mode import find
from bayescale.model import Model
from bayescale.provenance import provenance
from bayescale.runs import Runs

CHUNK = 50  # iterations between two reports of progress: one compiled loop serves warm-up and sampling
DENSE = 40  # up to here the whole covariance is adapted; a short warm-up says too little of a larger one
RETRY = 0.995  # the target acceptance of the second try, of twice as many iterations


class Progress(NamedTuple):
    """How far the sampler has come; every chain is at the same iteration."""

    chains: int
    iteration: int
    total: int
    warmup: int
    divergences: int
    seconds_left: float


Report = Callable[[Progress], None]


def nuts(
    key: Array,
    model: Model,
    runs: Runs,
    *,
    chains: int = 4,
    draws: int = 1000,
    warmup: int = 500,
    target: float = 0.95,
    depth: int = 10,
    retry: bool = True,
    report: Report | None = None,
) -> Fit:
    """Draws from the posterior of a model of runs, with NumPyro's NUTS.

    The chains start from the normal approximation at the mode, whose covariance is the first mass matrix, so that
    a short warm-up is enough. If a divergence, an R-hat above 1.01 or an effective sample size under 400 remains,
    everything is done once more with a higher target acceptance and twice the iterations; if it remains then,
    the fit says so wherever it appears. A try that diverged and is not the last is not drawn to its end.

    Args:
        key: the random key.
        model: the model; effects left open are chosen from the table.
        runs: the table.
        chains: how many chains, side by side on the cores of the processor.
        draws: draws kept of each chain.
        warmup: iterations of each chain before those, in which step size and mass matrix adapt.
        target: the acceptance probability aimed at.
        depth: the greatest depth of the tree of a draw: at most 2^depth - 1 gradients.
        retry: whether to try again where the fit has not converged.
        report: called with the progress after every 50 iterations.

    Raises:
        ValueError: the model does not suit the table, or its density is nowhere finite.

    Source:
        Hoffman and Gelman 2014, arXiv:1111.4246, in the variant of NumPyro.
    """
    tried = Tried(chains, draws, warmup, target, depth)
    with parallel.workbench():
        begun = begin(key, model, runs, tried)
        cores = parallel.cores()
        fit = attempt(begun, tried, report, hasty=retry, cores=cores)
        return again(begun, tried, fit, report, cores=cores) if retry and not fit.converged else fit


class Tried(NamedTuple):
    """How a sampler is run; see `nuts`."""

    chains: int = 4
    draws: int = 1000
    warmup: int = 500
    target: float = 0.95
    depth: int = 10

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: a number is too small, or the target is no probability.
        """
        if min(self.chains, self.draws, self.warmup) < 1:
            raise ValueError(
                f"{self.chains} chains, {self.draws} draws and {self.warmup} warm-up iterations: each is 1 or more"
            )
        if not 0 < self.target < 1:
            raise ValueError(f"the target acceptance is {self.target}; it is between 0 and 1, such as 0.9")


class Begun(NamedTuple):
    """What is known of a posterior before it is sampled.

    Attributes:
        model: the model, with its effects chosen.
        runs: the table.
        density: its density.
        coordinates: those that are sampled in.
        keys: of the user, and of both tries.
        stats: what there is to say of the mode.
    """

    model: Model
    runs: Runs
    density: Density
    coordinates: Frame
    keys: tuple[Array, ...]
    stats: dict


def begin(key: Array, model: Model, runs: Runs, tried: Tried) -> Begun:
    """The mode of a posterior, and the frame there; the sampler is compiled meanwhile."""
    tried.check()
    began = time.perf_counter()
    model = model.specialise(runs)
    key = jax.device_put(key, jax.devices("cpu")[0])  # of wherever it is, for what is compiled here runs here
    key_mode, *keys = random.split(key, 3)
    density = Density.of(model, runs)
    with ThreadPoolExecutor() as aside:
        for stage in _staged(keys[0], density, runs, tried):
            aside.submit(stage.compile)
        mode = find(density, runs, key_mode)
        seconds = time.perf_counter() - began
    stats = {name: mode.stats[name] for name in ("mode_agreed", "mode_starts", "rival")}
    stats["seconds_mode"] = seconds
    return Begun(model, runs, density, frame(density, mode, runs), (key, *keys), stats)


def attempt(
    begun: Begun,
    tried: Tried,
    report: Report | None,
    number: int = 1,
    discarded: int = 0,
    *,
    hasty: bool,
    cores: int = 1,
) -> Fit:
    """One try, whose chains share some cores; what one try has traced, those of tables alike need not.

    One that is `hasty` ends at a divergence: there is another, and what diverges often takes longest.
    """
    found, stats = _sample(begun, begun.keys[number], tried, report, hasty, cores)
    stats |= {"target": tried.target, "attempt": number, "chains": tried.chains, "depth": tried.depth}
    stats |= {"discarded_gradients": discarded, **begun.stats}
    return Fit(begun.model, begun.runs, found, "nuts", stats | provenance(begun.keys[0]))


def again(begun: Begun, tried: Tried, first: Fit, report: Report | None, *, cores: int = 1) -> Fit:
    """The second try, with twice the iterations."""
    longer = tried._replace(draws=2 * tried.draws, warmup=2 * tried.warmup, target=max(tried.target, RETRY))
    discarded = first.stats["gradients"] + first.stats["warmup_gradients"]
    return attempt(begun, longer, report, 2, discarded, hasty=False, cores=cores)


def _sample(
    begun: Begun, key: Array, tried: Tried, report: Report | None, hasty: bool, cores: int
) -> tuple[dict[str, np.ndarray], dict]:
    """Draws, site -> (chains, draws, ...), and what the sampler says of them."""
    density, chains, warmup = begun.density, tried.chains, tried.warmup
    *_, values = _compiled(density, warmup, tried.target, tried.depth)
    chunk, start = (stage.compile() for stage in _staged(key, density, begun.runs, tried))
    key_start, key_chains = random.split(key)
    vectors, keys = random.normal(key_start, (chains, density.size)), random.split(key_chains, chains)
    # In double precision here, for threads know nothing of the workbench.
    data = jax.device_put((begun.runs, begun.coordinates))
    states = [start(vectors[i : i + 1], keys[i : i + 1], *data) for i in range(chains)]

    def go_on(state):
        state, moved = chunk(state, *data)
        return state, jax.device_get(moved)

    total = warmup + tried.draws
    kept, divergences = [], 0
    began = time.perf_counter()
    seconds_warmup = 0.0
    with ThreadPoolExecutor(cores) as side_by_side:
        for done in range(0, total, CHUNK):
            states, moved = zip(*side_by_side.map(go_on, states), strict=True)
            kept.append(jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *moved))
            end = done + CHUNK
            seconds = time.perf_counter() - began
            if done < warmup:
                seconds_warmup = seconds
            divergences += int(kept[-1].diverging[max(0, warmup - done) : total - done].sum())
            if report is not None:
                left = seconds / end * max(total - end, 0)
                report(Progress(chains, min(end, total), total, warmup, divergences, left))
            if hasty and divergences and end >= warmup + CHUNK:  # fewer draws may be too few for diagnostics
                break
    moves = jax.tree.map(lambda *parts: np.concatenate(parts).swapaxes(0, 1), *kept)
    sampled = jax.tree.map(lambda a: a[:, warmup:total], moves)
    # Of one shape wherever it ended: each shape is compiled.
    made = sampled.position.shape[1]
    positions = np.zeros((chains, tried.draws, density.size))
    positions[:, :made] = sampled.position
    found = jax.device_get(values(jnp.asarray(positions), *data))
    stats = {
        "diverging": sampled.diverging,
        "num_steps": sampled.num_steps,
        "accept_prob": sampled.accept_prob,
        "energy": sampled.energy,
        "tree_depth": np.ceil(np.log2(sampled.num_steps + 1)).astype(np.int32),
        "e_bfmi": diagnostics.e_bfmi(sampled.energy).tolist(),
        "gradients": int(sampled.num_steps.sum()),
        "warmup_gradients": int(moves.num_steps[:, :warmup].sum()),
        "warmup": warmup,
        "seconds_warmup": seconds_warmup,
        "seconds_sampling": time.perf_counter() - began - seconds_warmup,
    }
    return {name: np.asarray(value)[:, :made] for name, value in found.items()}, stats


def _staged(key: Array, density: Density, runs: Runs, tried: Tried) -> list[jax.stages.Lowered]:
    """What `_sample` calls, traced and not yet compiled; that needs the shapes of the frame only.

    Each is of one chain: in a program of several each would wait for the largest tree of them all.
    """
    start, chunk, _ = _compiled(density, tried.warmup, tried.target, tried.depth)
    data = (runs, shapes(density, runs))
    vectors, keys = jax.eval_shape(lambda: (jnp.zeros((1, density.size)), random.split(key, 1)))
    begun = start.trace(vectors, keys, *data)
    return [chunk.lower(begun.out_info, *data), begun.lower()]


class _Move(NamedTuple):
    """What is kept of an iteration of chains."""

    position: Array
    diverging: Array
    num_steps: Array
    accept_prob: Array
    energy: Array


@lru_cache(maxsize=32)
def _compiled(density: Density, warmup: int, target: float, depth: int):
    """The compiled start of chains, a chunk of their iterations, and the values of the sites at their draws."""

    def potential(runs, coordinates):
        def energy(vector):
            at = coordinates.position + coordinates.root @ vector
            return -density.log_posterior(at, runs, coordinates.chart)

        return energy

    init, step = hmc(potential_fn_gen=potential, algo="NUTS")

    @jax.jit
    def start(vectors, keys, *data):
        def one(vector, key):
            return init(
                vector,
                num_warmup=warmup,
                target_accept_prob=target,
                dense_mass=density.size <= DENSE,
                max_tree_depth=depth,
                model_args=data,
                rng_key=key,
            )

        return jax.vmap(one)(vectors, keys)

    @jax.jit
    def chunk(states, *data):
        def move(states, _):
            states = jax.vmap(lambda state: step(state, data))(states)
            return states, _Move(
                states.z, states.diverging, states.num_steps, states.accept_prob, states.energy
            )

        return lax.scan(move, states, length=CHUNK)

    @jax.jit
    def values(vectors, runs, coordinates):
        def one(vector):
            at = coordinates.position + coordinates.root @ vector
            return density.values(at, runs, coordinates.chart)

        return jax.vmap(jax.vmap(one))(vectors)

    return start, chunk, values
