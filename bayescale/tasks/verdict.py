"""Verdict: whether the success on a suite has a law at all, by the evidence for each kind of answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import numpyro.distributions as dist
from jax import Array, random
from numpyro.distributions import constraints
from numpyro.distributions.transforms import AffineTransform
from scipy.special import logit, logsumexp
from scipy.stats import beta

from bayescale import models, noise
from bayescale.fit import PARETO_K
from bayescale.model import Model
from bayescale.priors import LogitNormal
from bayescale.runs import Runs
from bayescale.tasks.quick import Quick, quick_evidence

KINDS = ("constant", "erratic", "sharp", "smooth", "inverse", "broken")
FEWEST = 6  # models: as many as the kind with the most parameters has
SURE = 0.95  # the probability that a verdict needs
POINTS = 0.05  # above chance, the best score has to be, for a forecast worth the name
NO_CHANCE = 0.005  # the floor of tasks that cannot be guessed: a wrong key, a lucky word
HOPELESS = (
    8.0  # nats behind at a first look, which may be wrong by three: what is left then is under a hundredth
)
LN81 = 4.394449154672439  # logits from 10% to 90%


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the success on a suite says of its law.

    Attributes:
        kind: the most probable of "constant", "erratic", "sharp", "smooth", "inverse" and "broken"; or "not yet",
            where no model is told from guessing, which says nothing of what comes.
        probabilities: of each kind, where each was as probable before.
        log_evidence: of each kind, in nats.
        width: the decades from 10% to 90% of the curve: 5%, 50% and 95%, of a sharp or smooth one; else nan.
        best: the best score, less chance.
        trouble: why the probabilities are not to be trusted; empty where there is no reason.
    """

    kind: str
    probabilities: Mapping[str, float]
    log_evidence: Mapping[str, float]
    width: np.ndarray
    best: float
    trouble: tuple[str, ...]

    def __str__(self) -> str:
        if self.kind == "not yet":
            return "not yet: no model is told from guessing"
        most = self.kind
        sure = f"probability {self.probabilities[most]:.2g}"
        low, middle, high = self.width
        decades = f"{middle:.2g} decades ({low:.2g} to {high:.2g}) from 10% to 90%"
        said = {
            "constant": f"no law: success does not change ({sure})",
            "erratic": f"no law: success differs from model to model and follows nothing ({sure})",
            "sharp": f"no smooth law; step: {decades} ({sure})",
            "smooth": f"a smooth law: {decades} ({sure})",
            "inverse": f"inverse: success falls ({sure})",
            "broken": f"a law that turns ({sure})",
        }[self.kind]
        if self.trouble:
            return f"NOT TO BE USED: {'; '.join(self.trouble)}; {said}"
        return said if self.probabilities[most] >= SURE else f"not told: {said}"


def predictable(
    verdict: Verdict, effective: float, required: float, skills: Mapping[str, float]
) -> tuple[bool, tuple[str, ...]]:
    """Whether a suite may be labelled predictable, and why not.

    Args:
        verdict: its verdict.
        effective: the number of independent tasks that it is worth; see `overlap`. nan where it is not known.
        required: what the error wanted takes; see `budget`.
        skills: of forecasts at the cutoffs of a back-test, cutoff -> 1 - CRPS / CRPS of the best baseline.
    """
    smooth = verdict.probabilities["smooth"]
    good = sum(skill > 0 for skill in skills.values())
    why = [*verdict.trouble]
    if verdict.kind == "not yet":
        why.append("no model is told from guessing")
    if not smooth >= SURE:
        why.append(f"the probability of a smooth law is {smooth:.2g}, under {SURE}")
    if not verdict.best >= POINTS:
        why.append(f"the best score is {100 * verdict.best:.2g} points above chance, under {100 * POINTS:g}")
    if np.isnan(effective):
        why.append("how many independent tasks it is worth is not known")
    elif not effective >= required:
        why.append(
            f"its tasks are worth {effective:.3g} independent ones, and the error wanted takes {required:.3g}"
        )
    if good < 2:
        why.append(f"forecasts beat the best baseline at {good} cutoffs of {len(skills)}; it takes two")
    elif all(skill <= 0 for skill in list(skills.values())[-2:]):
        why.append("forecasts had no skill at the two largest cutoffs")
    return not why, tuple(why)


def verdict(
    key: Array,
    along: npt.ArrayLike,
    successes: npt.ArrayLike,
    trials: npt.ArrayLike,
    *,
    chance: float = 0.0,
) -> Verdict:
    """Whether success follows a covariate, and how, by the evidence for each kind of answer.

    Each kind is a law and its priors, and models scatter about it a little more than their tries do: constant; sharp,
    a `step` inside the range; smooth, `logistic` with 0.5 to 8 decades from 10% to 90%, half of which may be far beyond
    it; inverse; and broken, which rises and then falls, or falls and then rises. The first three start at the chance
    level. Of erratic success each model has a rate of its own.

    Args:
        key: the random key.
        along: compute, or any positive covariate, of each model, (models,).
        successes: (models,).
        trials: (models,) or one number.
        chance: the success of guessing.

    Raises:
        ValueError: there are fewer than six models or two values of the covariate, or the counts cannot be.
    """
    runs = _runs(along, successes, trials)
    if not 0 <= chance < 1:
        raise ValueError(f"chance is {chance}; it is the success of guessing, from 0 to 1")
    tried = np.asarray(runs.columns["trials"])
    score = np.asarray(runs.response) / tried
    guessed = _at_chance(score, tried, chance)
    found = _evidence(key, _kinds(float(chance)), runs, rough=guessed)
    logs = {
        kind: _total([one.estimate.value for one in forms]) - np.log(len(forms))
        for kind, forms in found.items()
    }
    total = _total(list(logs.values()))
    probabilities = {kind: float(np.exp(value - total)) for kind, value in logs.items()}
    kind = max(probabilities, key=lambda one: probabilities[one])
    width = _width(kind, found[kind][0])
    if guessed:
        kind, width = "not yet", np.full(3, np.nan)
    trouble = tuple(
        f"the Pareto-k of the evidence for {kind} is {one.pareto_k:.2f}, above {PARETO_K}"
        for kind, forms in found.items()
        for one in forms
        # What is far behind may be as wrong as it likes, and so may all where the verdict does not hang on it.
        if one.pareto_k > PARETO_K and probabilities[kind] > 0.01 and not guessed
    )
    return Verdict(kind, probabilities, logs, width, float(score.max() - chance), trouble)


def _evidence(
    key: Array, kinds: Mapping[str, tuple[Model, ...]], runs: Runs, *, rough: bool
) -> dict[str, list[Quick]]:
    """The evidence for each form of each kind; of those that are far behind at a first look no more than that."""

    def of(i: int, model: Model, rough: bool) -> Quick:
        return quick_evidence(random.fold_in(key, i), model, runs, rough=rough)

    first = {kind: [of(i, model, True) for model in forms] for i, (kind, forms) in enumerate(kinds.items())}
    if rough:
        return first
    reached = max(one.estimate.value for forms in first.values() for one in forms) - HOPELESS
    return {
        kind: [
            of(i, model, False) if one.estimate.value > reached and not one.precise else one
            for one, model in zip(first[kind], forms, strict=True)
        ]
        for i, (kind, forms) in enumerate(kinds.items())
    }


@cache
def _kinds(chance: float) -> dict[str, tuple[Model, ...]]:
    """The models of each kind, made once for each chance level, for which nothing is compiled anew."""
    # Models scatter about a law by some 0.06 to 0.3 logits, which at a half is as 4 / scatter^2 tries: 40 to 1000.
    about = noise.beta_binomial.replace(priors={"concentration": dist.LogNormal(np.log(200.0), 1.0)})
    apart = noise.beta_binomial.replace(priors={"concentration": dist.LogNormal(np.log(5.0), 0.8)})
    # 0.5 to 8 decades from 10% to 90%, at 90%.
    gentle = {"slope": dist.LogNormal(np.log(LN81 / 2), 0.84), "lapse": dist.Beta(1.5, 6.0)}
    # Guessing, give or take a tenth of its odds: formats fail, and options are struck out.
    floor = {"floor": LogitNormal(float(logit(np.clip(chance, NO_CHANCE, 0.95))), 0.1)}
    begun = {"threshold": dist.LogNormal(0.0, 2.3)}  # 90% within 1.6 decades of the middle
    low = {"floor": dist.Beta(1.0, 5.0)}  # where success ends that falls may be below guessing
    # Exponents of -log p for each e-fold: 0.05 to 0.8 before the turn, which takes 0.5 to 3.3 off. The turn is within a
    # decade of the middle.
    before, turn = dist.LogNormal(-1.6, 0.8), dist.LogNormal(0.2, 0.6)
    turned = {"location": dist.LogNormal(0.0, 1.4)}
    minus = AffineTransform(0.0, -1.0, domain=constraints.positive)
    up = turned | {"alpha": before, "shift": dist.TransformedDistribution(turn, minus)}
    down = turned | {"alpha": dist.TransformedDistribution(before, minus), "shift": turn}
    flat, step, logistic, inverse, broken = (
        models.load(name) for name in ("constant_success", "step", "logistic", "inverse", "broken_success")
    )
    laws = {
        "constant": (flat,),
        "erratic": (flat,),
        "sharp": (step.along("x").replace(priors=floor | begun),),
        "smooth": (logistic.along("x").replace(priors=gentle | floor),),
        "inverse": (inverse.along("x").replace(priors=gentle | begun | low),),
        "broken": tuple(broken.along("x").replace(priors=turning) for turning in (up, down)),
    }
    scatter = {"erratic": apart}
    return {
        kind: tuple(Model(law, scatter.get(kind, about), effects=()) for law in forms)
        for kind, forms in laws.items()
    }


def _runs(along: npt.ArrayLike, successes: npt.ArrayLike, trials: npt.ArrayLike) -> Runs:
    x = np.asarray(along, float)
    if x.ndim != 1:
        raise ValueError(f"along is {x.shape}; it is (models,)")
    if len(x) < FEWEST:
        raise ValueError(f"there are {len(x)} models; a verdict takes {FEWEST}")
    if not np.ptp(x) > 0:
        raise ValueError("every model has the same value of the covariate, which nothing can follow")
    counts = {"successes": successes, "trials": trials}
    columns = {name: np.broadcast_to(np.asarray(v, float), x.shape) for name, v in counts.items()}
    return Runs.make({"x": x, **columns}, response="successes", duplicates="keep")


def _total(logs: list[float]) -> float:
    return float(np.asarray(logsumexp(logs)))


def _width(kind: str, found: Quick) -> np.ndarray:
    if kind == "sharp":
        return found.quantiles(found.values["width"])
    if kind == "smooth":
        return found.quantiles(LN81 / found.values["slope"])
    return np.full(3, np.nan)


def _at_chance(score: np.ndarray, tried: np.ndarray, chance: float) -> bool:
    """Whether no model is told from guessing: one in twenty suites of guesses has one that is."""
    won = score * tried
    least = beta.ppf(0.05 / len(score), won + 0.5, tried - won + 0.5)
    return bool((least <= max(chance, NO_CHANCE)).all())
