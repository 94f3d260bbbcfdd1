"""Tempered sequential Monte Carlo: the evidence from particles that go from the prior to the posterior in steps.

It sees modes that a sampler begun at one of them does not, and on the other hand its error is hard to tell from
one run: so there are several, and the error is how they scatter.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from scipy.special import logsumexp

from bayescale.infer.bridge import Estimate
from bayescale.infer.density import Density
from bayescale.runs import Runs

REPEATS = 4  # runs, whose scatter is the error
PARTICLES = 1000  # of each run
MOVES = 4  # of each particle at each temperature
LEAPS = 10  # gradients for each move at most; one number for all could lead around in circles
KEPT = 0.6  # the effective share of the particles that a step of the temperature leaves
ACCEPTED = 0.8  # the share of moves aimed at
STEPS = 400  # until a run is given up


def tempered(key: Array, density: Density, runs: Runs) -> Estimate:
    """The log evidence by adaptive tempering, with BlackJAX.

    The mass matrix is the covariance of the particles and the step size follows the acceptance, at each temperature:
    without that it can be wrong by tens of nats and not know it.

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
        from blackjax.smc.adaptive_tempered import init
    except ImportError:
        raise ImportError("sequential Monte Carlo needs BlackJAX: pip install 'bayescale[smc]'") from None
    key_particles, key_raw, key = random.split(key, 3)
    particles = density.prior_draws(key_particles, REPEATS * PARTICLES)
    raw = density.indices("_raw")
    particles = particles.at[:, raw].set(random.normal(key_raw, (len(particles), len(raw))))
    states = jax.vmap(init)(particles.reshape(REPEATS, PARTICLES, density.size))
    step_size, total = jnp.full(REPEATS, density.size**-0.25), np.zeros(REPEATS)
    for number in range(STEPS):
        keys = random.split(random.fold_in(key, number), REPEATS)
        states, step_size, increment = _step(density, keys, states, step_size, runs)
        total += np.asarray(increment)
        if np.all(np.asarray(states.tempering_param) >= 1):
            break
    else:
        raise ValueError(f"{runs.source}: {STEPS} temperatures do not lead from the prior to the posterior")
    value = float(logsumexp(total) - np.log(REPEATS))
    return Estimate(value, float(np.std(total, ddof=1) / np.sqrt(REPEATS)), float(REPEATS))


@partial(jax.jit, static_argnums=0)
def _step(density: Density, keys: Array, states, step_size: Array, runs: Runs):
    """One temperature further in each of the runs."""
    from blackjax.mcmc import hmc
    from blackjax.smc import resampling
    from blackjax.smc.adaptive_tempered import build_kernel

    def log_likelihood(vector):
        found = density.log_likelihood(vector, runs)
        return jnp.where(jnp.isnan(found), -jnp.inf, found)

    kernel = build_kernel(
        density.log_prior, log_likelihood, hmc.build_kernel(), hmc.init, resampling.systematic, KEPT
    )

    def one(key, state, size):
        key, key_leaps = random.split(key)
        covariance = jnp.cov(state.particles.T, aweights=state.weights).reshape(density.size, density.size)
        parameters = {
            "step_size": size[None],
            "inverse_mass_matrix": covariance[None],
            "num_integration_steps": random.randint(key_leaps, (PARTICLES,), 1, LEAPS + 1),
        }
        state, info = kernel(key, state, MOVES, parameters)
        accepted = jnp.mean(info.update_info.acceptance_rate)
        return state, size * jnp.exp(accepted - ACCEPTED), info.log_likelihood_increment

    return jax.vmap(one)(keys, states, step_size)
