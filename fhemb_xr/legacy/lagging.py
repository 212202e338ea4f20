"""Lagged correlation between what embeddings hold: two features, or two people."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.legacy import logs
from fhemb_xr.legacy.subjects import counted, label
from fhemb_xr.ops.pairwise.cross_correlation import lagged_correlation

_log = logs.of("tseries")


def lagged_map(members: Sequence[Any], twin: int, max_lag: int, step: int) -> Any:
    """Correlation by window and lag, drawn."""
    from fhemb_xr import plot

    found, names = correlated(members, twin, max_lag, step)
    one = found.squeeze(schema.SUBJECT) if schema.SUBJECT in found.dims else found
    heading = "\n".join(t for t in (names, *_bands(members)) if t)
    return plot.lagged(one, title=f"Lagged correlation, {heading}")


def lagged_table(members: Sequence[Any], twin: int, max_lag: int, step: int) -> pd.DataFrame:
    """A row for the start of each window [s], a column ``lag_<frames>`` for each lag."""
    found, _ = correlated(members, twin, max_lag, step)
    one = found.squeeze(schema.SUBJECT, drop=True) if schema.SUBJECT in found.dims else found
    columns = [f"lag_{k}" for k in range(-max_lag, max_lag + 1)]
    index = pd.Index(one[schema.WINDOW].to_numpy(), name="window")
    values = one.transpose(schema.WINDOW, schema.LAG).to_numpy()
    return pd.DataFrame(values, index=index, columns=columns)


def lagged_curves(members: Sequence[Any], lag: int, twin: int, step: int, max_lag: int) -> Any:
    """Correlation at one lag over time, a curve for each person."""
    from fhemb_xr import plot

    found, names = correlated(members, twin, max_lag, step, several=True)
    seconds = lag / float(members[0].sr)
    return plot.lagged_at(found, seconds, title=f"Lagged correlation, {names}")


def correlated(
    members: Sequence[Any], twin: int, max_lag: int, step: int, *, several: bool = False
) -> tuple[xr.DataArray, str]:
    """Correlations ``([subject,] window, lag)``, and of what.

    Raises
    ------
    SchemaError
        Neither one or two features of one person (of ``several``), nor one of two people.
    """
    pairs = [(m, name) for m in members for name in m.features]
    people = [p for p in members[0].subjects if all(p in m.subjects for m in members[1:])]
    series = [m.chosen(people, name) for m, name in pairs[:2]]
    rate = float(members[0].sr)
    options = {"window_s": twin / rate, "step_s": step / rate, "max_lag_s": max_lag / rate}
    said = (len(pairs), counted(people), options)
    _log.debug("lagged correlation of %s features of %s: %s", *said)
    who = ", ".join(people)
    if len(pairs) == 1 and len(people) == 2:
        a, b = (series[0].isel({schema.SUBJECT: k}, drop=True) for k in (0, 1))
        return lagged_correlation(a, b, **options), f"{pairs[0][1]} of {' and '.join(people)}"
    if len(pairs) > 2 or not people or (len(people) > 1 and not several):
        raise SchemaError(
            "a lagged correlation is of one or two features of one person, or of one feature "
            f"of two people, found {len(pairs)} features of {len(people)} people: choose with "
            ".project(subjs, features)"
        )
    bare = [x.drop_vars([c for c in (schema.FEATURE,) if c in x.coords]) for x in series]
    out = lagged_correlation(bare[0], bare[-1], **options)
    if several and len(people) > 1:
        labels = [label(i) for i in out.indexes[schema.SUBJECT].tolist()]
        out, who = out.assign_coords({schema.SUBJECT: labels}), f"{len(people)} people"
    return out, f"{' and '.join(n for _, n in pairs)} of {who}"


def _bands(members: Sequence[Any]) -> list[str]:
    """What is left in the series, where they are filtered."""
    from fhemb_xr.plot import labels

    return list(dict.fromkeys(labels.bands(m.attrs) for m in members))
