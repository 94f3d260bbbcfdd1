"""How many times an inference traces a law; a second fit of the same shape traces and compiles nothing."""

import contextlib
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from bayescale import models, noise
from bayescale.infer.nuts import nuts
from bayescale.infer.optimize import laplace, optimize
from bayescale.law import irrelevant
from bayescale.model import Model
from bayescale.pooling import Pooling
from bayescale.runs import Runs

POWER = models.load("power").along("N")
# Of each: the shape of the model, once plainly; mode and NUTS, each a few transformations of the density.
MOST = {"nuts": 30, "optimize": 15, "laplace": 25}
METHODS = {
    "nuts": lambda key, model, runs: nuts(key, model, runs, chains=2, draws=20, warmup=30, retry=False),
    "optimize": optimize,
    "laplace": lambda key, model, runs: laplace(key, model, runs, draws=200),
}


def simulated(seed, count=24):
    rng = np.random.default_rng(seed)
    N = 10 ** rng.uniform(7, 10, count)
    loss = 3 * (N / 1e9) ** -0.08 * np.exp(0.02 * rng.normal(size=count))
    return Runs.make({"N": N, "loss": loss, "corpus": ["a", "b", "c"] * (count // 3)}, factors=["corpus"])


def counted(law):
    """The law, and how often Python has called its mean."""
    calls = []

    def mean(x, *, A, alpha):
        calls.append(x)
        return law.mean(x, A=A, alpha=alpha)

    return law.replace(mean=mean), calls


@pytest.mark.parametrize("pooling", [(), (Pooling(("A",), by="corpus"),)], ids=["alone", "pooled"])
@pytest.mark.parametrize("method", METHODS)
def test_a_law_is_traced_a_few_times_and_not_again(method, pooling):
    law, calls = counted(POWER)
    model = Model(law, noise.log_normal, pooling, effects=())
    METHODS[method](jax.random.key(0), model, simulated(0))
    first = len(calls)
    assert 1 <= first <= MOST[method] * (1 + len(pooling))
    calls.clear()
    METHODS[method](jax.random.key(1), model, simulated(1))
    # Once to see the sites, and wherever a value is wanted that nothing repeats; none of it is compiled.
    traced = [x for x in calls if isinstance(x, jax.core.Tracer)]
    assert len(traced) <= 6, f"{first} calls at first, then {len(calls)}, of them {len(traced)} with tracers"


@contextlib.contextmanager
def compilations():
    """The names of the functions that are compiled meanwhile."""
    names = []

    def listen(event, duration, *, fun_name="", **_):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize(("key", "by"), [(jax.random.key, "corpus"), (jax.random.PRNGKey, None)])
def test_the_sampler_compiled_while_the_mode_is_sought_is_the_one_that_samples(by, key):
    """That needs the shapes of the frame to be told rightly before there is one."""
    pooling = (Pooling(("A", "alpha"), by=by),) if by else ()
    with compilations() as names:
        METHODS["nuts"](key(0), Model(POWER, noise.student_t, pooling, effects=()), simulated(0))
    assert names.count("jit(chunk)") == 1


def test_a_second_fit_compiles_nothing():
    """Nor does one of the same law, loaded anew."""
    METHODS["nuts"](jax.random.key(0), Model(POWER, noise.log_normal, effects=()), simulated(0))
    again = Model(models.load("power").along("N"), noise.log_normal, effects=())
    with compilations() as names:
        METHODS["nuts"](jax.random.key(1), again, simulated(1))
    assert not names


def test_more_chains_compile_no_sampler():
    """Each is a call of its own to the program of one."""
    model = Model(POWER, noise.log_normal, effects=())
    METHODS["nuts"](jax.random.key(0), model, simulated(0))
    with compilations() as names:
        fit = nuts(jax.random.key(0), model, simulated(0), chains=3, draws=20, warmup=30, retry=False)
    assert len(fit) == 60
    assert not {"jit(chunk)", "jit(start)"} & set(names)


def test_where_a_try_ends_early_nothing_is_compiled_for_its_length():
    """At an acceptance of 1% all of it diverges, after the first 50 draws of 200; the second try has 400."""
    model = Model(POWER, noise.log_normal, effects=())
    with compilations() as names:
        fit = nuts(jax.random.key(0), model, simulated(0), chains=2, draws=200, warmup=60, target=0.01)
        whole = names.count("jit(values)")
        assert (fit.stats["attempt"], whole) == (2, 2)
        nuts(jax.random.key(0), model, simulated(0), chains=2, draws=200, warmup=60, target=0.01, retry=False)
    assert names.count("jit(values)") == whole


def test_the_same_arguments_give_the_same_parts_of_a_model():
    assert models.load("power").along("N") is POWER
    assert models.load("power").along("D") is not POWER
    assert irrelevant(POWER, "D") is irrelevant(POWER, "D")
    assert noise.huber(0.01) is noise.load("huber", delta=0.01)
    assert noise.huber(0.01) is not noise.huber(0.02)


PROGRAM = """
import jax, numpy as np
from bayescale import models, noise
from bayescale.infer.optimize import laplace
from bayescale.model import Model
from bayescale.runs import Runs

N = 10 ** np.linspace(7, 10, 12)
runs = Runs.make({"N": N, "loss": 1.7 + 300 * N**-0.3})
model = Model(models.load("power").along("N"), noise.log_normal, effects=())
print(laplace(jax.random.key(0), model, runs, draws=50).flat("alpha").tolist())
"""


def test_two_processes_on_one_cache_and_a_cache_that_has_rotted(tmp_path):
    """Each gives the same numbers; JAX warns of what it cannot read, and compiles it again."""
    program = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    env = {**os.environ, "BAYESCALE_CACHE": str(tmp_path)}
    both = [subprocess.Popen(program, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (one.communicate(timeout=300)[0] for one in both)
    assert first == second
    assert len(first) > 500
    kept = [file for file in tmp_path.rglob("*-cache") if file.is_file()]
    assert len(kept) > 5
    for number, file in enumerate(kept):
        file.write_bytes(file.read_bytes()[: 100 if number % 2 else 0] + b"rotten")
    again = subprocess.run(program, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    assert again.stdout == first
