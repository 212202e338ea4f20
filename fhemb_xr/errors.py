"""What can go wrong, one class per way of handling it.

Every message is one sentence: what was asked, what was found, what is allowed.
"""

import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import numpy as np


class FhembError(Exception):
    """Base of every error that the library raises on purpose."""


class SchemaError(FhembError, ValueError):
    """The data are not a recording, or not one that this version can read."""


class UnknownNameError(FhembError, KeyError, ValueError):
    """A name that is not among the known ones: a subject, feature, wavelet, method, option.

    It is both a ``KeyError`` and a ``ValueError``.
    """

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the repr, quotes and all


class EmptySelectionError(FhembError, ValueError):
    """A selection that leaves nothing."""


class StoreError(FhembError, OSError):
    """A store that is unfinished, damaged, locked, foreign, or already there."""


class BudgetError(FhembError, MemoryError):
    """Work that would need more memory than it may have; carries the bytes."""


class ClusterError(FhembError, RuntimeError):
    """Worker processes died of the work, or there are none to do it."""


class ConfigError(FhembError, ValueError):
    """A configuration that is missing, incomplete or unsafe."""


class SourceError(FhembError, OSError):
    """The database or the tunnel did not do what was asked."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Name the extra that an import inside the block needs.

    Raises
    ------
    ImportError
        With the line of ``pip`` that installs what is missing.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] == "fhemb_xr":
            raise
        raise ImportError(
            f"{missing.name} is not installed: pip install 'fhemb_xr[{name}]'",
            name=missing.name,
        ) from missing


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the first line outside the package: the user's own."""
    package = str(Path(__file__).parent)
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_from_task(message: str) -> None:
    """Warn of what only the data show: to the client too, where a worker finds it."""
    worker = sys.modules.get("distributed.worker")
    if worker is None:
        warn(message)
    else:
        worker.warn(message, UserWarning)


def nearest(name: object, allowed: Iterable[object], n: int = 3) -> str:
    """``'; the nearest are a, b'`` for a name that is not among ``allowed``.

    Numbers are compared by distance, everything else by spelling.
    """
    options = list(allowed)
    numbers = [o for o in options if isinstance(o, int | float | np.number)]
    found: Sequence[object]
    if isinstance(name, int | float | np.number) and len(numbers) == len(options):
        asked = float(name)
        found = sorted(sorted(numbers, key=lambda o: (abs(o - asked), o))[:n])
    else:
        spelled = {str(o).casefold(): str(o) for o in options}
        close = get_close_matches(str(name).casefold(), [*spelled], n, cutoff=0.4)
        found = [spelled[c] for c in close] or options[:n]
    return "; the nearest are " + ", ".join(map(str, found)) if found else "; there is none"


def unlabelled_error(found: object) -> SchemaError:
    """What to raise where an array without labels, or a whole Dataset, was given."""
    return SchemaError(
        f"need an xarray.DataArray, found {type(found).__name__}: name its dimensions with "
        "xr.DataArray(values, dims=(...)), or choose a variable of the Dataset"
    )
