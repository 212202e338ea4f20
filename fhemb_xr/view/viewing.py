"""The viewer of a notebook: the server in a thread, the window in a frame."""

import os
import weakref
from collections.abc import Mapping
from html import escape
from typing import Any

import xarray as xr

from fhemb_xr.errors import UnknownNameError, extra, nearest
from fhemb_xr.view.memory.material import Material
from fhemb_xr.view.serving import HOST, NOTEBOOKS, Server

HEIGHT = 900
_NOTE = (
    "Nothing to be seen? The window is served by the machine of the kernel. From another one: "
    "<code>ssh -L {port}:{host}:{port} that-machine</code>, then "
    '<a href="{url}" target="_blank" rel="noreferrer">open it in a tab</a>.'
)


class Viewer:
    """A window that is served as long as this object, or until :meth:`close`.

    The last value of a cell shows it. ``url`` opens it in a browser of this machine; whoever
    has it sees everything that the window shows.
    """

    def __init__(self, material: Material, height: int, **options: Any) -> None:
        from fhemb_xr.view.window.pages import Pages

        self._material, self._height = material, height
        self._pages = Pages(material, **options)
        self._server = Server(self._pages.fill, ancestors=NOTEBOOKS)
        self._server.start()
        self._end = weakref.finalize(self, _close, self._server, material)

    @property
    def url(self) -> str:
        """Address of the window, on this machine only."""
        return self._server.url

    @property
    def spans(self) -> xr.Dataset:
        """The marked spans, as :func:`fhemb_xr.read_spans` gives them."""
        return self._material.marks.table()

    def close(self) -> None:
        """End the server, and let go of what was read."""
        self._end()

    def __repr__(self) -> str:
        people, (start, stop) = len(self._material.people), self._material.extent
        return (
            f"<Viewer of {people} people, {stop - start:g} s; .url opens it in a browser of "
            "this machine, .close() ends it>"
        )

    def _repr_html_(self) -> str:
        if not self._end.alive:
            return "<p>This viewer has been closed: run the cell again.</p>"
        self._pages.warm()
        note = _NOTE.format(port=self._server.port, host=HOST, url=escape(self.url))
        return (
            f'<iframe src="{escape(self.url)}" title="Viewer" '
            f'style="width:100%;height:{self._height}px;border:1px solid #ddd"></iframe>'
            f"<p>{note}</p>"
        )


def _close(server: Server, material: Material) -> None:
    server.stop()
    material.close()


def view(
    *things: Any,
    feature: str | None = None,
    spans: str | os.PathLike[str] | None = None,
    faces: bool = False,
    height: int = HEIGHT,
    storage_options: Mapping[str, Any] | None = None,
) -> Viewer:
    """Browse hours of many people: curves that scroll and zoom, everything on one guide.

    A window with an overview, a row for each person, and keys as in MNE's browser. It is
    served by a thread of this process, on the loopback of this machine, behind a secret path.

    Parameters
    ----------
    *things
        Recording, embeddings, and results with an axis of time, in any order: Datasets,
        DataArrays, paths of stores or addresses such as ``"s3://bucket/a.zarr"``. A recording
        alone is shown by features of its faces, computed as they are looked at.
    feature
        What is shown first; by default the first feature.
    spans
        Table ``.tsv`` of marked spans, as BIDS has events; every change is written at once. By
        default ``don_events.tsv`` beside the first store ``don.zarr`` that is given as a path.
    faces
        Whether faces are shown: personal data, with the people's consent.
    height
        Height of the frame in a notebook [px].
    storage_options
        Options of the file system of an address, as fsspec takes them.

    Returns
    -------
    Viewer
        The last value of a cell shows it. ``.url`` opens it in a browser of this machine,
        ``.spans`` are the marks, ``.close()`` ends it.

    Raises
    ------
    SchemaError
        There is nothing with ``time``, there are two recordings, or a clock runs back.
    UnknownNameError
        There is no such feature, with the nearest ones.
    StoreError
        There is no such store, or it is damaged.

    Notes
    -----
    Memory: 5.2 bytes for each sample of each feature that is shown, at most 640 MiB; 128 MiB of
    faces; and what is being read: four pieces of features, the chunks of twelve faces. Computes
    at call: none. Four threads read the pieces from the moment when the object is shown, of
    arrays of dask by the scheduler that dask has; what is in view comes first.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=3, seconds=8, shape=(8, 6))
    >>> viewer = fx.view(ds, ds.fhemb.embed(["mean", "std"]))
    >>> viewer
    <Viewer of 3 people, 8 s; .url opens it in a browser of this machine, .close() ends it>
    >>> viewer.close()
    """
    with extra("plot"):
        import bokeh.server.server  # noqa: F401  (the extra is named before anything is read)
    material = Material(things, storage_options, spans=spans, faces=faces)
    return Viewer(material, height, feature=require_feature(material, feature))


def require_feature(material: Material, feature: str | None) -> str | None:
    """Check that there is such a feature.

    Raises
    ------
    UnknownNameError
        With the nearest ones.
    """
    if feature is not None and feature not in material.series:
        raise UnknownNameError(
            f"no feature {feature!r} to view{nearest(feature, material.series)}"
        )
    return feature
