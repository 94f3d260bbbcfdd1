"""Laws as JavaScript: what comes out, what is refused, and in Chromium that every law gives the same numbers."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from bayescale import models, parallel
from bayescale.page.javascript import UntranslatableError, translate
from tests import chromium

LAWS = [name for name in models.names() if models.load(name).covariates]


def test_statements_are_made_of_what_is_needed_once():
    def function(x, y):
        unused = jnp.sin(x)  # noqa: F841
        return (x * y + 1.0) / (x * y)

    steps, results = translate(function, ["x", "y"])
    assert steps == ["const v1 = x * y;", "const v2 = v1 + 1.0;", "const v3 = v2 / v1;"]
    assert results == ["v3"]


def test_numbers_that_are_not_finite_and_negative_ones():
    steps, _ = translate(lambda x: jnp.maximum(x, -jnp.inf) - (-2.0), ["x"])
    assert steps == ["const v0 = Math.max(x, (-Infinity));", "const v1 = v0 - (-2.0);"]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: jax.scipy.special.erf(x), "the operation erf has no translation"),
        (
            lambda x: jnp.sort(jnp.stack([x, x]))[0],
            "of arrays has no translation; a law is a function of numbers",
        ),
        (
            lambda x: lax.while_loop(lambda v: v < 3, lambda v: v + 1, x),
            "the operation while has no translation",
        ),
        (
            lambda x: (x.astype(np.float32) * 2).astype(np.float64),
            "convert_element_type of float32 has no translation",
        ),
        (lambda x: x.astype(int).astype(float), "convert_element_type of int64 has no translation"),
    ],
)
def test_what_has_no_translation_is_refused(function, said):
    with pytest.raises(UntranslatableError, match=said):
        translate(function, ["x"])


def derivatives(law):
    """A law and its derivatives by its covariates, as a function of covariates and parameters in turn."""

    def mean(*values):
        named = dict(zip((*law.covariates, *law.parameters), values, strict=True))
        return law(named, named) * 1.0

    return jax.value_and_grad(mean, argnums=tuple(range(len(law.covariates))))


def flat(found) -> list[float]:
    return [float(np.asarray(leaf)) for leaf in jax.tree.leaves(found)]


@pytest.mark.parametrize("name", LAWS)
def test_every_law_gives_the_same_numbers_in_chromium(name, blank):
    law = models.load(name)
    count = len(law.covariates) + len(law.parameters)
    points = np.exp(np.random.default_rng(0).normal(0, 0.5, (20, count)))
    function = derivatives(law)
    steps, results = translate(function, [f"x[{i}]" for i in range(count)])
    code = f"{json.dumps(points.tolist())}.map(x => {{ {' '.join(steps)} return [{', '.join(results)}]; }})"
    found = np.array([[np.nan if v is None else v for v in row] for row in blank.run(code)])
    with parallel.workbench():
        expected = np.array([flat(function(*point)) for point in points])
    # Both are right to some units of the last digit, and a law is a handful of operations; sums may cancel.
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


OPERATIONS = {
    "choice": lambda x: jnp.where((x > 0.4) & ~(x >= 0.9), jnp.log1p(x), jnp.expm1(x)),
    "either": lambda x: jnp.where((x < 0.2) | (x != 0.5), x**3, x**-2),
    "bounds": lambda x: jnp.clip(x, 0.3, 0.6) + jnp.sign(x - 0.5) + jnp.floor(4 * x) - jnp.ceil(x),
    "roots": lambda x: jnp.sqrt(x) + jnp.cbrt(x) + lax.rsqrt(x) + jnp.square(x) + jnp.abs(-x),
    "curves": lambda x: jnp.tanh(x) + jnp.sinh(x) * jnp.cosh(x) + jax.nn.sigmoid(x) + jnp.exp2(x),
    "circles": lambda x: jnp.sin(x) + jnp.cos(x) * jnp.tan(x) + jnp.arctan(x),
    "logarithms": lambda x: jnp.log10(x) + jnp.logaddexp(x, 2.0) + jnp.log2(x) + 10**x,
    "finite": lambda x: jnp.where(jnp.isfinite(1 / (x - 0.5)), x, 7.0) + jnp.where(jnp.isnan(x), 1.0, 2.0),
    "softplus": jax.nn.softplus,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_gives_the_same_number_in_chromium(name, blank):
    steps, (result,) = translate(OPERATIONS[name], ["x"])
    points = [0.1, 0.35, 0.5, 0.7, 0.95]
    found = blank.run(f"{points}.map(x => {{ {' '.join(steps)} return {result}; }})")
    with parallel.workbench():
        expected = [float(OPERATIONS[name](np.float64(x))) for x in points]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    """An empty page."""
    if chromium.path() is None:
        pytest.skip("there is no Chromium to run JavaScript in")
    browser = chromium.Browser(tmp_path_factory.mktemp("chromium"))
    yield browser.page("about:blank")
    browser.close()
