"""Every example in the README and in docstrings runs."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import bayescale
import bayescale.models

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def modules() -> list[str]:
    found = [m.name for m in pkgutil.walk_packages(bayescale.__path__, "bayescale.")]
    return sorted(set(found))


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_readme_examples(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    exec(compile(code, "README.md", "exec"), space)
    if "found" in space:
        assert space["found"].trouble == ()
        return
    result = space.get("fit", space.get("study"))
    if result is None:  # a paper or a table is asked, and nothing fitted
        assert {"paper", "table"} & set(space)
        return
    assert result.converged, result.verdict
    assert ("fit" not in space) or (tmp_path / "fit.nc").is_file()


def test_readme_commands_are_verbs():
    from bayescale.cli import main

    verbs = set(re.findall(r"bayescale (\w+)", "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))))
    assert verbs
    assert verbs <= set(main.commands)


def test_every_law_is_in_the_readme():
    for name in bayescale.models.names():
        assert f"`{name}`" in README


def test_public_names_exist():
    for name in bayescale.__all__:
        assert getattr(bayescale, name) is not None
    assert set(bayescale.__all__) == set(dir(bayescale))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bayescale.nothing
