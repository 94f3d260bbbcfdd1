"""Whether columns hold what they are taken for: which parameters N counts, what C is, the unit of the loss."""

from collections.abc import Collection, Iterator

import numpy as np

from bayescale.check.finding import Finding
from bayescale.columns import label, meaning, role
from bayescale.runs import Runs

SHARE = 0.05  # by so much the share of embeddings may vary, before exponents in N change with it
FLOP = 0.10  # C may be so far from 6ND: attention, logits and rounding are less
EXACT = 1e-6  # relative: what a wrapped integer is told by
WRAPS = (32, 64)  # bits of an integer
WORST = 12.6  # nats: guessing among 300,000 tokens, more than any tokenizer has
LEAST = 1.0  # nats for each token: what no model of running text has reached
BIT = -np.log(np.log(2))  # the log of nats in bits
NEAR, NARROW, SOME = 0.03, 0.06, 0.05  # of that ratio; the scatter about it; the share of rows on either side
SHARES, ROUNDS = (0.1, 0.25, 0.5, 0.75, 0.9), 20  # of rows that begin in bits; until none changes sides
SCALED = ("learning rate", "batch size")  # which are not best at the same value for models of every size
DECADE = 10.0  # by so much sizes differ before that matters


def columns(runs: Runs, shared: Collection[str]) -> Iterator[Finding]:
    """What there is to say of the columns of a table; `shared` are the factors whose levels the model tells apart."""
    yield from _embeddings(runs)
    yield from _flop(runs)
    yield from _units(runs)
    yield from _tokenizers(runs, shared)
    yield from _tuned(runs)


def _by_role(runs: Runs) -> dict[str, np.ndarray]:
    """What the columns tell beside what laws are in, role -> (runs,)."""
    named = {role(name): np.asarray(values, float) for name, values in runs.columns.items()}
    return {name: values for name, values in named.items() if name is not None}


# ---- EMBED


def embedding_share(runs: Runs) -> np.ndarray | None:
    """The share of embeddings in the parameters of each run, (runs,); None where nothing tells it."""
    told = _by_role(runs)
    if "N" not in runs.columns:
        return None
    N = np.asarray(runs.columns["N"], float)
    if "non_embedding" in told:
        share = 1 - told["non_embedding"] / N
    elif "embedding" in told:
        share = told["embedding"] / N
    elif {"vocabulary", "width"} <= set(told):
        share = told["vocabulary"] * told["width"] / N
    else:
        return None
    return share if (share >= 0).all() and (share < 1).all() else None


def other_count(runs: Runs) -> tuple[str, np.ndarray] | None:
    """Another column that counts parameters and of which C is 6 times that and D, where N is not."""
    if not {"N", "D", "C"} <= set(runs.columns):
        return None
    N, D, C = (np.asarray(runs.columns[c], float) for c in ("N", "D", "C"))
    if (np.abs(C / (6 * N * D) - 1) < FLOP).all():
        return None
    for name, values in runs.columns.items():
        if name != "N" and (role(name) in ("total", "non_embedding") or meaning(name) == "N"):
            values = np.asarray(values, float)
            if (values > 0).all() and (np.abs(C / (6 * values * D) - 1) < FLOP / 5).all():
                return name, values
    return None


def _embeddings(runs: Runs) -> Iterator[Finding]:
    if (other := other_count(runs)) is not None:
        ratio = np.asarray(runs.columns["N"], float) / other[1]
        yield Finding(
            "EMBED",
            "severe",
            f"C is 6 {other[0]} D and N is another count, {ratio.min():.2g} to {ratio.max():.2g} times {other[0]}: a "
            "budget is not split by N",
            float(ratio[np.argmax(np.abs(np.log(ratio)))]),
            f"Take one count for both: --name N={other[0]}, or C of that N",
        )
        return
    share = embedding_share(runs)
    if share is not None and np.ptp(share) > SHARE:
        yield Finding(
            "EMBED",
            "warning",
            f"embeddings are {share.min():.0%} to {share.max():.0%} of the parameters, so that exponents depend on "
            "whether N counts them",
            float(np.ptp(share)),
            "Fit with the other N too, and say which one an answer is of",
        )


# ---- FLOPDEF, INTFLOP


def _flop(runs: Runs) -> Iterator[Finding]:
    if not {"N", "D", "C"} <= set(runs.columns):
        return
    N, D, C = (np.asarray(runs.columns[c], float) for c in ("N", "D", "C"))
    wrapped = _wrapped(N, D, C)
    if wrapped.any():
        first = int(np.flatnonzero(wrapped)[0])
        yield Finding(
            "INTFLOP",
            "severe",
            f"C of {wrapped.sum()} of {len(runs)} runs is 6ND as an integer that overflowed: in row {first + 1} it is "
            f"{label(C[first])}, and 6ND is {label(6 * N[first] * D[first])}",
            float(wrapped.sum()),
            "Compute C in floating point, or leave it out: it is then 6ND",
        )
    ratio = C / (6 * N * D)
    away = (np.abs(ratio - 1) > FLOP) & ~wrapped
    if away.any():
        worst = int(np.argmax(np.abs(np.log(ratio)) * away))
        yield Finding(
            "FLOPDEF",
            "warning",
            f"C is not 6ND in {away.sum()} of {len(runs)} runs: C/6ND is {ratio[worst]:.3g} in the farthest, row "
            f"{worst + 1}",
            float(ratio[worst]),
            "Say what C and N count: attention and logits, embeddings, active parameters, repeated passes",
        )


def _wrapped(N: np.ndarray, D: np.ndarray, C: np.ndarray) -> np.ndarray:
    """Where C is what is left of 6ND in an integer that is too short for it, (runs,)."""
    found = np.zeros(len(C), bool)
    for i, (n, d, c) in enumerate(zip(N, D, C, strict=True)):
        exact = 6 * int(n) * int(d)
        for bits in WRAPS:
            left = (exact + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
            found[i] |= exact != left and left > 0 and abs(c - left) <= EXACT * left
    return found


# ---- UNITS


def _units(runs: Runs) -> Iterator[Finding]:
    if runs.kind != "loss":
        return
    loss = np.asarray(runs.response, float)
    if (worse := loss > WORST).any():
        yield Finding(
            "UNITS",
            "severe",
            f"{worse.sum()} of {len(runs)} losses are above {WORST} nats, up to {loss.max():.3g}: guessing among "
            "300,000 tokens does no worse",
            float(loss.max()),
            "Take the logarithm if they are perplexities, and leave out runs that diverged",
        )
    elif loss.max() < LEAST:
        yield Finding(
            "UNITS",
            "note",
            f"every loss is under {LEAST:g}, {loss.min():.3g} to {loss.max():.3g}: of running text that is not nats "
            "for each token",
            float(loss.max()),
            "Read what is said in nats for each token as what they are in, such as bits for each byte",
        )
    if (rows := two_units(runs)) is not None:
        first = ", ".join(str(i + 1) for i in np.flatnonzero(rows)[:5])
        yield Finding(
            "UNITS",
            "severe",
            f"{rows.sum()} of {len(runs)} losses are 1.44 times what the others lead to expect: they look like bits "
            f"among nats, such as rows {first}",
            float(rows.sum()),
            "Multiply those in bits by 0.6931",
        )


def two_units(runs: Runs) -> np.ndarray | None:
    """Which losses are in bits where the others are in nats, (runs,); None where all are in one unit.

    A smooth surface and one shift are fitted in turns, each row on the side to which it is nearer, and the least
    scatter counts. Rows are in two units where the shift comes out at the logarithm of 1.4427.
    """
    logs = [
        np.log(values) for values in (np.asarray(runs.columns.get(c, 1.0), float) for c in ("N", "D", "C"))
    ]
    logs = [one for one in logs if one.ndim and np.isfinite(one).all()]
    logs = [one - one.mean() for one in logs[:2] if np.ptp(one) > 0]
    surface = np.stack([np.ones(len(runs)), *logs, *(one**2 for one in logs)], axis=1)
    if len(runs) < surface.shape[1] + 3:  # as many again for two sides and a scatter
        return None
    value = np.log(np.asarray(runs.response, float))
    first = value - surface @ np.linalg.lstsq(surface, value, rcond=None)[0]
    sides = [_settled(surface, value, first > np.quantile(first, 1 - share)) for share in SHARES]
    shift, scatter, side = min(sides, key=lambda one: one[1])
    enough = SOME <= side.mean() <= 1 - SOME and min(side.sum(), (~side).sum()) > 1
    return side if enough and abs(shift - BIT) < NEAR and scatter < NARROW else None


def _settled(surface: np.ndarray, value: np.ndarray, side: np.ndarray) -> tuple[float, float, np.ndarray]:
    """The shift between two sides of a surface, the scatter about both, and the rows on the upper one."""
    shift, scatter = 0.0, float("inf")
    for _ in range(ROUNDS):
        fitted = np.linalg.lstsq(np.column_stack([surface, side]), value, rcond=None)[0]
        shift, residual = float(fitted[-1]), value - surface @ fitted[:-1]
        scatter = float(np.std(np.where(side, residual - shift, residual)))
        moved = residual > shift / 2
        if (moved == side).all():
            break
        side = moved
    return shift, scatter, side


def _tokenizers(runs: Runs, shared: Collection[str]) -> Iterator[Finding]:
    """Losses for each token are not comparable where tokens are not."""
    sizes = _by_role(runs).get("vocabulary", np.ones(1))
    names = runs.levels.get("tokenizer", ())
    count = max(len(names), len(np.unique(sizes)))
    if runs.kind == "loss" and count > 1 and "tokenizer" not in shared:
        what = (
            ", ".join(names[:3])
            if len(names) > 1
            else f"vocabularies of {label(sizes.min())} to {label(sizes.max())}"
        )
        yield Finding(
            "UNITS",
            "severe",
            f"losses for each token of {count} tokenizers ({what}) are not of one unit",
            float(count),
            "Give losses for each byte, or let E, A and B differ by the tokenizer (--vary E,A,B --by tokenizer)",
        )


# ---- TUNED


def _tuned(runs: Runs) -> Iterator[Finding]:
    if "N" not in runs.columns:
        return
    N = np.asarray(runs.columns["N"], float)
    range_of_n = float(N.max() / N.min())
    for name, values in runs.columns.items():
        values = np.asarray(values, float)
        if role(name) in SCALED and np.ptp(values) == 0 and range_of_n > DECADE:
            yield Finding(
                "TUNED",
                "warning",
                f"{name} is {values[0]:g} in every run, and N differs {range_of_n:.0f} times: what is best for one "
                "size is not for another",
                range_of_n,
                f"Ask whether {name} was tuned at each size; where it was not, exponents are off by 0.1 to 0.3",
            )
