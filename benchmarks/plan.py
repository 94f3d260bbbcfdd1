"""What many refits take: devices, hours and bytes, from the rates that benchmarks/bootstrap.py measured.

python benchmarks/plan.py
"""

import argparse
import json

import record

CORES = (1, 16, 128, 1024)
BYTES = 59  # of a refit: seven numbers in double precision, how it ended, how many looks it took
PROBLEMS = {"chinchilla": "Chinchilla law, Huber noise", "autodiff": "the same, differentiated automatically"}


def rows(refits: int) -> list[str]:
    """The rows of the table, in Markdown."""
    measured = json.loads((record.RESULTS / "bootstrap.json").read_text(encoding="utf-8"))["refits_us"]
    found = ["| | us a refit | " + " | ".join(f"{cores} core" + "s" * (cores > 1) for cores in CORES) + " |"]
    found.append("|---" * (len(CORES) + 2) + "|")
    for name, said in PROBLEMS.items():
        each = measured[name]["drawn too"][0]
        hours = [refits * each / 1e6 / 3600 / cores for cores in CORES]
        found.append(f"| {said} | {each:.0f} | " + " | ".join(map(duration, hours)) + " |")
    return found


def duration(hours: float) -> str:
    """Hours, or minutes, or seconds."""
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.0f} min" if hours >= 1 / 60 else f"{3600 * hours:.0f} s"


def main() -> None:
    """Print the table, and what the study takes on the disk."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--refits", type=float, default=1e9)
    refits = int(parser.parse_args().refits)
    print("\n".join(rows(refits)))
    print(f"\n{refits * BYTES / 1e9:.0f} GB in {-(-refits // 1024):,} files")


if __name__ == "__main__":
    main()
