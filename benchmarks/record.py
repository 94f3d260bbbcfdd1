"""What every study writes beside its figures, and where."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("bayescale", "jax", "jaxlib", "numpyro", "numpy")


def header(command: str) -> dict[str, Any]:
    """The command, the machine and the versions; no names of machines or folders."""
    return {
        "command": command,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def write(name: str, results: dict[str, Any]) -> Path:
    """Write the results of the study of that name, and say where."""
    file = RESULTS / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return file


def read(name: str) -> dict[str, Any]:
    """The results of the study of that name; nothing where there are none yet."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
