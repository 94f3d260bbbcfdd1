"""Studies that are spread, broken off, damaged and resumed: replicate number k has the same bits all the same."""

import functools
import hashlib
import inspect
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescale import models, noise, recipe
from bayescale.infer.bootstrap import bootstrap, load_study
from bayescale.infer.parcel import Parcel, place
from bayescale.infer.resample import Resampling
from bayescale.ledger import Ledger
from bayescale.model import Model
from bayescale.runs import Runs

ROOT = Path(__file__).resolve().parents[1]
# All that the code of this session is compiled with, but for the number of devices.
ONE_DEVICE = os.environ["XLA_FLAGS"].replace("device_count=4", "device_count=1")
BLOCKS = 8


def simulated(seed, count=30):
    rng = np.random.default_rng(seed)
    N = 10 ** rng.uniform(7, 10, count)
    return Runs.make({"N": N, "loss": 3 * (N / 1e9) ** -0.08 * np.exp(0.02 * rng.normal(size=count))})


def model_of(law):
    return Model(law.along("N"), noise.load("huber", delta=0.03))


MODEL, RUNS = model_of(models.load("power")), simulated(0)


def study(folder=None, *, blocks=BLOCKS, seed=1, model=MODEL, runs=RUNS, **more):
    return bootstrap(jax.random.key(seed), model, runs, replicates=1024 * blocks, folder=folder, **more)


def bits(study, blocks=BLOCKS):
    """The hash of each block."""
    return [hashlib.sha256(study.store.read(number).tobytes()).hexdigest() for number in range(blocks)]


def contents(folder):
    """The bytes of each file of a study that says nothing of when it was computed, and the lines of the manifest."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    lines = set(found.pop("manifest.jsonl").read_bytes().split())
    del found["lock"], found["fit.nc"]
    return {name: path.read_bytes() for name, path in found.items()} | {"manifest.jsonl": lines}


def touched(folder):
    """When each file and folder was last changed."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def path_of(folder, number):
    return folder / "blocks" / "000" / f"{number:06d}.npy"


SCRIPT = f"""
import os, sys
folder, blocks, cores = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if cores and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
print("python", flush=True)
import jax
import numpy as np
from bayescale import models, noise
from bayescale.infer.bootstrap import bootstrap
from bayescale.model import Model
from bayescale.runs import Runs
BLOCKS = 0

{inspect.getsource(simulated)}
{inspect.getsource(model_of)}
MODEL, RUNS = model_of(models.load("power")), simulated(0)

{inspect.getsource(study)}
print(jax.device_count(), "devices", flush=True)
study(folder, blocks=blocks, resume=True, report=lambda done, total: print(done, flush=True))
"""


def elsewhere(folder, blocks=BLOCKS, cores=0, **environment):
    """The study in a process of its own, on one device: "python", "1 devices", and a line for each report."""
    command = [sys.executable, "-c", SCRIPT, str(folder), str(blocks), str(cores)]
    environment = {**os.environ, "XLA_FLAGS": ONE_DEVICE, **environment}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module", autouse=True)
def _workers_have_one_device():
    assert jax.device_count() == 4  # this session has read its flags; what it starts has others
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XLA_FLAGS", ONE_DEVICE)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study, computed here on four devices, that all others have to be the same as."""
    return study(tmp_path_factory.mktemp("whole") / "study")


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of its folder."""
    return Path(shutil.copytree(whole.store.folder, tmp_path / "copy"))


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def dask():
    """A client of two workers, each a process that is started again when it dies."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


# ---- Where it is computed


def test_one_device_and_four_give_the_same_bits(whole, tmp_path):
    """Nor does it matter how many cores a device has."""
    process = elsewhere(tmp_path / "one", cores=1)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "1 devices" in said
    assert contents(tmp_path / "one") == contents(whole.store.folder)


def test_processes_give_the_same_bits(whole, pool, tmp_path):
    reports = []
    found = study(tmp_path / "pool", executor=pool, report=lambda *said: reports.append(said))
    assert reports == [(done, BLOCKS) for done in range(BLOCKS + 1)]
    assert contents(tmp_path / "pool") == contents(whole.store.folder)
    assert bits(found) == bits(whole)


def test_workers_of_four_devices_give_the_same_bits(whole):
    with ThreadPoolExecutor(1) as here:
        assert bits(study(executor=here, blocks=3), 3) == bits(whole, 3)


def test_a_worker_of_another_kind_is_refused(whole):
    parcel = Parcel(whole.job, {**place(), "platform": "tpu"})
    with pytest.raises(
        ValueError, match=r"this worker has .*'cpu'.* begun with .*'tpu'.*; take workers alike"
    ):
        parcel((0,))


def test_dask_gives_the_same_bits(whole, dask, tmp_path):
    found = study(tmp_path / "dask", executor=dask.get_executor(pure=False))
    assert contents(tmp_path / "dask") == contents(whole.store.folder)
    assert bits(found) == bits(whole)


def test_dask_goes_on_when_a_worker_is_killed(whole, dask, tmp_path):
    processes, killed = dask.run(os.getpid), []

    def kill_one(done, total):
        calls = dask.processing() if done >= 2 and not killed else {}
        busy = [address for address, mine in calls.items() if mine]
        if busy:
            os.kill(processes[busy[0]], signal.SIGKILL)
            killed.append(busy[0])

    study(tmp_path / "dask", executor=dask.get_executor(pure=False), report=kill_one)
    assert len(killed) == 1
    dask.wait_for_workers(2, timeout=60)
    assert processes[killed[0]] not in dask.run(os.getpid).values()
    assert contents(tmp_path / "dask") == contents(whole.store.folder)


# ---- Broken off

# What is waited for, as lines that the process says, and up to how many seconds after it is killed.
MOMENTS = {
    "start": (1, 1.5),
    "fit": (2, 2.0),  # of the table itself, and the beginning of the folder
    "compile": (3, 2.0),
    "compute": (4, 1.0),
    "write": (5, 0.003),  # which a block takes, from when its draft is seen
}


def kill_at(moment, rng, folder, blocks, longer=None, **environment):
    """Begin or go on with a study in another process, and kill that at a random moment; how many blocks are there."""
    lines, seconds = MOMENTS[moment]
    process = elsewhere(folder, blocks, **environment)
    assert process.stdout is not None
    for _ in range(lines):
        process.stdout.readline()
    give_up = time.monotonic() + 2
    while moment == "write" and not any(folder.rglob("*.tmp")) and time.monotonic() < give_up:
        pass
    time.sleep(rng.uniform(0, longer or seconds))
    process.kill()
    assert process.wait(30) == -signal.SIGKILL
    process.stdout.close()
    return blocks - len(Ledger.read_only(folder).missing(blocks)) if (folder / "study.json").exists() else 0


def test_survives_kill_9(whole, tmp_path):
    rng, folder = random.Random(1), tmp_path / "killed"
    found = [kill_at(moment, rng, folder, 100) for moment in ("start", "compile", "write")]
    assert 2 <= found[-1] < 100
    study(folder, blocks=found[-1] + 2, resume=True)
    study(tmp_path / "whole", blocks=found[-1] + 2)
    assert contents(folder) == contents(tmp_path / "whole")
    assert load_study(folder).estimate("alpha") == whole.estimate("alpha")


@pytest.mark.slow
def test_survives_kill_9_at_twenty_moments(tmp_path):
    """The first processes find nothing compiled, and some die while they keep what they have compiled."""
    rng, folder, blocks = random.Random(2), tmp_path / "killed", 1000
    cold, found = {"BAYESCALE_CACHE": str(tmp_path / "cache")}, []
    for moment, longer in {"start": 1.5, "fit": 6.0, "compile": 12.0, "compute": 1.0}.items():
        found.append(kill_at(moment, rng, folder, blocks, longer, **cold))
    rest = [*["start"] * 3, *["fit"] * 3, *["compile"] * 2, *["compute"] * 4, *["write"] * 4]
    for moment in rng.sample(rest, len(rest)):
        found.append(kill_at(moment, rng, folder, blocks))
    assert len(found) == 20
    assert found == sorted(found)  # nothing that was there is lost
    assert 10 < found[-1] < blocks
    process = elsewhere(folder, found[-1] + 3, **cold)
    assert process.communicate(timeout=600)[0].endswith(f"\n{found[-1] + 3}\n")
    assert process.returncode == 0
    study(tmp_path / "whole", blocks=found[-1] + 3)
    assert contents(folder) == contents(tmp_path / "whole")


def test_the_fit_of_the_table_is_found_again(whole, folder):
    """A process may die when the study is begun and its fit not yet kept."""
    (folder / "fit.nc").unlink()
    study(folder, resume=True)
    assert load_study(folder).estimate("alpha") == whole.estimate("alpha")
    assert contents(folder) == contents(whole.store.folder)


def test_a_damaged_block_is_computed_again_and_no_other(whole, folder):
    path, before = path_of(folder, 3), touched(folder)
    data = bytearray(path.read_bytes())
    data[random.Random(4).randrange(200, len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"000003\.npy: block 3 is damaged; resume the study"):
        load_study(folder).describe("alpha")
    reports = []
    study(folder, resume=True, report=lambda *said: reports.append(said))
    assert reports == [(BLOCKS - 1, BLOCKS), (BLOCKS, BLOCKS)]
    assert {name for name, when in touched(folder).items() if when != before[name]} <= {
        *("blocks/000/000003.npy", "blocks/000", "manifest.jsonl")
    }
    assert contents(folder) == contents(whole.store.folder)


# ---- How many


def test_more_replicates_leave_those_that_are_there(whole, tmp_path):
    few = study(tmp_path / "grown", blocks=3)
    before = touched(tmp_path / "grown")
    assert bits(few, 3) == bits(whole, 3)
    study(tmp_path / "grown", blocks=BLOCKS, resume=True)
    after = touched(tmp_path / "grown")
    kept = [name for name in before if name.endswith((".npy", ".json", ".nc"))]
    assert len(kept) == 5
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert contents(tmp_path / "grown") == contents(whole.store.folder)


def test_how_many_are_asked_for_does_not_matter(whole):
    few = bootstrap(jax.random.key(1), MODEL, RUNS, replicates=2500)
    records = np.concatenate(list(few.blocks(together=1)))
    assert records.shape == (2500,)
    assert records.tobytes() == np.concatenate(list(whole.blocks()))[:2500].tobytes()
    assert few.values("alpha").tobytes() == whole.values("alpha")[:2500].tobytes()
    assert len({row.tobytes() for row in records[["A", "alpha"]]}) == 2500  # and no two are the same


# ---- What is resumed

STUDENT = MODEL.replace(noise=noise.student_t)
PRIOR = MODEL.replace(law=MODEL.law.replace(priors={"alpha": dist.LogNormal(-2.0, 0.5)}))
OTHERS = {
    "data": ({"runs": simulated(1)}, r"with runs \S+, and now it is \S+; "),
    "fewer data": ({"runs": simulated(0, 29)}, r"with runs \S+, and now it is \S+; "),
    "law": (
        {"model": model_of(models.load("power_floor"))},
        'with model.law "power", and now it is "power_floor"; ',
    ),
    "noise": ({"model": STUDENT}, 'with model.noise "huber", and now it is "student_t"; '),
    "setting of the noise": (
        {"model": MODEL.replace(noise=noise.load("huber", delta=0.04))},
        r"with model.settings.delta 0.03, and now it is 0.04\. Resume",
    ),
    "prior": ({"model": PRIOR}, r"with model.law_priors.alpha .*-2\.5.*, and now it is .*-2\.0"),
    "priors": ({"priors": True}, r"with priors false, and now it is true\. Resume"),
    "seed": ({"seed": 2}, r"with key \[\d+, \d+\], and now it is \[\d+, \d+\]\. Resume"),
    "resampling": (
        {"resampling": Resampling("bayesian")},
        r'with resampling.kind "pairs", and now it is "bayesian"\. Resume',
    ),
    "errors": ({"errors": True}, r"with errors false, and now it is true\. Resume"),
    "mixed": ({"mixed": False}, r"with mixed true, and now it is false\. Resume"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_study_is_refused(folder, other):
    changes, said = OTHERS[other]
    before = touched(folder), contents(folder)
    with pytest.raises(ValueError, match=f"copy was begun .*{said}"):
        study(folder, blocks=BLOCKS + 1, resume=True, **changes)
    assert (touched(folder), contents(folder)) == before


def test_what_is_read_is_what_was_returned(whole):
    before = touched(whole.store.folder)
    found = load_study(whole.store.folder)
    assert len(found) == len(whole) == 1024 * BLOCKS
    assert found.counts == whole.counts
    assert bits(found) == bits(whole)
    assert found.fit().draws["alpha"].tobytes() == whole.fit().draws["alpha"].tobytes()

    def loss(fit):
        return fit.flat("A") * 10 ** -fit.flat("alpha")

    for quantity in ("A", "alpha", loss):
        assert found.estimate(quantity) == whole.estimate(quantity)
        assert found.describe(quantity) == whole.describe(quantity)
        assert found.quantiles(quantity, [0.05, 0.5]) == whole.quantiles(quantity, [0.05, 0.5])
        for kind in ("percentile", "basic", "bca"):
            assert found.interval(quantity, kind=kind) == whole.interval(quantity, kind=kind)
    assert touched(whole.store.folder) == before


# ---- Laws of the user's own


@pytest.fixture
def own_law(tmp_path):
    """A file that defines the law of `whole` under another name."""
    source = (ROOT / "models" / "power.py").read_text(encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text(source.replace('name="power"', 'name="mine"'), encoding="utf-8")
    return file


def test_a_law_in_a_file_goes_to_processes(whole, pool, own_law, tmp_path):
    law = recipe.law_in(own_law)
    assert law.name == "mine"
    made = study(tmp_path / "a", model=model_of(law), executor=pool)
    assert bits(made) == bits(whole)
    with pytest.raises(ValueError, match=r"law mine is none of bayescale\.models; pass law="):
        load_study(tmp_path / "a")
    assert load_study(tmp_path / "a", law=law).describe("alpha") == whole.describe("alpha")
    own_law.write_text(own_law.read_text() + "\n# other\n")
    with pytest.raises(ValueError, match=r"begun with law \S+, and now it is \S+\. Resume"):
        study(tmp_path / "a", model=model_of(recipe.law_in(own_law)), resume=True)
    with pytest.raises(ValueError, match="the file of law mine is not what it was when the study was begun"):
        load_study(tmp_path / "a", law=recipe.law_in(own_law))


def test_a_law_in_no_file_stays_in_memory(whole, pool, own_law, tmp_path):
    made = {}
    exec(own_law.read_text(), made)
    model = model_of(made["law"])
    assert bits(study(model=model, blocks=2), 2) == bits(whole, 2)
    sentence = "law mine is in no file; a study that is kept, or spread over workers, needs it in one"
    with pytest.raises(ValueError, match=sentence):
        study(tmp_path / "a", model=model, blocks=2)
    assert not (tmp_path / "a").exists()
    with pytest.raises(ValueError, match=sentence):
        study(model=model, blocks=2, executor=pool)


def test_the_file_of_a_law_is_that_of_its_formula(own_law):
    law = recipe.law_in(own_law)
    for wrapped in (jax.jit(law.mean), functools.wraps(law.mean)(lambda x, **parameters: 1.0)):
        assert recipe.source_of(law.replace(mean=wrapped)) == own_law.read_text()
    with pytest.raises(ValueError, match="law mine is in no file"):
        recipe.source_of(law.replace(mean=functools.partial(law.mean)))


def test_a_law_that_its_file_does_not_make_is_refused(tmp_path):
    law = models.load("power").along("N")
    assert recipe.source_of(law) is None
    with pytest.raises(ValueError, match=r"law power has other terms than bayescale\.models gives it"):
        recipe.source_of(law.replace(terms=()))
    bent = models.load("shifted_power").along("N")
    narrow = bent.replace(priors={"gamma": dist.Uniform(0.0, 2.0)})  # which the coordinates do not hold for
    assert narrow.coordinates is None
    assert recipe.source_of(bent) is recipe.source_of(narrow) is None
    with pytest.raises(ValueError, match="law shifted_power has other coordinates"):
        recipe.source_of(bent.replace(coordinates=None))
    with pytest.raises(ValueError, match="law mine borrows the formula of power"):
        recipe.source_of(law.replace(name="mine"))


def test_workers_that_die_at_once(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=spawn, initializer=os._exit, initargs=(9,)) as dead,
        pytest.raises(ChildProcessError, match="no worker came up, or the first one died at once"),
    ):
        study(tmp_path / "a", executor=dead)
    assert not (tmp_path / "a").exists()


def test_more_blocks_at_once_than_devices_have_the_same_bits(whole):
    """As accelerators compute them; a number that is no power of two is filled up, and cut again."""
    together = whole.job((0, 1, 2, 3, 4))
    assert len(together) == 5
    alone = [whole.store.read(number) for number in range(5)]
    assert [one.tobytes() for one in together] == [one.tobytes() for one in alone]
