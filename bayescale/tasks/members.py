"""The laws that forecast a suite side by side: what each says of models that are not measured."""

from collections.abc import Mapping
from functools import cache, partial
from typing import NamedTuple

import jax
import numpy as np
from jax import Array, random
from jax.typing import ArrayLike
from scipy.special import expit, logit, logsumexp

from bayescale import models, parallel
from bayescale.check.folds import MARGIN
from bayescale.check.scores import quantiles_of
from bayescale.law import Law
from bayescale.model import Model
from bayescale.priors import LogitNormal
from bayescale.runs import Runs
from bayescale.tasks.quick import Quick, quick_evidence
from bayescale.tasks.shocks import Shared, density, shared

# In the order in which they are told of; the last is no law.
NO_LAW = "constant_success"
ALONG = ("success_power", "logistic", "logistic_floor", "broken_success", NO_LAW)
BOTH, LINK = "two_step", "success_of_loss"
LOSS = {True: "chinchilla", False: "power_floor"}  # of the loss: in N and D, or in compute alone
GROUP = "group"  # the factor of what models share, whatever it is called in the table
DRAWS = 1000  # of each law
FLOOR = 0.02  # logits about chance: a floor that is free bends the curve above it, and forecasts are twice as far off
# The logit of what is never learned, wrong labels: 90% between 4% and 13%. Scores that bend on the way up, as those of
# suites do, would be taken for a ceiling if it were free, and what comes would be far above.
NEARLY = (-2.6, 0.4)
NOTHING = (-7.0, 2.0)  # the logit of a floor where nothing can be guessed: 90% between 3e-5 and 0.024


class Member(NamedTuple):
    """One way to a forecast: a law of success, or a law of the loss and the link from there.

    Attributes:
        name: of the law of success, with that of the loss before it.
        success: the law of success.
        loss: the law of the loss that it is a link from; none where there is one step.
    """

    name: str
    success: str
    loss: str | None = None


class Said(NamedTuple):
    """What a member says, fitted to some models.

    Attributes:
        evidence: of the successes, in nats.
        pareto_k: the largest of its fits; above 0.7 it is not to be trusted.
        quantiles: of the share of successes that may be measured, (quantiles, asked).
        log_score: the log density of the successes that were, (asked,).
    """

    evidence: float
    pareto_k: float
    quantiles: np.ndarray
    log_score: np.ndarray


def members(runs: Runs, loss: str | None = None, *, along: str = "C") -> tuple[Member, ...]:
    """The members that a table has the columns for.

    Args:
        runs: the table.
        loss: the column of the loss, which makes a forecast in two steps possible.
        along: the covariate of laws in one axis.
    """
    both = all(len(np.unique(np.asarray(runs.columns[c]))) > 1 if c in runs.columns else False for c in "ND")
    found = [Member(name, name) for name in ALONG]
    if both and along == "C":
        found.append(Member(BOTH, BOTH))
    if loss is not None:
        law = LOSS[both and along == "C"]
        found.append(Member(f"{law} and {LINK}", LINK, law))
    return tuple(found)


def says(
    key: Array,
    member: Member,
    runs: Runs,
    known: np.ndarray,
    asked: np.ndarray,
    *,
    along: str = "C",
    by: str | None = None,
    loss: str | None = None,
    chance: float = 0.0,
    losses: dict[bytes, tuple[np.ndarray, float]] | None = None,
) -> Said:
    """What one member says of some models, from the others.

    Args:
        key: the random key.
        member: one of `members`.
        runs: the table, of one task or of the means of a suite, a row for each model.
        known: the rows that are fitted, (runs,).
        asked: those that are forecast, (runs,).
        along: the covariate of laws in one axis.
        by: the factor whose levels share a shift, such as a family of models.
        loss: the column of the loss.
        chance: the success of guessing.
        losses: where the losses that are drawn of models are kept: they are the same for every task.
    """
    group, groups = _groups(runs, by)
    table = _table(runs, known, group, groups, chance)
    first = table if member.loss is None else _with_loss(table, loss)
    key_fit, key_loss, key_drawn, key_shift = random.split(key, 4)
    model = _model(member.success, along, round(chance, 4))
    quick = quick_evidence(key_fit, model, first, rough=True)
    rng = np.random.default_rng(np.asarray(random.key_data(key_drawn)))
    own = _taken(rng, quick)
    measured = _law(model.law, first, own, {c: first.columns[c] for c in model.law.covariates})
    at, worst = measured, quick.pareto_k
    if member.loss is not None:
        losses = {} if losses is None else losses
        same = _told_apart(member.loss, runs, known, group, loss)
        if same not in losses:
            losses[same] = _losses(key_loss, member.loss, runs, known, group, groups, along, loss)
        expected, of_loss = losses[same]
        at, worst = _law(model.law, first, own, {"loss": expected}), max(worst, of_loss)
    there = _shifted(key_shift, model, first, own, measured, at)
    tries = np.rint(np.asarray(runs.columns["trials"], float)[asked]).astype(int)
    place, scatter = there[:, asked], own["scatter"][:, None]
    share = rng.binomial(tries, expit(place + scatter * rng.standard_normal(place.shape))) / tries
    with parallel.workbench():
        log_score = logsumexp(np.asarray(density(first, there, scatter))[:, asked], axis=0)
    return Said(quick.estimate.value, worst, quantiles_of(share), log_score - np.log(DRAWS))


@cache
def _model(name: str, along: str, chance: float) -> Model:
    """The model of a law of success, made once for each chance level, for which nothing is compiled anew."""
    law = models.load(name)
    if "floor" in law.parameters:
        floor = (float(logit(chance)), FLOOR) if chance > 0 else NOTHING
        law = law.replace(priors={"floor": LogitNormal(*floor)})
    if name == LINK:
        law = law.replace(priors={"lapse": LogitNormal(*NEARLY)})
    if name in ALONG and name != NO_LAW:
        law = law.along(along)
    return Model(law, shared("success", GROUP), effects=())


@cache
def _loss_model(name: str, along: str) -> Model:
    law = models.load(name)
    return Model(law if name == LOSS[True] else law.along(along), shared("loss", GROUP), effects=())


def _groups(runs: Runs, by: str | None) -> tuple[np.ndarray, int]:
    if by is None:
        return np.zeros(len(runs), int), 1
    return np.asarray(runs.factors[by]), len(runs.levels[by])


def _table(runs: Runs, known: np.ndarray, group: np.ndarray, groups: int, chance: float) -> Runs:
    """The known runs: the others weigh nothing, so that all folds have one shape, and nothing is measured by them."""
    columns = {c: np.asarray(v, float) for c, v in runs.columns.items() if c in ("N", "D", "C", "trials")}
    rest = {c: np.asarray(v, float) for c, v in runs.columns.items() if c not in columns}
    columns |= {c: v for c, v in rest.items() if (v[known] > 0).all()}
    columns["chance"] = np.full(len(runs), chance)
    with np.errstate(all="ignore"):
        reference = {c: float(np.exp(np.mean(np.log(v[known])))) for c, v in columns.items()}
    return runs.replace(
        columns=columns,
        response=np.asarray(runs.response, float),
        factors={GROUP: group.astype(np.int32)},
        levels={GROUP: tuple(map(str, range(groups)))},
        weight=known.astype(float),
        reference=reference,
    )


def _with_loss(table: Runs, loss: str | None) -> Runs:
    """The table with the loss as the covariate that links are in."""
    assert loss is not None
    return table.replace(
        columns={**table.columns, "loss": table.columns[loss]},
        reference={**table.reference, "loss": table.reference[loss]},
    )


def _taken(rng: np.random.Generator, quick: Quick) -> dict[str, np.ndarray]:
    """Draws of the posterior, each as often as its weight says, (draws,)."""
    edges = np.cumsum(quick.weights)
    places = np.searchsorted(edges / edges[-1], (np.arange(DRAWS) + rng.random(DRAWS)) / DRAWS)
    places = rng.permutation(np.minimum(places, len(edges) - 1))
    return {name: np.asarray(values, float)[places] for name, values in quick.values.items()}


def _law(
    law: Law, table: Runs, own: Mapping[str, np.ndarray], covariates: Mapping[str, ArrayLike]
) -> np.ndarray:
    """The law at covariates, (draws, runs) or (runs,) each, for each draw."""
    with parallel.workbench():
        reference = {c: np.asarray(table.reference.get(c, 1.0)) for c in covariates}
        relative = law.relative({c: np.asarray(v) for c, v in covariates.items()}, reference)
        value = law(relative, {p: own[p][:, None] for p in law.parameters})
        return np.broadcast_to(np.asarray(value, float), (DRAWS, len(table)))


@partial(jax.jit, static_argnums=0)
def _moves(model: Model, runs: Runs, keys: Array, own: Mapping[str, Array], mean: Array, at: Array):
    def one(key, own, mean, at):
        noise = model.noise(mean, runs, own)
        assert isinstance(noise, Shared)
        return noise.replaced(at).at(noise.shifts(key))

    return jax.vmap(one)(keys, own, mean, at)


def _shifted(
    key: Array, model: Model, table: Runs, own: Mapping[str, np.ndarray], mean: np.ndarray, at: np.ndarray
) -> np.ndarray:
    """Where the shifts of groups, as runs about `mean` tell of them, move responses of `at`, (draws, runs)."""
    with parallel.workbench():
        noise = {p: own[p] for p in model.noise.parameters}
        return np.asarray(_moves(model, table, random.split(key, DRAWS), noise, mean, at), float)


def _told_apart(name: str, runs: Runs, known: np.ndarray, group: np.ndarray, loss: str | None) -> bytes:
    """What losses that are drawn depend on."""
    columns = [np.asarray(runs.columns[c], float) for c in ("N", "D", "C", loss) if c in runs.columns]
    return b"".join([name.encode(), *(v.tobytes() for v in (*columns, known, np.asarray(group)))])


def _losses(
    key: Array,
    name: str,
    runs: Runs,
    known: np.ndarray,
    group: np.ndarray,
    groups: int,
    along: str,
    loss: str | None,
) -> tuple[np.ndarray, float]:
    """The loss of each run, of those that are not known too, (draws, runs), and the Pareto-k.

    Groups that have enough runs have a law of the loss of their own, the others share one.
    """
    assert loss is not None
    rng = np.random.default_rng(np.asarray(random.key_data(key)))
    measured = np.asarray(runs.columns[loss], float)
    model = _loss_model(name, along)
    enough = len(model.law.parameters) + MARGIN
    alone = [g for g in range(groups) if groups > 1 and (known & (group == g)).sum() >= enough]
    found, worst = np.zeros((DRAWS, len(runs))), -np.inf
    for g in [None, *alone]:
        here = ~np.isin(group, alone) if g is None else group == g
        if not here.any():
            continue
        own_known = known if g is None else known & here
        table = _table(runs, own_known, group, groups, 0.0)
        table = table.replace(response=measured, kind="loss", unit=np.float64(measured[own_known].min()))
        quick = quick_evidence(random.fold_in(key, 0 if g is None else g + 1), model, table, rough=True)
        own = _taken(rng, quick)
        mean = _law(model.law, table, own, {c: table.columns[c] for c in model.law.covariates})
        mean = mean * float(np.asarray(table.unit))
        logs = _shifted(random.fold_in(key, groups + 1), model, table, own, mean, mean)
        noise = own["scatter"][:, None] * rng.standard_normal(logs.shape)
        found[:, here] = np.exp(logs + noise)[:, here]
        worst = max(worst, quick.pareto_k)
    return found, worst
