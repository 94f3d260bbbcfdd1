"""Statements about scaling that are often made with one number, answered with intervals by 240 runs of Chinchilla.

The runs are those that Besiroglu et al. 2024 read from a figure of Hoffmann et al. 2022. They are not part of the
package: they are fetched from their repository, or read from the folder that BAYESCALE_DATA names. The law is fitted
under three beliefs about noise, because that is what some of the answers turn on.

    python examples/notes.py

writes examples/notes.md.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

import bayescale as bs
from bayescale import models, noise
from bayescale.decide.better import left_out
from bayescale.decide.decision import Decision, number

PAGE = Path(__file__).with_suffix(".md")
CHINCHILLA = 5.76e23  # FLOP: Hoffmann et al. 2022, table A9
LAW = models.load("chinchilla")

# What papers print, with the digits that they print; of the second the logarithms of A, B and E are in the TeX source.
PUBLISHED = {
    "Hoffmann, as printed": {"A": "406.4", "B": "410.7", "E": "1.69", "alpha": "0.34", "beta": "0.28"},
    "Hoffmann, TeX source": {
        "A": np.exp(6.0073404),
        "B": np.exp(6.0179186),
        "E": np.exp(0.5267228),
        "alpha": 0.33917084,
        "beta": 0.2849083,
    },
    "Besiroglu, as printed": {
        "A": "482.01",
        "B": "2085.43",
        "E": "1.8172",
        "alpha": "0.3478",
        "beta": "0.3658",
    },
}
RULE = (1e9, 7e9, 70e9, 175e9)
GOPHER, CHINCHILLA_RUN = {"N": 280e9, "D": 300e9}, {"N": 70e9, "D": 1.4e12}
SMALL, LARGE = {"N": 10e9, "D": 1.7e12}, {"N": 100e9, "D": 170e9}
LLAMA = {
    "LLaMA 7B": (6.7e9, 1e12),
    "LLaMA 13B": (13e9, 1e12),
    "LLaMA 2 70B": (70e9, 2e12),
    "Llama 3 8B": (8e9, 15e12),
    "Llama 3.1 405B": (405e9, 15.6e12),
}


class Section(NamedTuple):
    """A statement, and the table that answers it."""

    title: str
    text: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def fits() -> dict[str, bs.Fit]:
    """The law under three beliefs about the noise of log loss."""
    runs = bs.data.load("besiroglu2024_chinchilla")
    beliefs = {
        "Student-t": bs.Model(LAW, noise.student_t, effects=()),
        "normal": bs.Model(LAW, noise.log_normal, effects=()),
        "Student-t, shocks by size": bs.Model(LAW, noise.student_t, effects=(bs.Effect("size"),)),
    }
    return {name: bs.nuts(jax.random.key(i), model, runs) for i, (name, model) in enumerate(beliefs.items())}


def sections(found: Mapping[str, bs.Fit]) -> list[Section]:
    """Every statement with its answer."""
    return [
        rule(found),
        gopher(found),
        shapes(found),
        llama(found),
        more_compute(found),
        tenth(found),
        envelope(),
    ]


def rule(found: Mapping[str, bs.Fit]) -> Section:
    """20 tokens for each parameter."""
    rows = []
    for N in RULE:
        compute = 6 * 20 * N**2
        for name, fit in found.items():
            best = bs.compute_optimal(fit, compute, bounds=(1, 1e20))
            by_rule = bs.rule_of_thumb(compute, fit=fit)
            waste = ", ".join(
                f"{np.mean(one.regret):.1%}" for one in (by_rule, best) if one.regret is not None
            )
            asked = (number(N, "parameters"), number(20 * N, "tokens"), number(compute, "FLOP"))
            rows.append((*asked, name, interval(best, "N"), interval(best, "D/N"), waste))
    return Section(
        "Twenty tokens for each parameter",
        "At each budget the rule is compared with what the law says is best. How many tokens a parameter "
        "should see is known to a factor of two or so; but the loss is flat there, and the rule wastes "
        "little of the compute. The last column is the share that is wasted on average over the posterior, "
        "by the rule and by the choice of least expected loss.",
        (
            "parameters",
            "tokens",
            "FLOP",
            "noise",
            "best parameters",
            "best tokens for each",
            "wasted by rule, by choice",
        ),
        rows,
    )


def gopher(found: Mapping[str, bs.Fit]) -> Section:
    """Gopher and Chinchilla, and whether a FLOP went three times as far."""
    rows = []
    for name, fit in {**found, **{name: bs.published(LAW, p) for name, p in PUBLISHED.items()}}.items():
        gain = bs.relative_efficiency(fit, CHINCHILLA_RUN, GOPHER)
        apart = bs.better(fit, GOPHER, CHINCHILLA_RUN)
        sure = f"{gain.probability('gain', above=3):.3f}" if len(gain) > 1 else ""
        rows.append(
            (
                name,
                interval(apart, "loss of the first"),
                interval(apart, "loss of the second"),
                interval(apart, "difference", 2),
                interval(gain, "efficiency of the second"),
                interval(gain, "gain"),
                sure,
            )
        )
    return Section(
        "Chinchilla beside Gopher: three times as efficient?",
        "280B parameters on 300B tokens, and 70B on 1.4T. Gopher could have had its loss for half of its "
        "compute, and so a FLOP went about twice as far in Chinchilla. More than three times is what the "
        "rounded parameters of the paper say; with all their digits it is 2.8, and by these data three is "
        "out of the question.",
        ("", "loss of Gopher", "of Chinchilla", "difference", "efficiency of Gopher", "gain", "P(gain > 3)"),
        rows,
    )


def shapes(found: Mapping[str, bs.Fit]) -> Section:
    """Two shapes at 1e23 FLOP, of which neither is the best."""
    elpd = left_out(found)
    asked = bs.rivals(found, lambda fit: bs.better(fit, SMALL, LARGE), "difference", below=0, elpd=elpd)
    rows = []
    for name, fit in found.items():
        wastes = [bs.efficiency(fit, N=run["N"], D=run["D"]) for run in (SMALL, LARGE)]
        best = bs.compute_optimal(fit, 6 * SMALL["N"] * SMALL["D"])
        rows.append(
            (
                name,
                interval(asked.decisions[name], "difference", 2),
                f"{asked.probabilities[name]:.3f}",
                f"{elpd[name]:.1f}",
                interval(best, "N"),
                *(f"{waste['deadweight loss'].mean():.0%}" for waste in wastes),
            )
        )
    said = "".join(f" {finding}" for finding in asked.findings)
    return Section(
        "10B parameters on 1.7T tokens, or 100B on 170B?",
        "Both take 1.02e23 FLOP, and neither is compute-optimal: the best model lies between them, and each "
        "wastes a third to a half of its compute. Which of the two is better hangs on the belief about noise, "
        "and the runs say which belief predicts them: elpd is the log density of each run given the others, "
        f"summed.{said}",
        (
            "noise",
            "loss of 10B less that of 100B",
            "P(10B better)",
            "elpd, nats",
            "best parameters",
            "wasted by 10B",
            "by 100B",
        ),
        rows,
    )


def llama(found: Mapping[str, bs.Fit]) -> Section:
    """Tokens for each parameter of known models, and what they say of serving."""
    rows = []
    for name, (N, D) in LLAMA.items():
        for belief, fit in found.items():
            shown = bs.revealed_demand(fit, N=N, D=D)
            best = bs.compute_optimal(fit, 6 * N * D, bounds=(1, 1e20))
            over = np.mean(best["D/N"] < D / N)
            rows.append(
                (name, number(D / N), belief, interval(best, "D/N"), f"{over:.3f}", interval(shown, "T/D"))
            )
    return Section(
        "Tokens for each parameter of the LLaMA models: trained for too long?",
        "The best ratio at the same compute, the probability that the model saw more tokens than that, and "
        "the inference that its shape would have been chosen for, in units of its training tokens; where "
        "that is negative, a smaller model on more tokens would have been cheaper even to train. The first "
        "two and Llama 3 8B are far beyond the optimum, LLaMA 2 70B is near it, and Llama 3.1 405B is "
        "between. Their tokenizers and corpora are not those of these runs.",
        (
            "model",
            "tokens for each",
            "noise",
            "best tokens for each",
            "P(more than best)",
            "inference / training tokens",
        ),
        rows,
    )


def more_compute(found: Mapping[str, bs.Fit]) -> Section:
    """Ten times the compute, from several budgets."""
    rows = []
    for compute in (1e19, 1e21, 1e23, 1e25):
        for name, fit in found.items():
            before, after = (bs.compute_optimal(fit, c, bounds=(1, 1e20)) for c in (compute, 10 * compute))
            took = before.replace(draws={"less": before["loss"] - after["loss"]})
            rows.append((number(compute, "FLOP"), name, interval(before, "loss"), interval(took, "less", 2)))
    return Section(
        "Ten times the compute takes 1 off the loss?",
        "No: it takes off less the more there is already, and never one nat in this range.",
        ("from FLOP", "noise", "loss", "less by ten times"),
        rows,
    )


def tenth(found: Mapping[str, bs.Fit]) -> Section:
    """What a tenth of the loss takes, and less ambitious targets."""
    rows = []
    for name, fit in found.items():
        now = bs.compute_optimal(fit, CHINCHILLA)["loss"]
        for share in (0.98, 0.95, 0.9, 0.1):
            asked = bs.compute_for(fit, share * now)
            times = asked.replace(draws={"times": asked["C"] / CHINCHILLA})
            reach = f"{asked.probability('C', below=np.inf):.3f}"
            rows.append((name, f"{1 - share:.0%}", reach, interval(times, "times")))
    for share in (0.98, 0.95, 0.9, 0.1):
        took = bs.power_rule(1.0, 0.05, target=share)
        rows.append(("a power law to zero, .05", f"{1 - share:.0%}", "1", interval(took, "times")))
    return Section(
        "The compute for a tenth of the loss",
        f"From the best loss at {number(CHINCHILLA, 'FLOP')} FLOP, how many times the compute is needed for "
        "a loss that is lower by a share. With an irreducible loss a tenth of it is out of reach of any "
        "compute, and so is a loss that is lower by a tenth; a power law to zero gives 1e20 times and 8 "
        "times. Quantiles are over all draws.",
        ("noise", "less by", "P(within reach)", "times the compute"),
        rows,
    )


def envelope() -> Section:
    """From 125M to 1B parameters on the back of an envelope."""
    took = bs.power_rule(3.5, 0.076, times=8)
    return Section(
        "From a loss of 3.5 at 125M parameters to 1B",
        f"With an exponent of .076 the power law gives {took['loss'][0]:.3f}, not 3.2. {took.findings[0]}",
        ("parameters", "loss"),
        [("125M", "3.5"), ("1B", f"{took['loss'][0]:.3f}")],
    )


def interval(decision: Decision, quantity: str, digits: int | None = None) -> str:
    """A median with its 90% interval; of one draw the number alone."""
    unit = decision.units.get(quantity, "")
    low, middle, high = (f"{v:.{digits}g}" if digits else short(v, unit) for v in decision.interval(quantity))
    return f"{middle} [{low}, {high}]" if len(decision) > 1 else middle


def short(value: float, unit: str) -> str:
    """A number in three digits, or four where it is a loss."""
    return number(value, unit) if unit == "nats for each token" else number(float(f"{value:.3g}"), unit)


def page(found: list[Section]) -> str:
    """The sections as Markdown."""
    head = (
        "# Statements about scaling, with intervals\n\n"
        "Written by `python examples/notes.py`. Medians and 90% intervals by 4,000 draws each of "
        "`chinchilla`, fitted to the 240 runs that Besiroglu et al. 2024 read from a figure of Hoffmann et "
        "al. 2022, with the priors of the package and under three beliefs about noise. What lies beyond "
        "1.3e22 FLOP, where the runs end, is extrapolated, and as good as the law.\n"
    )
    parts = [head]
    for one in found:
        table = [one.headings, tuple("---" for _ in one.headings), *one.rows]
        lines = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
        parts.append(f"## {one.title}\n\n{one.text}\n\n{lines}\n")
    return "\n".join(parts)


def main() -> None:
    """Fit, ask, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=PAGE, help="the page (%(default)s)")
    output = parser.parse_args().output
    found = fits()
    for name, fit in found.items():
        print(f"{name}: {fit.verdict}")
    output.write_text(page(sections(found)), encoding="utf-8")
    print(f"the page is in {output}")


if __name__ == "__main__":
    main()
