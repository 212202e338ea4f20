"""Figures as files: PNG, SVG and PDF for print, HTML that asks the network for nothing."""

import io
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fhemb_xr.io.local import systems
from fhemb_xr.io.local.durable_files import open_new
from fhemb_xr.plot import pages, theme

DPI = 300
PAD_IN = 0.04
"""White round a printed figure [inch]."""
_PRINT = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fhemb",
    "pdf.fonttype": 42,
    "figure.max_open_warning": 0,
}


def save_figure(
    obj: Any, path: str | os.PathLike[str], *, dpi: int = DPI, faces: bool = False
) -> Path:
    """Write a figure; the ending of ``path`` says how.

    ``.png``, ``.svg`` and ``.pdf`` are drawn by matplotlib, text stays text; ``.html`` is
    one self-contained page whose Content-Security-Policy forbids every request. The same
    figure gives the same bytes. The file appears whole or not at all, readable by its owner.

    Parameters
    ----------
    obj
        A HoloViews object, or a film or a bokeh model (HTML only).
    path
        The file; one that exists is replaced.
    dpi
        Resolution of pixels in print.
    faces
        Whether the file may show a face, or eigenfaces, which are pictures of one: personal
        data, to be given away only with that person's consent.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    ValueError
        Another ending, a bokeh model that is to be printed, or a face without ``faces=True``.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> d = xr.DataArray(np.ones((3, 3)) - np.eye(3), dims=("subject_0", "subject_1"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = plot.files.save_figure(plot.relation(d), pathlib.Path(folder) / "d.svg")
    ...     "Subject" in path.read_text()
    True
    """
    path = Path(path)
    kind = path.suffix.lower()
    if not faces and _shows_a_face(obj):
        raise ValueError(
            f"{path.name!r} would show a face: with that person's consent, say faces=True"
        )
    if kind == ".html":
        body = "<main>{figure}</main>"
        publish(path, pages.page({"figure": model(obj)}, body, _title(obj)).encode())
    elif kind not in _PRINT:
        raise ValueError(
            f"cannot write {path.name!r}: the endings are .png, .svg, .pdf and .html"
        )
    elif _is_bokeh(_drawn(obj)):
        raise ValueError(f"a player moves and {kind} does not: save it as .html")
    else:
        publish(path, printed(obj, [kind], dpi)[kind])
    return path


def _shows_a_face(obj: Any) -> bool:
    """Whether an image of a face is among what is drawn."""
    obj = _drawn(obj)
    if _is_bokeh(obj):
        return any(theme.FACE in m.tags for m in obj.references())
    found: list[bool] = obj.traverse(lambda e: e.group == theme.FACE)
    return any(found)


def _title(obj: Any) -> str:
    """What the page of one figure is called: the heading of the figure, on one line."""
    title = getattr(obj, "title", "") if _is_bokeh(_drawn(obj)) else heading(obj)
    return " ".join(str(title or "").split()) or "Figure"


def heading(figure: Any) -> str:
    """The title of a HoloViews object."""
    options = theme.backends().Store.lookup_options("bokeh", figure, "plot").kwargs
    return str(options.get("title") or "")


def _drawn(obj: Any) -> Any:
    """The bokeh model of a film; anything else as it is."""
    return getattr(obj, "bokeh_model", obj)


def _is_bokeh(obj: Any) -> bool:
    from bokeh.model import Model

    return isinstance(obj, Model)


def model(obj: Any) -> Any:
    """A bokeh model of a HoloViews object; a bokeh model as it is."""
    obj = _drawn(obj)
    drawn = obj if _is_bokeh(obj) else theme.backends().render(obj, backend="bokeh")
    for toolbar in drawn.select({"type": theme.bokeh_models().Toolbar}):
        toolbar.logo = None  # it links to a site
        toolbar.autohide = True
    return drawn


def printed(obj: Any, kinds: Iterable[str], dpi: int = DPI) -> dict[str, bytes]:
    """The figure as the bytes of a file of each kind, drawn once."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    made = {}
    with mpl.rc_context(_RC):
        # hv.render would draw it twice
        fig = theme.backends().renderer("matplotlib").get_plot(obj).state
        try:
            if fig.get_layout_engine() is not None:  # it moves axes when it draws
                fig.draw_without_rendering()
            # "tight" would lay the figure out again for each kind
            box = fig.get_tightbbox().padded(PAD_IN)
            for kind in kinds:
                out = io.BytesIO()
                fig.savefig(
                    out, format=kind[1:], dpi=dpi, bbox_inches=box, metadata=_PRINT[kind]
                )
                made[kind] = out.getvalue()
        finally:
            plt.close(fig)
    return made


def publish(path: Path, data: bytes) -> None:
    """Write beside ``path`` and rename: the file is the old or the whole new one; mode 0600."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open_new(staged, "wb") as file:
            file.write(data)
            file.flush()
            systems.sync(file.fileno())
        systems.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)
