"""The verbs that decide: `bayescale allocate`, `bayescale target` and `bayescale gain`."""

import functools
from collections.abc import Callable
from typing import Any

import click

from bayescale import arguments
from bayescale.options import as_csv, as_json, as_tested, examples, hold, law_file, level
from bayescale.words_of_decisions import answer

PRICES = ("price", "peak", "utilisation", "serving_price", "serving_peak", "serving_utilisation")


def _deciding(function: Callable) -> Callable:
    """The options of every verb that asks fits."""
    options = [
        click.argument("fits", metavar="FIT...", nargs=-1, required=True),
        level,
        click.option("--centre", is_flag=True, help="Of the typical level, which the others differ from."),
        hold,
        law_file,
        click.option(
            "--probability",
            type=click.FloatRange(0, 1, True, True),
            default=0.9,
            show_default=True,
            help="Probability of the intervals.",
        ),
        as_csv,
        as_json,
    ]
    return functools.reduce(lambda f, option: option(f), reversed(options), function)


def _priced(function: Callable) -> Callable:
    """The options that put prices on FLOP."""
    options = [
        click.option("--price", type=float, help="Price of an accelerator for an hour, in training."),
        click.option("--peak", type=float, help="FLOP of it in a second at best, as 9.89e14."),
        click.option(
            "--utilisation", type=float, help="The share of them that training makes use of, as 0.4."
        ),
        click.option("--serving-price", type=float, help="As --price, in inference; by default the same."),
        click.option("--serving-peak", type=float, help="As --peak, in inference; by default the same."),
        click.option("--serving-utilisation", type=float, help="As --utilisation, in inference."),
    ]
    return functools.reduce(lambda f, option: option(f), reversed(options), function)


@click.command(
    epilog=examples(
        "bayescale allocate fit.nc --compute 5.76e23,1e25 --ratio 20",
        "bayescale allocate fit.nc --compute 1e24 --inference 2T --level corpus=web",
        "bayescale allocate fit.nc --money 1e6 --price 2 --peak 9.89e14 --utilisation 0.4",
    )
)
@_deciding
@click.option("--compute", metavar="FLOP", help="Budgets in FLOP, as 1e24,1e25.")
@click.option("--money", help="Budgets in the money of --price, instead of --compute.")
@click.option(
    "--ratio", type=float, help="Beside it what a rule of so many tokens for each parameter wastes, as 20."
)
@click.option("--unique", help="Unique tokens, as 1e11 or 100B, for a law in U.")
@click.option("--inference", help="Tokens of inference, as 2e12 or 2T, which the budget pays for too.")
@click.option(
    "--bounds", default="1,1e20", show_default=True, help="The least and the most parameters considered."
)
@as_tested
@_priced
def allocate(fits, level, centre, hold, law, probability, csv, as_json, **options: Any) -> None:
    """Split a budget into parameters and tokens.

    FIT is what `bayescale fit` wrote; of several each is asked. A budget is of training, and with --inference of
    serving too.
    """
    from bayescale.decide.allocate import compute_optimal
    from bayescale.decide.apart import Asked, apart
    from bayescale.decide.data_limited import data_limited_optimal
    from bayescale.decide.inference import inference_optimal
    from bayescale.decide.rules import rule_of_thumb

    training, serving = _prices(options)
    asked = {name: options[name] for name in ("compute", "money")}
    if (asked["compute"] is None) == (asked["money"] is None):
        raise ValueError("give the budgets with --compute, in FLOP, or with --money, one of them")
    if asked["money"] and training is None:
        raise ValueError("--money needs --price, --peak and --utilisation")
    budgets = arguments.amounts_of(
        asked["money"] or asked["compute"], "--money" if asked["money"] else "--compute"
    )
    if options["unique"] and options["inference"]:
        raise ValueError("--unique and --inference are two questions; ask one at a time")
    tested = _tested(options, "unique", "inference")
    least, *most = arguments.amounts_of(options["bounds"], "--bounds")
    if len(most) != 1:
        raise ValueError(f"--bounds is {options['bounds']!r}; write the least and the most N as 1e6,1e14")
    bounds = least, most[0]
    found, answers = [], {budget: {} for budget in budgets}
    for name, own in _asked(fits, law, level, centre, hold):
        for budget in budgets:
            compute = budget / training.flop if asked["money"] and training else budget
            if options["inference"]:
                tokens = arguments.amount_of(options["inference"], "--inference")
                given = budget if asked["money"] or training is None else budget * training.flop
                wide = {"training": training, "serving": serving, "bounds": bounds}
                one = inference_optimal(own, tokens, budget=given, **wide)
            elif options["unique"]:
                unique = arguments.amount_of(options["unique"], "--unique")
                one = data_limited_optimal(own, compute, unique, bounds=bounds)
                own = own.holding(U=unique)
            else:
                one = compute_optimal(own, compute, bounds=bounds, backtest=tested)
            answers[budget][name] = Asked(own, one)
            found.append((name, one))
            if options["ratio"] is not None:
                found.append((name, rule_of_thumb(compute, options["ratio"], fit=own)))
    differ = [finding for same in answers.values() for finding in apart(same)]
    answer(found, probability, csv, as_json, apart=differ)


@click.command(
    epilog=examples(
        "bayescale target fit.nc --loss 1.95,1.9",
        "bayescale target fit.nc --loss 1.95 --hold N=70B",
        "bayescale target fit.nc --loss 1.95 --inference 2T",
    )
)
@_deciding
@click.option("--loss", required=True, help="Losses to reach, in nats for each token, as 1.95,1.9.")
@click.option("--inference", help="Tokens of inference, as 2e12 or 2T: the model that is cheapest with them.")
@as_tested
@_priced
def target(fits, level, centre, hold, law, probability, csv, as_json, **options: Any) -> None:
    """Say what a loss takes: compute, tokens or parameters.

    The least compute, and the model that it is of; with --hold N=7e10 or --hold D=1.4e12 the tokens or the parameters.
    FIT is what `bayescale fit` wrote; of several each is asked.
    """
    from bayescale.decide.apart import Asked, apart
    from bayescale.decide.inference import inference_optimal
    from bayescale.decide.invert import compute_for, data_for, params_for

    training, serving = _prices(options)
    tested = _tested(options, "inference")
    losses = arguments.amounts_of(options["loss"], "--loss")
    found, answers = [], {loss: {} for loss in losses}
    for name, own in _asked(fits, law, level, centre, hold):
        for loss in losses:
            if options["inference"]:
                tokens = arguments.amount_of(options["inference"], "--inference")
                one = inference_optimal(own, tokens, loss=loss, training=training, serving=serving)
            elif "N" in own.at:
                one = data_for(own, loss, backtest=tested)
            elif "D" in own.at:
                one = params_for(own, loss, backtest=tested)
            else:
                one = compute_for(own, loss, backtest=tested)
            answers[loss][name] = Asked(own, one)
            found.append((name, one))
    differ = [finding for same in answers.values() for finding in apart(same)]
    answer(found, probability, csv, as_json, apart=differ)


@click.command(
    epilog=examples(
        "bayescale gain fit.nc --of N=70B,D=1.4T --over N=280B,D=300B",
        "bayescale gain fit.nc --of corpus=web --over corpus=code --compute 1e21,1e23",
        "bayescale gain ours.nc theirs.nc --compute 1e22",
    )
)
@_deciding
@click.option("--of", "of", required=False, help="A run, as N=7e10,D=1.4e12, or a level, as corpus=web.")
@click.option(
    "--over", "over", required=False, help="What it is compared with: another run, or another level."
)
@click.option("--compute", help="The compute of the first recipe, in FLOP, as 1e21,1e23.")
def gain(fits, level, centre, hold, law, probability, csv, as_json, of, over, compute) -> None:
    """Say how much compute one recipe, or run, saves over another.

    Two fits, or two levels of one (--of corpus=web --over corpus=code), are compared at each --compute. Two runs
    (--of N=7e10,D=1.4e12 --over N=2.8e11,D=3e11) are compared by the law of each fit, and fits that do not agree which
    run is better are named.
    """
    from bayescale.decide.better import better, left_out, rivals
    from bayescale.decide.gain import compute_equivalent_gain, relative_efficiency

    if (of is None) != (over is None):
        raise ValueError("give both --of and --over, or neither")
    loaded = arguments.fits_in(fits, law)
    runs = _runs(of, over, loaded) if of else None
    if runs:
        names = [name for name, _ in loaded]
        surfaces = dict(zip(names, _surfaces(loaded, level, centre, hold), strict=True))
        elpd = left_out(surfaces) if len(surfaces) > 1 else None
        found = []
        for name, own in surfaces.items():
            found += [(name, relative_efficiency(own, *runs)), (name, better(own, *runs))]
        agreed = None
        if len(surfaces) > 1:
            agreed = rivals(surfaces, lambda own: better(own, *runs), "difference", below=0, elpd=elpd)
        return answer(found, probability, csv, as_json, agreed)
    if compute is None:
        raise ValueError("recipes are compared at a compute; give --compute, as 1e21,1e23")
    if of and len(loaded) == 1:
        ((name, _),) = loaded
        pair = [_surfaces(loaded, (*level, one), centre, hold)[0] for one in (of, over)]
        name = f"{name}: {of} over {over}"
    elif not of and len(loaded) == 2:
        pair = _surfaces(loaded, level, centre, hold)
        name = " over ".join(label for label, _ in loaded)
    else:
        raise ValueError("give two fits; or one fit with two levels, as --of corpus=web --over corpus=code")
    budgets = arguments.amounts_of(compute, "--compute")
    return answer(
        [(name, compute_equivalent_gain(pair[0], pair[1], C)) for C in budgets], probability, csv, as_json
    )


def _asked(paths: tuple[str, ...], law, level: tuple[str, ...], centre: bool, hold: tuple[str, ...]) -> list:
    """The fits at their levels, each with its name."""
    loaded = arguments.fits_in(paths, law)
    return list(zip([name for name, _ in loaded], _surfaces(loaded, level, centre, hold), strict=True))


def _surfaces(loaded: list, level: tuple[str, ...], centre: bool, hold: tuple[str, ...]) -> list:
    from bayescale.decide.surface import surface

    fits, at = [fit for _, fit in loaded], arguments.held_of(hold)
    levels = arguments.levels_of(fits, level)
    return [surface(fit, at=at, centre=centre, **own) for fit, own in zip(fits, levels, strict=True)]


def _runs(of: str, over: str, loaded: list) -> tuple[dict[str, float], dict[str, float]] | None:
    """The two runs; None where levels are meant, which are those of factors of the fits."""
    factors = {by for _, fit in loaded for by in fit.model.factors}
    names = {
        name
        for option, text in (("--of", of), ("--over", over))
        for name in arguments.pairs_of((text,), option, "N=7e10,D=1.4e12 or corpus=web")
    }
    axes = {"N", "D", "C"}.union(*(fit.model.law.covariates for _, fit in loaded))
    if names <= factors or not names & axes:
        return None
    if both := sorted(names & factors):
        raise ValueError(f"--of and --over are two runs or two levels; {both[0]} is a factor of the fits")
    runs = arguments.point_of(of, "--of"), arguments.point_of(over, "--over")
    for option, run in zip(("--of", "--over"), runs, strict=True):
        if missing := [c for c in ("N", "D") if c not in run]:
            raise ValueError(f"{option}: {missing[0]} of the run is missing; write it as N=7e10,D=1.4e12")
    return runs


def _tested(options: dict[str, Any], *without: str) -> dict[str, Any] | None:
    """What a back-test said, for questions that know what to do with a drift."""
    from bayescale.check.as_data import load_check

    if options["backtest"] and (given := [name for name in without if options[name]]):
        raise ValueError(f"--backtest has no say where --{given[0]} is given; leave one of them out")
    return load_check(options["backtest"], "backtest") if options["backtest"] else None


def _prices(options: dict[str, Any]):
    from bayescale.decide.inference import Price

    given = [options.pop(name) for name in PRICES]
    if all(value is None for value in given):
        return None, None
    own, serving = given[:3], given[3:]
    if None in own:
        raise ValueError("a price of FLOP is made of --price, --peak and --utilisation; give all three")
    filled = [a if b is None else b for a, b in zip(own, serving, strict=True)]
    return Price(*own), Price(*filled)
