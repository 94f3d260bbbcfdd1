"""From the file that a study published to the tidy table that is described here.

One function for each study: it takes the text of the published file and returns the text of the table.
Nothing is fetched, written or guessed here.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence


def _number(value: float) -> str:
    """A number with eight digits: no source has more that mean anything."""
    return f"{value:.8g}"


def _rows(raw: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a published CSV that has these columns."""
    reader = csv.DictReader(io.StringIO(raw))
    absent = [name for name in columns if name not in (reader.fieldnames or ())]
    if absent:
        raise ValueError(f"the published file has no column {', '.join(absent)}; it is not the one described")
    return list(reader)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(",".join(row) for row in [columns, *rows]) + "\n"


def besiroglu2024(raw: str) -> str:
    """The points of a figure: size and compute as drawn, tokens from C = 6 N D, the five worst marked.

    Source:
        Besiroglu et al. 2024, arXiv:2404.10102, leaves out the five points with the highest loss.
    """
    points = [
        (float(row["Model Size"]), float(row["Training FLOP"]), float(row["loss"]))
        for row in _rows(raw, ("Model Size", "Training FLOP", "loss"))
    ]
    worst = sorted(range(len(points)), key=lambda i: -points[i][2])[:5]
    return _table(
        ("study", "group", "run_id", "params", "tokens", "flops", "loss", "in_fit_subset"),
        (
            (
                "besiroglu2024_chinchilla",
                "massivetext",
                f"bes_{i:03d}",
                _number(params),
                _number(flops / (6 * params)),
                _number(flops),
                _number(loss),
                "0" if i in worst else "1",
            )
            for i, (params, flops, loss) in enumerate(points)
        ),
    )


def llama3(raw: str) -> str:
    """The digitised curves of equal compute, by budget and then by size."""
    published = [
        row
        for row in _rows(raw, ("condition", "tokens", "params", "budget", "loss"))
        if row["condition"] == "raw_loss"
    ]
    points = [
        (float(row["budget"]), float(row["params"]), float(row["tokens"]), float(row["loss"]), f"l3_{i:03d}")
        for i, row in enumerate(published)
    ]
    return _table(
        ("study", "group", "run_id", "params", "tokens", "flops", "loss"),
        (
            ("llama3_2024", "llama3", run, _number(params), _number(tokens), _number(budget), _number(loss))
            for budget, params, tokens, loss, run in sorted(points)
        ),
    )


def bnsl2022(raw: str) -> str:
    """The two lists of numbers in the published script: examples and test losses.

    Source:
        Caballero et al. 2022, arXiv:2210.14891, fit the first 14 points and extrapolate to the last 3.
    """
    lists = {}
    for name in "xy":
        found = re.search(rf"^{name} = np\.array\(\[([\d.,\s]*)\]\)", raw, re.MULTILINE)
        if not found:
            raise ValueError(f"the published script has no list {name}; it is not the one described")
        lists[name] = [item.strip() for item in found[1].split(",")]
    return _table(
        ("study", "run_id", "train_size", "loss", "split"),
        (
            ("bnsl2022_addition", "addition4", size, loss, "fit" if i < 14 else "extrapolate")
            for i, (size, loss) in enumerate(zip(lists["x"], lists["y"], strict=True))
        ),
    )


CONVERSIONS: dict[str, Callable[[str], str]] = {
    "besiroglu2024": besiroglu2024,
    "llama3": llama3,
    "bnsl2022": bnsl2022,
}
