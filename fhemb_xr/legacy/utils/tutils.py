"""Films, by the original's path."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, warn
from fhemb_xr.legacy import logs
from fhemb_xr.legacy.config.settings import THERMO_SR
from fhemb_xr.legacy.series import without_bins
from fhemb_xr.legacy.subjects import label, people
from fhemb_xr.ops.checks import unknown_name
from fhemb_xr.plot.frames.film_file import make_video

_log = logs.of("tutils")


def makeVideo(  # noqa: N802  (the original's name)
    *timeseries: Any,
    percentile_ts: Any = None,
    interval: tuple[float, float] = (0, 200),
    interval_shift: float = 0,
    feature: Any = None,
    subj: Any = 2,
    title: str = "",
    sound: Any = None,
    offset_s: float = 0.0,
) -> Path:
    """Write ``aa<title>.mp4``: a face, a feature's curve, and the sound where one is given.

    Parameters
    ----------
    *timeseries
        Faces (``piece.face_t``), an Embedding, or both; none where ``feature`` is a table.
    percentile_ts
        Percentiles whose curves are drawn too.
    interval
        Interval from the first frame of the Piece [s].
    interval_shift
        First second of a table that is alone; a recording knows its clock.
    feature
        Feature of the Embedding whose curve is drawn; or the curves themselves, a table or
        tables by family as ``get_ts_subjs`` gives them.
    subj
        The person, or a list of one.
    title
        Title, and the end of the file's name.
    sound, offset_s
        File with sound, and when it starts on the session's clock [s].

    Returns
    -------
    Path
        The path, in the current folder. Only its owner may read the file.
    """
    if isinstance(subj, list | tuple) and len(subj) == 1:
        subj = subj[0]
    tables = {"": feature} if isinstance(feature, pd.DataFrame) else feature
    tables = tables if isinstance(tables, Mapping) else {}
    faces = [t for t in timeseries if hasattr(t, "create_pca_embedding")]
    members = [list(t.values()) if isinstance(t, Mapping) else [t] for t in timeseries]
    embeddings = [m for some in members for m in some if hasattr(m, "chosen")]
    if len(faces) > 1 or not (faces or embeddings or tables):
        raise SchemaError(
            f"a film is of one set of faces, of embeddings or of both, found {timeseries!r:.80}"
        )
    named = feature if isinstance(feature, str) else None
    curves = [e.chosen(subj, named if named in e.features else None) for e in embeddings]
    if percentile_ts is not None:
        curves.append(percentile_ts.chosen(subj))
    drawn = [c if schema.FEATURE in c.dims else c.expand_dims(schema.FEATURE) for c in curves]
    bare = [without_bins(c) for c in drawn]
    signal = xr.concat(bare, schema.FEATURE).isel({schema.SUBJECT: 0}) if bare else None
    if tables and signal is None:
        start = faces[0]._visible[schema.TIME][0].item() if faces else interval_shift
        signal = _curves(tables, subj, float(start))
    if faces:
        (person,) = people([subj], faces[0]._ids)
        x = faces[0]._visible.sel({schema.SUBJECT: person})
        warn("the film shows a face, which needs that person's consent; only you may read it")
    else:
        x, person = signal, None
    first = float(x[schema.TIME][0])
    last = float(x[schema.TIME][-1]) + 1 / THERMO_SR
    seconds = (first + interval[0], min(first + interval[1], last))
    name = title or label(subj)
    _log.debug("film of one person, %s s", seconds)
    return make_video(
        x, Path(f"aa{title}.mp4"), person, signal=signal, seconds=seconds, sound=sound,
        offset_s=offset_s, faces=True, title=name,
    )  # fmt: skip


def _curves(tables: Mapping[Any, Any], person: Any, start: float) -> xr.DataArray:
    """Curves ``(time, feature)`` of a person from tables with a column for each."""
    name = label(person)
    found = {str(k): t for k, t in tables.items() if np.size(t)}
    for table in found.values():
        if name not in table:
            raise unknown_name("subject", name, list(table), personal=True)
    values = np.stack([t[name].to_numpy(np.float64) for t in found.values()], axis=-1)
    return xr.DataArray(
        values,
        dims=(schema.TIME, schema.FEATURE),
        coords={
            schema.TIME: start + np.arange(len(values)) / THERMO_SR,
            schema.FEATURE: list(found),
        },
        attrs={schema.SAMPLING_RATE: float(THERMO_SR)},
    )
