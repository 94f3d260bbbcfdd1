"""Ways of counting: Hoffmann's table A4, GPT-3's parameters, Kaplan's and DeepSeek's formulas, and integers."""

import jax.numpy as jnp
import numpy as np
import pytest

from bayescale import parallel
from bayescale.decide.flops import (
    Shape,
    checked,
    forward,
    non_embedding_of,
    six_nd,
    six_without_embeddings,
    total_of,
    training,
)

SMALL = Shape(layers=12, width=768, heads=12, vocabulary=50257, context=1024)


# Hoffmann et al. 2022, table A4: layers, width, feed-forward, heads, key, and FLOP by their formulas over 6ND; and the
# parameters, in millions, of their tables A4 and A9.
TABLE_A4 = [
    (10, 640, 2560, 10, 64, 1.03, 73.7),
    (20, 1024, 4096, 16, 64, 1.10, 305),
    (24, 1280, 5120, 10, 128, 1.08, 552),
    (26, 1792, 7168, 14, 128, 1.04, 1143),
    (28, 2048, 8192, 16, 128, 1.03, 1593),
    (40, 3584, 14336, 28, 128, 0.99, 6796),
]


@pytest.mark.parametrize(("layers", "width", "ff", "heads", "key", "ratio", "millions"), TABLE_A4)
def test_table_a4_is_without_embeddings_and_logits(layers, width, ff, heads, key, ratio, millions):
    """Appendix F says that both are counted; the table comes out only where neither is."""
    shape = Shape(layers, width, heads, 32_000, 2048, feedforward=ff, key=key, relative=True)
    assert shape.total / 1e6 == pytest.approx(millions, rel=2e-3)
    found = training(shape, logits=False, softmax=True)
    assert found / (6 * shape.total) == pytest.approx(ratio, abs=0.01)
    both = training(shape, embeddings=True, softmax=True)
    assert both / (6 * shape.total) > ratio + 0.025


def test_formulas_of_papers():
    shape = Shape(layers=30, width=4096, heads=32, vocabulary=102_400, context=4096)
    n, d, S = 30, 4096, 4096
    assert shape.non_embedding == 12 * n * d**2
    # DeepSeek LLM, arXiv:2401.02954, equation 2: 72 n d^2 + 12 n d S.
    assert training(shape, logits=False) == 72 * n * d**2 + 12 * n * d * S
    # Kaplan et al. 2020, arXiv:2001.08361, equation 2.2: 2 N + 2 n S d for a forward pass, which is causal.
    assert forward(shape, attention="causal", logits=False) == 2 * shape.non_embedding + 2 * n * S * d
    assert training(shape, attention="none", logits=False) == 6 * shape.non_embedding
    with_last = training(shape, attention="causal")
    assert with_last == 6 * (shape.non_embedding + 102_400 * d) + 6 * n * S * d


def test_parameters_of_known_models():
    gpt3 = Shape(layers=96, width=12288, heads=96, vocabulary=50257, context=2048)
    assert gpt3.total == pytest.approx(175e9, rel=0.005)
    llama2 = Shape(80, 8192, 64, 32_000, 4096, feedforward=28672, kv_heads=8, gated=True, tied=False)
    assert llama2.total == pytest.approx(68.98e9, rel=1e-3)
    # Mixtral 8x7B: 46.7B parameters, of which a token sees 12.9B.
    mixtral = Shape(
        32, 4096, 32, 32_000, 8192, feedforward=14336, kv_heads=8, gated=True, tied=False, experts=8, chosen=2
    )
    assert mixtral.total == pytest.approx(46.7e9, rel=1e-3)
    assert mixtral.active + mixtral.embedding == pytest.approx(12.9e9, rel=2e-3)


def test_only_the_experts_of_a_token_are_computed_with():
    one = Shape(12, 768, 12, 50257, 1024)
    many = Shape(12, 768, 12, 50257, 1024, experts=8, chosen=1)
    router = 12 * 768 * 8
    assert many.active == one.non_embedding + router
    assert many.non_embedding == one.non_embedding + 7 * 12 * 8 * 768**2 + router
    assert forward(many) - forward(one) == 2 * router


def test_a_backward_pass_costs_two_and_what_is_recomputed_comes_on_top():
    assert training(SMALL) == 3 * forward(SMALL)
    assert training(SMALL, recompute=1.0) == 4 * forward(SMALL)
    assert forward(SMALL, softmax=True) - forward(SMALL) == 12 * 3 * 12 * 1024
    assert forward(SMALL, embeddings=True) - forward(SMALL) == 2 * 50257 * 768


def test_with_and_without_embeddings():
    """Pearce and Song 2024: N = M + 47491 M^(1/3)."""
    M = np.geomspace(1e2, 1e13, 40)
    np.testing.assert_allclose(non_embedding_of(total_of(M)), M, rtol=1e-12)
    assert total_of(1e9) == pytest.approx(1e9 + 47491 * 1e3)
    with parallel.workbench():
        np.testing.assert_allclose(six_without_embeddings(jnp.asarray(total_of(M))), 6 * M, rtol=1e-12)


def test_integers_of_the_machine_are_refused_and_products_of_them_are_not_made():
    N, D = np.int64(280 * 10**9), np.int64(300 * 10**9)
    assert six_nd(N, D) == 5.04e23
    with np.errstate(over="ignore"):
        wrapped = 6 * N * D
    for compute in (wrapped, np.array([10**18]), jnp.asarray([3])):
        with pytest.raises(
            ValueError, match=r"compute is of type int(64|32), in which 6ND wraps around beyond"
        ):
            checked(compute)
    assert checked(10**24) == 1e24  # Python's own integers have no end
    with pytest.raises(ValueError, match="compute is nan; it is a positive number of FLOP"):
        checked(np.nan)


def test_what_is_refused():
    with pytest.raises(ValueError, match="layers is 0; it is a whole number from 1 on"):
        Shape(0, 768, 12, 50257, 1024)
    with pytest.raises(ValueError, match="5 heads do not divide a width of 768; give key"):
        Shape(12, 768, 5, 50257, 1024)
    with pytest.raises(ValueError, match="2 experts cannot be chosen of 1"):
        Shape(12, 768, 12, 50257, 1024, chosen=2)
    with pytest.raises(ValueError, match="attention is 'half'; it is one of none, causal, full"):
        training(SMALL, attention="half")
