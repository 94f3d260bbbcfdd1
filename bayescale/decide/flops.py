"""How parameters and FLOP are counted, and what one way of counting is in another.

The FLOP of training for each token, by `training(shape, ...)`, as papers count them:

    6N            with all N                    the usual C = 6ND
    Kaplan        attention="none"              6 N_ne, non-embedding parameters only
    DeepSeek      attention="full"              6 N_ne + 12 layers context width
    Porian        attention="causal", logits    with the last layer, and half of the attention that is masked
    Hoffmann      attention="full", logits, embeddings, softmax      their appendix F
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array

from bayescale.decide.surface import FLOP

MULTIPLY_ADD = 2.0  # FLOP for each weight and token
BACKWARD = 2.0  # a backward pass costs two forward ones: gradients of the inputs, and of the weights
SOFTMAX = 3.0  # FLOP for each head and pair of positions: Hoffmann et al. 2022, arXiv:2203.15556, appendix F
OMEGA = 47491.0  # Pearce and Song 2024, arXiv:2406.12907: embedding parameters of Chinchilla's models
KINDS = ("none", "causal", "full")


@dataclass(frozen=True)
class Shape:
    """The layers of a transformer.

    Attributes:
        layers: how many.
        width: of the residual stream.
        heads: of attention.
        vocabulary: tokens of the tokenizer.
        context: tokens in a sequence.
        feedforward: width of the feed-forward layer; four times `width` by default.
        key: width of a head; `width / heads` by default.
        kv_heads: heads of keys and values; as many as `heads` by default.
        gated: whether the feed-forward layer has a gate, a third matrix.
        experts: feed-forward layers to choose from in each layer.
        chosen: how many of them a token goes through.
        tied: whether the embeddings serve as the last layer too.
        relative: whether positions are relative with a projection of their own in each layer, as in Chinchilla.
    """

    layers: int
    width: int
    heads: int
    vocabulary: int
    context: int
    feedforward: int | None = None
    key: int | None = None
    kv_heads: int | None = None
    gated: bool = False
    experts: int = 1
    chosen: int = 1
    tied: bool = True
    relative: bool = False

    def __post_init__(self):
        for name in ("layers", "width", "heads", "vocabulary", "context", "experts", "chosen"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a whole number from 1 on")
        if self.chosen > self.experts:
            raise ValueError(f"{self.chosen} experts cannot be chosen of {self.experts}")
        if self.key is None and self.width % self.heads:
            raise ValueError(
                f"{self.heads} heads do not divide a width of {self.width}; give key, the width of a head"
            )

    @property
    def attended(self) -> int:
        """The width of all heads together."""
        return self.heads * (self.key or self.width // self.heads)

    @property
    def embedding(self) -> int:
        """Parameters of the embeddings, and of a last layer that is not tied to them."""
        return self.vocabulary * self.width * (1 if self.tied else 2)

    @property
    def non_embedding(self) -> int:
        """Parameters of the layers, with all experts; biases and norms are left out."""
        return self._parameters(self.experts)

    @property
    def active(self) -> int:
        """Parameters of the layers that a token goes through."""
        return self._parameters(self.chosen)

    @property
    def total(self) -> int:
        """All parameters."""
        return self.non_embedding + self.embedding

    def _parameters(self, experts: int) -> int:
        shared = (self.kv_heads or self.heads) / self.heads
        attention = int(self.width * self.attended * (2 + 2 * shared))
        feedforward = (3 if self.gated else 2) * self.width * (self.feedforward or 4 * self.width)
        router = self.width * self.experts if self.experts > 1 else 0
        positions = self.width * self.attended if self.relative else 0
        return self.layers * (attention + experts * feedforward + router + positions)


def training(
    shape: Shape,
    *,
    attention: str = "full",
    logits: bool = True,
    embeddings: bool = False,
    softmax: bool = False,
    recompute: float = 0.0,
) -> float:
    """The FLOP of training for each token: a forward pass and a backward one of twice its cost.

    Args:
        shape: the layers.
        attention: whether the products of all pairs of positions count: "full"; "causal", of half of them; "none".
        logits: whether the last layer counts.
        embeddings: whether looking up embeddings counts as a product with a one-hot vector.
        softmax: whether the softmax of the attention counts.
        recompute: the share of the forward pass that is computed again in the backward one.

    Raises:
        ValueError: there is no such kind of attention.

    >>> small = Shape(layers=12, width=768, heads=12, vocabulary=50257, context=1024)
    >>> training(small, attention="none", logits=False) == 6 * small.non_embedding
    True
    """
    passes = 1 + BACKWARD + recompute
    return passes * forward(shape, attention=attention, logits=logits, embeddings=embeddings, softmax=softmax)


def forward(
    shape: Shape,
    *,
    attention: str = "full",
    logits: bool = True,
    embeddings: bool = False,
    softmax: bool = False,
) -> float:
    """The FLOP of a forward pass for each token, which is what a token of inference costs; as for `training`."""
    if attention not in KINDS:
        raise ValueError(f"attention is {attention!r}; it is one of {', '.join(KINDS)}")
    seen = shape.context * {"none": 0.0, "causal": 0.5, "full": 1.0}[attention]
    positions = shape.layers * shape.width * shape.attended if shape.relative else 0
    weights = shape.active - positions  # the projection of positions is shared by all sequences
    flop = MULTIPLY_ADD * weights + shape.layers * 2 * MULTIPLY_ADD * seen * shape.attended
    if softmax:
        flop += shape.layers * SOFTMAX * shape.heads * seen
    return flop + MULTIPLY_ADD * shape.vocabulary * shape.width * (int(logits) + int(embeddings))


def six_nd(N: npt.ArrayLike, D: npt.ArrayLike) -> np.ndarray:
    """The compute of training, 6ND, in floating point, which integers would overflow.

    >>> float(six_nd(np.int64(7 * 10**10), np.int64(14 * 10**11)))
    5.88e+23
    """
    return FLOP * np.asarray(N, float) * np.asarray(D, float)


def checked(compute: npt.ArrayLike, name: str = "compute") -> np.ndarray:
    """The compute as it is given, if it is positive, finite and not a machine integer.

    Raises:
        ValueError: it is none of these. Integers of 64 bits end at 9.2e18, and products of N and D wrap around
            without a word, to negative numbers or to positive ones.
    """
    values = np.asarray(compute)
    of_machine = isinstance(compute, np.ndarray | np.generic | jax.Array) and values.dtype.kind in "iu"
    if of_machine:
        raise ValueError(
            f"{name} is of type {values.dtype}, in which 6ND wraps around beyond {np.iinfo(values.dtype).max:.2g}; "
            "compute it in floating point, as six_nd does"
        )
    found = np.asarray(compute, float)
    if not (np.isfinite(found) & (found > 0)).all():
        raise ValueError(f"{name} is {compute}; it is a positive number of FLOP, such as 5.76e23")
    return found


# ---- From one way of counting parameters to another


def total_of(non_embedding: npt.ArrayLike) -> np.ndarray:
    """All parameters of Chinchilla's models from those without embeddings, N = M + 47491 M^(1/3).

    Source:
        Pearce and Song 2024, arXiv:2406.12907, equation 5.
    """
    M = np.asarray(non_embedding, float)
    return M + OMEGA * np.cbrt(M)


def non_embedding_of(N: float | np.ndarray | Array):
    """The parameters without embeddings of Chinchilla's models from all of them: the inverse of `total_of`.

    >>> float(round(total_of(non_embedding_of(7e10))))
    70000000000.0
    """
    own = jnp if isinstance(N, jax.Array) else np
    # u^3 + omega u = N has one real root, which the hyperbolic form of the cubic gives without cancellation.
    p = OMEGA / 3
    return (2 * p**0.5 * own.sinh(own.arcsinh(N / 2 / p**1.5) / 3)) ** 3


def six_without_embeddings(N: Array) -> Array:
    """The FLOP of training for each token as Kaplan counts, 6 M, of all N parameters: a `flop` of `compute_optimal`."""
    return FLOP * non_embedding_of(N)
