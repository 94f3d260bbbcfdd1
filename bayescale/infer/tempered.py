"""Tempered sequential Monte Carlo: the evidence from particles that go from the prior to the posterior in steps.

It sees modes that a sampler begun at one of them does not, and on the other hand its error is hard to tell from
one run: so there are several, and the error is how they scatter. What all of them are tuned by is one run more, which
does not count: with tuning of their own each would be biased, by .2 nat in 20 dimensions.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from scipy import stats
from scipy.special import logsumexp

from bayescale.infer.bridge import Estimate
from bayescale.infer.density import Density
from bayescale.runs import Runs

REPEATS = 10  # runs, whose scatter is the error, beside the one that tunes them
PARTICLES = 400  # of each run
MOVES = 10  # of each particle at each temperature; with 4 the runs scatter twice as widely
LEAPS = 10  # gradients for each move at most; one number for all could lead around in circles
KEPT = 0.6  # the effective share of the particles that a step of the temperature leaves
ACCEPTED = 0.8  # the share of moves aimed at
ROUNDING = 1e-12  # of the last temperature
STEPS = 400  # until a run is given up
# The scatter of few runs is itself uncertain; 3 of these errors hold as often as 3 of a number whose error is known.
WIDER = float(stats.t.isf(stats.norm.sf(3), REPEATS - 1)) / 3


def tempered(key: Array, density: Density, runs: Runs) -> Estimate:
    """The log evidence by adaptive tempering, with BlackJAX.

    Temperatures are as far apart as leaves enough effective particles, the mass matrix is the covariance of the
    particles and the step size follows the acceptance, each at every temperature and of the first run: without that
    the evidence can be wrong by tens of nats and not know it.

    Args:
        key: the random key.
        density: of the model.
        runs: the table.

    Raises:
        ImportError: BlackJAX is not there.
        ValueError: a run does not reach the posterior.

    Source:
        Del Moral, Doucet and Jasra 2006, doi:10.1111/j.1467-9868.2006.00553.x; Buchholz, Chopin and Jacob 2021,
        doi:10.1214/20-BA1222, for the tuning.
    """
    try:
        from blackjax.smc.tempered import init
    except ImportError:
        raise ImportError("sequential Monte Carlo needs BlackJAX: pip install 'bayescale[smc]'") from None
    key_particles, key_raw, key = random.split(key, 3)
    lanes = 1 + REPEATS
    particles = density.prior_draws(key_particles, lanes * PARTICLES)
    raw = density.indices("_raw")
    particles = particles.at[:, raw].set(random.normal(key_raw, (len(particles), len(raw))))
    states = jax.vmap(init)(particles.reshape(lanes, PARTICLES, density.size))
    step_size, totals = jnp.asarray(density.size**-0.25), np.zeros(lanes)
    for number in range(STEPS):
        keys = random.split(random.fold_in(key, number), lanes)
        states, step_size, increments = _step(density, keys, states, step_size, runs)
        totals += np.asarray(increments)
        if states.tempering_param[0] > 1 - ROUNDING:
            break
    else:
        raise ValueError(f"{runs.source}: {STEPS} temperatures do not lead from the prior to the posterior")
    total = totals[1:]
    value = float(logsumexp(total) - np.log(REPEATS))
    error = WIDER * np.std(total, ddof=1) / np.sqrt(REPEATS)
    return Estimate(value, float(error), float(REPEATS))


@partial(jax.jit, static_argnums=0)
def _step(density: Density, keys: Array, states, step_size: Array, runs: Runs):
    """One temperature further in each of the runs."""
    from blackjax.mcmc import hmc
    from blackjax.smc import resampling
    from blackjax.smc.ess import ess_solver
    from blackjax.smc.solver import dichotomy
    from blackjax.smc.tempered import build_kernel

    def log_likelihood(vector):
        found = density.log_likelihood(vector, runs)
        return jnp.where(jnp.isnan(found), -jnp.inf, found)

    kernel = build_kernel(
        density.log_prior, log_likelihood, hmc.build_kernel(), hmc.init, resampling.systematic
    )
    first = jax.tree.map(lambda leaf: leaf[0], states)
    left = 1 - first.tempering_param
    further = ess_solver(jax.vmap(log_likelihood), first.particles, KEPT, left, dichotomy)
    temper = first.tempering_param + jnp.clip(further, 0, left)
    covariance = jnp.cov(first.particles.T, aweights=first.weights).reshape(density.size, density.size)

    def one(key, state):
        key, key_leaps = random.split(key)
        parameters = {
            "step_size": step_size[None],
            "inverse_mass_matrix": covariance[None],
            "num_integration_steps": random.randint(key_leaps, (PARTICLES,), 1, LEAPS + 1),
        }
        state, info = kernel(key, state, MOVES, temper, parameters)
        return state, jnp.mean(info.update_info.acceptance_rate), info.log_likelihood_increment

    states, accepted, increments = jax.vmap(one)(keys, states)
    return states, step_size * jnp.exp(accepted[0] - ACCEPTED), increments
