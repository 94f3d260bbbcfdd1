"""Bad input of every kind: each is to be refused with a sentence that says where, and nothing taken silently.

- Tables: a good table of losses or of successes with one fault planted in it, of some twenty-five kinds, in a random
  place and format. It has to be refused by an error that names the file, and the row or the column of the fault, or to
  get a severe finding.
- Bytes: files of every format read (csv, tsv, jsonl, their .gz, parquet, stored fits, back-tests, and what a study
  consists of), cut short, with bytes flipped, swapped, doubled or made up. Each is read, or refused by a `ValueError`,
  `TypeError` or `OSError` with a sentence; anything else is a traceback that a user would see.

    python benchmarks/bad_input.py --tables 10000 --seconds 3600
"""

import argparse
import csv
import gzip
import io
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import record

Rows = list[list[Any]]
ROWS = 12
EXPECTED = (ValueError, TypeError, OSError)


def losses(rng: np.random.Generator) -> Rows:
    """A table that can be read: header and rows of text."""
    N = 10 ** rng.uniform(7, 10, ROWS)
    D = N * 10 ** rng.uniform(0.7, 2.7, ROWS)
    loss = 1.8 + 480 * N**-0.35 + 2000 * D**-0.37
    corpus = rng.choice(["web", "code", "books"], ROWS)
    return [
        ["N", "D", "loss", "corpus", "experts"],
        *(
            [f"{n:.6g}", f"{d:.6g}", f"{value:.5f}", str(c), "8"]
            for n, d, value, c in zip(N, D, loss, corpus, strict=True)
        ),
    ]


def successes(rng: np.random.Generator) -> Rows:
    """A table of successes that can be read."""
    C, trials = 10 ** rng.uniform(19, 23, ROWS), rng.integers(1, 100, ROWS)
    solved = rng.binomial(trials, 1 / (1 + (1e21 / C)))
    return [
        ["C", "task", "successes", "trials"],
        *(
            [f"{c:.6g}", f"task {k % 3 + 1}", str(s), str(t)]
            for k, (c, s, t) in enumerate(zip(C, solved, trials, strict=True))
        ),
    ]


def _cell(column: str, values: list[str]) -> Callable:
    def plant(rng, rows):
        row = int(rng.integers(1, len(rows)))
        rows[row][rows[0].index(column)] = str(rng.choice(values))
        return column, row + 1

    return plant


def _short(rng, rows):
    row = int(rng.integers(1, len(rows)))
    rows[row] = rows[row][: int(rng.integers(1, len(rows[0])))]
    return None, row + 1


def _long(rng, rows):
    row = int(rng.integers(1, len(rows)))
    rows[row] = [*rows[row], "1"]
    return None, row + 1


def _twice(rng, rows):
    row = int(rng.integers(1, len(rows)))
    rows.append(list(rows[row]))
    return None, row + 1


def _named_twice(rng, rows):
    rows[0] = ["N", "N", "loss", "corpus", "experts"]
    return "N", None


def _no_response(rng, rows):
    rows[0] = ["N", "D", "weight", "corpus", "experts"]
    return None, None


def _emptied(rng, rows):
    del rows[1:]
    return None, None


def _one(rng, rows):
    del rows[2:]
    return None, None


def _whole(column: str, value: str) -> Callable:
    def plant(rng, rows):
        at = rows[0].index(column)
        for row in rows[1:]:
            row[at] = value
        return column, None

    return plant


# What is planted -> where it is. Words are no numbers, losses are positive and below the logarithm of a vocabulary.
OF_LOSSES: dict[str, Callable] = {
    "a word for N": _cell("N", ["large", "7 B illion", "--", "1e", "0x1F", "12..5"]),
    "N that is not positive": _cell("N", ["0", "-1e9", "-0.0"]),
    "N that is no number": _cell("N", ["nan", "inf", "-inf", ""]),
    "a word for D": _cell("D", ["many", "1e9 tokens?", "=A1", "#REF!"]),
    "D that is not positive": _cell("D", ["0", "-20B"]),
    "a word for the loss": _cell("loss", ["diverged", "2,9,1", "NaN?", "2.1.3", "two"]),
    "a loss that is no number": _cell("loss", ["nan", "inf", "", "-inf", "NA", "null"]),
    "a loss that is not positive": _cell("loss", ["0", "-2.3"]),
    "a loss beyond any vocabulary": _cell("loss", ["290", "1e9"]),
    "experts below one": _cell("experts", ["0", "-8", "0.2"]),
    "a row that is too short": _short,
    "a row that is too long": _long,
    "a row that is there twice": _twice,
    "a column that is there twice": _named_twice,
    "no response": _no_response,
    "no runs": _emptied,
    "one run": _one,
    "a loss in percent of nothing": _whole("loss", "1e400"),
    "a column without numbers": _whole("N", "big"),
}
OF_SUCCESSES: dict[str, Callable] = {
    "more successes than trials": _cell("successes", ["101", "1e3"]),
    "successes that are no count": _cell("successes", ["0.5", "-1", "nan", "inf", "", "50%?", "most"]),
    "trials that are no count": _cell("trials", ["2.5", "0", "-4", "nan", "inf", "", "many"]),
    "C that is not positive": _cell("C", ["0", "-1e20", "nan", "large"]),
    "a row of successes that is there twice": _twice,
    "a row of successes that is too short": _short,
}
FAULTS = {name: (losses, fault) for name, fault in OF_LOSSES.items()} | {
    name: (successes, fault) for name, fault in OF_SUCCESSES.items()
}


def written(rows: Rows, kind: str, folder: Path) -> Path:
    """The table as a file of that kind."""
    path = folder / f"runs.{kind}"
    if kind.startswith("jsonl"):
        header, *others = rows
        text = "".join(json.dumps(dict(zip(header, row, strict=False))) + "\n" for row in others)
    else:
        held = io.StringIO()
        csv.writer(held, delimiter="\t" if kind.startswith("tsv") else ",", lineterminator="\n").writerows(
            rows
        )
        text = held.getvalue()
    data = text.encode()
    path.write_bytes(gzip.compress(data) if kind.endswith(".gz") else data)
    return path


def tables(count: int, seed: int = 0) -> dict[str, Any]:
    """Plant faults, read, and count what was refused how."""
    from bayescale.check.of_runs import findings_of_runs
    from bayescale.runs import Runs

    rng = np.random.default_rng(seed)
    told: Counter[str] = Counter()
    refused, silent, unlike, vague = Counter(), [], [], []
    kinds = ["csv", "tsv", "csv.gz", "jsonl"]
    with tempfile.TemporaryDirectory() as folder:
        for k in range(count):
            name = list(FAULTS)[k % len(FAULTS)]
            good, plant = FAULTS[name]
            rows = good(rng)
            column, row = plant(rng, rows)
            kind = str(
                rng.choice(kinds[:3] if "too" in name or "twice" in name or "no runs" in name else kinds)
            )
            path = written(rows, kind, Path(folder))
            try:
                runs = Runs.read(path)
            except EXPECTED as error:
                said = str(error)
                where = (column is None or column in said) and (
                    row is None or str(row) in said or str(row - 1) in said
                )
                refused[name] += 1
                if str(path) not in said or not where:
                    vague.append((name, kind, said.replace(folder, "")))
            except Exception as error:  # what a user would see as a traceback
                unlike.append((name, kind, repr(error)))
            else:
                if any(one.severity == "severe" for one in findings_of_runs(runs)):
                    told[name] += 1
                else:
                    silent.append((name, kind, str(rows), repr(runs)))
    return {
        "tables": count,
        "refused": dict(refused),
        "with a severe finding": dict(told),
        "taken silently": len(silent),
        "with a traceback": len(unlike),
        "without saying where": len(vague),
        "of these": [*silent[:5], *unlike[:5], *vague[:10]],
    }


def mutated(rng: np.random.Generator, data: bytes) -> bytes:
    """The bytes of a file after a few accidents, which left it another one."""
    while (found := _after_accidents(rng, data)) == data:
        pass
    return found


def _after_accidents(rng: np.random.Generator, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if not found:
            break
        at, width = int(rng.integers(len(found))), int(rng.integers(1, 40))
        match int(rng.integers(6)):
            case 0:
                del found[at:]
            case 1:
                found[at] ^= 1 << int(rng.integers(8))
            case 2:
                found[at : at + width] = rng.bytes(width)
            case 3:
                found[at:at] = found[at : at + width]
            case 4:
                del found[at : at + width]
            case 5:
                found[at:at] = str(
                    rng.choice([",", "\n", '"', "\0", "é", "{", "1e999", "nan", "\r", ";"])
                ).encode()
    return bytes(found)


def corpus(folder: Path) -> dict[str, tuple[bytes, Callable[[Path], Any]]]:
    """Name -> the bytes of a good file, and what reads it."""
    import jax
    import pyarrow as pa
    import pyarrow.parquet as pq

    from bayescale import models, noise
    from bayescale.check.as_data import load_check, save_check
    from bayescale.check.backtest import backtest
    from bayescale.infer.bootstrap import bootstrap
    from bayescale.infer.optimize import laplace
    from bayescale.model import Model
    from bayescale.runs import Runs
    from bayescale.storage import load, save

    rows = losses(np.random.default_rng(0))
    found: dict[str, tuple[bytes, Callable]] = {}
    for kind in ("csv", "tsv", "csv.gz", "jsonl", "jsonl.gz"):
        found[kind] = (written(rows, kind, folder).read_bytes(), Runs.read)
    columns = {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}
    pq.write_table(pa.table(columns), folder / "runs.parquet")
    found["parquet"] = ((folder / "runs.parquet").read_bytes(), Runs.read)
    runs = Runs.read(written(rows, "csv", folder))
    key, model = jax.random.key(0), Model(models.load("power").along("N"), noise.log_normal, effects=())
    save(laplace(key, model, runs, draws=50), folder / "fit.nc")
    found["nc"] = ((folder / "fit.nc").read_bytes(), load)
    save_check(backtest(key, model, runs, by="N", cutoffs=2, draws=100), folder / "backtest.json")
    found["backtest.json"] = ((folder / "backtest.json").read_bytes(), load_check)
    study = folder / "study"
    bootstrap(key, model, runs, replicates=1, folder=study)
    for part in sorted(file for file in study.rglob("*") if file.is_file() and file.suffix):
        found[f"study, {part.suffix[1:]}"] = (
            part.read_bytes(),
            lambda file, part=part: _in_study(part, file),
        )
    return found


def _in_study(part: Path, file: Path) -> Any:
    """The numbers of a study of which a file is another one."""
    from bayescale.infer.bootstrap import load_study

    good = part.read_bytes()
    folder = next(above for above in part.parents if above.name == "study")
    part.write_bytes(file.read_bytes())
    try:
        return load_study(folder).values("alpha")
    finally:
        part.write_bytes(good)


def fuzz(seconds: float, seed: int = 0) -> dict[str, Any]:
    """Read files with accidents for that long."""
    rng = np.random.default_rng(seed)
    began, read, refused, unlike = time.monotonic(), Counter(), Counter(), []
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as held:
        files = corpus(Path(made))
        while time.monotonic() - began < seconds:
            kind = str(rng.choice(list(files)))
            data, reader = files[kind]
            path = Path(held) / f"file.{kind.rpartition(' ')[2]}"
            path.write_bytes(mutated(rng, data))
            try:
                reader(path)
                read[kind] += 1
            except EXPECTED as error:
                refused[kind] += 1
                if not str(error).strip():
                    unlike.append((kind, "an error without a sentence"))
            except Exception as error:
                unlike.append((kind, repr(error)[:300]))
    return {
        "seconds": seconds,
        "read": dict(read),
        "refused": dict(refused),
        "tracebacks": len(unlike),
        "of these": unlike[:10],
    }


def main() -> None:
    """Do both, print and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    results = record.header(
        f"python benchmarks/bad_input.py --tables {given.tables} --seconds {given.seconds:g}"
    )
    results["tables"] = tables(given.tables, given.seed)
    print(json.dumps(results["tables"], indent=1), flush=True)
    results["bytes"] = fuzz(given.seconds, given.seed)
    print(json.dumps(results["bytes"], indent=1))
    record.write("bad_input", results)


if __name__ == "__main__":
    main()
