"""The original's families of features, and how it writes bands."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fhemb_xr.ops.time_frequency.band_spec import BANDS as BANDS

STATISTICS_TS, PERCENTILES_TS = "features_ts", "percentiles_ts"
BINHEIGHTS_TS, PCOMPONENTS_TS = "binheights_ts", "pcomponents_ts"
GRID_TS, VECTOR_TS, POSITION_TS = "bboxheatmap_ts", "normfacevec_ts", "faceposition_ts"
ORDER = (PERCENTILES_TS, BINHEIGHTS_TS, PCOMPONENTS_TS, STATISTICS_TS, GRID_TS)
ALL, ENDLESS = "All", "inf"
_SHOWN = 24
_PREFIXES = {
    "bh": BINHEIGHTS_TS, "pc": PCOMPONENTS_TS, "fv": VECTOR_TS, "fp": POSITION_TS,
    "p": PERCENTILES_TS, "g": GRID_TS,
}  # fmt: skip


def family(name: str) -> str:
    """The family of a feature: ``"p50"`` is of ``"percentiles_ts"``."""
    for prefix, kind in _PREFIXES.items():
        if name.startswith(prefix) and name[len(prefix) :][:1].isdigit():
            return kind
    return STATISTICS_TS


def shown(names: Sequence[str]) -> str:
    """Names for a repr: all of a few, how many of more."""
    return f"features={list(names)}" if len(names) <= _SHOWN else f"{len(names)} features"


def by_family(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by family, families in the order of the original's results."""
    names = list(names)
    found = {kind: [n for n in names if family(n) == kind] for kind in ORDER}
    return {kind: some for kind, some in found.items() if some}


def frequencies(attrs: Mapping[Any, Any]) -> Any:
    """Merged intervals of a filtered signal [Hz] to two decimals; ``"All"`` unfiltered."""
    if BANDS not in attrs:
        return ALL
    return [(round(a, 2), round(b, 2)) for a, b in json.loads(attrs[BANDS])["hz"]]


def periods(attrs: Mapping[Any, Any]) -> Any:
    """The same in seconds; the endless end is ``"inf"``."""
    if BANDS not in attrs:
        return ALL
    found = json.loads(attrs[BANDS])["period_s"]
    return [(round(a, 2), ENDLESS if b is None else round(b, 2)) for a, b in found]


def of_band(attrs: Mapping[Any, Any], band: int, hz: tuple[float, float]) -> str:
    """What is written of one band among all of a decomposition."""
    spec = json.loads(attrs[BANDS])
    low, high = hz
    period = [[1 / high, 1 / low if low else None]]
    return json.dumps({**spec, "bands": [band], "hz": [[low, high]], "period_s": period})
