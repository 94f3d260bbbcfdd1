"""What every test finds: four pretended devices, a cache of compiled code, the data sets, and --slow."""

import importlib.util
import os
import tempfile
from pathlib import Path

import pytest

# Before JAX is imported, which reads these once.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4".strip()
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

ROOT = Path(__file__).resolve().parents[1]


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
