"""parallel: the workbench leaves no trace in the user's settings."""

import jax
import jax.numpy as jnp
import pytest

from bayescale import compiled, parallel

SETTINGS = (
    "jax_enable_x64",
    "jax_default_device",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


def settings():
    return {name: getattr(jax.config, name) for name in SETTINGS}


def test_there_are_four_devices():
    assert jax.device_count("cpu") == 4


def test_the_workbench_is_double_precision_and_its_traces_are_gone_after():
    before = settings()
    with parallel.workbench():
        assert jnp.ones(1).dtype == jnp.float64
        assert jax.config.jax_compilation_cache_dir == str(compiled.folder())
        with parallel.workbench():
            assert jnp.ones(1).dtype == jnp.float64
        assert jax.config.jax_compilation_cache_dir == str(compiled.folder())
    assert settings() == before
    assert jnp.ones(1).dtype == jnp.float32


def test_the_workbench_leaves_no_trace_after_an_error():
    before = settings()
    with pytest.raises(ZeroDivisionError), parallel.workbench():
        1 / 0  # noqa: B018
    assert settings() == before


def test_the_users_own_cache_stands(tmp_path):
    before = settings()
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        with parallel.workbench():
            assert jax.config.jax_compilation_cache_dir == str(tmp_path)
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    finally:
        jax.config.update("jax_compilation_cache_dir", before["jax_compilation_cache_dir"])
    assert settings() == before


def test_what_is_compiled_after_the_workbench_is_not_kept(monkeypatch, tmp_path):
    from jax.experimental.compilation_cache import compilation_cache

    before = settings()
    monkeypatch.setenv("BAYESCALE_CACHE", str(tmp_path))
    compilation_cache.reset_cache()
    try:
        with parallel.workbench():
            jax.jit(lambda x: jnp.linalg.eigh(x)[0])(jnp.eye(3))
        kept = len(list(tmp_path.rglob("*-cache")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
        jax.jit(lambda x: jnp.cos(x) + 7)(1.0)
        assert len(list(tmp_path.rglob("*-cache"))) == kept
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
