"""A film as an object: shown in a notebook, saved as a page."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from fhemb_xr.budget import human
from fhemb_xr.plot import files
from fhemb_xr.plot.notebook import embedding

MOST_SHOWN = 2**23
"""Bytes of pixels that a notebook carries for one film: it is kept in the file, and grows."""


@dataclass(frozen=True)
class Film:
    """A film of one face: its last place in a cell shows it, :meth:`save` writes a page.

    Nothing can be changed in it: make another one with :func:`fhemb_xr.plot.player`.
    """

    layout: Any = field(repr=False)
    """The bokeh layout: the face, its curve, the slider and the button."""
    stills: Callable[[], Any] = field(repr=False)
    """Makes six of its frames as a HoloViews object, for print."""
    title: str
    n_frames: int
    seconds: float
    rate_hz: float
    nbytes: int
    """Bytes of pixels, as they lie in the page."""

    def __repr__(self) -> str:
        return (  # no title: it says whose face it is
            f"<Film of a face: {self.n_frames} frames, {self.seconds:g} s at "
            f"{self.rate_hz:g} Hz, {human(self.nbytes)}; .save('film.html', faces=True)>"
        )

    def save(self, path: str | os.PathLike[str], *, faces: bool = False) -> Path:
        """Write the film as one page that needs no network.

        Parameters
        ----------
        path
            The file, ``.html``; one that exists is replaced.
        faces
            Whether the file may show a face, which needs that person's consent.

        Returns
        -------
        Path
            The path.

        Raises
        ------
        ValueError
            Without ``faces=True``, or for another ending.
        """
        return files.save_figure(self, path, faces=faces)

    @property
    def bokeh_model(self) -> Any:
        """What :mod:`fhemb_xr.plot.files` draws."""
        return self.layout

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        title = f"Film: {self.title or 'a face'}"
        picture = files.printed(self.stills(), [".png"], embedding.DPI)[".png"]
        data: dict[str, Any] = {"image/png": picture, "text/plain": repr(self)}
        if embedding.way() == "png":
            return data
        if self.nbytes > MOST_SHOWN:
            data["text/html"] = (
                f"{embedding.image(picture, title)}<p>{escape(self._advice())}</p>"
            )
        else:
            data["text/html"] = embedding.frame(self.layout, title, picture)
        return data

    def _advice(self) -> str:
        return (
            f"Six frames of {self.n_frames}: the film would put {human(self.nbytes)} into the "
            f"notebook, and {human(MOST_SHOWN)} are allowed. Choose less with "
            ".fhemb.select(seconds=(start, stop)), or write it beside the notebook with "
            ".save('film.html', faces=True)."
        )
