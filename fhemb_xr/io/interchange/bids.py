"""Export to BIDS: a table of physiology for each person, as other laboratories read it."""

import gzip
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.clock import spans as tables
from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.io.local import durable_files

BIDS_VERSION = "1.10.0"
_CURVES = (schema.FEATURE, schema.COMPONENT, schema.BAND)
_BLOCK_BYTES = 2**26
_NOT_ALLOWED = re.compile("[^0-9a-zA-Z]+")


def to_bids(
    x: xr.DataArray,
    folder: str | os.PathLike[str],
    *,
    task: str,
    recording: str = "face",
    spans: Any = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write an embedding as physiological recordings of BIDS, a table for each person.

    The files are ``sub-<subject>/[ses-<session>/]beh/…_task-<task>_recording-<recording>_
    physio.tsv.gz`` with a ``.json`` beside each, and ``dataset_description.json`` where there
    is none. The validator of BIDS accepts them, and ``ingest.open_trace`` reads them back.

    Parameters
    ----------
    x
        ``(subject, [session], time, [feature])`` with an even clock.
    folder
        Folder of the data set, new or not.
    task
        Name of the task, e.g. ``"opera"``: letters and digits.
    recording
        Name of the recording, which tells it from others of the same task.
    spans
        Spans of time, in any form of :func:`read_spans`: an ``events.tsv`` for each person.
    overwrite
        Replace files that exist.

    Returns
    -------
    list[Path]
        The paths of the tables.

    Raises
    ------
    StoreError
        A file exists already.
    SchemaError
        The clock is uneven, two labels would have one name, or ``x`` has other dimensions.

    Notes
    -----
    Numbers have all their digits; missing ones are ``n/a``. Memory: 64 MiB of series, or the
    chunks of one moment. Computes at call: one for each such block of time. Files appear when
    all are whole; only their owner can read them.

    References
    ----------
    - Gorgolewski et al. 2016, The brain imaging data structure.
      https://doi.org/10.1038/sdata.2016.44
    """
    schema.require_dims(x, schema.SUBJECT, schema.TIME)
    curves = next((d for d in _CURVES if d in x.dims), None)
    known = {schema.SUBJECT, schema.SESSION, schema.TIME, curves}
    if others := {*map(str, x.dims)} - known:
        raise SchemaError(f"BIDS tables have no {', '.join(sorted(others))}: choose one each")
    clock = Clock.of(x).require_regular()
    _ = clock.seconds  # dates have none
    word = _label("the task", task), _label("the recording", recording)
    target = Path(folder).expanduser()
    series = x if schema.SESSION in x.dims else x.expand_dims(schema.SESSION)
    series = series if curves else series.expand_dims(schema.FEATURE)
    columns = [str(v) for v in x[curves].values] if curves else [str(x.name or "signal")]
    series = series.transpose(schema.SUBJECT, schema.SESSION, schema.TIME, curves or "feature")
    places = _places(x, target, word)
    events = [p.with_name(p.name.replace(f"_recording-{word[1]}_physio.tsv.gz", "_events.tsv"))
              for p in places] if spans is not None else []  # fmt: skip
    if not overwrite and (there := [p for p in (*places, *events) if p.exists()]):
        raise StoreError(f"{there[0].name!r} is there already: overwrite=True replaces it")
    about = _about(x, clock, columns)
    _write_tables(series, places)
    for place in places:
        durable_files.replace_file(_json_of(place), about)
    for place, who in zip(events, _people(x), strict=False):
        durable_files.replace_file(place, _events(spans, who))
    description = target / "dataset_description.json"
    if not description.exists():
        durable_files.replace_file(description, _described(task))
    return places


def _label(what: str, value: object) -> str:
    word = _NOT_ALLOWED.sub("", str(value))
    if not word:
        raise SchemaError(f"{what} is letters and digits in BIDS, found {value!r}")
    return word


def _people(x: xr.DataArray) -> list[Any]:
    """Whose each table is."""
    sessions = x.sizes.get(schema.SESSION, 1)
    return [who for who in x[schema.SUBJECT].values.tolist() for _ in range(sessions)]


def _places(x: xr.DataArray, target: Path, word: tuple[str, str]) -> list[Path]:
    """The table of each person and session."""
    sessions = x[schema.SESSION].values.tolist() if schema.SESSION in x.coords else []
    sessions = sessions if isinstance(sessions, list) else [sessions]
    places = []
    for who in x[schema.SUBJECT].values.tolist():
        for session in sessions or [None]:
            parts = [f"sub-{_label('a subject', who)}"]
            if session is not None:
                parts.append(f"ses-{_label('a session', session)}")
            name = "_".join(
                [*parts, f"task-{word[0]}", f"recording-{word[1]}", "physio.tsv.gz"]
            )
            places.append(target.joinpath(*parts, "beh", name))
    if twice := [p.name for p in places if places.count(p) > 1]:
        raise SchemaError(f"two tables would be called {twice[0]!r}: rename people or sessions")
    return places


def _json_of(place: Path) -> Path:
    return place.with_name(place.name.replace(".tsv.gz", ".json"))


def _about(x: xr.DataArray, clock: Clock, columns: Sequence[str]) -> bytes:
    units = x.coords["units"].values if "units" in x.coords else x.attrs.get("units", "")
    each = np.broadcast_to(np.asarray(units, dtype=str), len(columns))
    about: dict[str, Any] = {
        "SamplingFrequency": clock.rate_hz,
        "StartTime": clock.start_s,
        "Columns": [*columns],
    }
    for name, unit in zip(columns, each, strict=True):
        about |= {name: {"Units": unit.replace("degC", "oC")}} if unit else {}
    return json.dumps(about, indent=2).encode()


def _described(task: str) -> bytes:
    from importlib.metadata import version

    about = {
        "Name": task,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "fhemb_xr", "Version": version("fhemb_xr")}],
    }
    return json.dumps(about, indent=2).encode()


def _events(given: Any, who: Any) -> bytes:
    lines = ["onset\tduration\ttrial_type"]
    for span in tables.rows(given):
        if span.get(tables.SUBJECT, who) == who:
            label = " ".join(span[tables.LABEL].split())
            lines.append(f"{span[tables.ONSET]:.10g}\t{span[tables.DURATION]:.10g}\t{label}")
    return ("\n".join(lines) + "\n").encode()


def _write_tables(series: xr.DataArray, places: Sequence[Path]) -> None:
    """All tables together, block after block of time, so that no chunk is computed twice."""
    asides = [p.with_name(f".{p.name}.{os.getpid()}.partial") for p in places]
    try:
        with ExitStack() as files:
            tsv: list[gzip.GzipFile] = []
            for aside in asides:
                aside.parent.mkdir(parents=True, exist_ok=True)
                aside.unlink(missing_ok=True)
                file = files.enter_context(durable_files.open_new(aside, "wb"))
                tsv.append(
                    files.enter_context(gzip.GzipFile("", "wb", 6, fileobj=file, mtime=0))
                )
            for a, b in _blocks(series):
                block = series.isel({schema.TIME: slice(a, b)}).values
                for rows, table in zip(block.reshape(-1, *block.shape[2:]), tsv, strict=True):
                    table.write(_text(rows))
        for aside, place in zip(asides, places, strict=True):
            aside.replace(place)
    finally:
        for aside in asides:
            aside.unlink(missing_ok=True)


def _blocks(series: xr.DataArray) -> Iterator[tuple[int, int]]:
    """Intervals of samples: whole chunks along time, of at most 64 MiB together."""
    n = series.sizes[schema.TIME]
    each = max(1, _BLOCK_BYTES // max(1, 8 * (series.size // max(n, 1))))
    edges = np.cumsum([0, *series.chunksizes.get(schema.TIME, [min(each, n)] * -(-n // each))])
    start = 0
    for stop, following in zip(edges[1:], [*edges[2:], np.inf], strict=True):
        if min(following, n) - start > each or stop >= n:
            yield start, int(min(stop, n))
            start = int(stop)


def _text(rows: Any) -> bytes:
    digits = "%.9g" if rows.dtype.itemsize <= 4 else "%.17g"
    lines = ["\t".join(digits % v for v in row) for row in rows]
    return ("\n".join(lines) + "\n").replace("nan", "n/a").encode()
