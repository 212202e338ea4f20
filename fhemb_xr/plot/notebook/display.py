"""How a notebook shows a figure: interactive, with a picture beside it.

HoloViews' own display loads scripts from the network. Where the user has not chosen it with
``hv.extension``, figures are shown by :func:`bundle` instead. ``FHEMB_PLOTS`` chooses how:
``inline`` (the default: everything is in the notebook, 0.5 MB a figure), ``cdn`` (small, needs
the network) or ``png`` (pictures only).
"""

from typing import Any

from fhemb_xr.plot import files, theme
from fhemb_xr.plot.notebook import embedding

Bundle = tuple[dict[str, Any], dict[str, Any]]


def bundle(figure: Any) -> Bundle | None:
    """What a notebook shows of a HoloViews object; ``None`` where HoloViews shows it."""
    hv = theme.backends()
    if hv.extension._loaded:
        return None
    title = title_of(figure)
    picture = files.printed(figure, [".png"], embedding.DPI)[".png"]
    data = {"image/png": picture, "text/plain": repr(figure)}
    if embedding.way() != "png" and hv.Store.current_backend == "bokeh":
        data["text/html"] = embedding.frame(files.model(figure), title, picture)
    return data, {"image/png": {"alt": title}}


def title_of(figure: Any) -> str:
    """The heading of a figure on one line, for those who do not see it."""
    return " ".join(files.heading(figure).split()) or "Figure"


theme.DISPLAYS.append(bundle)
