"""Spans of time with a label: scenes, arias, claps. One table for all that have them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.errors import SchemaError

EVENT, ONSET, DURATION, LABEL, SUBJECT = "event", "onset", "duration", "label", "subject"
LABELS = (LABEL, "trial_type", "description", "text", "code")
"""Columns that hold the label: ours, of BIDS, of MNE, of ``open_events``, of ``fx.events``."""


def table(given: Any) -> xr.Dataset:
    """Spans as one table, from any form in which they are given.

    Parameters
    ----------
    given
        A Dataset of :func:`fhemb_xr.read_spans`, ``ingest.open_events`` or
        :func:`fhemb_xr.events`; a pandas DataFrame with the columns ``onset``, ``duration`` and
        a label; annotations of MNE; a dict of label and ``(start, stop)`` [s], or several of
        these; a sequence of ``(onset, duration, label)``.

    Returns
    -------
    Dataset
        Dataset along ``event``: ``onset`` [s], ``duration`` [s] (0: a moment), ``label``, and
        ``subject`` if spans belong to one person (of everybody's: NaN, or an empty text); in
        the order of time.

    Raises
    ------
    SchemaError
        If these are no spans, an onset is missing, or a duration is below 0.
    """
    columns = _columns(given)
    onset = _seconds(ONSET, columns[ONSET])
    duration = np.nan_to_num(_seconds(DURATION, columns.get(DURATION, np.zeros(onset.size))))
    label = np.asarray([_word(v) for v in columns[LABEL]], dtype=str)
    if not onset.size == duration.size == label.size:
        raise SchemaError(
            f"spans have an onset, a duration and a label each, found {onset.size}, "
            f"{duration.size} and {label.size}"
        )
    if not np.isfinite(onset).all():
        raise SchemaError(f"every span has an onset [s], found {onset[~np.isfinite(onset)][0]}")
    if (duration < 0).any():
        raise SchemaError(f"a duration is 0 s or more, found {duration[duration < 0][0]:g} s")
    order = np.argsort(onset, kind="stable")
    out = {
        ONSET: (EVENT, onset[order], {"units": "s"}),
        DURATION: (EVENT, duration[order], {"units": "s"}),
        LABEL: (EVENT, label[order]),
    }
    people = _people(columns.get(SUBJECT, ()))
    if people is not None:
        out[SUBJECT] = (EVENT, people[order])
    return xr.Dataset(out, attrs={"long_name": "spans"})


def is_bad(label: object) -> bool:
    """Whether a span marks what is to be left out: ``BAD``, ``Bad_motion``, ``bad blink``."""
    word = str(label).strip().casefold()
    return word == "bad" or word.startswith(("bad_", "bad "))


def rows(given: Any) -> list[dict[str, Any]]:
    """Spans one by one: ``onset``, ``duration``, ``label``, and ``subject`` where known."""
    columns = {str(n): v.values.tolist() for n, v in table(given).data_vars.items()}
    found = [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    for row in found:
        if _is_nobody(row.get(SUBJECT, "")):
            row.pop(SUBJECT, None)
        elif isinstance(row[SUBJECT], float) and row[SUBJECT].is_integer():
            row[SUBJECT] = int(row[SUBJECT])  # a number beside spans of everybody
    return found


def segments(given: Any) -> dict[str, list[tuple[float, float]]]:
    """Spans as the intervals ``(start, stop)`` [s] of each label; bad spans are no label.

    Raises
    ------
    SchemaError
        As :func:`table`; and if a span belongs to one person.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for span in rows(given):
        if is_bad(span[LABEL]):
            continue
        if SUBJECT in span:
            raise SchemaError(
                "these spans belong to single people: make them everybody's with "
                ".drop_vars('subject'), or choose the spans of one person before"
            )
        interval = (span[ONSET], span[ONSET] + span[DURATION])
        found.setdefault(span[LABEL], []).append(interval)
    return found


def _columns(given: Any) -> dict[str, Any]:
    if isinstance(given, xr.Dataset):
        names = {str(n): np.asarray(v.values) for n, v in given.variables.items()}
        return _labelled(names)
    if isinstance(given, Mapping):
        return _of_dict(given)
    if hasattr(given, "columns") and hasattr(given, "to_dict"):  # a DataFrame of pandas
        return _labelled({str(n): given[n].to_numpy() for n in given.columns})
    if all(hasattr(given, n) for n in (ONSET, DURATION, "description")):  # of MNE
        return {n: getattr(given, n) for n in (ONSET, DURATION)} | {LABEL: given.description}
    if _is_rows(given):
        rows = list(zip(*given, strict=True)) or [(), (), ()]
        return dict(zip((ONSET, DURATION, LABEL), rows, strict=True))
    raise SchemaError(
        "spans are a table with onset, duration and label (fx.read_spans), a dict of label and "
        f"(start, stop), or a list of (onset, duration, label), found {given!r:.60}"
    )


def _people(given: Any) -> Any:
    """Whose each span is; everybody's: NaN beside numbers, else ""; None if all are so."""
    values = [v.item() if isinstance(v, np.generic) else v for v in given]
    known = [v for v in values if not _is_nobody(v)]
    if not known:
        return None
    if all(isinstance(v, int | float) for v in known):
        if len(known) == len(values):
            return np.asarray(values)
        return np.asarray([np.nan if _is_nobody(v) else v for v in values], dtype=np.float64)
    is_text = all(isinstance(v, str) for v in known)  # else numbers stay numbers beside names
    labels = ["" if _is_nobody(v) else v for v in values]
    return np.asarray(labels, dtype=str if is_text else object)


def _is_nobody(value: Any) -> bool:
    """Whether a span is everybody's."""
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    return missing or str(value) in ("", "nan", "n/a", "<NA>", "NaN", "NaT", "None")


def _is_rows(given: Any) -> bool:
    """Whether these are rows ``(onset, duration, label)``."""
    several = isinstance(given, Sequence) and not isinstance(given, str)
    return several and all(isinstance(r, Sequence) and len(r) == 3 for r in given)


def _labelled(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns of a table, under our names."""
    by_name = {n.strip().casefold(): v for n, v in columns.items()}
    label = next((n for n in LABELS if n in by_name), None)
    if ONSET not in by_name or label is None:
        raise SchemaError(
            f"a table of spans has the column 'onset' and one of {', '.join(LABELS)}, found "
            f"{', '.join(columns) or 'none'}"
        )
    kept = {n: by_name[n] for n in (ONSET, DURATION, SUBJECT) if n in by_name}
    return {**kept, LABEL: by_name[label]}


def _of_dict(given: Mapping[Any, Any]) -> dict[str, Any]:
    rows = []
    for label, found in given.items():
        try:
            intervals = np.asarray(found, dtype=np.float64).reshape(-1, 2)
        except (TypeError, ValueError):
            raise SchemaError(
                f"spans of a label are (start, stop) [s] or several of these, found {found!r}"
            ) from None
        rows += [(start, stop - start, label) for start, stop in intervals]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return dict(zip((ONSET, DURATION, LABEL), columns, strict=True))


def _seconds(name: str, values: Any) -> Any:
    try:
        return np.asarray(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        first = next((v for v in values if not isinstance(v, int | float | np.number)), values)
        raise SchemaError(
            f"{name!r} is a number of seconds, found {first!r}: subtract the start of the "
            "recording from moments of the day"
        ) from None


def _word(label: Any) -> str:
    if isinstance(label, float) and np.isnan(label):
        return "n/a"
    return str(label)
