"""What a study of calibration says: ranks, coverage, z-scores and contraction of every quantity."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import beta, binom, chi2_contingency

from bayescale.check.finding import Finding
from bayescale.model import Model
from bayescale.runs import Runs

FINE, UNFINISHED, REFUSED = 0, 1, 2  # how the fit of a replicate ended
RANKS = 100  # draws that a truth is ranked among, of a thousand and more: nearly independent
LEVELS = (0.5, 0.8, 0.9, 0.95)
FALSE_ALARMS = 0.01  # of the studies of sound models, the share in which a quantity leaves its band by chance
BAND = 1 - FALSE_ALARMS
SIMULATED = 20_000  # sets of even ranks, by which a band is found
FEW = 100  # tables, with fewer of which ranks can be far from even without anybody's noticing
LOST = 0.02  # the share of fits that may fail before that is a finding
# What may help where fits by some method are lost; of the others, to draw longer.
OTHERWISE = {
    "bootstrap": "Fit with priors: such tables do not tell every parameter",
    "laplace": "Sample the posteriors, by the method nuts",
}
LIKELIHOOD = "log likelihood"  # a quantity of each table that is no parameter of any


class Share(NamedTuple):
    """How often something held, with its 95% interval (Clopper and Pearson 1934)."""

    value: float
    low: float
    high: float
    of: int


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """Replicates of a study of calibration; see `calibrate`.

    Attributes:
        model: the model that was fitted.
        design: the runs, without responses of their own.
        quantities: their names.
        logs: which of them are looked at by their logarithm.
        records: how each fit ended and, for each quantity, truth, rank among 100 draws, share of draws below, mean
            and standard deviation, (replicates,).
        method: of the fits.
        own: whether the truth was drawn from the priors of the model.
    """

    model: Model
    design: Runs
    quantities: tuple[str, ...]
    logs: tuple[bool, ...]
    records: np.ndarray
    method: str
    own: bool

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"Calibration({self.model.law.name}, {self.model.noise.name}; {self.verdict})"

    @property
    def counts(self) -> dict[str, int]:
        """How many fits converged, how many did not, and of how many tables there was none."""
        state = self.records["state"]
        names = {"converged": FINE, "not converged": UNFINISHED, "refused": REFUSED}
        return {name: int(np.sum(state == value)) for name, value in names.items()}

    @property
    def lost(self) -> float:
        """The share of the tables that have no fit that converged."""
        return 1 - self.counts["converged"] / len(self)

    def _of(self, field: str, quantity: str) -> np.ndarray:
        """A field of a quantity, of the replicates whose fit converged."""
        return self.records[field][self.records["state"] == FINE, self.quantities.index(quantity)]

    def ranks(self, quantity: str) -> np.ndarray:
        """The rank of the truth among 100 draws, 0 to 100, of each replicate that converged."""
        return self._of("rank", quantity).astype(int)

    def evenness(self, quantity: str) -> float:
        """How often even ranks would be as far from even as these: of the largest departure of their distribution.

        Source:
            Sailynoja, Burkner and Vehtari 2022, arXiv:2103.10522.
        """
        counts = np.bincount(self.ranks(quantity), minlength=RANKS + 1)[None]
        return float(np.mean(_nulls(int(counts.sum())) <= _departure(counts)[0])) if counts.sum() else np.nan

    def coverage(self, quantity: str, level: float) -> Share:
        """How often the central interval of that level held the truth.

        More often than its level says where truth and draws may be the same number, such as an infinite budget: ties
        count half.
        """
        below = self._of("below", quantity)
        held, of = int(np.sum(np.abs(below - 0.5) <= level / 2)), len(below)
        if not of:
            return Share(np.nan, 0.0, 1.0, 0)
        low = float(beta.ppf(0.025, held, of - held + 1)) if held else 0.0
        high = float(beta.ppf(0.975, held + 1, of - held)) if held < of else 1.0
        return Share(held / of, low, high, of)

    def scores(self, quantity: str) -> tuple[float, float]:
        """Mean and standard deviation of the z-scores, (truth - mean) / sd, of the middle 99%."""
        with np.errstate(invalid="ignore"):  # of a budget that would take more than numbers can say
            z = (self._of("truth", quantity) - self._of("mean", quantity)) / self._of("sd", quantity)
        z = z[np.isfinite(z)]
        if len(z) < 2:
            return np.nan, np.nan
        z = z[np.abs(z) <= np.quantile(np.abs(z), 0.99)]
        return float(z.mean()), float(z.std())

    def contraction(self, quantity: str) -> float:
        """The share of the variance of the truth that a table takes away: 1 where it tells all, 0 where nothing."""
        truth, sd = self._of("truth", quantity), self._of("sd", quantity)
        sound = np.isfinite(truth) & np.isfinite(sd)
        if sound.sum() < 2 or not np.var(truth[sound]) > 0:
            return np.nan
        return float(1 - np.median(sd[sound] ** 2) / np.var(truth[sound]))

    @cached_property
    def uneven(self) -> dict[str, float]:
        """The quantities whose ranks leave their band, with how often even ones do; in a sound study there are none
        99 times of 100. Nothing where the truth was not drawn from the priors.
        """
        if not self.own:
            return {}
        found = {name: self.evenness(name) for name in self.quantities}
        return {name: p for name, p in found.items() if p < 1 - self.band_level}

    @property
    def band_level(self) -> float:
        """Of the band of each quantity, so that all of them together stay inside theirs in `BAND` of studies."""
        return 1 - FALSE_ALARMS / len(self.quantities)

    def lost_by(self, quantity: str) -> np.ndarray:
        """The share of fits that did not converge by fifths of the truth, the lowest first, (5,).

        Tables that had no fit at all, whose truth is not kept, do not count. Where the truth was given, and not drawn
        from the priors, all tables have the same, and fifths mean nothing.
        """
        counts = self._ended_by(quantity)
        return counts[1] / counts.sum(axis=0)

    def _ended_by(self, quantity: str) -> np.ndarray:
        """How many fits converged and did not, by fifths of the truth, (2, 5)."""
        fitted = self.records[self.records["state"] != REFUSED]
        order = np.argsort(fitted["truth"][:, self.quantities.index(quantity)])
        states = np.array_split(fitted["state"][order], 5)
        return np.array([[np.sum(fifth == state) for fifth in states] for state in (FINE, UNFINISHED)])

    def _where_lost(self) -> str:
        """For what truths fits are lost: by the quantity that tells most, if by chance it tells as much once in 100."""
        every = {name: self._ended_by(name) for name in self.quantities if name != LIKELIHOOD}
        counted = {name: n for name, n in every.items() if n.any(axis=0).all() and n.any(axis=1).all()}
        if not self.own or not counted:
            return ""
        tests: dict[str, Any] = {name: chi2_contingency(n) for name, n in counted.items()}
        chances = {name: float(test.pvalue) for name, test in tests.items()}
        name = min(chances, key=lambda name: chances[name])
        if chances[name] > FALSE_ALARMS / len(chances):
            return ""
        shares = ", ".join(f"{share:.0%}" for share in self.lost_by(name))
        return f"; by fifths of the true {name}, from the lowest, {shares} did not"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """CALIBRATION, where ranks are uneven, and LOST_FITS, where many fits came to nothing."""
        found = []
        for name, p in self.uneven.items():
            share = self.coverage(name, 0.9)
            found.append(
                Finding(
                    "CALIBRATION",
                    "severe",
                    f"{name}: ranks of the truth are not even (as far off by chance in {p:.1g} of studies); 90% "
                    f"intervals held it in {share.value:.1%}",
                    p,
                    "Do not take intervals of this model on such a design at their word",
                )
            )
        counts, lost = self.counts, self.lost
        if lost > LOST:
            found.append(
                Finding(
                    "LOST_FITS",
                    "warning",
                    f"{counts['not converged']} of {len(self)} fits did not converge, and {counts['refused']} tables "
                    f"had none{self._where_lost()}: what is said is of the others",
                    lost,
                    OTHERWISE.get(
                        self.method, "Draw longer, or take priors under which such tables do not come about"
                    ),
                )
            )
        return tuple(found)

    @property
    def verdict(self) -> str:
        """One sentence."""
        counts = self.counts
        said = f"{counts['converged']} of {len(self)} fits converged"
        if not counts["converged"]:
            return f"NOT CALIBRATED: {said}"
        if not self.own:
            return f"{said}; coverage is of one truth"
        if self.uneven:
            return f"NOT CALIBRATED: {', '.join(self.uneven)}; {said}"
        if counts["converged"] < FEW:
            return f"too few tables to tell, though no ranks are uneven; {said}"
        where = ", where fits converge" if self.lost > LOST else ""
        return f"calibrated{where}: ranks of {len(self.quantities)} quantities are even; {said}"

    def rows(self) -> list[dict[str, Any]]:
        """A row for each quantity."""
        found = []
        for name in self.quantities:
            row: dict[str, Any] = {"quantity": name, "evenness": self.evenness(name) if self.own else None}
            for level in LEVELS:
                share = self.coverage(name, level)
                tail = f"{100 * level:g}"
                row |= {
                    f"cover{tail}": share.value,
                    f"cover{tail}_low": share.low,
                    f"cover{tail}_high": share.high,
                }
            z = self.scores(name)
            row |= {"z_mean": z[0], "z_sd": z[1], "contraction": self.contraction(name)}
            found.append(row | {"of": len(self.ranks(name))})
        return found


def band(count: int, level: float = BAND) -> tuple[np.ndarray, np.ndarray]:
    """Between what the distribution of so many even ranks stays, at all ranks together, (ranks,) each.

    The shares of ranks up to 0, 1, ... 99, of which a level of the sets of even ranks never leaves the band.
    """
    gamma = np.quantile(_nulls(count), 1 - level, method="inverted_cdf")
    inside = _chances(count) >= gamma
    return inside.argmax(axis=0) / count, (count - inside[::-1].argmax(axis=0)) / count


def _departure(counts: np.ndarray) -> np.ndarray:
    """Of sets of ranks, (sets, ranks), the smallest two-sided probability of their distribution function."""
    chances = _chances(int(counts[0].sum()))
    return chances[np.cumsum(counts, axis=1)[:, :-1], np.arange(RANKS)].min(axis=1)


@cache
def _chances(count: int) -> np.ndarray:
    """Of so many even ranks, how rarely as many or as few are up to each, two-sided, (count + 1, ranks)."""
    expected = np.arange(1, RANKS + 1) / (RANKS + 1)
    every = np.arange(count + 1)[:, None]  # a table of all that may come, which is less than the sets
    return 2 * np.minimum(binom.cdf(every, count, expected), binom.sf(every - 1, count, expected))


@cache
def _nulls(count: int) -> np.ndarray:
    """The departures of sets of so many even ranks."""
    rng = np.random.default_rng(0)
    sets = rng.multinomial(count, np.full(RANKS + 1, 1 / (RANKS + 1)), size=SIMULATED)
    return np.sort(_departure(sets))
