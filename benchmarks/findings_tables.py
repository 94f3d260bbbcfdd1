"""Tables for the study of findings: clean ones, as people make them, and ones with a fault planted in them."""

from typing import Any

import numpy as np

# Besiroglu et al. 2024, rounded: what losses are made with.
LAW = {"E": 1.82, "A": 482.0, "B": 2085.0, "alpha": 0.348, "beta": 0.366}
TIED = LAW | {"A": 520.0, "B": 1500.0, "alpha": 0.353, "beta": 0.353}
UNLIKE = {"E": 1.8, "A": 0.15 * 1e9**0.325, "B": 0.2 * 2e10**0.395, "alpha": 0.325, "beta": 0.395}
TOKENS = 2.0  # of a batch of 1, in millions: what steps are counted by
NU = 8.0  # degrees of freedom of noise with tails

Columns = dict[str, Any]


def loss(N, D, *, E, A, B, alpha, beta, k=1.0):
    """The loss of Hoffmann et al. 2022; with another k, that of terms that are coupled."""
    return E + ((A * N**-alpha) ** (1 / k) + (B * D**-beta) ** (1 / k)) ** k


def settings(rng: np.random.Generator, N, D) -> Columns:
    """What comes with runs that are well kept: hyper-parameters that follow the size, new tokens, few embeddings."""
    batch = 2.0 ** np.round(8 + np.log2(N / 1e8) / 2)
    return {
        "lr": 2e-3 * (N / 1e8) ** -0.2,
        "batch_size": batch,
        "step": np.round(D / (TOKENS * 1e3 * batch)) + 1,
        "unique_tokens": D / rng.uniform(1.0, 2.0),
        "params_non_embedding": N * (1 - rng.uniform(0.02, 0.05, np.shape(N))),
        "vocab_size": np.full(np.shape(N), 50304.0),
    }


def isoflop(rng: np.random.Generator, *, width=4.0, off=1.0, drift=1.0, scatter=0.005, law=LAW) -> Columns:
    """Six budgets, seven sizes at each, evenly about the best one."""
    C = np.repeat(1e18 * 3.0 ** np.arange(6), 7)
    alpha, beta = law["alpha"], law["beta"]
    best = (alpha * law["A"] / (beta * law["B"])) ** (1 / (alpha + beta)) * (C / 6) ** (beta / (alpha + beta))
    aside = off * drift ** np.repeat(np.linspace(0, 1, 6), 7)
    N = best / aside * np.tile(np.geomspace(1 / width, width, 7), 6) * np.exp(rng.uniform(-0.02, 0.02, 42))
    D = C / (6 * N)
    noisy = loss(N, D, **law) * np.exp(scatter * rng.normal(size=42))
    flop = C * np.exp(rng.uniform(-0.03, 0.03, 42))
    return {"N": N, "D": D, "C": flop, "budget": C, "loss": noisy, **settings(rng, N, D)}


def grid(rng: np.random.Generator, *, sizes=7, shock=0.004) -> Columns:
    """Sizes at six numbers of tokens for each parameter; the runs of a size share a shock."""
    N = np.repeat(np.geomspace(5e7, 5e9, sizes), 6)
    D = N * np.tile(np.geomspace(5, 160, 6), sizes)
    shocks = np.repeat(shock * rng.normal(size=sizes), 6)
    noisy = loss(N, D, **LAW) * np.exp(0.004 * rng.standard_t(NU, size=len(N)) + shocks)
    return {"N": N, "D": D, "loss": noisy, **settings(rng, N, D)}


def ladder(rng: np.random.Generator) -> Columns:
    """Eight sizes at 20 tokens for each parameter, twice."""
    N = np.repeat(np.geomspace(3e7, 3e9, 8), 2)
    D = 20 * N
    C = 6 * N * D
    noisy = (1.8 + 0.9 * (C / 1e20) ** -0.155) * np.exp(0.004 * rng.normal(size=16))
    return {"N": N, "D": D, "C": C, "loss": noisy, "seed": np.tile([1.0, 2.0], 8), **settings(rng, N, D)}


def scattered(rng: np.random.Generator, *, runs=48, ratios=(5.0, 500.0), law=TIED) -> Columns:
    """Sizes, and tokens for each parameter, anywhere."""
    N = 10 ** rng.uniform(7.5, 10, runs)
    D = N * np.exp(rng.uniform(np.log(ratios[0]), np.log(ratios[1]), runs))
    noisy = loss(N, D, **law) * np.exp(0.004 * rng.standard_t(NU, size=runs))
    return {"N": N, "D": D, "loss": noisy, **settings(rng, N, D)}


def branches(rng: np.random.Generator, *, done=(0.86, 0.93, 1.0), shock=0.005) -> Columns:
    """Sixteen training runs, of which the learning rate was brought down several times, close to the end."""
    count = len(done)
    N = np.repeat(
        np.geomspace(5e7, 5e9, 16), count
    )  # always the same: compiled code knows the names of levels
    D = N * np.repeat(10 ** rng.uniform(0.8, 2.4, 16), count)
    shocks = np.repeat(shock * rng.normal(size=16), count)
    kept = settings(rng, N, D)
    D = D * np.tile(done, 16)
    steps = np.round(kept["step"] * np.tile(done, 16))
    noisy = loss(N, D, **LAW) * np.exp(0.003 * rng.normal(size=len(N)) + shocks)
    named = np.repeat([f"r{i}" for i in range(16)], count)
    return {"N": N, "D": D, "loss": noisy, **kept, "step": steps, "run": named}


def few(rng: np.random.Generator) -> Columns:
    """Three to five runs over a decade of compute, of a law that a floor of 1.6 fits, and one of .58 as well."""
    C = 3e18 * 10 ** np.linspace(0, 1, rng.integers(3, 6))
    return {"C": C, "loss": (1.6 + 95.18 * C**-0.0941) * np.exp(0.003 * rng.normal(size=len(C)))}


def gpus(rng: np.random.Generator, *, effect: float) -> Columns:
    """Runs on 8 to 1024 GPUs as it happened, of which the number has an effect, in the log loss for each e-fold."""
    C = 10 ** rng.uniform(18, 22, 48)
    count = np.exp2(np.round(rng.uniform(3, 10, 48)))
    mean = 1.8 + 0.9 * (C / 1e20) ** -0.15
    return {"C": C, "gpus": count, "loss": mean * (count / 64) ** effect * np.exp(0.01 * rng.normal(size=48))}


# ---- Faults


def collinear(rng: np.random.Generator) -> Columns:
    """Every run at about 20 tokens for each parameter."""
    N = 10 ** rng.uniform(7.5, 10, 42)
    D = 20 * N * np.exp(0.1 * rng.normal(size=42))
    return {"N": N, "D": D, "loss": loss(N, D, **LAW) * np.exp(0.004 * rng.normal(size=42))}


def two_sizes(rng: np.random.Generator) -> Columns:
    """Two sizes, each at twelve numbers of tokens."""
    N = np.repeat(10 ** np.sort(rng.uniform(7.5, 10, 2)), 12)
    D = np.tile(np.geomspace(1e9, 1e12, 12), 2)
    return {"N": N, "D": D, "loss": loss(N, D, **LAW) * np.exp(0.004 * rng.normal(size=24))}


def checkpoints(rng: np.random.Generator) -> Columns:
    """Every tenth of sixteen training runs, without a column that says which is which."""
    found = branches(rng, done=tuple(np.arange(1, 11) / 10))
    del found["run"]
    return found


def embedded(rng: np.random.Generator) -> Columns:
    """Sizes of which the vocabulary takes from a half to a hundredth."""
    found = isoflop(rng)
    width = 128 * np.round(np.sqrt(found["N"] / 2.5e5) / 2 / 128 + 1)
    found["params_non_embedding"] = found["N"] - np.minimum(50304.0 * width, 0.6 * found["N"])
    return found


def other_flop(rng: np.random.Generator) -> Columns:
    """C with attention counted, which is more of it for small models."""
    found = isoflop(rng)
    found["C"] = found["C"] * (1 + 0.4 * (found["N"] / found["N"].min()) ** -0.3)
    return found


def overflowed(rng: np.random.Generator) -> Columns:
    """C as the product of integers of 64 bits."""
    found = scattered(rng)
    N, D = (np.round(found[c] / 1e3).astype(np.int64) * 1000 for c in ("N", "D"))
    with np.errstate(over="ignore"):
        C = 6 * N * D
    kept = C > 0  # the others are refused at the door
    return {"N": N[kept], "D": D[kept], "C": C[kept], "loss": found["loss"][kept]}


def in_bits(rng: np.random.Generator) -> Columns:
    """A third of the losses in bits."""
    found = scattered(rng)
    found["loss"] = found["loss"] / np.where(rng.permutation(48) < 16, np.log(2), 1.0)
    return found


def off(rng: np.random.Generator) -> Columns:
    """Two runs that are 10 scales of the noise off."""
    found = isoflop(rng)
    rows = rng.choice(42, 2, replace=False)
    found["loss"][rows] *= np.exp(0.05 * rng.choice([-1, 1], 2))
    return found


def repeated(rng: np.random.Generator) -> Columns:
    """Tokens seen ten times."""
    found = scattered(rng)
    found["unique_tokens"] = found["D"] / 10
    return found


def untuned(rng: np.random.Generator) -> Columns:
    """One learning rate for all sizes."""
    found = scattered(rng)
    found["lr"] = np.full(48, 1e-3)
    return found


def off_at_the_ends(rng: np.random.Generator) -> Columns:
    """Losses 2% to 3% too high in the tenth of the runs with the fewest, and the most, tokens for each parameter."""
    found = scattered(rng, runs=240, ratios=(1.0, 1000.0), law=LAW)
    order = np.argsort(found["D"] / found["N"])
    found["loss"][np.concatenate([order[:24], order[-24:]])] *= np.exp(rng.uniform(0.02, 0.03, 48))
    return found


def narrow(rng: np.random.Generator) -> Columns:
    """Unlike exponents, and every run within 8 to 60 tokens for each parameter, which does not tell that they are."""
    return scattered(rng, ratios=(8.0, 60.0), law=UNLIKE)
