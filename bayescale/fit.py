"""Fit: draws, with the model and the runs behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax import random

from bayescale import diagnostics, forecast, parallel
from bayescale.model import Model, varies_by
from bayescale.pooling import shifted
from bayescale.runs import Runs

R_HAT, ESS, PARETO_K = 1.01, 400, 0.7  # beyond these a fit has not converged
CHECKED = 1.05  # R-hat of what an approximation is measured against
# An approximation further from NUTS, in widths, or narrower is no result; the first of each is of the median over what
# levels share, the second of the worst.
OFF, NARROW = (0.5, 1.0), (0.5, 0.25)
UNFINISHED = 1e-3  # the share of the replicates of a bootstrap that may be unfinished
KINDS = ("mean", "new_run", "new_level")
Draws = Mapping[str, npt.ArrayLike]


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """What every inference returns.

    Attributes:
        model: the model, with its effects chosen.
        runs: the table it was fitted to.
        draws: site -> (chains, draws, ...), relative to the reference run.
        method: "nuts", "svi", "laplace", "map", "maximum_likelihood", "bootstrap" or "published".
        stats: what the method says of its work.
    """

    model: Model
    runs: Runs
    draws: dict[str, np.ndarray]
    method: str
    stats: dict[str, Any]

    def replace(self, **changes) -> "Fit":
        """The fit with some of its fields changed."""
        return replace(self, **changes)

    def __len__(self) -> int:
        return int(np.prod(next(iter(self.draws.values())).shape[:2]))

    def flat(self, site: str) -> np.ndarray:
        """The draws of a site, all chains in one: (draws, ...)."""
        values = self.draws[site]
        return values.reshape(-1, *values.shape[2:])

    # ---- Is it to be trusted?

    @cached_property
    def diagnostics(self) -> dict[str, np.ndarray]:
        """Site -> R-hat, bulk and tail effective sample size, (..., 3); nothing for methods without chains."""
        if self.method != "nuts":
            return {}
        return {name: of_chains(values) for name, values in self.draws.items()}

    @cached_property
    def trouble(self) -> tuple[str, ...]:
        """Why the fit is not to be taken as a result, in words; empty where it has converged."""
        if self.method == "nuts":
            return self._trouble_of_chains()
        found = []
        if (bad := self.stats.get("unfinished", 0)) > UNFINISHED * self.stats.get("replicates", 1):
            found.append(f"{bad} of {self.stats['replicates']} replicates reached no minimum")
        if self.stats["at_bound"]:
            found.append(f"{', '.join(self.stats['at_bound'])} ran to the bound")
        elif not self.stats["mode_converged"]:
            moving = f"what levels share still moves, by {self.stats.get('moved', np.nan):.2g} of its widths"
            found.append(moving if self.method == "svi" else "no start reached a mode")
        if "checked" in self.stats and self._far_from_nuts:
            found.append(f"{self._against_nuts}: too far off")
        if self.stats.get("checked_r_hat", 1.0) > CHECKED:
            found.append(
                f"NUTS did not converge on the part it is measured on: R-hat {self.stats['checked_r_hat']:.3f}"
            )
        if self.stats.get("pareto_k", -np.inf) > PARETO_K:
            found.append(
                f"Pareto-k {self.stats['pareto_k']:.2f}, above {PARETO_K}: the posterior is not normal"
            )
        return tuple(found)

    def _trouble_of_chains(self) -> tuple[str, ...]:
        worst = {name: values.reshape(-1, 3) for name, values in self.diagnostics.items()}
        r_hat = {name: np.max(values[:, 0]) for name, values in worst.items()}
        ess = {name: np.min(values[:, 1:]) for name, values in worst.items()}
        divergences = int(self.stats["diverging"].sum())
        found = []
        # A comparison with nan is false, so that a chain that never moved counts as trouble.
        if bad := {name: value for name, value in r_hat.items() if not value <= R_HAT}:
            name = max(bad, key=lambda n: bad[n])
            found.append(f"R-hat of {name} is {bad[name]:.3f}, above {R_HAT}")
        if bad := {name: value for name, value in ess.items() if not value >= ESS}:
            name = min(bad, key=lambda n: bad[n])
            found.append(f"effective sample size of {name} is {bad[name]:.0f}, under {ESS}")
        if divergences:
            found.append(f"{divergences} divergent draws of {len(self)}")
        return tuple(found)

    @property
    def converged(self) -> bool:
        """Whether the fit may be presented as a result."""
        return not self.trouble

    @property
    def verdict(self) -> str:
        """One line: how the fit was made, and whether it has converged."""
        if not self.converged:
            return f"NOT CONVERGED ({self.method}): {'; '.join(self.trouble)}"
        if self.method == "nuts":
            everything = np.concatenate([v.reshape(-1, 3) for v in self.diagnostics.values()])
            return (
                f"converged (nuts): {len(self)} draws, R-hat at most {everything[:, 0].max():.3f}, effective sample "
                f"size at least {everything[:, 1:].min():.0f}, no divergences"
            )
        if self.method == "laplace":
            return f"converged (laplace): Pareto-k {self.stats['pareto_k']:.2f}; a look, not a posterior"
        if self.method == "svi":
            return f"converged (svi): an approximation, whose intervals are approximate; {self._against_nuts}"
        if self.method == "bootstrap":
            return (
                f"converged (bootstrap): {len(self)} replicates, {self.stats['unfinished']} more unfinished"
            )
        if self.method == "published":
            return f"not fitted: {self.runs.source}"
        return f"converged ({self.method}): {self.stats['mode_agreed']} of {self.stats['mode_starts']} starts agree"

    @property
    def _far_from_nuts(self) -> bool:
        off = self.stats["error"], max(self.stats["errors"].values())
        narrow = self.stats["narrow"], min(self.stats["widths"].values())
        return any(np.greater(off, OFF)) or any(np.less(narrow, NARROW))

    @property
    def _against_nuts(self) -> str:
        if "checked" not in self.stats:
            return "what it is worth was not measured"
        return (
            f"on {self.stats['checked']} of the runs means are {self.stats['error']:.2f} posterior standard deviations "
            f"from those of NUTS, and widths {self.stats['narrow']:.2f} of them, in the median; at worst "
            f"{max(self.stats['errors'].values()):.2f} and {min(self.stats['widths'].values()):.2f}"
        )

    # ---- Parameters

    def parameters(self, **levels: str) -> dict[str, np.ndarray]:
        """The parameters of the law in natural units, name -> (draws,).

        Args:
            levels: the level of each factor by which parameters differ, as corpus="web".

        Raises:
            ValueError: a factor by which parameters differ is not said, or has no such level.
        """
        self.require(levels)
        with parallel.workbench():
            return self.natural(self.relative(levels))

    def require(self, levels: Mapping[str, str]) -> None:
        """Refuse levels that do not say which parameters are meant, as `parameters` does."""
        self._check(levels)
        if unsaid := {p.by for p in self.model.pooling} - set(levels):
            by = sorted(unsaid)[0]
            varying = ", ".join(p for p, factors in self.model.varying.items() if by in factors)
            raise ValueError(
                f"{varying} differ by {by}; say which {by}: one of {', '.join(self.runs.levels[by])}, as "
                f"{by}={self.runs.levels[by][0]!r} or --level {by}={self.runs.levels[by][0]}"
            )

    def centre(self) -> dict[str, np.ndarray]:
        """The parameters of the law that levels differ from, in natural units, name -> (draws,)."""
        with parallel.workbench():
            return self.natural(self.relative({}))

    def relative(self, levels: Mapping[str, str], extra: Draws | None = None) -> dict[str, Any]:
        """The parameters of law and noise relative to the reference run, (draws,), at the named levels.

        Where no level is named, parameters are at their centre, plus the deviations in `extra`.
        """
        found: dict[str, Any] = {name: self.flat(name) for name in self.model.priors}
        for pooling in self.model.pooling:
            for p in pooling.vary:
                name = p + varies_by(pooling.by)
                if pooling.by in levels:
                    shift = self.flat(name)[:, self._index(pooling.by, levels[pooling.by])]
                elif extra is not None and name in extra:
                    shift = np.asarray(extra[name])
                else:
                    continue
                found[p] = np.asarray(
                    shifted(self.model.law.priors[p], found[p], shift, self.model.law.response)
                )
        return found

    def natural(self, relative: Draws) -> dict[str, np.ndarray]:
        """Parameters of the law relative to the reference run, in natural units."""
        own = {p: np.asarray(relative[p]) for p in self.model.law.parameters}
        changed = self.model.law.to_natural(own, self.runs.reference, self.runs.unit)
        return {p: np.asarray(v) for p, v in changed.items()}

    def _index(self, by: str, level: str) -> int:
        return self.runs.levels[by].index(level)

    def _check(self, levels: Mapping[str, str]) -> None:
        factors = self.model.factors
        for by, level in levels.items():
            if by not in factors:
                known = ", ".join(factors) or "no factor"
                raise ValueError(f"nothing differs by {by}; the model has {known}")
            if level not in self.runs.levels[by]:
                raise ValueError(f"{by} has no level {level!r}; it has {', '.join(self.runs.levels[by])}")

    # ---- Predictions

    def mean(self, parameters: Draws, **covariates: npt.ArrayLike) -> np.ndarray:
        """The response of the law at parameters in natural units, as `parameters()` returns them."""
        law = self.model.law
        with parallel.workbench():
            own = {p: np.asarray(parameters[p]) for p in law.parameters}
            points = forecast.complete(covariates)
            relative = law.to_reference(own, self.runs.reference, self.runs.unit)
            at = law.relative(points, self.runs.reference)
            return np.asarray(self.runs.unit * law(at, relative))

    def predict(
        self,
        points: Mapping[str, npt.ArrayLike],
        *,
        kind: str = "mean",
        key: jax.Array | None = None,
        **levels: str,
    ) -> np.ndarray:
        """The response at points, (draws, points).

        Args:
            points: covariate -> (points,), natural units. C and D may be left to C = 6ND.
            kind: "mean", the curve of the law at the named levels; "new_run", a run on that curve, with noise and
                with shocks of its own; "new_level", a run of a level not seen yet of every factor not named.
            key: the random key of the last two.
            levels: the level of each factor by which parameters differ; for "new_level" of those to be kept.

        Raises:
            ValueError: a covariate is missing, not positive or not of the law, or a level is.
        """
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; it is one of {', '.join(KINDS)}")
        if kind != "mean" and key is None:
            raise ValueError(f"kind {kind!r} is drawn at random: give a key, such as jax.random.key(0)")
        if kind == "new_level":
            self._check(levels)
        else:
            self.require(levels)
        forecast.known(self.model, points)
        grid = forecast.grid(self.model, self.runs, points)
        with parallel.workbench():
            if kind == "mean":
                return np.asarray(forecast.means(self.model, grid, self.relative(levels)))
            assert key is not None
            key_levels, key_shocks, key_noise = random.split(key, 3)
            extra = forecast.new_levels(self.model, self.flat, key_levels) if kind == "new_level" else None
            relative = self.relative(levels, extra)
            shocks = forecast.new_shocks(self.model, self.flat, key_shocks, (len(self), len(grid)))
            keys = random.split(key_noise, len(self))
            return np.asarray(forecast.responses(self.model, grid, keys, relative, shocks))

    # ---- Words

    def summary(self):
        """Each parameter with its interval, R-hat, effective sample size and contraction; see `Summary`."""
        return self._summary

    @cached_property
    def _summary(self):
        from bayescale.summary import summarise

        return summarise(self)

    def __repr__(self) -> str:
        return f"Fit({self.model.law.name}, {self.model.noise.name}; {len(self.runs)} runs; {self.verdict})"

    def _repr_html_(self) -> str:
        return self.summary().to_html()


def of_chains(values: np.ndarray) -> np.ndarray:
    """R-hat, bulk and tail effective sample size of (chains, draws, ...), as (..., 3)."""
    columns = values.reshape(*values.shape[:2], -1)
    found = [
        (diagnostics.r_hat(one), diagnostics.ess_bulk(one), diagnostics.ess_tail(one))
        for one in np.moveaxis(columns, -1, 0)
    ]
    return np.array(found).reshape(*values.shape[2:], 3)
