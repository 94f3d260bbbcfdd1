"""What a forecast of success has to beat besides the lines of every back-test: the guesses of this field."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit
from scipy.stats import norm

from bayescale.check.baselines import by_group
from bayescale.check.scores import PROBABILITIES

FEWEST = 6  # runs for a curve of four parameters; with fewer those of all groups serve
LEAST = 1e-3  # success that has a logarithm: one run without any would decide a law of logarithms
Baseline = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def rivals(
    along: str,
    distance: np.ndarray,
    response: np.ndarray,
    group: np.ndarray,
    known: np.ndarray,
    asked: np.ndarray,
    *,
    chance: float = 0.0,
    sizes: np.ndarray | None = None,
    loss: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The forecasts of the baselines of task success, as quantiles, name -> (quantiles, asked).

    Args:
        along: what forecasts go along.
        distance: its values, (runs,).
        response: shares of successes, (runs,).
        group: runs of one group have a curve of their own where there are enough, (runs,).
        known: the indices of the runs that are known.
        asked: those of the runs that are asked for.
        chance: the success of guessing.
        sizes: N and D of each run, (runs, 2), or compute alone, (runs, 1): what a loss is forecast from.
        loss: of each run, (runs,); that of runs asked for is not looked at.
    """
    one = np.log(distance)[:, None]
    named: dict[str, tuple[Baseline, np.ndarray, int]] = {
        "mean": (lambda x, y, there: np.full((1, len(there)), y.mean()), one, 1),
        f"logistic in {along}": (_logistic(chance), one, FEWEST),
        f"direct power law in {along}": (_direct, one, 3),
    }
    if loss is not None and sizes is not None:
        x = np.concatenate([np.log(sizes), loss[:, None]], axis=1)
        named["two stages"] = (_two_stages(chance), x, FEWEST + 1)
    return {
        name: by_group(of, x, response, group, known, asked, fewest)
        for name, (of, x, fewest) in named.items()
    }


def _spread(middle: np.ndarray, left: np.ndarray, parameters: int) -> np.ndarray:
    """A forecast with the scatter of the residuals."""
    scale = np.sqrt(np.sum(left**2) / max(len(left) - parameters, 1))
    return np.clip(middle + scale * norm.ppf(PROBABILITIES)[:, None], 0.0, 1.0)


def _best(residuals, starts):
    return min((least_squares(residuals, start) for start in starts), key=lambda one: one.cost).x


def _logistic(chance: float) -> Baseline:
    """Chance + (ceiling - chance) sigma(slope (x - middle)) by least squares."""

    def of(known, y, asked):
        centre = known.mean()

        def curve(p, x):
            return chance + (1 - chance) * expit(p[0]) * expit(np.exp(p[1]) * (x[:, 0] - centre - p[2]))

        starts = [
            (2.0, np.log(slope), middle) for slope in (0.3, 1.0) for middle in (0.0, 2.0)
        ]  # e-folds of compute
        best = _best(lambda p: curve(p, known) - y, starts)
        return _spread(curve(best, asked), curve(best, known) - y, 3)

    return of


def _direct(known, y, asked):
    """-log p = A x^-k by least squares of the logarithms, of the mean accuracy itself."""
    values = np.log(-np.log(np.clip(y, LEAST, 1 - LEAST)))
    design, there = (np.concatenate([np.ones((len(x), 1)), x], axis=1) for x in (known, asked))
    weights = np.linalg.pinv(design.T @ design) @ design.T @ values
    scale = np.sqrt(np.sum((values - design @ weights) ** 2) / max(len(y) - 2, 1))
    return np.exp(-np.exp(there @ weights - scale * norm.ppf(PROBABILITIES)[:, None]))


def _two_stages(chance: float) -> Baseline:
    """The loss as a sum of power laws, and success as a logistic curve in the loss from chance to 0.9, as in ladders.

    Source:
        Bhagia et al. 2024, arXiv:2412.04403, with a bounded link that begins at chance.
    """
    ceiling = chance + (1 - chance) * 0.9

    def of(known, y, asked):
        sizes, loss = known[:, :-1], known[:, -1]
        centre = sizes.mean(axis=0)

        def losses(p, x):
            terms = np.exp(p[1::2] - np.exp(p[2::2]) * (x - centre))
            return np.exp(p[0]) + terms.sum(axis=1)

        parameters = 2 * sizes.shape[1] + 1
        level = np.log(loss.min())
        starts = [
            np.concatenate([[level - 0.5], np.tile([level - 1, np.log(slope)], sizes.shape[1])])
            for slope in (0.15, 0.3, 0.5)
        ]
        best = _best(lambda p: np.log(losses(p, sizes)) - np.log(loss), starts)
        expected = losses(best, asked[:, :-1])

        def link(p, x):
            return chance + (ceiling - chance) * expit(np.exp(p[0]) * (p[1] - x))

        tries = [(np.log(slope), loss.mean() + away) for slope in (1.0, 3.0) for away in (-1.0, 0.0)]
        curve = _best(lambda p: link(p, loss) - y, tries)
        return _spread(link(curve, expected), link(curve, loss) - y, 2 + parameters // 2)

    return of
