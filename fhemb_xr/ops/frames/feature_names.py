"""Names of features: families, numbers and inclusive intervals."""

import re
from collections.abc import Sequence
from typing import Any

from fhemb_xr.errors import UnknownNameError, nearest

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
    entries = [names] if isinstance(names, str) else list(names)
    out: dict[str, None] = {}
    for entry in entries:
        found = [entry] if isinstance(entry, str) else _interval(entry)
        out |= dict.fromkeys(_checked(name) for name in found)
    if not out:
        raise ValueError(f"no feature was asked for: there are {_FAMILIES}")
    return list(out)


def _checked(name: str) -> str:
    number = _NUMBERED.match(name)
    known = name in STATISTICS or _GRID.match(name) is not None
    if number:
        family, value = number.groups()
        known = float(value) <= 100 if family == "p" else value.isdigit()
    if not known:
        near = nearest(name, [*STATISTICS, "p50", "bh0", "pc0", "g0_0"])
        raise UnknownNameError(f"no feature {name!r}{near}; there are {_FAMILIES}")
    return name


def _interval(pair: Any) -> list[str]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
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
