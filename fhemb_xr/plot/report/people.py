"""Who is in a recording: its extent in words, and a row for each subject."""

from html import escape

import dask
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
    for name, (there, missing) in _presence(recording, embedding).items():
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
    recording: xr.Dataset, embedding: xr.DataArray
) -> dict[object, tuple[int, float | None]]:
    """Frames of each subject, and the share of them without a face; all in one compute."""
    asked = {}
    if schema.N_TIME in recording:
        asked["n"] = _of_each(recording[schema.N_TIME])
    if schema.HEIGHT in recording:
        asked["seen"] = _of_each(recording[schema.HEIGHT] > 0)
    elif schema.SUBJECT in embedding.dims:
        gaps = embedding.isel({schema.FEATURE: 0}, drop=True).isnull()
        asked["gaps"] = gaps.mean([d for d in gaps.dims if d != schema.SUBJECT])
    (found,) = dask.compute(asked)
    every = recording.sizes[schema.TIME] * recording.sizes[schema.SESSION]
    told: dict[object, tuple[int, float | None]] = {}
    for name in recording[schema.SUBJECT].values.tolist():
        own = {
            k: v.sel({schema.SUBJECT: name}).item() for k, v in found.items() if _has(v, name)
        }
        n = int(own.get("n", every))
        missing = 1 - own["seen"] / max(n, 1) if "seen" in own else own.get("gaps")
        told[name] = n, missing
    return told


def _of_each(x: xr.DataArray) -> xr.DataArray:
    return x.sum([d for d in x.dims if d != schema.SUBJECT])


def _has(x: xr.DataArray, name: object) -> bool:
    return name in x[schema.SUBJECT].values.tolist()
