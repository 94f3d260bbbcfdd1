"""The optimum that counts serving: Sardana's examples, the first-order condition, money, and what is refused."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from bayescale import models
from bayescale.check.published import published
from bayescale.decide.allocate import compute_optimal
from bayescale.decide.inference import Price, inference_optimal, revealed_demand
from bayescale.decide.surface import surface
from tests.made import BESIROGLU, TEX, fit_of, some

# Exponents that reproduce the examples of Sardana et al. 2024, arXiv:2401.00448, to three digits.
SARDANA = {"A": "406.4", "B": "410.7", "E": "1.69", "alpha": "0.336", "beta": "0.283"}
LAW = models.load("chinchilla")


def optimum_of_size(parameters, N):
    """Tokens and loss of the compute-optimal model of N parameters: where the two terms fall at one rate."""
    A, B, E, alpha, beta = (float(parameters[p]) for p in ("A", "B", "E", "alpha", "beta"))
    D = (beta * B / (alpha * A * N**-alpha)) ** (1 / beta)
    return D, E + A * N**-alpha + B * D**-beta


@pytest.mark.parametrize(
    ("parameters", "N", "T", "size", "ratio", "saved"),
    [
        (SARDANA, 7e9, 1e11, 6.000e9, 1.176, None),
        (SARDANA, 13e9, 2e12, 6.97e9, None, (1.69e22, 0.175)),
        (BESIROGLU, 7e9, 1e11, 5.60e9, 1.275, None),
        (BESIROGLU, 13e9, 2e12, 6.10e9, None, (2.09e22, 0.29)),
    ],
)
def test_a_smaller_model_trained_longer(parameters, N, T, size, ratio, saved):
    D, loss = optimum_of_size(parameters, N)
    found = inference_optimal(published(LAW, parameters), T, loss=loss)
    assert found["N"][0] == pytest.approx(size, abs=0.01e9)
    if ratio:
        assert found["D"][0] / D == pytest.approx(ratio, abs=0.002)
    if saved:
        assert found["saved"][0] == pytest.approx(saved[0], abs=0.02e22)
        assert found["share saved"][0] == pytest.approx(saved[1], abs=0.01)
    assert found["total"][0] == pytest.approx(6 * found["N"][0] * found["D"][0] + 2 * found["N"][0] * T)
    # The condition that it was found without: an e-fold of N takes off 1 + T / 3D times what one of D does.
    takes = surface(published(LAW, parameters)).elasticities(N=found["N"], D=found["D"])
    assert takes["N"][0] / takes["D"][0] == pytest.approx(1 + T / (3 * found["D"][0]), rel=1e-4)
    back = revealed_demand(published(LAW, parameters), N=found["N"][0], D=found["D"][0])
    assert back["T"][0] == pytest.approx(T, rel=1e-4)


def test_a_budget_and_its_loss_are_two_sides_of_one_optimum():
    fit = fit_of("chinchilla", some(BESIROGLU, sd=0.02))
    spent = inference_optimal(fit, 1e12, budget=1e24)
    np.testing.assert_allclose(spent["total"], 1e24, rtol=1e-9)
    back = inference_optimal(fit, 1e12, loss=spent["loss"])
    np.testing.assert_allclose(back["total"], 1e24, rtol=1e-7)
    np.testing.assert_allclose(back["N"], spent["N"], rtol=1e-5)
    N, D = spent.choice["N"], spent.choice["D"]
    spend = 6 * N * D + 2 * N * 1e12
    assert spend == pytest.approx(1e24)
    enough = inference_optimal(fit, 1e12, loss=surface(fit).each(N=N, D=D))
    np.testing.assert_allclose(spent.regret, 1 - enough["total"] / 1e24, atol=1e-9)


def test_every_draw_is_cheapest():
    natural = some(BESIROGLU)
    T, loss = 2e12, 2.2
    found = inference_optimal(fit_of("chinchilla", natural), T, loss=loss)
    for i in (0, 57, 199):
        A, B, E, alpha, beta = (natural[p][i] for p in ("A", "B", "E", "alpha", "beta"))
        if not np.isfinite(found["N"][i]):
            assert loss <= E
            continue

        def total(x, A=A, B=B, E=E, alpha=alpha, beta=beta):
            left = loss - E - A * np.exp(-alpha * x)
            D = (B / left) ** (1 / beta) if left > 0 else np.inf
            return np.log(6 * np.exp(x) * D + 2 * np.exp(x) * T)

        x = np.log(found["N"][i])
        by_scipy = minimize_scalar(total, bracket=(x - 0.2, x, x + 0.3), tol=1e-12)
        assert np.log(found["total"][i]) == pytest.approx(by_scipy.fun, abs=1e-9)
        assert x == pytest.approx(by_scipy.x, abs=1e-4)


def test_without_serving_it_is_the_compute_optimum():
    fit = published(LAW, BESIROGLU)
    best, found = compute_optimal(fit, 1e23), inference_optimal(fit, 0, budget=1e23)
    assert found["N"] == pytest.approx(best["N"], rel=1e-9)
    assert found["inference"][0] == 0
    same = inference_optimal(fit, 0, loss=best["loss"])
    assert same["share saved"][0] == pytest.approx(0, abs=1e-9)


def test_money():
    """Serving at half the utilisation is twice the inference, and a price scales everything."""
    fit = published(LAW, BESIROGLU)
    training, serving = Price(2.0, 1e15, 0.4), Price(2.0, 1e15, 0.2)
    in_flop = inference_optimal(fit, 2e12, loss=2.0)
    in_money = inference_optimal(fit, 1e12, loss=2.0, training=training, serving=serving)
    assert in_money["N"] == pytest.approx(in_flop["N"], rel=1e-9)
    assert in_money["total"] == pytest.approx(in_flop["total"] * 2.0 / (3600 * 1e15 * 0.4), rel=1e-9)
    assert in_money.units["total"] == "money"
    spent = inference_optimal(fit, 1e12, budget=in_money["total"][0], training=training, serving=serving)
    assert spent["loss"][0] == pytest.approx(2.0, abs=1e-9)
    assert spent["training"][0] + spent["inference"][0] == pytest.approx(in_money["total"][0])


def test_the_demand_that_a_shape_reveals():
    for parameters, times in ((BESIROGLU, 12.7), (TEX, 5.8)):  # Llama 3 8B
        found = revealed_demand(published(LAW, parameters), N=8e9, D=15e12)
        assert found["T/D"][0] == pytest.approx(times, abs=0.06)
    assert revealed_demand(published(LAW, BESIROGLU), N=175e9, D=300e9)["T"][0] < 0  # GPT-3
    for parameters, ratio in ((BESIROGLU, 1.17), (TEX, 0.79)):  # LLaMA 2 70B
        assert revealed_demand(published(LAW, parameters), N=70e9, D=2e12)["e_N/e_D"][0] == pytest.approx(
            ratio, abs=0.005
        )


def test_a_loss_out_of_reach_costs_without_end():
    natural = {p: np.repeat(v, 200) for p, v in BESIROGLU.items()}
    natural["E"] = np.linspace(1.7, 1.9, 200)
    found = inference_optimal(fit_of("chinchilla", natural), 1e12, loss=1.8)
    reached = natural["E"] < 1.8
    np.testing.assert_array_equal(np.isfinite(found["total"]), reached)
    assert np.isinf(found["N"][~reached]).all()
    assert np.isnan(found["saved"][~reached]).all()


def test_what_is_refused():
    fit = published(LAW, BESIROGLU)
    with pytest.raises(ValueError, match="give the loss to reach or the budget to spend, one of them"):
        inference_optimal(fit, 1e12)
    with pytest.raises(ValueError, match="give both prices"):
        inference_optimal(fit, 1e12, loss=2.0, training=Price(2.0, 1e15, 0.4))
    with pytest.raises(ValueError, match="tokens is -1; it is the number of tokens of inference"):
        inference_optimal(fit, -1, loss=2.0)
    with pytest.raises(ValueError, match=r"utilisation is 40\.0; it is a share"):
        Price(2.0, 1e15, 40.0)
    with pytest.raises(
        ValueError, match="the budget does not serve 1e\\+18 tokens with a model of 1e\\+06 parameters"
    ):
        inference_optimal(fit, 1e18, budget=1e24)
    with pytest.raises(ValueError, match="at or beyond the bound"):
        inference_optimal(fit, 1e12, budget=1e24, bounds=(1e6, 1e9))
