"""The law families: one file, one law. The folder is the register."""

import importlib
import importlib.resources

from bayescale.law import Law


def names() -> list[str]:
    """The names of all laws, in alphabetical order."""
    files = (f.name for f in importlib.resources.files(__name__).iterdir())
    return sorted(n[:-3] for n in files if n.endswith(".py") and not n.startswith("_"))


def load(name: str) -> Law:
    """The law of that name.

    Raises:
        KeyError: there is no such law.
    """
    if name not in names():
        raise KeyError(f"there is no law {name!r}; there are {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}").law
