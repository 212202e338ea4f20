"""The report: one page that shows a recording, its embedding and who is like whom."""

import json
import os
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.io import sensitivity
from fhemb_xr.plot import figure_data, files
from fhemb_xr.plot.report import sections

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #222;
  max-width: 920px; margin: 2.5rem auto 4rem; padding: 0 1.25rem; background: #fff; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; padding-top: 1rem; border-top: 1px solid #ddd; }
p.lead { color: #555; margin: 0 0 1.5rem; }
figure { margin: 1.2rem 0 1.8rem; }
figure > div { max-width: 100%; overflow-x: auto; }
figcaption { font-size: .86rem; color: #444; max-width: 46rem; margin-top: .5rem; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .22rem .9rem .22rem 0; border-bottom: 1px solid #eee; }
th { font-weight: 600; border-bottom: 1px solid #999; }
th:first-child, td:first-child { text-align: left; }
.tall { max-height: 24rem; overflow-y: auto; }
pre { font-size: .78rem; line-height: 1.45; background: #f6f6f6; padding: .8rem 1rem;
  overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { figure { break-inside: avoid; } .tall { max-height: none; } }
"""


def report(
    recording: xr.Dataset,
    embedding: xr.DataArray,
    relation: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    subject: object = None,
    basis: xr.Dataset | None = None,
    lagged: xr.DataArray | None = None,
    clusters: xr.DataArray | None = None,
    faces: bool = False,
) -> Path:
    """Write one self-contained page, and its figures for print in ``figures/`` beside it.

    The page asks the network for nothing and names no path, host or user. With ``faces`` it
    holds pictures of a person: treat it as personal data.

    Parameters
    ----------
    recording
        From :func:`fhemb_xr.open_recording`; the few frames that are shown are read.
    embedding
        From :func:`fhemb_xr.open_embedding`.
    relation
        ``(subject_0, subject_1)`` from :func:`fhemb_xr.pairwise`.
    path
        The page; one that exists is replaced.
    subject
        Person whose face is shown; by default the first of the embedding.
    basis
        Eigenfaces from :func:`fhemb_xr.pca`; by default those of the subject's first 2 000
        frames.
    lagged
        A map from :func:`fhemb_xr.lagged_correlation`; by default that of the two who are
        most alike, in the embedding's first feature.
    clusters
        Labels from :func:`fhemb_xr.clusters`; by default three.
    faces
        Whether one face and its eigenfaces are shown, with that person's consent. Without,
        the page has neither, nor features of which a picture can be made (``pc…``, ``g…``).

    Returns
    -------
    The path.

    Raises
    ------
    UnknownNameError
        A subject that is not there.
    BudgetError
        If a figure's data do not fit the budget.

    Notes
    -----
    Memory: the embedding of the subjects shown, the relation, 2 000 frames of one face.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> from fhemb_xr.plot.report.page import report  # report(ds, emb, relation, "report.html")
    """
    path = Path(path)
    embedding = embedding.transpose(..., schema.TIME, schema.FEATURE)
    relation = figure_data.one(relation, schema.SESSION)  # the first: a page is of one session
    who = figure_data.one(embedding, schema.SUBJECT, subject)[schema.SUBJECT].item()
    if clusters is None:
        from fhemb_xr.ops.clustering import clusters as grouping

        clusters = grouping.clusters(relation, min(3, relation.sizes[relation.dims[0]]))
    clusters = figure_data.loaded(figure_data.one(clusters, schema.SESSION), "clusters")
    relation = figure_data.loaded(relation, "a relation")
    embedding = embedding if faces else _without_pictures(embedding)
    drawn = embedding.sizes[schema.FEATURE] > 0
    figures = [
        *(sections.face(recording, embedding, who) if faces else ()),
        *(sections.trajectories(embedding) if drawn else ()),
        *(sections.eigenfaces(recording, embedding, who, basis) if faces else ()),
        *(
            sections.following(embedding, relation, lagged)
            if drawn or lagged is not None
            else ()
        ),
        *sections.alike(relation, clusters),
        *sections.seats(recording, embedding, clusters),
    ]
    return _write(path, figures, recording, embedding, relation)


def _without_pictures(embedding: xr.DataArray) -> xr.DataArray:
    names = embedding[schema.FEATURE].values.tolist()
    seen = set(sensitivity.invertible(names))
    return embedding.isel({schema.FEATURE: [i for i, n in enumerate(names) if n not in seen]})


def _write(
    path: Path,
    figures: list[sections.Figure],
    recording: xr.Dataset,
    embedding: xr.DataArray,
    relation: xr.DataArray,
) -> Path:
    folder = path.parent / "figures"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for i, figure in enumerate(figures, 1):
        for kind, data in files.printed(figure.drawn, (".png", ".svg")).items():
            files.publish(folder / f"{i}_{figure.name}{kind}", data)
    title = str(recording.attrs.get("title") or "Recording")
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">Facial temperature of an audience: {_extent(recording)}.</p>',
        "<h2>Data</h2>",
        _subjects(recording, embedding),
    ]
    section = ""
    for i, figure in enumerate(figures, 1):
        if figure.section != section:
            section = figure.section
            body.append(f"<h2>{escape(section)}</h2>")
        body.append(
            f"<figure><div>{{{figure.name}}}</div>"
            f"<figcaption><b>Figure {i}.</b> {figure.caption}</figcaption></figure>"
        )
    body += ["<h2>Provenance</h2>", _provenance(recording, embedding, relation)]
    models = {f.name: files.model(f.film if f.film is not None else f.drawn) for f in figures}
    files.publish(path, files.page(models, "\n".join(body), title, _STYLE).encode())
    return path


def _extent(recording: xr.Dataset) -> str:
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


def _subjects(recording: xr.Dataset, embedding: xr.DataArray) -> str:
    """A row per subject: frames, seconds, and the share of frames without a face."""
    rate = schema.sampling_rate(recording)
    rows = []
    for name in recording[schema.SUBJECT].values.tolist():
        there, missing = _presence(recording, embedding, name)
        share = "–" if missing is None else f"{100 * missing:.1f} %"
        rows.append(
            f"<tr><td>{escape(str(name))}</td><td>{there:,}</td>"
            f"<td>{there / rate:,.1f}</td><td>{share}</td></tr>"
        )
    head = "<tr><th>Subject</th><th>Frames</th><th>Seconds</th><th>Without a face</th></tr>"
    return f'<div class="tall"><table>{head}{"".join(rows)}</table></div>'


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


def _provenance(recording: xr.Dataset, embedding: xr.DataArray, relation: xr.DataArray) -> str:
    from fhemb_xr import diagnostics

    parts: list[tuple[str, str]] = []
    for name, attrs in (
        ("recording", recording.attrs),
        ("embedding", embedding.attrs),
        ("relation", relation.attrs),
    ):
        if attrs.get(schema.HISTORY):
            parts.append((f"History of the {name}", _text(attrs[schema.HISTORY])))
    if embedding.attrs.get(schema.SPEC):
        parts.append(("Specification of the embedding", _pretty(embedding.attrs[schema.SPEC])))
    shown = {
        k: _plain(v)
        for k, v in relation.attrs.items()
        if k not in (schema.HISTORY, schema.SPEC)
    }
    parts.append(
        ("Relation", "\n".join(f"{k}: {v}" for k, v in shown.items() if k in _RELATION))
    )
    parts.append(
        (
            "Versions",
            "\n".join(f"{k} {v}" for k, v in diagnostics.versions().items() if v != "-"),
        )
    )
    return "\n".join(f"<p><b>{escape(h)}</b></p><pre>{escape(t)}</pre>" for h, t in parts if t)


_RELATION = (
    "metric",
    "scale",
    "units",
    "normalize",
    "window",
    "dim",
    "gamma",
    "radius",
    "local",
    "n_features",
)
"""What is said of a relation; anything else might name a path or a host."""


def _text(history: object) -> str:
    return "\n".join(map(str, history)) if isinstance(history, list | tuple) else str(history)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _pretty(spec: str | Mapping[str, Any]) -> str:
    try:
        found = json.loads(spec) if isinstance(spec, str) else dict(spec)
    except ValueError:
        return str(spec)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    lists = re.compile(r"\[[^\[\]{}]*\]")  # a list of names on one line
    return lists.sub(
        lambda m: " ".join(m[0].split()).replace("[ ", "[").replace(" ]", "]"), text
    )
