"""A study of four blocks, what is in its folder, and a process that writes to it, for tests of ledgers.

A test file imports a fixture as itself, `from tests.studies import folder as folder`: so it counts as used.
"""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bayescale.blocks import compute
from bayescale.ledger import Ledger

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = {"seed": 1, "code": "0" * 64, "fit": {"law": "chinchilla", "step": 0.1}}


def block(number):
    fields = [("alpha", "<f8"), ("pair", "<f4", (2,)), ("ok", "?")]
    made = np.zeros(1024, fields)
    rng = np.random.default_rng(number)
    made["alpha"], made["pair"], made["ok"] = rng.normal(size=1024), rng.random((1024, 2)), number % 2
    made["alpha"][number % 1024] = np.nan
    return made


def work(numbers):
    return [block(number) for number in numbers]


@pytest.fixture
def folder(tmp_path):
    """A study of four blocks."""
    with Ledger.open(tmp_path / "study", SETTINGS, resume=False) as ledger:
        compute(work, ledger, 4)
    return tmp_path / "study"


def path_of(folder, number):
    return folder / "blocks" / "000" / f"{number:06d}.npy"


def contents(folder):
    """Every file of a study but the lock, and its bytes."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    del found["lock"]
    return found


def missing(folder, count=4):
    return Ledger.read_only(folder).missing(count)


def assert_complete(store, count):
    assert store.missing(count) == []
    for number in range(count):
        assert store.read(number).tobytes() == block(number).tobytes()


def python(script, *arguments, **options):
    head = "import os, signal, sys, time\nimport numpy as np\n"
    head += "from bayescale.blocks import compute\nfrom bayescale.ledger import Ledger\n"
    head += f"{inspect.getsource(block)}\n{inspect.getsource(work)}\n"
    command = [sys.executable, "-c", head + script, *(str(a) for a in arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)
