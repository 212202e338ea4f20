"""The report: one page that shows a recording, its embedding and who is like whom."""

import base64
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from html import escape, unescape
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import dask
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.io import sensitivity
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.plot import figure_data, files, pages, theme
from fhemb_xr.plot.report import people, sections, style
from fhemb_xr.plot.report import results as further
from fhemb_xr.plot.report.provenance import provenance

KINDS = ("png", "svg", "pdf")
"""Kinds of files of a figure for print."""


def report(
    recording: xr.Dataset,
    embedding: xr.DataArray,
    relation: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    subject: object = None,
    lagged: xr.DataArray | None = None,
    clusters: xr.DataArray | None = None,
    faces: bool = False,
    figures: str | Sequence[str] = ("png", "svg"),
    results: Sequence[xr.Dataset] = (),
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
    lagged
        A map from :func:`fhemb_xr.lagged_correlation`; by default that of the two who are
        most alike, in the embedding's first feature.
    clusters
        Labels from :func:`fhemb_xr.clusters`; by default three.
    faces
        Whether one face and its eigenfaces are shown, with that person's consent. Without,
        the page has neither, nor features of which a picture can be made (``pc…``, ``g…``).
    figures
        What lies in ``figures/``: ``"svg"``, which the page holds too, ``"png"``, ``"pdf"``;
        nothing: no folder is made.
    results
        Of :func:`fhemb_xr.corrca`, :func:`fhemb_xr.shared_response`, :func:`fhemb_xr.states`,
        :func:`fhemb_xr.wavelet_coherence`, :func:`fhemb_xr.phase_locking`,
        :func:`fhemb_xr.recurrence`, :func:`fhemb_xr.respiration`, :func:`fhemb_xr.pulse`,
        :func:`fhemb_xr.regions` or :func:`fhemb_xr.isc`: a section for each, in this order.
        Eigenfaces of :func:`fhemb_xr.pca` are shown with ``faces``, by default those of the
        subject's first 2 000 frames.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    UnknownNameError
        A subject that is not there; another kind of figure.
    SchemaError
        Another kind of result.
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
    asked = (figures,) if isinstance(figures, str) else figures
    kinds = [f".{require_choice('figures', kind, KINDS)}" for kind in asked]
    basis = next(filter(further.is_basis, results), None)
    more = [r for r in results if not further.is_basis(r)]
    for result in more:
        further.kind_of(result)  # refused before the first figure is drawn
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
    pair: tuple[xr.DataArray, xr.Dataset | None] | None = None
    if lagged is not None:
        pair = lagged, None
    elif drawn:
        pair = sections.closest(embedding, relation)
    ahead = ThreadPoolExecutor(1)
    # the longest computation, done while the first figures are drawn
    computed = ahead.submit(dask.compute, pair)
    shown: Iterator[sections.Figure] = chain(
        sections.face(recording, embedding, who) if faces else (),
        sections.trajectories(embedding) if drawn else (),
        sections.eigenfaces(recording, embedding, who, basis) if faces else (),
        _following(computed),
        sections.alike(relation, clusters),
        sections.seats(recording, embedding, clusters),
        further.further(more, who),
    )
    try:
        with theme.unrecorded():
            return _write(path, shown, kinds, recording, embedding, relation)
    finally:
        ahead.shutdown(wait=False, cancel_futures=True)


def _following(computed: Future[Any]) -> Iterator[sections.Figure]:
    (pair,) = computed.result()
    if pair is not None:
        yield from sections.following(*pair)


def _without_pictures(embedding: xr.DataArray) -> xr.DataArray:
    names = embedding[schema.FEATURE].values.tolist()
    seen = set(sensitivity.invertible(names))
    return embedding.isel({schema.FEATURE: [i for i, n in enumerate(names) if n not in seen]})


def _write(
    path: Path,
    shown: Iterable[sections.Figure],
    kinds: list[str],
    recording: xr.Dataset,
    embedding: xr.DataArray,
    relation: xr.DataArray,
) -> Path:
    folder = path.parent / "figures" if kinds else path.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    figures, stills = [], []
    for i, figure in enumerate(shown, 1):
        figures.append(figure)
        made = files.printed(figure.drawn, dict.fromkeys((*kinds, ".svg")))
        stills.append(made[".svg"])
        for kind in kinds:
            files.publish(folder / f"{i}_{figure.name}{kind}", made[kind])
    title = str(recording.attrs.get("title") or "Recording")
    parts = {"Data": people.table(recording, embedding)}
    for i, (figure, still) in enumerate(zip(figures, stills, strict=True), 1):
        drawn = _figure(i, figure, still)
        parts[figure.section] = f"{parts.get(figure.section, '')}\n{drawn}"
    parts["Provenance"] = provenance(recording, embedding, relation)
    body = _body(title, people.extent(recording), parts)
    models = {f.name: files.model(f.moving) for f in figures if f.moving is not None}
    files.publish(path, pages.page(models, body, title, style.CSS).encode())
    return path


def _body(title: str, extent: str, parts: dict[str, str]) -> str:
    """The landmarks of the page, a table of contents, and a section of each part."""
    ids = {name: re.sub(r"\W+", "-", name.lower()) for name in parts}
    contents = "".join(f'<li><a href="#{ids[n]}">{escape(n)}</a></li>' for n in parts)
    told = "\n".join(
        f'<section aria-labelledby="{ids[n]}">'
        f'<h2 id="{ids[n]}">{escape(n)}</h2>\n{part}</section>'
        for n, part in parts.items()
    )
    return (
        f"<header><h1>{escape(title)}</h1>\n"
        f'<p class="lead">Facial temperature of an audience: {extent}.</p></header>\n'
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n'
        f"<main>\n{told}\n</main>\n"
        f"<footer><p>Made with fhemb_xr {escape(version('fhemb_xr'))}. This page asks the "
        "network for nothing.</p></footer>"
    )


def _figure(number: int, figure: sections.Figure, still: bytes) -> str:
    """A figure that moves where scripts run and there is room, beside its picture."""
    caption = f"<b>Figure {number}.</b> {figure.caption}"
    said = escape(unescape(re.sub("<[^>]+>", "", caption)))
    data = base64.b64encode(still).decode()
    kind = "film both" if figure.film is not None else "both"
    kind = "alone" if figure.moving is None else kind
    moving = f'<div class="drawn">{{{figure.name}}}</div>' if figure.moving is not None else ""
    return (
        f'<figure class="{kind}">{moving}'
        f'<img class="still" alt="{said}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
