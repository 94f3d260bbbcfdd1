"""Findings on a bootstrap, and a posterior beside one; and how often its intervals cover the truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescale as bs
from bayescale import models, noise, parallel
from bayescale.check.replicates import findings_of_study, narrow
from bayescale.infer.bootstrap import bootstrap
from bayescale.infer.refit import minima
from bayescale.infer.resample import Resampling
from bayescale.model import Model
from bayescale.runs import Runs

POWER = Model(models.load("power").along("N"), noise.log_normal, effects=())
FLOOR = Model(models.load("power_floor").along("N"), noise.log_normal, effects=())
CHINCHILLA = Model(models.load("chinchilla"), noise.huber(), effects=())


def simulated(count=24, floor=0.0, scatter=0.02, seed=0):
    rng = np.random.default_rng(seed)
    N = 10 ** rng.uniform(7, 10, count)
    loss = (floor + 2 * (N / 1e9) ** -0.2) * np.exp(scatter * rng.normal(size=count))
    columns = {"N": N, "loss": loss, "corpus": [f"c{i % 4}" for i in range(count)]}
    return Runs.make(columns, factors=["corpus"])


def codes(found):
    return {finding.code: finding for finding in found}


def test_a_bound_and_few_clusters_and_the_monte_carlo_error_are_told():
    resampling = Resampling(cluster=["corpus"])
    study = bootstrap(jax.random.key(0), FLOOR, simulated(), replicates=100, resampling=resampling)
    found = codes(findings_of_study(study))
    assert study.counts.at_bound > 0
    assert found["REPLICATES_AT_BOUND"].number == study.counts.at_bound / 100
    assert found["FEW_CLUSTERS"].number == 4
    assert "only 4 levels of corpus" in str(found["FEW_CLUSTERS"])
    assert found["MONTE_CARLO"].number > 0.05
    webb = bootstrap(
        jax.random.key(0),
        POWER,
        simulated(),
        replicates=1024,
        resampling=Resampling("wild", ["corpus"], "webb"),
    )
    assert not {"FEW_CLUSTERS", "MONTE_CARLO", "REPLICATES_AT_BOUND"} & set(codes(findings_of_study(webb)))


def test_unfinished_replicates_are_left_out_and_told():
    study = bootstrap(jax.random.key(0), POWER, simulated(), replicates=2000)
    records = study.store.read(0)
    records["state"][:10] = 0
    study.store.write(0, records)
    assert study.counts.unfinished == 10
    assert len(study.values("alpha")) == 1990
    assert not study.converged
    assert study.verdict.startswith("NOT CONVERGED: 2000 replicates: 1990 converged")
    assert not study.fit().converged
    assert "10 of 2000 replicates reached no minimum" in study.fit().verdict
    finding = codes(findings_of_study(study))["UNFINISHED"]
    assert (finding.severity, finding.number) == ("severe", 0.005)


def test_a_posterior_and_a_bootstrap_of_other_runs_are_not_compared():
    study = bootstrap(jax.random.key(0), POWER, simulated(), replicates=100)
    with pytest.raises(ValueError, match=r"^a posterior is compared with a bootstrap of the same law"):
        narrow(bs.laplace(jax.random.key(0), POWER, simulated(seed=1)), study)


# ---- Coverage


TRUTH = {"E": 1.8172181, "A": 477.8259, "B": 2143.4174, "alpha": 0.34731050, "beta": 0.36717243}
BUDGET = 5.76e23
SETS, REPLICATES = 400, 1000


@pytest.fixture(scope="module")
def design(shared_data):
    return Runs.read(shared_data / "loss_besiroglu2024_chinchilla.csv", where="in_fit_subset = 1")


def tokens(own):
    """Tokens for each parameter at the budget, in closed form: Hoffmann et al. 2022, equation 4."""
    a, b = own["alpha"], own["beta"]
    G = (a * own["A"] / (b * own["B"])) ** (1 / (a + b))
    N, D = G * (BUDGET / 6) ** (b / (a + b)), (BUDGET / 6) ** (a / (a + b)) / G
    return D / N


def quantities(own):
    return {
        **{p: own[p] for p in ("E", "alpha", "beta")},
        "a": own["beta"] / (own["alpha"] + own["beta"]),
    } | {"D/N": tokens(own)}


def scatter(design, heteroscedastic):
    """The standard deviation of the log loss of each run."""
    if not heteroscedastic:
        return np.full(len(design), 0.00752)
    few = np.asarray(design.columns["D"]) / np.asarray(design.columns["N"])
    return np.where(few <= np.quantile(few, 0.2), 0.0128, 0.0047)


def coverage(design, heteroscedastic, seed):
    """The share of simulated sets whose 95% percentile interval of a pairs bootstrap has the truth in it."""
    rng = np.random.default_rng(seed)
    job = bootstrap(jax.random.key(0), CHINCHILLA, design, replicates=1).job
    objective, law = job.objective, CHINCHILLA.law
    truth = law.to_reference(TRUTH, design.reference, design.unit)
    mean = np.asarray(design.unit * law({c: design.columns[c] / design.reference[c] for c in "ND"}, truth))
    expected, hits = quantities(TRUTH), dict.fromkeys(quantities(TRUTH), 0)
    with parallel.workbench():
        at_truth = [truth.get(s.name, 1.0) for s in objective.density.sites]
        start = jnp.tile(jnp.log(jnp.array(at_truth))[objective.places], (REPLICATES, 1))
        ended = 0
        for _ in range(SETS):
            response = mean * np.exp(scatter(design, heteroscedastic) * rng.normal(size=len(design)))
            weight = rng.multinomial(len(design), np.ones(len(design)) / len(design), size=REPLICATES)
            runs = design.replace(response=response)
            changes = {"weight": jnp.asarray(weight, float)}
            found = jax.device_get(minima(objective, start, jnp.asarray(job.bases[-1]), runs, changes))
            ended += int(found.converged.sum())
            own = dict(zip(law.parameters, np.exp(found.position).T, strict=True))
            natural = law.to_natural(own, design.reference, design.unit)
            for name, values in quantities(natural).items():
                low, high = np.quantile(values[found.converged], [0.025, 0.975])
                hits[name] += low <= expected[name] <= high
    assert ended >= 0.999 * SETS * REPLICATES
    return {name: count / SETS for name, count in hits.items()}


@pytest.mark.slow
def test_pairs_intervals_cover_the_truth(design):
    """400 sets: a binomial standard error of .011 at .95, so that .92 to .995 has a false-alarm rate under 1%."""
    found = coverage(design, False, 11)
    print(found)
    assert all(0.93 <= share <= 0.995 for share in found.values()), found


@pytest.mark.slow
def test_pairs_intervals_cover_the_truth_where_the_scatter_differs(design):
    found = coverage(design, True, 12)
    print(found)
    assert all(share >= 0.92 for share in found.values()), found


def test_a_posterior_that_takes_the_scatter_for_the_same_everywhere_is_told(design):
    """Noise 2.7 times wider in the fifth with the fewest tokens for each parameter."""
    law = CHINCHILLA.law
    truth = law.to_reference(TRUTH, design.reference, design.unit)
    mean = np.asarray(design.unit * law({c: design.columns[c] / design.reference[c] for c in "ND"}, truth))
    rng = np.random.default_rng(3)
    runs = design.replace(response=mean * np.exp(scatter(design, True) * rng.normal(size=len(design))))
    model = Model(law, noise.log_normal, effects=())
    study = bootstrap(jax.random.key(0), model, runs, replicates=4096)
    posterior = bs.laplace(jax.random.key(0), model, runs)
    found = narrow(posterior, study)
    assert {"NARROW"} == {finding.code for finding in found}
    assert all(finding.number > 1.5 for finding in found)
    assert any("beta" in finding.message for finding in found)
    # With the same scatter everywhere there is nothing to tell.
    same = design.replace(response=mean * np.exp(0.00752 * rng.normal(size=len(design))))
    calm = bootstrap(jax.random.key(0), model, same, replicates=4096)
    assert not narrow(bs.laplace(jax.random.key(0), model, same), calm)
