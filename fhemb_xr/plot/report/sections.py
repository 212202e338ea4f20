"""What the report shows: its figures, and in words what each of them is."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.ops.pairwise.similarity import as_distance
from fhemb_xr.plot import figure_data, labels, signals
from fhemb_xr.plot.clustering import projections
from fhemb_xr.plot.frames import distributions, faces
from fhemb_xr.plot.frames.player import player
from fhemb_xr.plot.pairwise import linkage, matrices
from fhemb_xr.plot.pairwise.lagged import lagged

PLAYER_BYTES = 1_200_000
"""Pixels of the film, so that the page stays below 5 MB."""
BASIS_FRAMES = 2000
SHIFTS = 99
"""Circular shifts that make the null of the lagged map."""
SHOWN_SUBJECTS = signals.MOST_ROWS // 2  # with two features each


@dataclass(frozen=True)
class Figure:
    """A figure of the report; on the page a film may stand for it."""

    name: str
    section: str
    caption: str
    drawn: Any
    film: Any = None
    still: bool = False
    """Whether nothing in it answers the pointer: the page then has its picture alone."""

    @property
    def moving(self) -> Any:
        """What the page shows where scripts run; ``None`` for a picture."""
        return None if self.still else self.film if self.film is not None else self.drawn


def _clip(
    recording: xr.Dataset, embedding: xr.DataArray, who: object, frames: int
) -> xr.DataArray:
    """The first frames with a face of one person, inside the embedding's time, masked."""
    heat = recording[schema.HEATMAP].assign_attrs(recording.attrs)
    heat = figure_data.one(figure_data.one(heat, schema.SUBJECT, who), schema.SESSION)
    clock = recording.indexes[schema.TIME]
    start = int(np.searchsorted(clock, float(embedding[schema.TIME].values[0]) - 1e-9))
    stop = int(np.searchsorted(clock, float(embedding[schema.TIME].values[-1]) + 1e-9))
    if schema.HEIGHT in recording:
        rows = figure_data.one(
            figure_data.one(recording[schema.HEIGHT], schema.SUBJECT, who), schema.SESSION
        )
        seen = np.flatnonzero(rows.isel({schema.TIME: slice(start, stop)}).values)
        start += int(seen[0]) if seen.size else 0
    clip = heat.isel({schema.TIME: slice(start, min(stop, start + frames))})
    threshold = recording.attrs.get(schema.THRESHOLD)
    return clip if threshold is None else clip.where(clip >= np.float32(threshold))


def face(recording: xr.Dataset, embedding: xr.DataArray, who: object) -> Iterator[Figure]:
    """The film of one face; six of its frames for print."""
    pixels = recording.sizes[schema.Y] * recording.sizes[schema.X]
    clip = _clip(recording, embedding, who, max(2, min(500, PLAYER_BYTES // pixels))).compute()
    n, rate = clip.sizes[schema.TIME], schema.sampling_rate(recording)
    threshold = recording.attrs.get(schema.THRESHOLD)
    below = "" if threshold is None else f" or the pixel is below {float(threshold):g}\u00a0°C"
    yield Figure(
        "face",
        "A face",
        f"The face of subject {who}: {n} frames, {n / rate:g}\u00a0s at {rate:g} frames a "
        "second, "
        f"in °C; grey where there is no face{below}. The curve is the mean temperature over "
        "the pixels of each frame; gaps are frames without a face. The printed figure shows "
        "six of these frames.",
        faces.frames(clip),
        player(clip),
    )


def trajectories(embedding: xr.DataArray) -> Iterator[Figure]:
    """The first features over time."""
    everyone = embedding.sizes.get(schema.SUBJECT, 1)
    names = figure_data.ids(embedding, schema.FEATURE)[: 2 if everyone <= SHOWN_SUBJECTS else 1]
    named = " and ".join(f"<i>{escape(n)}</i>" for n in names)
    some = figure_data.one(embedding.sel({schema.FEATURE: names}), schema.SESSION).compute()
    bands = labels.bands(embedding.attrs).replace(" Hz", "\u00a0Hz").replace(" s)", "\u00a0s)")
    limited = f"limited to {bands}, frequency and period," if bands else "of all frequencies,"
    layout = (
        "each about its own median, one subject above the other"
        if everyone > signals.MOST_ROWS
        else "a row per subject, on one scale; grey where there is no face"
    )
    yield Figure(
        "signals",
        "Features over time",
        f"The feature {named} of every frame, {limited} over the seconds since the session's "
        f"first frame: {layout}.",
        signals.signal(some),
    )


def eigenfaces(
    recording: xr.Dataset, embedding: xr.DataArray, who: object, basis: xr.Dataset | None
) -> Iterator[Figure]:
    """The eigenfaces of one person, and what they explain."""
    source = "the basis given"
    if basis is None:
        from fhemb_xr.ops.pca import eigenfaces as decompose

        clip = _clip(recording, embedding, who, BASIS_FRAMES)
        basis = decompose.pca(clip.chunk({schema.TIME: -1, schema.Y: -1, schema.X: -1}), 10)
        source = f"{clip.sizes[schema.TIME]} frames of subject {who}"
    basis = figure_data.loaded(
        figure_data.one(
            figure_data.one(basis, schema.SUBJECT, who if _has(basis, who) else None),
            schema.SESSION,
        ),
        "eigenfaces",
    )
    kept = 100 * float(basis["explained_variance_ratio"].sum())
    yield Figure(
        "eigenfaces",
        "Eigenfaces",
        f"The mean face [°C] and the eigenfaces PC 0… of {source}: the directions in which "
        "the pixels vary most "
        "together, with the share of the total variance that each explains; together "
        f"{kept:.1f}\u00a0%. Pixels of one "
        "colour rise and fall together, against those of the other colour; white does not "
        "take part. Each is drawn as "
        "a share of its largest loading.",
        faces.eigenfaces(basis, n=min(11, basis.sizes[schema.COMPONENT])),
        still=True,
    )
    yield Figure(
        "variance",
        "Eigenfaces",
        "Share of the total variance of the pixels [%] that each eigenface explains, and the "
        "sum of the shares so far.",
        distributions.scree(basis),
    )


def _has(basis: xr.Dataset, who: object) -> bool:
    return schema.SUBJECT in basis.dims and who in basis[schema.SUBJECT].values.tolist()


def following(found: xr.DataArray, null: xr.Dataset | None = None) -> Iterator[Figure]:
    """Lagged correlation of two people."""
    pair = [
        str(found.coords[d].item()) for d in ("subject_0", "subject_1") if d in found.coords
    ]
    between = f"subject {pair[0]} and subject {pair[1]}" if len(pair) == 2 else "two signals"
    follows = (
        f"subject {pair[1]} follows subject {pair[0]}"
        if len(pair) == 2
        else "the second follows the first"
    )
    long = f" of {float(found.attrs['window_s']):g} s" if "window_s" in found.attrs else ""
    yield Figure(
        "lagged",
        "Who follows whom",
        f"Pearson correlation r of {between} in windows{long}, by the window's start [s] and "
        "the lag [s] of the second "
        "window behind the first. White is zero, red alike, blue opposite; grey where a "
        "window leaves the series. "
        f"A peak at a positive lag means that {follows}. "
        + _of_chance(null)
        + escape(str(found.attrs.get("caveat", ""))),
        lagged(found, null=null),
    )


def _of_chance(null: xr.Dataset | None) -> str:
    if null is None:
        return ""
    return (
        f"Lines go round what is outside 95\u00a0% of {null.attrs['n']} circular shifts of the "
        "two, cell by cell: about one cell in twenty is so by chance, and the shifts do not "
        "know that the two were chosen because they are alike. "
    )


def closest(
    embedding: xr.DataArray, relation: xr.DataArray
) -> tuple[xr.DataArray, xr.Dataset] | None:
    """The lagged correlation of the two people who are most alike, in the first feature, and
    its null, both lazy; ``None`` where no two can be compared.
    """
    matrix, _ = linkage.square(relation)
    values = as_distance(matrix).values
    above = np.where(np.triu(np.ones_like(values), 1) > 0, values, np.inf)
    above[~np.isfinite(above)] = np.inf
    if not np.isfinite(above).any():
        return None
    i, j = np.unravel_index(int(above.argmin()), above.shape)
    ids = [relation[d].values[k].item() for d, k in zip(linkage.PAIR, (i, j), strict=True)]
    series = (
        figure_data.one(embedding, schema.SESSION)
        .isel({schema.FEATURE: 0})
        .chunk({schema.TIME: -1})
    )
    own = [c for c, v in series.coords.items() if schema.SUBJECT in v.dims]
    series = series.drop_vars([c for c in own if c != schema.SUBJECT])
    pair = series.sel({schema.SUBJECT: ids}).chunk({schema.SUBJECT: -1})
    rate = schema.sampling_rate(embedding)
    long = series.sizes[schema.TIME] / rate
    window, step, lag = (
        round(s * rate) / rate
        for s in (min(10.0, long / 5), max(1 / rate, long / 150), min(8.0, long / 5))
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        found, null = _with_null(pair, window_s=window, step_s=step, max_lag_s=lag)
    found = found.assign_coords(dict(zip(linkage.PAIR, ids, strict=True)))
    keep = {k: v for k, v in embedding.attrs.items() if k == "fhemb_bands"}
    caveat = " ".join(
        f"Note: {text}." for text in dict.fromkeys(str(w.message) for w in caught)
    )
    return found.assign_attrs({"window_s": window, "caveat": caveat, **keep}), null


def _with_null(pair: xr.DataArray, **how: float) -> tuple[xr.DataArray, xr.Dataset]:
    """The lagged correlation of two people, and what circular shifts make of it."""
    from fhemb_xr.ops.inference import synchrony
    from fhemb_xr.ops.pairwise import cross_correlation

    def of_two(x: xr.DataArray) -> xr.DataArray:
        a, b = (x.isel({schema.SUBJECT: i}, drop=True) for i in (0, 1))
        return cross_correlation.lagged_correlation(a, b, **how)

    with warnings.catch_warnings():  # the band is drawn, no p-value that could be too coarse
        warnings.filterwarnings("ignore", "the smallest p", UserWarning)
        null = synchrony.synchrony(pair, of_two, SHIFTS, null="circular", seed=0, tail="both")
    return of_two(pair), null[["null_low", "null_high"]]


def alike(relation: xr.DataArray, clusters: xr.DataArray) -> Iterator[Figure]:
    """The relation, and its tree."""
    what = matrices.scale(relation)
    n = int(np.unique(clusters.values[clusters.values >= 0]).size)
    yield Figure(
        "relation",
        "Who is like whom",
        f"{escape(what)} of every two subjects, rows and columns in the order of the tree "
        "below (average linkage), so "
        "that those who are alike stand together; grey where a pair could not be compared.",
        matrices.relation(relation),
    )
    yield Figure(
        "tree",
        "Who is like whom",
        f"The tree of average linkage: two branches join at the mean of {escape(what)} "
        "between their members. "
        f"Colours are the {n} groups; grey joins groups.",
        matrices.dendrogram(relation, clusters=clusters),
    )


def seats(
    recording: xr.Dataset, embedding: xr.DataArray, clusters: xr.DataArray
) -> Iterator[Figure]:
    """The groups where they sit, if the recording has positions."""
    if schema.POSITION not in recording:
        return
    position = recording[schema.POSITION].assign_attrs(recording.attrs)
    seconds = embedding[schema.TIME].values
    frame = round(float(seconds[seconds.size // 2]) * schema.sampling_rate(recording))
    yield Figure(
        "seats",
        "Who is like whom",
        "The groups where the camera saw them, in pixels of its picture, in the middle frame "
        "of the embedding; "
        "names that would touch one another are left out.",
        projections.clusters_at(clusters, position, frame),
    )
