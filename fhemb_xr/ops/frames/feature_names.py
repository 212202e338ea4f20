"""Names of features: families, numbers and inclusive intervals."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fhemb_xr.errors import UnknownNameError, nearest
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.synonyms import folded, meant

STATISTICS = ("max", "min", "mean", "variance", "std", "median", "skew", "kurtosis", "entropy")


_FAMILIES = "max min mean variance std median skew kurtosis entropy p0…p100 bh0… pc0… g0_0…"


_NUMBERED = re.compile(r"(p|bh|pc)(\d+(?:\.\d+)?)$")


_GRID = re.compile(r"g(\d+)_(\d+)$")


Names = str | Sequence[Any]


def expand(names: Names) -> list[str]:
    """Names with intervals written out, each once, in the order asked for.

    Raises
    ------
    UnknownNameError
        A feature that is not there, with the nearest ones.
    ValueError
        An interval over two families, or one that runs backwards.
    """
    out: dict[str, None] = {}
    for entry in _entries(names):
        found = [_checked(entry)] if isinstance(entry, str) else _interval(entry)
        out |= dict.fromkeys(found)
    if not out:
        raise ValueError(f"no feature was asked for: there are {_FAMILIES}")
    return list(out)


def _entries(names: Names) -> list[Any]:
    """Names and pairs; a pair of one numbered family alone is an interval, as of subjects."""
    if isinstance(names, str):
        return [names]
    entries = list(names)
    both = [_NUMBERED.match(folded(n)) for n in entries if isinstance(n, str)]
    alone = isinstance(names, tuple) and len(entries) == len(both) == 2
    if alone and all(both) and len({m[1] for m in both if m}) == 1:
        return [tuple(entries)]
    return entries


def families(names: Sequence[str]) -> list[str]:
    """The families of features: ``"bh"``, ``"pc"``, ``"p"``; others by their names."""
    numbers = {name: _NUMBERED.match(name) for name in names}
    return list(dict.fromkeys(m[1] if m else name for name, m in numbers.items()))


def _checked(name: str) -> str:
    """The feature that is meant, as it is called here: ``"P05"`` is ``"p5"``."""
    statistic = meant(name, STATISTICS, synonyms.FEATURES)
    number, grid = _NUMBERED.match(folded(name)), _GRID.match(name.strip().casefold())
    if statistic:
        return statistic
    if grid:
        return f"g{int(grid[1])}_{int(grid[2])}"
    if number and number[1] == "p" and float(number[2]) <= 100:
        return f"p{float(number[2]):.12g}"
    if number and number[1] != "p" and number[2].isdigit():
        return f"{number[1]}{int(number[2])}"
    near = nearest(name, [*STATISTICS, "p50", "bh0", "pc0", "g0_0"])
    raise UnknownNameError(f"no feature {name!r}{near}; there are {_FAMILIES}")


def _interval(pair: Any) -> list[str]:
    if not isinstance(pair, tuple | list | np.ndarray) or len(pair) != 2:
        raise ValueError(f"a feature is a name or a pair (first, last), found {pair!r}")
    first, last = (_NUMBERED.match(_checked(str(name))) for name in pair)
    if not first or not last or first[1] != last[1]:
        raise ValueError(
            f"an interval is of one numbered family such as ('p5', 'p95'): {pair!r}"
        )
    low, high = float(first[2]), float(last[2])
    step = 5 if first[1] == "p" and low % 5 == high % 5 == 0 else 1
    if low > high or low % 1 or high % 1:
        raise ValueError(f"an interval goes from low to high by whole numbers, found {pair!r}")
    return [f"{first[1]}{i}" for i in range(int(low), int(high) + 1, step)]
