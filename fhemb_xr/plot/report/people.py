"""Who is in a recording: its extent in words, and a row for each subject."""

from html import escape

import xarray as xr

from fhemb_xr import schema


def extent(recording: xr.Dataset) -> str:
    """Numbers of subjects, sessions and frames, seconds, rate and grid."""
    rate = schema.sampling_rate(recording)
    n, rows, columns = (recording.sizes[d] for d in (schema.TIME, schema.Y, schema.X))
    return (
        f"{_count(recording.sizes[schema.SUBJECT], 'subject')}, "
        f"{_count(recording.sizes[schema.SESSION], 'session')}, "
        f"{_count(n, 'frame')} ({n / rate:,.1f} s at {rate:g} frames a second) on a grid of "
        f"{rows} × {columns} pixels"
    )


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def table(recording: xr.Dataset, embedding: xr.DataArray) -> str:
    """A row per subject: frames, seconds, and the share of frames without a face."""
    rate = schema.sampling_rate(recording)
    rows = []
    for name in recording[schema.SUBJECT].values.tolist():
        there, missing = _presence(recording, embedding, name)
        share = "–" if missing is None else f"{100 * missing:.1f} %"
        rows.append(
            f'<tr><th scope="row">{escape(str(name))}</th><td>{there:,}</td>'
            f"<td>{there / rate:,.1f}</td><td>{share}</td></tr>"
        )
    titles = ("Subject", "Frames", "Seconds", "Without a face")
    head = "".join(f'<th scope="col">{t}</th>' for t in titles)
    # a box that scrolls must be reached with the keyboard
    return (
        '<div class="tall" role="region" aria-label="Subjects" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _presence(
    recording: xr.Dataset, embedding: xr.DataArray, name: object
) -> tuple[int, float | None]:
    """Frames of one subject, and the share of them without a face."""
    one = recording.sel({schema.SUBJECT: name})
    n = recording.sizes[schema.TIME] * recording.sizes[schema.SESSION]
    if schema.N_TIME in recording:
        n = int(one[schema.N_TIME].sum())
    if schema.HEIGHT in recording:
        return n, 1 - int((one[schema.HEIGHT] > 0).sum()) / max(n, 1)
    if schema.SUBJECT in embedding.dims and name in embedding[schema.SUBJECT].values.tolist():
        series = embedding.sel({schema.SUBJECT: name}).isel({schema.FEATURE: 0})
        return n, float(series.isnull().mean())
    return n, None
