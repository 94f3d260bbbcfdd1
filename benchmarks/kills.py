"""Processes killed with kill -9 at random moments: whether anything is half-written, and whether studies end the same.

Each job runs once in peace; then it is begun again and again and killed at a random moment of its time. Of what is
written once, a fit or a report, that would nearly always be before there is a file; so every second time it is killed
within a tenth of a second of its first file. What is there under its name after a kill has to be whole, with the very
draws or the very page, or nothing. A study is then resumed, as often as it takes, and has to end with the very numbers
of the one that was left in peace.

    python benchmarks/kills.py --kills 200
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import record

DATA, LAW = "gadre2024_overtrain", ("--law", "power_floor", "--along", "C")
WRITING = 0.1  # seconds from the first file on, in which what is written once is killed


class Job(NamedTuple):
    """One verb.

    Attributes:
        arguments: of the command line.
        output: what it writes.
        digest: of what it wrote, whole; an error where it is not.
        resumed: whether it can be resumed.
    """

    arguments: tuple[str, ...]
    output: str
    digest: Callable[[Path], str]
    resumed: bool = False


def main() -> None:
    """Kill, look, resume, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    given = parser.parse_args()
    results = record.header(f"python benchmarks/kills.py --kills {given.kills}")
    rng, jobs = np.random.default_rng(0), _jobs()
    results |= {"kills": given.kills, "jobs": {}}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _run(place, ("fit", DATA, *LAW, "--draws", "100", "-o", "given.nc"))
        for name, job in jobs.items():
            results["jobs"][name] = _tried(rng, place, name, job, given.kills // len(jobs))
            print(name, results["jobs"][name], flush=True)
            record.write("kills", results)


def _jobs() -> dict[str, Job]:
    small = ("--replicates", "20480", "--out", "study")
    tables = ("--replicates", "64", "--method", "laplace", "--out", "tables")
    return {
        "fit": Job(("fit", DATA, *LAW, "--draws", "100", "-o", "fit.nc"), "fit.nc", _fit),
        "report": Job(("report", "given.nc", "-o", "report.html"), "report.html", _page),
        "bootstrap": Job(("bootstrap", DATA, *LAW, *small), "study", _study, resumed=True),
        "calibrate": Job(("calibrate", "--law", "power", "--along", "C", *tables), "tables", _study, True),
    }


def _tried(rng: np.random.Generator, place: Path, name: str, job: Job, kills: int) -> dict[str, Any]:
    peace = place / f"{name} in peace"
    began = time.perf_counter()
    _run(peace, job.arguments)
    took = time.perf_counter() - began
    whole = job.digest(peace / job.output)
    told = {
        "kills": 0,
        "while writing": 0,
        "nothing there yet": 0,
        "whole": 0,
        "half-written": 0,
        "other numbers": 0,
        "ended first": 0,
    }
    round_, here = 0, place / f"{name} 0"
    while told["kills"] < kills:
        writing = not job.resumed and told["kills"] % 2 == 1
        moment = rng.uniform(0, WRITING if writing else took)
        again = ("--resume",) if job.resumed and (here / job.output).exists() else ()
        if not _killed(here, (*job.arguments, *again), moment, writing):
            told["ended first"] += 1
            told["other numbers"] += job.digest(here / job.output) != whole
            round_ += 1
            here = place / f"{name} {round_}"
            continue
        told["kills"] += 1
        if not (here / job.output).exists():
            told["nothing there yet"] += 1
        elif job.resumed:
            told["whole"] += 1  # what is wrong with it shows when it is resumed
        else:
            try:
                told["other numbers"] += job.digest(here / job.output) != whole
                told["whole"] += 1
            except (ValueError, OSError) as error:
                print(f"{name}: {error}", flush=True)
                told["half-written"] += 1
        told["while writing"] += writing
        for file in () if job.resumed else _files(here):
            file.unlink()
    if job.resumed and (here / job.output).exists():
        _run(here, (*job.arguments, "--resume"))
        told["other numbers"] += job.digest(here / job.output) != whole
    return told | {"seconds in peace": round(took, 1)}


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "bayescale", *arguments]


def _run(place: Path, arguments: tuple[str, ...]) -> None:
    place.mkdir(exist_ok=True)
    _given(place)
    done = subprocess.run(_command(arguments), cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr[-500:]}")


def _files(place: Path) -> list[Path]:
    """What a job has written so far, drafts too."""
    return [file for file in place.iterdir() if not file.is_symlink()]


def _killed(place: Path, arguments: tuple[str, ...], moment: float, writing: bool) -> bool:
    """Whether it was killed before it ended, so long after its start or, if `writing`, after its first file."""
    place.mkdir(exist_ok=True)
    _given(place)
    process = subprocess.Popen(
        _command(arguments), cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while writing and process.poll() is None and not _files(place):
        time.sleep(0.0005)
    try:
        _, said = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {said[-500:]}")
    return False


def _given(place: Path) -> None:
    """The fit that reports are of, beside."""
    source = place.parent / "given.nc"
    if source.exists() and not (place / "given.nc").exists():
        (place / "given.nc").symlink_to(source)


def _fit(file: Path) -> str:
    """Of the draws, since a file has the time in it."""
    from bayescale.storage import load

    return _digest(*(np.ascontiguousarray(v).tobytes() for _, v in sorted(load(file).draws.items())))


def _page(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    if not text.rstrip().endswith("</html>"):
        raise ValueError(f"{file.name} ends with {text[-40:]!r}")
    return _digest(text.encode())


def _study(folder: Path) -> str:
    """Of all blocks, whatever the order in which they came."""
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    blocks = sorted(folder.glob("blocks/*/*.npy"))
    if len(lines) != len(blocks):
        raise ValueError(f"{len(lines)} blocks are told of, and {len(blocks)} there")
    return _digest(*(block.read_bytes() for block in blocks))


def _digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


if __name__ == "__main__":
    main()
