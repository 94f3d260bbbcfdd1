"""Numbers printed in papers, kept in published.toml with their source.

What a paper derives from a law is derived here by numerical optimisation of the law's own mean, which knows
nothing of the closed forms.
"""

import ast
import operator
import tomllib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from bayescale import models

FILE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("published.toml").read_text(encoding="utf-8"))
TABLES = {name: np.array(values) for name, values in FILE["tables"].items()}
FLOP = 6.0  # for each parameter and token

OPERATIONS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}


def number(value) -> float:
    """A number, or the value of a string of arithmetic."""
    if not isinstance(value, str):
        return value

    def value_of(node) -> Any:
        match node:
            case ast.Constant(value=int() | float()):
                return node.value
            case ast.BinOp():
                return OPERATIONS[type(node.op)](value_of(node.left), value_of(node.right))
            case ast.UnaryOp():
                return OPERATIONS[type(node.op)](value_of(node.operand))
            case ast.Call(func=ast.Name(id="exp"), args=[argument], keywords=[]):
                return float(np.exp(value_of(argument)))
        raise ValueError(f"{value!r} is not arithmetic")

    return value_of(ast.parse(value, mode="eval").body)


def root(of, low, high, xtol=2e-12) -> float:
    """Where a function is zero; the tolerance is SciPy's."""
    return float(brentq(of, low, high, xtol=xtol))  # pyright: ignore[reportArgumentType]


class Evaluated:
    """A law at given parameters, as a plain function of numbers."""

    def __init__(self, entry: dict[str, Any]):
        parameters = entry.get("parameters", {})
        if isinstance(parameters, str):
            parameters = FILE["parameters"][parameters]
        self.parameters = {name: number(value) for name, value in parameters.items()}
        self.law: Any = models.load(entry["law"]) if "law" in entry else None

    def __call__(self, *covariates):
        return float(self.law.mean(*covariates, **self.parameters))

    def least(self, of, low, high):
        """Where a function of the logarithm is least."""
        found = minimize_scalar(
            of, bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": 1e-11}
        )
        return float(np.exp(found.x))

    def optimal_N(self, C):
        return self.least(lambda x: self(np.exp(x), C / FLOP / np.exp(x)), 1e3, 1e20)


def loss(law, covariates, at):
    return law.law.mean(*(np.array(covariates[c], float) for c in law.law.covariates), **law.parameters)


def ratio(law, covariates, at):
    return loss(law, covariates, {}) / loss(law, at, {})


def difference(law, covariates, at):
    return loss(law, covariates, {}) - loss(law, at, {})


def each(function):
    """The same for each element of lists of arguments."""

    def quantity(law, covariates, at):
        return np.vectorize(lambda *values: function(law, *values), otypes=[float])(*at.values())

    return quantity


def optimal_loss(law, C):
    N = law.optimal_N(C)
    return law(N, C / FLOP / N)


def optimal_ratio(law, C):
    return C / FLOP / law.optimal_N(C) ** 2


def allocation_exponent(law, C):
    return np.log(law.optimal_N(10 * C) / law.optimal_N(C / 10)) / np.log(100)


def needed(law, value):
    """The compute at which the best split has a given loss."""
    return np.exp(root(lambda x: optimal_loss(law, np.exp(x)) - value, np.log(1e14), np.log(1e32), xtol=1e-9))


def efficiency(law, N, D):
    return needed(law, law(N, D)) / (FLOP * N * D)


def gain(law, covariates, at):
    old, new = (efficiency(law, N, D) for N, D in zip(at["N"], at["D"], strict=True))
    return new / old


def missed(law, C, multiple):
    N = law.optimal_N(C) * multiple
    return law(N, C / FLOP / N)


def excess(law, C, multiple):
    return missed(law, C, multiple) - optimal_loss(law, C)


def waste(law, C, multiple):
    return C / needed(law, missed(law, C, multiple)) - 1


def elasticity_ratio(law, N, D):
    step = 1e-4  # central differences: relative error of order step squared
    by_n = law(N * np.exp(step), D) - law(N * np.exp(-step), D)
    by_d = law(N, D * np.exp(step)) - law(N, D * np.exp(-step))
    return by_n / by_d


def flop_ratio(law, approach):
    ratios = FLOP * TABLES["N"] * TABLES[f"D{approach}"] / TABLES[f"C{approach}"]
    return ratios[np.argmax(np.abs(ratios - 1))]


def table_ratio(law, approach):
    return (TABLES[f"D{approach}"] / TABLES["N"])[7]


def table_slope(law, approach):
    return np.polyfit(np.log(TABLES[f"C{approach}"]), np.log(TABLES["N"]), 1)[0]


def table_distance(law, covariates, at):
    """By how much the best D for each N of the table is above the one printed: the least and the most."""
    logs = [root(lambda x, N=N: np.log(law.optimal_N(np.exp(x)) / N), 40, 75) for N in TABLES["N"]]
    distance = np.exp(logs) / FLOP / TABLES["N"] / TABLES[f"D{at['approach']}"] - 1
    return np.array([distance.min(), distance.max()])


def non_embedding_slope(law, covariates, at):
    """The slope of ln N in ln C, where N and C leave out the embeddings: Pearce & Song."""
    budgets = np.geomspace(at["C"][0], at["C"][1], 101)

    def best(C):
        def of(x):
            N = np.exp(x)
            return law(N + 47491 * N ** (1 / 3), C / FLOP / N)

        return law.least(of, 10, 1e20)

    return np.polyfit(np.log(budgets), np.log([best(C) for C in budgets]), 1)[0]


def parabola_bias(law, covariates, at):
    """The relative error in D at 1e24 of parabolas in ln D through 15 points at each of 5 budgets."""
    budgets, target = np.geomspace(1e17, 1e21, 5), 1e24
    centres = [C / FLOP / law.optimal_N(C) for C in budgets]
    off = at["offset"] * np.geomspace(1, at["drift"], 5)
    biases = []
    for width in at["width"]:
        found = []
        for C, centre, factor in zip(budgets, centres, off, strict=True):
            x = np.log(factor) + np.linspace(-np.log(width), np.log(width), 15)
            D = centre * np.exp(x)
            losses = law.law.mean(C / FLOP / D, D, **law.parameters)
            square, linear, _ = np.polyfit(x, losses, 2)
            found.append(np.log(centre) - linear / square / 2)
        line = np.polyfit(np.log(budgets), found, 1)
        biases.append(np.exp(np.polyval(line, np.log(target))) * FLOP * law.optimal_N(target) / target - 1)
    return np.array(biases)


def inference(law, size, tokens):
    """N, times the tokens, and FLOP saved, of the cheapest model as good as the best one of `size`."""
    C = np.exp(root(lambda x: np.log(law.optimal_N(np.exp(x)) / size), np.log(1e18), np.log(1e26)))
    D = C / FLOP / size
    goal = law(size, D)

    def tokens_for(N):
        return np.exp(root(lambda x: law(N, np.exp(x)) - goal, np.log(D / 100), np.log(D * 1e6), xtol=1e-12))

    def cost(N):
        return FLOP * N * tokens_for(N) + 2 * N * tokens

    N = law.least(lambda x: cost(np.exp(x)), size / 2.5, size * 1.1)
    # The condition of the optimum: the ratio of elasticities is 1 + T / (3 D).
    assert elasticity_ratio(law, N, tokens_for(N)) == pytest.approx(1 + tokens / 3 / tokens_for(N), rel=1e-4)
    return N, tokens_for(N) / D, cost(size) - cost(N)


def effective_epochs(law, epochs, U):
    """The unique tokens that repeated ones are worth, in units of U, read off the loss."""
    p, N = law.parameters, 1e6  # so few parameters that they are worth what they are
    rest = law(N, epochs * U, U) - p["E"] - p["A"] * N ** -p["alpha"]
    return (rest / p["B"]) ** (-1 / p["beta"]) / U


def wall(law, C, U):
    """D, epochs, N and loss of the best split where only U tokens are unique."""
    D = law.least(lambda x: law(C / FLOP / np.exp(x), np.exp(x), U), U, 100 * U)
    N = C / FLOP / D
    return D, D / U, N, law(N, D, U)


def experts_gain(law, covariates, at):
    few, many = (law(at["N"], experts) for experts in at["experts"])
    return many / few


def width(law, low, high):
    """The decades from one success to another."""

    def where(success):
        return root(lambda x: law(np.exp(x)) - success, np.log(1e10), np.log(1e30)) / np.log(10)

    return where(high) - where(low)


def shorter(law, covariates, at):
    """How many times shorter tasks are that are done so often than those done half of the time."""

    def minutes(success):
        return np.exp(root(lambda x: law(np.exp(x), at["date"]) - success, np.log(1e-3), np.log(1e5)))

    return np.array([minutes(0.5) / minutes(one) for one in at["success"]])


def attempts_exponent(law, k):
    """Of k in the negative logarithm of pass@k."""
    return -np.log(np.log(law(10 * k)) / np.log(law(k))) / np.log(10)


QUANTITIES = {
    "loss": loss,
    "ratio": ratio,
    "difference": difference,
    "optimal_N": each(Evaluated.optimal_N),
    "optimal_D": each(lambda law, C: C / FLOP / law.optimal_N(C)),
    "optimal_ratio": each(optimal_ratio),
    "optimal_loss": each(optimal_loss),
    "allocation_exponent": each(allocation_exponent),
    "efficiency": each(efficiency),
    "gain": gain,
    "excess": each(excess),
    "waste": each(waste),
    "elasticity_ratio": each(elasticity_ratio),
    "flop_ratio": each(flop_ratio),
    "table_ratio": each(table_ratio),
    "table_slope": each(table_slope),
    "table_distance": table_distance,
    "non_embedding_slope": non_embedding_slope,
    "parabola_bias": parabola_bias,
    "inference_N": each(lambda law, size, tokens: inference(law, size, tokens)[0]),
    "inference_tokens": each(lambda law, size, tokens: inference(law, size, tokens)[1]),
    "inference_saving": each(lambda law, size, tokens: inference(law, size, tokens)[2]),
    "effective_epochs": each(effective_epochs),
    "effective_fraction": each(lambda law, epochs, U: effective_epochs(law, epochs, U) / epochs),
    "wall_D": each(lambda law, C, U: wall(law, C, U)[0]),
    "wall_epochs": each(lambda law, C, U: wall(law, C, U)[1]),
    "wall_N": each(lambda law, C, U: wall(law, C, U)[2]),
    "wall_loss": each(lambda law, C, U: wall(law, C, U)[3]),
    "experts_gain": experts_gain,
    "width": each(width),
    "shorter": shorter,
    "attempts_exponent": each(attempts_exponent),
}


@pytest.mark.parametrize("entry", FILE["published"], ids=lambda e: e["name"])
def test_published(entry):
    expected, tolerance = np.array(entry["expected"], float), np.array(entry["tolerance"], float)
    if entry.get("relative", False):
        tolerance = tolerance * np.abs(expected)
    with jax.enable_x64(True):
        quantity = QUANTITIES[entry.get("quantity", "loss")]
        found = np.asarray(quantity(Evaluated(entry), entry.get("covariates", {}), entry.get("at", {})))
    assert found.shape == expected.shape
    assert np.all(np.abs(found - expected) <= tolerance), f"{found} against {expected}, within {tolerance}"


def test_the_file_says_where_each_number_is_from():
    for entry in FILE["published"]:
        assert entry["tag"] in ("V", "R"), entry["name"]
        assert entry["source"], entry["name"]
    names = [entry["name"] for entry in FILE["published"]]
    assert len(names) == len(set(names))
    used = {entry.get("quantity", "loss") for entry in FILE["published"]}
    assert used == set(QUANTITIES)


@pytest.mark.parametrize("name", ["hoffmann_printed", "hoffmann_tex", "besiroglu"])
def test_the_closed_form_of_the_optimum_is_the_optimum(name):
    law = Evaluated({"law": "chinchilla", "parameters": name})
    E, A, B, alpha, beta = (law.parameters[p] for p in law.law.parameters)
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    gamma = alpha * beta / (alpha + beta)
    for C in (1e18, 1e22, 1e26):
        # The minimum of a parabola is found to the square root of the precision.
        assert law.optimal_N(C) == pytest.approx(G * (C / FLOP) ** (beta / (alpha + beta)), rel=1e-6)
        assert optimal_loss(law, C) == pytest.approx(
            E + (A * G**-alpha + B * G**beta) * (C / FLOP) ** -gamma, rel=1e-12
        )


@pytest.mark.parametrize("text", ["__import__('os')", "exp", "2 if 1 else 3", "'a'", "x ** 2", "exp(1, 2)"])
def test_only_arithmetic_is_read(text):
    with pytest.raises(ValueError, match="not arithmetic"):
        number(text)


def test_arithmetic():
    assert number("-2 * (3 + 1) / 4 - 2 ** 3") == -10
    assert number("exp(0)") == 1
    assert number(0.25) == 0.25
