"""Noise: how responses scatter about the law."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import jax.numpy as jnp
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike
from numpyro.distributions import Distribution
from numpyro.distributions.transforms import ExpTransform

from bayescale.counts import BetaBinomial, Binomial
from bayescale.densities import ClippedNormal, HuberDistribution
from bayescale.logit_normal import BinomialLogitNormal
from bayescale.runs import Runs
from bayescale.scales import along, edges_of, slope_of, steps_of


@dataclass(frozen=True, eq=False)
class Noise:
    """How responses scatter about their mean.

    Args:
        name: what it is called.
        likelihood: `likelihood(mean, runs, *, sigma, ...)`, the distribution of the responses, (runs,), in natural
            units. What comes after the `*` are parameters.
        priors: the prior of each parameter.
        response: "loss" or "success".
        settings: the parameters of the likelihood that are given and not fitted, such as Huber's delta.
        scaled_by: what the logarithm of the scale is linear in; see `scaled`.
        stepped_by: what the scale has steps along, and where they are, which a table says; see `stepped`.
        residuals: the scale on which residuals add: "log", "linear", or None where there are none.
        separable: whether log density = -loss(response, mean) / sigma^2 - c(sigma), so that sigma has no say in
            what mean fits best.
        counts: whether responses have to be whole numbers.
    """

    name: str
    likelihood: Callable[..., Distribution]
    priors: Mapping[str, Distribution]
    response: str = "loss"
    settings: Mapping[str, float] = field(default_factory=dict)
    scaled_by: tuple[str, ...] = ()
    stepped_by: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    residuals: str | None = "log"
    separable: bool = False
    counts: bool = False

    def __post_init__(self):
        for name in ("priors", "settings", "stepped_by"):
            object.__setattr__(self, name, dict(getattr(self, name)))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the likelihood, then the slopes and steps of its scale."""
        slopes = (slope_of(ratio) for ratio in self.scaled_by)
        return (
            *self._own,
            *slopes,
            *(step for ratio in self.stepped_by for step in steps_of(ratio).values()),
        )

    @property
    def depends_on(self) -> tuple[str, ...]:
        """The covariates and ratios that the scale goes with."""
        return (*self.scaled_by, *self.stepped_by)

    @property
    def covariates(self) -> tuple[str, ...]:
        """The columns of `Runs` that the scale depends on."""
        return tuple(dict.fromkeys(c for ratio in self.depends_on for c in ratio.split("/")))

    @property
    def _own(self) -> tuple[str, ...]:
        signature = inspect.signature(self.likelihood).parameters
        named = (n for n, p in signature.items() if p.kind is inspect.Parameter.KEYWORD_ONLY)
        return tuple(n for n in named if n not in self.settings)

    def replace(self, **changes) -> "Noise":
        """The noise with some of its fields changed; new `priors` are laid over those there are."""
        if "priors" in changes:
            changes["priors"] = {**self.priors, **changes["priors"]}
        return replace(self, **changes)

    def scaled(self, by: str) -> "Noise":
        """The noise with ln sigma linear in the logarithm of a covariate, or of a ratio such as "D/N".

        The covariate is measured from the reference run, and the slope is Normal(0, 0.3): a tenfold change of
        the covariate changes the scale by a factor of up to 3, at 90%. On the Chinchilla points the scatter is 2.6
        times larger in the lowest fifth of tokens for each parameter than in the others.

        Raises:
            ValueError: the noise has no scale, or it depends on that covariate already.
        """
        self._check(by)
        return replace(
            self,
            scaled_by=(*self.scaled_by, by),
            priors={**self.priors, slope_of(by): dist.Normal(0.0, 0.3)},
            separable=False,
        )

    def stepped(self, by: str) -> "Noise":
        """The noise with a scale of its own in each fifth of the runs along a covariate, or a ratio such as "D/N".

        Sigma is that of the third; the logarithm of how many times as wide the noise is in each of the others is
        Normal(0, 0.7), up to 3 times or a third at 90%. Beyond the runs it is as in the fifth next to them.

        Raises:
            ValueError: the noise has no scale, or it depends on that covariate already.
        """
        self._check(by)
        return replace(
            self,
            stepped_by={**self.stepped_by, by: ()},
            priors={**self.priors, **dict.fromkeys(steps_of(by).values(), dist.Normal(0.0, 0.7))},
            separable=False,
        )

    def _check(self, by: str) -> None:
        if "sigma" not in self._own:
            raise ValueError(f"{self.name} noise has no scale that could depend on {by}")
        if by in self.depends_on or by.count("/") > 1 or not all(by.split("/")):
            raise ValueError(
                f"the scale cannot depend on {by!r}: give each covariate, or ratio such as D/N, once"
            )

    def settled(self, runs: Runs) -> "Noise":
        """The noise with its steps where a table has its fifths; those that are settled stay.

        Raises:
            ValueError: values repeat so often that a fifth of the runs would be empty.
        """
        if all(self.stepped_by.values()):
            return self
        found = {by: edges or edges_of(runs, by) for by, edges in self.stepped_by.items()}
        return _with_steps(self, tuple(found.items()))

    def opened(self) -> "Noise":
        """The noise with its settings as parameters, which a refit holds: one function is compiled for all of them."""
        priors = {name: dist.LogNormal(math.log(value), 1.0) for name, value in self.settings.items()}
        return replace(self, settings={}, priors={**self.priors, **priors})

    def __call__(self, mean: Array, runs: Runs, parameters: Mapping[str, ArrayLike]) -> Distribution:
        """The distribution of the responses, (runs,), about `mean`, (runs,)."""
        own = {p: parameters[p] for p in self._own}
        if self.depends_on:
            own["sigma"] = own["sigma"] * self.widening(runs, parameters)
        return self.likelihood(mean, runs, **own, **self.settings)

    def widening(self, runs: Runs, parameters: Mapping[str, ArrayLike]) -> Array:
        """How many times as wide the noise of each run is as sigma says, (runs,) or a number.

        Sigma is that of the reference run along what the scale is linear in, and of the third fifth along its steps.
        """
        wider = jnp.ones(())
        for ratio in self.scaled_by:
            wider = wider * along(runs, ratio, relative=True) ** parameters[slope_of(ratio)]
        for ratio, edges in self.stepped_by.items():
            if not edges:
                raise ValueError(
                    f"where the steps along {ratio} are is for a table to say: specialise the model"
                )
            fifth = jnp.searchsorted(jnp.asarray(edges), along(runs, ratio))
            here = (jnp.where(fifth == k, parameters[step], 0.0) for k, step in steps_of(ratio).items())
            wider = wider * jnp.exp(sum(here))
        return wider


@lru_cache  # the same object for the same edges, for which nothing is compiled anew
def _with_steps(scatter: Noise, edges: tuple[tuple[str, tuple[float, ...]], ...]) -> Noise:
    return replace(scatter, stepped_by=dict(edges))


def _of_log(distribution: Distribution) -> Distribution:
    """The distribution of a loss whose logarithm has the given one."""
    return dist.TransformedDistribution(distribution, ExpTransform())


def _log_normal(mean, runs, *, sigma):
    return dist.LogNormal(jnp.log(mean), sigma)


def _student_t(mean, runs, *, sigma, nu):
    return _of_log(dist.StudentT(nu, jnp.log(mean), sigma))


def _huber(mean, runs, *, sigma, delta):
    return _of_log(HuberDistribution(jnp.log(mean), sigma, delta))


def _gaussian(mean, runs, *, sigma):
    return dist.Normal(mean, sigma * runs.unit)


def _tries(runs: Runs) -> Array:
    """The trials as whole numbers, which are all that NumPyro draws binomial numbers of."""
    return jnp.asarray(runs.columns["trials"]).astype(int)


def unsure(mean):
    """Success that is neither 0 nor 1: a curve that has run to its end has no logit, and nothing can contradict it."""
    kind = jnp.finfo(jnp.result_type(mean, 1.0))
    return jnp.clip(mean, float(kind.tiny) ** 0.9, 1 - kind.eps)  # over which any count is still finite


def _binomial(mean, runs):
    return Binomial(unsure(mean), _tries(runs))


def _beta_binomial(mean, runs, *, concentration):
    mean = unsure(mean)
    return BetaBinomial(mean * concentration, (1 - mean) * concentration, _tries(runs))


def _logit_normal(mean, runs, *, scatter):
    return BinomialLogitNormal(unsure(mean), scatter, _tries(runs))


def _average(mean, runs, *, sigma):
    # An average over the items of a test, of which the items are one part of the scatter and the rest is shared.
    trials = jnp.asarray(runs.columns["trials"])
    return ClippedNormal(mean * trials, trials * jnp.sqrt(mean * (1 - mean) / trials + sigma**2), trials)


# The scatter of log loss between runs: seeds give .001 to .04, and the Chinchilla points .004.
_SIGMA = dist.LogNormal(math.log(0.01), 1.0)  # 90% between 0.002 and 0.052

log_normal = Noise("log_normal", _log_normal, {"sigma": _SIGMA}, separable=True)
student_t = Noise(
    "student_t",
    _student_t,
    {"sigma": _SIGMA, "nu": dist.Gamma(2.0, 0.1)},  # nu: 90% between 3.6 and 47; 2.9 on the Chinchilla points
)
gaussian = Noise(
    "gaussian", _gaussian, {"sigma": _SIGMA}, residuals="linear", separable=True
)  # relative to the least loss
binomial = Noise("binomial", _binomial, {}, response="success", residuals=None, counts=True)
beta_binomial = Noise(
    "beta_binomial",
    _beta_binomial,
    {"concentration": dist.LogNormal(math.log(50.0), 1.5)},  # 90% between 4 and 590 trials' worth
    response="success",
    residuals=None,
    counts=True,
)
# Items differ from model to model by more than their curves say: 0.6 logits on GSM8K, 1.1 on the tasks of METR.
logit_normal = Noise(
    "logit_normal",
    _logit_normal,
    {"scatter": dist.LogNormal(math.log(0.5), 0.8)},  # 90% between 0.13 and 1.9 logits
    response="success",
    residuals=None,
    counts=True,
)
# The scatter of suites about curves is 0.4 to 1.4 points, of single tasks up to 3.
average = Noise(
    "average",
    _average,
    {"sigma": dist.LogNormal(math.log(0.015), 1.0)},  # 90% between 0.3 and 7.8 points
    response="success",
    residuals=None,
)


def huber(delta: float = 1e-3) -> Noise:
    """Huber's density on the log loss: normal within `delta`, exponential tails beyond.

    Its maximum-likelihood estimate is the Huber estimate of Hoffmann et al. 2022, who took delta = 1e-3. It is the same
    object each time, for which nothing is compiled anew.
    """
    if not 0 < delta < math.inf:
        raise ValueError(f"Huber's delta is {delta}; it is positive and finite, on the scale of the log loss")
    return _huber_of(float(delta))


@lru_cache
def _huber_of(delta: float) -> Noise:
    # Where the tails are everything the density is Laplace's with scale sigma^2 / delta, and that is what is some 0.01.
    middle = math.log(0.01) + min(0.0, math.log(delta / 1e-3)) / 2
    priors = {"sigma": dist.LogNormal(middle, 1.0)}
    return Noise("huber", _huber, priors, settings={"delta": delta}, separable=True)


# Least absolute deviations of the log loss: Huber's density with a middle narrower than any data tell.
lad = replace(huber(1e-7), name="lad")

_NAMED = {
    n.name: n for n in (log_normal, student_t, gaussian, binomial, beta_binomial, logit_normal, average)
}


def names() -> list[str]:
    """The names of all kinds of noise."""
    return sorted([*_NAMED, "huber", "lad"])


def load(name: str, **settings: float) -> Noise:
    """The noise of that name.

    Raises:
        KeyError: there is no such noise.
        ValueError: the noise has no such settings.
    """
    if name == "huber":
        return huber(**settings)
    if name == "lad" and settings in ({}, lad.settings):
        return lad
    if name not in _NAMED:
        raise KeyError(f"there is no noise {name!r}; there are {', '.join(names())}")
    if settings:
        raise ValueError(f"{name} noise has no setting {', '.join(settings)}; only huber has one, delta")
    return _NAMED[name]
