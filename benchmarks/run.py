"""All benchmarks, one after the other, and the page of what they found.

Each runs in a process of its own, by the command that its table names, and writes results/NAME.json; the page
RESULTS.md is made of those. The peers that some need are named in their files. With --page nothing runs, and the page
is written from the tables that are there; with names those run.

    python benchmarks/run.py
    python benchmarks/run.py --page
    python benchmarks/run.py horizons overlap
"""

import argparse
import ast
import shlex
import subprocess
import sys
import time
from pathlib import Path

import record
import tables

HERE = Path(__file__).parent
# Those that write a table, in the order of the page, with what they are run with.
STUDIES = {
    "bootstrap": "--rounds 3 --peers 60 --searched 1000 --million",
    "bootstrap_laws": "--rounds 5",
    "nuts": "--rounds 3",
    "growth": "",
    "pooling": "--seeds 3",
    "coordinates": "--tables 16",
    "evidence": "--rounds 1 --processes 1",
    "laws": "",
    "bayes_factors": "--tables 200",
    "relevance": "--tables 400",
    "backtests": "",
    "findings": "--clean 34 --planted 60",
    "accelerator": "",
    "design": "--outcomes 4000 --refits 64",
    "calibration": "--replicates 1024",
    "bootstrap_coverage": "--tables 256",
    "uneven_noise": "--tables 128",
    "misfit": "--tables 40",
    "bad_input": "--tables 10000 --seconds 3600",
    "kills": "--kills 200",
    "verdicts": "--suites 60 --others 12",
    "emergence": "--replicates 100",
    "items": "--suites 20",
    "suites": "",
    "overlap": "",
    "horizons": "",
    "gadre_verdicts": "",
    "task_backtests": "",
    "tasks": "--rounds 1 --peer PYTHON",
}
HEAD = """# What was measured

Every table here was written by the command above it. Times are of the machine named there; compare ratios, which were
measured side by side. `python benchmarks/run.py` runs everything again, and `--page` makes this page of the tables that
are there.
"""


def page() -> str:
    """The page, of the tables that are there."""
    found = {name: record.read(name) for name in STUDIES}
    missing = [name for name, results in found.items() if not results]
    parts = [HEAD]
    parts += [tables.page(name, results, asked(name)) for name, results in found.items() if results]
    if missing:
        parts.append(f"Not measured yet: {', '.join(f'`{name}.py`' for name in missing)}.\n")
    return "\n".join(parts)


def asked(name: str) -> str:
    """What a benchmark asks: the first line of its file."""
    text = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def run(name: str, peer: str) -> bool:
    """Run one, and say whether it ended well."""
    given = shlex.split(STUDIES[name].replace("PYTHON", shlex.quote(peer)))
    command = [sys.executable, str(HERE / f"{name}.py"), *given]
    print(f"== {name} {STUDIES[name]}".rstrip(), flush=True)
    began = time.perf_counter()
    well = subprocess.run(command, check=False).returncode == 0
    print(f"== {name} {'ended' if well else 'FAILED'} after {time.perf_counter() - began:.0f} s", flush=True)
    return well


def main() -> None:
    """Run those asked for, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="which; all if none is named")
    parser.add_argument("--peer", default=sys.executable, help="the Python that has PyMC and nutpie")
    parser.add_argument("--page", action="store_true", help="run nothing, and write the page")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in STUDIES]:
        raise SystemExit(f"there is no benchmark {unknown[0]!r}; there are {', '.join(STUDIES)}")
    failed = [] if given.page else [name for name in given.names or STUDIES if not run(name, given.peer)]
    (HERE / "RESULTS.md").write_text(page(), encoding="utf-8")
    print(f"written to {HERE / 'RESULTS.md'}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
