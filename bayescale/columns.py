"""What a column means and what a cell says: the spellings and units of tables of runs."""

import re
from datetime import date

import numpy as np

# The columns that laws know by name: what each holds, the least it can be, and how to write one.
MEANINGS = {
    "N": ("parameters", 1, "7e9 or 7B"),
    "D": ("training tokens", 1, "1.4e12 or 1.4T"),
    "U": ("unique tokens", 1, "1.4e12 or 1.4T"),
    "C": ("training compute in FLOP", 1, "5.76e23"),
    "experts": ("experts of a layer", 1, "8"),
    "step": ("optimiser steps", 0, "1000"),
    "trials": ("tries at the task", 1, "100"),
}

# As they read without case, spaces, hyphens and underscores. Total, active and non-embedding parameters are
# not here, nor other counts of FLOP: which of them N and C count is for the user to say.
_SPELLINGS = {
    "N": "n params parameters nparams nparameters numparams numparameters paramcount modelsize",
    "D": "d tokens ntokens numtokens trainingtokens traintokens tokensseen tokencount datasetsize",
    "U": "u uniquetokens nuniquetokens numuniquetokens",
    "C": "c flop flops compute trainingcompute traincompute trainingflop trainingflops trainflops",
    "experts": "experts nexperts numexperts",
    "step": "step steps globalstep trainingstep trainstep trainingsteps trainsteps nsteps numsteps",
    "trials": "trials ntrials numtrials attempts nattempts numattempts nitems numitems nquestions nsamples",
    "loss": "loss valloss validationloss testloss evalloss evaluationloss finalloss nll crossentropy",
    "success": "success successes nsuccess nsuccesses numsuccesses correct ncorrect numcorrect npassed",
    "rate": "accuracy acc successrate passrate pass@1 fractioncorrect",
}

# Columns that group runs, and the factor each becomes.
_GROUPINGS = {
    "run": "run runid runname checkpointof",
    "model": "model modelname",
    "family": "family",
    "group": "group",
    "corpus": "corpus",
    "recipe": "recipe",
    "dataset": "dataset",
    "study": "study",
    "suite": "suite",
    "task": "task",
    "benchmark": "benchmark",
    "agent": "agent",
    "problem": "problem",
    "tokenizer": "tokenizer tokeniser tokenizername",
}

# Columns that no law is in, and that tell what N, the loss or a run is: the checks of tables ask for them.
_ROLES = {
    "non_embedding": "nonembedding nnonembedding nnonemb nne paramsnonembedding paramsnonembed paramsnoembed "
    "paramsnonvocab nonembeddingparams nonembeddingparameters nonembedparams nparamsnonembedding",
    "embedding": "embedding nembedding nemb paramsembedding paramsembed paramsvocab embeddingparams "
    "embeddingparameters nparamsembedding",
    "total": "total ntotal paramstotal parameterstotal totalparams totalparameters nparamstotal",
    "vocabulary": "vocab vocabsize vocabulary vocabularysize nvocab",
    "width": "width dmodel hidden hiddensize modeldim embeddim",
    "learning rate": "lr maxlr peaklr baselr learningrate maxlearningrate peaklearningrate",
    "batch size": "batch batchsize batchseqs batchtokens globalbatch globalbatchsize tokensperbatch",
    "fraction": "fraction fractionofrun fractionofschedule schedulefraction trainingfraction checkpointfraction",
    "choices": "choices nchoices numchoices options noptions numoptions",
    "last step": "laststep totalsteps totalstep maxsteps schedulesteps plannedsteps",
}

_SCALES = {
    "": 0,
    "k": 3,
    "m": 6,
    "million": 6,
    "b": 9,
    "bn": 9,
    "g": 9,
    "billion": 9,
    "t": 12,
    "trillion": 12,
}
_QUANTITY = re.compile(
    r"(?P<digits>[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+|(?P<thousands>[1-9]\d{0,2}(?:[ ,]\d{3})+(?:\.\d*)?)))"
    r"\s*(?P<scale>k|m|million|b|bn|g|billion|t|trillion)?\s*(?:tokens?|param(?:eter)?s?|flops?)?",
    re.IGNORECASE,
)
_MISSING = frozenset(("", "na", "n/a", "null", "none"))


def _spelled(table: dict[str, str]) -> dict[str, str]:
    return {spelling: meaning for meaning, spellings in table.items() for spelling in spellings.split()}


_MEANING_OF = _spelled(_SPELLINGS)
_GROUPING_OF = _spelled(_GROUPINGS)
_ROLE_OF = _spelled(_ROLES)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def meaning(name: str) -> str | None:
    """What a column of this name holds: N, D, U, C, experts, step, trials, loss, success or rate.

    >>> meaning("training_tokens"), meaning("Model Size"), meaning("lr")
    ('D', 'N', None)
    """
    return _MEANING_OF.get(_plain(name))


def grouping(name: str) -> str | None:
    """The factor that a column of this name is, where it is one by custom.

    >>> grouping("run_id"), grouping("corpus"), grouping("lr")
    ('run', 'corpus', None)
    """
    return _GROUPING_OF.get(_plain(name))


def role(name: str) -> str | None:
    """What a column of this name tells beside what laws are in, where it does by custom.

    >>> role("params_no_embed"), role("Learning Rate"), role("flops")
    ('non_embedding', 'learning rate', None)
    """
    return _ROLE_OF.get(_plain(name))


def missing(text: str) -> bool:
    """Whether a cell says that there is nothing in it."""
    return text.strip().lower() in _MISSING


def number(text: str, *, thousands: bool = True) -> float | None:
    """The number a cell says, with its unit; None where it says none.

    Args:
        text: the cell.
        thousands: "1,000" and "1 000" are a thousand; otherwise they are no number.

    >>> [number(cell) for cell in ("7B", "1.4T tokens", "5.76e23", "1_000", "1,000", "12%")]
    [7000000000.0, 1400000000000.0, 5.76e+23, 1000.0, 1000.0, None]
    """
    try:
        return float(text)
    except ValueError:
        said = _QUANTITY.fullmatch(text.strip())
    if said is None or (said["thousands"] and not thousands):
        return None
    digits = re.sub(r"[ ,]", "", said["digits"])
    try:
        # The scale goes into the text: 0.07 * 1e9 would not be 7e7.
        return float(f"{digits}e{_SCALES[(said['scale'] or '').lower()]}")
    except ValueError:  # an underscore out of place
        return None


def numbers(cells: np.ndarray, *, thousands: bool = True) -> np.ndarray:
    """The numbers that cells say, (runs,) in float64; nan where they say none."""
    if cells.dtype == np.float64:
        return cells
    said = {text: number(text, thousands=thousands) for text in set(cells)}
    return np.array([said[text] for text in cells], dtype=np.float64)


def years(cells: np.ndarray) -> np.ndarray:
    """The dates that cells say, in years, (runs,) in float64; nan where they say none.

    >>> years(np.array(["2024-07-02", "2023-01-01", "spring"], object)).round(2).tolist()
    [2024.5, 2023.0, nan]
    """
    return np.array([_year(text) for text in cells], dtype=np.float64)


def _year(text: str) -> float:
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return np.nan
    first, last = date(day.year, 1, 1), date(day.year + 1, 1, 1)
    return day.year + (day - first).days / (last - first).days


def label(value: float, digits: int = 3) -> str:
    """A number as people write it.

    >>> label(70426624), label(5.76e23), label(0.003), label(1e9)
    ('70.4M', '5.76e23', '0.003', '1B')
    """
    value = float(f"{value:.{digits - 1}e}")  # rounded first: 999,999 is 1M, not 1e3k
    for scale, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if scale <= abs(value) < 1e15:  # a suffix does not make 1e24 easier to read
            return f"{value / scale:.{digits}g}{suffix}"
    return f"{value:.{digits}g}".replace("e+", "e")


def labels(values: np.ndarray) -> tuple[str, ...]:
    """Distinct numbers as people write them, with as many digits as tell them apart.

    >>> labels(np.array([7.04e7, 7.041e7]))
    ('70.4M', '70.41M')
    """
    # 17 digits tell any two numbers apart.
    tries = (tuple(label(value, digits) for value in values) for digits in range(3, 18))
    return next(found for found in tries if len(set(found)) == len(found))
