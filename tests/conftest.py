"""What every test finds: four pretended devices, a cache of compiled code, the data sets, and --slow."""

import gc
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pytest

# Before JAX is imported, which reads these once. Four fifths of the tests' time is compilation, of which LLVM's last
# optimisations are a fifth, and no test is of speed: they are left to the slow studies and to whoever asks for them. To
# split a program for several threads costs a tenth, where two processes have the cores already.
FLAGS = {
    "xla_force_host_platform_device_count": 4,
    "xla_backend_optimization_level": 3 if "--slow" in sys.argv else 1,
    "xla_cpu_parallel_codegen_split_count": 1,
}
for flag, value in FLAGS.items():
    flags = os.environ.get("XLA_FLAGS", "")  # those of the first process, where this is one of two
    if flag not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{flag}={value}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Before NumPy is: where two processes share two cores, threads for small matrices wait for each other, at ten times
# the cost of the arithmetic.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Tracing makes many small objects that stay: to look among them for rubbish more rarely saves a twentieth.
gc.set_threshold(100_000, 20, 20)

ROOT = Path(__file__).resolve().parents[1]
# The files that take longest come first, so that two processes end at about the same time.
LONGEST = (
    "bootstrap",
    "compare",
    "evidence",
    "reference",
    "backtest",
    "study_spread",
    "docs",
    "relevance",
    "compilation",
)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the calibration and recovery studies too")


def pytest_configure(config):
    # Compiled code is kept from one session to the next, in pytest's own cache: --cache-clear empties it.
    if "BAYESCALE_CACHE" not in os.environ:
        cache = getattr(config, "cache", None)
        folder = cache.mkdir("bayescale") if cache else tempfile.mkdtemp(prefix="bayescale-tests-")
        os.environ["BAYESCALE_CACHE"] = str(folder)
    # JAX does not write a file in one piece: of two sessions at once one may read half of it, and recompile.
    config.addinivalue_line("filterwarnings", "ignore:Error (reading|writing) persistent compilation cache")


def pytest_collection_modifyitems(config, items):
    rank = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="a slow study: run with --slow")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data sets that are not part of the repository."""
    folder = Path(os.environ.get("BAYESCALE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder}; set BAYESCALE_DATA to the folder of data sets")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_code():
    """Each compiled function takes memory maps, of which a process may have 65,530; past that XLA crashes."""
    yield
    import jax

    jax.clear_caches()


@pytest.fixture(scope="session")
def benchmark():
    """A benchmark as a module, by name: what it simulates and measures serves tests too."""

    def load(name: str):
        spec = importlib.util.spec_from_file_location(
            f"benchmarks_{name}", ROOT / "benchmarks" / f"{name}.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def workbench():
    """Double precision for the whole test, as it is inside a fit."""
    from bayescale import parallel

    with parallel.workbench():
        yield
