"""``ds.fhemb`` as the last line of a cell: what it is, who, how long, who has a face when."""

import itertools
from html import escape

import numpy as np
import xarray as xr

from fhemb_xr.plot.notebook import facts
from fhemb_xr.plot.notebook.availability import Availability, availability
from fhemb_xr.typing import Bools

ROW_PX = 12
_NAMED_ROWS = 24
_STYLE = (
    ".fhemb-summary{font:13px/1.45 system-ui,sans-serif;max-width:760px;color:inherit}"
    ".fhemb-summary th,.fhemb-summary td{text-align:left;vertical-align:top;background:none;"
    "color:inherit;border:0;padding:1px 12px 1px 0;white-space:pre-line;overflow-wrap:anywhere}"
    ".fhemb-summary th{font-weight:normal;opacity:.75;white-space:nowrap}"
    ".fhemb-summary table{font-size:inherit;border-collapse:collapse;margin:2px 0 6px}"
    ".fhemb-summary div.who{display:grid;grid-template-columns:max-content 1fr;gap:0 6px}"
    ".fhemb-summary div.who>*{margin:0;font-size:10px;line-height:12px}"
    ".fhemb-summary ol{list-style:none;padding:0;text-align:right}"
)


def text(obj: xr.Dataset | xr.DataArray) -> str:
    """The summary as plain text; nothing is read for it."""
    rows = facts.facts(obj)
    wide = max((len(name) for name, _ in rows), default=0)
    lines = [f"<fhemb {facts.heading(obj)}>"]
    for name, said in rows:
        lines += [f"  {name if i == 0 else '':<{wide}}  {part}"
                  for i, part in enumerate(said.split("\n"))]  # fmt: skip
    return "\n".join(lines)


def html(obj: xr.Dataset | xr.DataArray) -> str:
    """The summary as HTML; of a recording with a picture of who has a face when.

    Notes
    -----
    Reads at most 512 chunks of ``height``, and computes nothing that is not stored.
    """
    rows = facts.facts(obj)
    picture = ""
    if isinstance(obj, xr.Dataset) and facts.kind(obj) == "recording":
        try:
            found = availability(obj)
            missing = _missing(found)
        except Exception as error:  # a damaged store: what is known is shown all the same
            found, missing = None, f"not readable ({type(error).__name__}): fx.verify(store)"
        rows.append(("without a face", missing))
        picture = "" if found is None else _picture(found)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(said)}</td></tr>'
        for name, said in rows
    )
    return (
        f'<div class="fhemb-summary"><style>{_STYLE}</style>'
        f"<b>{escape(facts.heading(obj))}</b><table><tbody>{body}</tbody></table>{picture}</div>"
    )


def _missing(found: Availability | None) -> str:
    if found is None:
        return "not known: the heights of the frames are not stored yet"
    if not np.isfinite(found.missing):
        return "there are no frames"
    part = "" if found.whole else ", in the stretches that were read (the rest is blank)"
    return f"{100 * found.missing:.1f} % of the frames{part}"


def _picture(found: Availability) -> str:
    """People from top to bottom, time from left to right; blue where there is a face."""
    n, columns = found.shares.shape
    high = n * ROW_PX if n <= _NAMED_ROWS else max(4 * n, 120)
    if n <= _NAMED_ROWS:
        names = "".join(f"<li>{escape(name)}</li>" for name in found.people)
    else:
        names = f"<li>{escape(found.people[0])}</li><li>…</li>"
    more = f"; {found.left_out} more people are not drawn" if found.left_out else ""
    said = (
        f"Frames with a face: people {found.people[0]} to {found.people[-1]} over "
        f"{found.seconds:,.6g} s"
    )
    return (
        f'<div class="who"><ol>{names}</ol>'
        f'<svg role="img" aria-label="{escape(said)}" viewBox="0 0 {columns} {n}" '
        f'preserveAspectRatio="none" style="width:100%;height:{high}px;display:block">'
        f'<path d="{_runs(np.isfinite(found.shares))}" fill="currentColor" opacity=".13"/>'
        f'<path d="{_runs(found.shares > 0)}" fill="#56b4e9" opacity=".7"/>'
        f'<path d="{_runs(found.shares > 0.99)}" fill="#0072b2"/></svg>'
        f"<span></span><p>0 to {found.seconds:,.6g} s; blue: a face, light: in some of the "
        f"frames, grey: none{more}</p></div>"
    )


def _runs(where: Bools) -> str:
    """A path of boxes over the cells that are true, one a run of cells."""
    path = []
    for row, cells in enumerate(where.tolist()):
        at = 0
        for on, group in itertools.groupby(cells):
            long = len(list(group))
            if on:
                path.append(f"M{at} {row + 0.08:g}h{long}v.84h-{long}z")
            at += long
    return "".join(path)
