"""Rules of thumb, and what a fit says of them."""

from collections.abc import Mapping

import numpy as np

from bayescale.check.findings import Finding
from bayescale.decide.allocate import check_compute
from bayescale.decide.decision import Decision, mean
from bayescale.decide.efficiency import check_positive, efficiency
from bayescale.decide.support import decision
from bayescale.decide.surface import FLOP, Surface, surface
from bayescale.fit import Fit

CHINCHILLA = 20.0  # tokens for each parameter: Hoffmann et al. 2022, arXiv:2203.15556, table 3


def rule_of_thumb(
    compute: float,
    ratio: float = CHINCHILLA,
    *,
    fit: Fit | Surface | None = None,
    at: Mapping[str, float] | None = None,
    centre: bool = False,
    **levels: str,
) -> Decision:
    """The parameters and tokens of a budget at so many tokens for each parameter, and what that wastes.

        N = sqrt(C / (6 ratio)),    D = ratio N

    Args:
        compute: the budget, in FLOP.
        ratio: tokens for each parameter.
        fit: what the rule is judged by: a fit of a law of loss in N and D, or its surface. Without one nothing is
            said of the loss.
        at: further covariates of the law, column -> the value they are held at.
        centre: whether to take the parameters that levels differ from, instead of those of a level.
        levels: the level of each factor by which parameters differ, as corpus="web".

    Returns:
        N, D, D/N; with a fit the loss there and its excess over the best split; the rule is the choice, and the
        regret is what it wastes.

    >>> rule_of_thumb(5.88e23).verdict
    'rule_of_thumb(C = 5.88e23, D/N = 20): N 70B; D 1.4T; D/N 20; choose N = 70B, D = 1.4T'
    """
    check_compute(compute)
    check_positive(ratio=ratio)
    N = float(np.sqrt(compute / (FLOP * ratio)))
    D = ratio * N
    asked: dict[str, float | str] = {"C": float(compute), "D/N": float(ratio)}
    rule = {"N": np.array([N]), "D": np.array([D]), "D/N": np.array([float(ratio)])}
    if fit is None:
        if at or centre or levels:
            raise ValueError("levels and covariates are of a fit; give fit=...")
        units = {"N": "parameters", "D": "tokens", "D/N": "tokens for each parameter"}
        return Decision("rule_of_thumb", asked, rule, units, {}, {"N": N, "D": D}, None, (), ())
    at_level = surface(fit, at=at, centre=centre, **levels)
    found = efficiency(at_level, N=N, D=D)
    whole = {name: np.repeat(values, len(found)) for name, values in rule.items()}
    return decision(
        "rule_of_thumb",
        at_level,
        asked,
        whole | {"loss": found["loss"], "excess loss": found["excess loss"]},
        {"N": N, "D": D},
        choice={"N": N, "D": D, "loss": mean(found["loss"])},
        regret=found["deadweight loss"],
    )


def power_rule(
    loss: float, exponent: float, *, times: float | None = None, target: float | None = None
) -> Decision:
    """A loss that falls as a power of one resource to zero: what more of it gives, or what a target takes.

        loss_new = loss times^-exponent,    times = (loss / target)^(1 / exponent)

    It is what is often written on the back of an envelope. It knows of no irreducible loss and of no other resource,
    so the decision carries a warning, and has no interval; ask a fit instead.

    Args:
        loss: the loss now, in nats for each token.
        exponent: of the resource, such as .076 for parameters and .050 for compute in Kaplan et al. 2020.
        times: how many times as much of the resource there will be; this or `target`.
        target: the loss to reach.

    Returns:
        The times and the loss.

    Raises:
        ValueError: both or neither of times and target are given, or something is not positive.

    >>> float(power_rule(3.5, 0.076, times=8)["loss"][0].round(3))
    2.988
    """
    if (times is None) == (target is None):
        raise ValueError("give times, how much more of the resource there is, or target, the loss to reach")
    given = {"times": times} if times is not None else {"target": target}
    check_positive(loss=loss, exponent=exponent, **{name: float(value or 0) for name, value in given.items()})
    factor = times if times is not None else float(np.exp(np.log(loss / float(target or 0)) / exponent))
    reached = loss * factor**-exponent
    finding = Finding(
        "NO_FLOOR",
        "warning",
        "a power law of one resource goes to zero; a law with an irreducible loss may never reach the target, and the "
        "other resource has to grow too",
        exponent,
        "Fit a law with a floor, and ask compute_for or predict_loss, which give intervals",
    )
    return Decision(
        question="power_rule",
        asked={
            "loss": float(loss),
            "exponent": float(exponent),
            **{k: float(v or 0) for k, v in given.items()},
        },
        draws={"times": np.array([factor]), "loss": np.array([reached])},
        units={"loss": "nats for each token"},
        beyond={},
        choice={},
        regret=None,
        findings=(finding,),
        trouble=(),
    )
