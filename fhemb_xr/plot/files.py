"""Figures as files: PNG, SVG and PDF for print, HTML that asks the network for nothing."""

import io
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from fhemb_xr.io.local.durable_files import open_new
from fhemb_xr.plot import theme

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)
"""What a page may do: run what is in it, load nothing. Bokeh evaluates callbacks."""
DPI = 300
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
        publish(path, page({"figure": model(obj)}, "{figure}", "Figure").encode())
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
        fig = theme.backends().render(obj, backend="matplotlib")
        try:
            for kind in kinds:
                out = io.BytesIO()
                fig.savefig(
                    out,
                    format=kind[1:],
                    dpi=dpi,
                    bbox_inches="tight",
                    pad_inches=0.04,
                    metadata=_PRINT[kind],
                )
                made[kind] = out.getvalue()
        finally:
            plt.close(fig)
    return made


def page(models: Mapping[str, Any], body: str, title: str, style: str = "") -> str:
    """A self-contained page: ``{name}`` in ``body`` becomes the figure of that name."""
    from bokeh.embed import components
    from bokeh.resources import Resources

    scripts = "\n".join(Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).js_raw)
    script, divs = components(dict(models)) if models else ("", {})
    script, *figures = _stable(script, *divs.values())
    for name, div in zip(divs, figures, strict=True):
        body = body.replace("{" + name + "}", div)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n"
        f"<script>{scripts}</script>\n</head>\n<body>\n{body}\n{script}\n</body>\n</html>\n"
    )


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MODEL = re.compile(r'(?<=")p\d{4,}(?=[\\"])')


def _stable(*texts: str) -> list[str]:
    """Texts with their random and counted ids numbered by appearance, so that files compare."""
    names: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        kind = "m" if found[0][0] == "p" else "f"
        return names.setdefault(found[0], f"{kind}{len(names):05d}")

    return [_MODEL.sub(number, _UUID.sub(number, text)) for text in texts]


def publish(path: Path, data: bytes) -> None:
    """Write beside ``path`` and rename: the file is the old or the whole new one; mode 0600."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open_new(staged, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)
