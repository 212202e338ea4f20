"""One bokeh document as a piece of HTML that needs nothing from outside.

The document runs in a frame of its own, with bokeh compressed inside it (0.4 MB). It is thus
whole wherever it is shown: in JupyterLab, in VS Code, in a page of nbconvert, after a cell was
deleted or run again. Beside it lies a picture, for places that show neither frames nor scripts.
"""

import base64
import functools
import gzip
import os
from html import escape
from typing import Any

from fhemb_xr.plot import pages

SWITCH = "FHEMB_PLOTS"
WAYS = ("inline", "cdn", "png")
DPI = 110

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">{policy}<title>{title}</title>
<style>body {{ margin: 0; display: flow-root; background: #fff; overflow-y: hidden; }}</style>
</head><body>
{divs}
{loader}
<script>
new ResizeObserver(() => {{
  try {{ frameElement.style.height = Math.ceil(document.body.offsetHeight) + 18 + "px"; }}
  catch (closed) {{ }}  // the frame keeps the height that was reckoned
}}).observe(document.body);
</script>
</body></html>"""
_UNPACK = """<script type="text/plain" id="bokeh">{packed}</script>
<script type="text/plain" id="figure">{script}</script>
<script>
(async () => {{
  const bytes = Uint8Array.from(atob(document.getElementById("bokeh").textContent),
                                c => c.charCodeAt(0));
  const opened = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  for (const text of [await new Response(opened).text(),
                      document.getElementById("figure").textContent]) {{
    const script = document.createElement("script");
    script.textContent = text;
    document.body.append(script);
  }}
}})();
</script>"""


def way() -> str:
    """How figures are shown in notebooks: ``FHEMB_PLOTS``, by default ``"inline"``.

    Raises
    ------
    ValueError
        If the variable is none of :data:`WAYS`.
    """
    asked = os.environ.get(SWITCH, "").strip().lower() or WAYS[0]
    if asked not in WAYS:
        raise ValueError(f"{SWITCH}={asked!r}: the ways to show figures are {', '.join(WAYS)}")
    return asked


def frame(model: Any, title: str, picture: bytes | None = None) -> str:
    """The bokeh ``model`` in a frame of HTML; ``picture`` is shown where frames are not."""
    from bokeh.embed import components
    from bokeh.resources import CDN

    script, div = components(model)
    if way() == "cdn":
        sources = "".join(f'<script src="{u}"></script>\n' for u in CDN.js_files)
        policy, loader = "", sources + script
    else:
        policy = f'<meta http-equiv="Content-Security-Policy" content="{pages.POLICY}">'
        start, stop = script.index(">") + 1, script.rindex("</script>")
        loader = _UNPACK.format(packed=_packed_bokeh(), script=script[start:stop])
    page = _PAGE.format(policy=policy, title=escape(title), divs=div, loader=loader)
    fallback = "" if picture is None else _image(picture, title)
    return (
        f'<iframe title="{escape(title)}" srcdoc="{escape(page)}" '
        f'style="width: 100%; height: {_height(model) + 18}px; border: 0"></iframe>{fallback}'
    )


def image(picture: bytes, title: str) -> str:
    """A picture as HTML."""
    return _image(picture, title, "max-width: 100%")


def _image(picture: bytes, title: str, style: str = "display: none") -> str:
    data = base64.b64encode(picture).decode()
    return f'<img alt="{escape(title)}" style="{style}" src="data:image/png;base64,{data}">'


@functools.cache
def _packed_bokeh() -> str:
    from bokeh.resources import Resources

    scripts = Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).js_raw
    return base64.b64encode(gzip.compress("\n".join(scripts).encode(), mtime=0)).decode()


def _height(model: Any) -> int:
    """Height of a layout [px], reckoned; the page itself corrects it where it may."""
    name = type(model).__name__
    if name in ("Row", "Column"):
        heights = [_height(child) for child in model.children]
        return max(heights) if name == "Row" else sum(heights)
    if name == "GridPlot":
        rows: dict[int, int] = {}
        for child, row, *_ in model.children:
            rows[row] = max(rows.get(row, 0), _height(child))
        return sum(rows.values())
    if hasattr(model, "frame_height"):
        if model.frame_height:
            return int(model.frame_height) + 100
        return int(model.height or 400)
    return 50
