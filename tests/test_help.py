"""The help of each verb: it is listed, its first sentence is whole, and its examples are what it takes."""

import shlex

import click
import pytest
from click.testing import CliRunner

from bayescale.cli import PARTS, data, main, simulate

VERBS = {
    **main.commands,
    **{f"data {name}": command for name, command in data.commands.items()},
    **{f"simulate {name}": command for name, command in simulate.commands.items()},
}


def examples(command: click.Command) -> list[list[str]]:
    """The examples, each as its words."""
    lines = (command.epilog or "").splitlines()
    assert lines[:2] == ["\b", "Examples:"]
    return [shlex.split(line) for line in lines[2:]]


def test_every_verb_is_listed_once_with_its_first_sentence():
    assert sorted(name for names in PARTS.values() for name in names) == sorted(main.commands)
    listed = CliRunner().invoke(main, ["--help"], env={"COLUMNS": "80"}).output
    for name, command in main.commands.items():
        sentence = (command.help or "").split("\n\n")[0]
        assert sentence.endswith(".")
        assert f"{sentence}\n" in listed, name
    assert "..." not in listed.partition("To begin")[2]


@pytest.mark.parametrize("name", ["", *VERBS])
def test_examples_are_what_the_verb_takes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = examples(VERBS[name] if name else main)
    assert found
    for words in found:
        assert words[0] == "bayescale"
        context: click.Context | None = None
        command: click.Command = main
        rest = words[1:]
        while isinstance(command, click.Group) and rest:  # the options of each are parsed, and nothing is run
            context = click.Context(command, parent=context)
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(command.name, rest, parent=context)
        assert " ".join(words[1:]).startswith(name)


@pytest.mark.parametrize("name", VERBS)
def test_every_option_has_its_help(name):
    for option in VERBS[name].params:
        if isinstance(option, click.Option):
            assert option.help, (name, option.name)
            assert option.help.endswith("."), (name, option.name)


@pytest.mark.parametrize("name", VERBS)
def test_what_prints_a_table_prints_json_and_csv_too(name):
    known = {option.name for option in VERBS[name].params}
    without = {"data check": "csv", "data show": "csv", "demo": "csv", "plot": "csv", "report": "csv"}
    without |= {"simulate runs": "csv", "simulate suite": "csv"}  # which write a table themselves
    if name not in ("data fetch", "simulate"):
        assert "as_json" in known
        assert ("csv" in known) == (name not in without)
