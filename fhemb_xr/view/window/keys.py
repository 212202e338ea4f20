"""Keys as in MNE's browser: they act in the page at once, and on the models behind it."""

from collections.abc import Mapping
from typing import Any

from fhemb_xr.plot import theme

HELP = {
    "← →": "a quarter of the view (Shift: a whole one)",
    "↑ ↓": "one person up or down (Shift: a page)",
    "Home End": "shorter, longer view",
    "PageUp PageDown": "more, fewer people",
    "+ −": "larger, smaller curves",
    "b": "butterfly: all people on one axis",
    "d": "middle of the view, or of the whole time",
    "c": "common scale, or each person's own",
    "t": "seconds, or hours:minutes:seconds",
    "z": "rows alone, or all buttons and parts",
    "? Esc": "this help, and away with it",
}
"""Keys and what they do, as the help lists them."""

_LISTEN = """
if (window.fhemb_keys) document.removeEventListener("keydown", window.fhemb_keys);
const shift = (part) => {
  const [low, high] = x_range.bounds, w = x_range.end - x_range.start;
  const start = Math.min(Math.max(x_range.start + part * w, low), Math.max(low, high - w));
  x_range.setv({start: start, end: Math.min(start + w, high)});
};
const stretch = (factor) => {
  const [low, high] = x_range.bounds, w = (x_range.end - x_range.start) * factor;
  const wide = Math.min(Math.max(w, x_range.min_interval), high - low);
  const start = Math.min(x_range.start, high - wide);
  x_range.setv({start: start, end: start + wide});
};
const step = (spinner, by) => {
  const to = Math.min(Math.max(spinner.value + by, spinner.low), spinner.high);
  if (to !== spinner.value) spinner.value = to;
};
const gain_by = (factor) => {
  gain.value = Math.min(Math.max(gain.value * factor, 0.01), 100);
};
const height = figure.height;
const keys = {
  ArrowLeft: e => shift(e.shiftKey ? -1 : -0.25),
  ArrowRight: e => shift(e.shiftKey ? 1 : 0.25),
  ArrowUp: e => step(first, e.shiftKey ? -rows.value : -1),
  ArrowDown: e => step(first, e.shiftKey ? rows.value : 1),
  Home: e => stretch(0.8), End: e => stretch(1.25),
  PageUp: e => step(rows, 1), PageDown: e => step(rows, -1),
  "+": e => gain_by(1.25), "=": e => gain_by(1.25), "-": e => gain_by(0.8),
  b: e => { butterfly.active = !butterfly.active; },
  d: e => { centre.active = !centre.active; },
  c: e => { common.active = !common.active; },
  t: e => { clock.active = !clock.active; x_range.change.emit(); },
  z: e => {
    for (const part of others) part.visible = !part.visible;
    figure.height = others[0].visible ? height : Math.max(height, window.innerHeight - 80);
  },
  s: e => { bars.active = !bars.active; },
  "0": e => { for (const line of base_lines) line.visible = !line.visible; },
  "?": e => { help.active = !help.active; },
  Escape: e => { help.active = false; },
  ...more,
};
window.fhemb_keys = (e) => {
  const at = e.composedPath()[0];
  const typing = at && at.tagName && (/INPUT|TEXTAREA|SELECT/.test(at.tagName));
  // a name that has been typed is done: the next key is a command again
  if (typing && (e.key === "Enter" || e.key === "Escape")) setTimeout(() => at.blur(), 0);
  const command = (e.ctrlKey || e.metaKey) && e.key === "z" ? "u" : e.key;
  const held = e.altKey || (command === e.key && (e.ctrlKey || e.metaKey));
  if (typing || held || !(command in keys)) return;
  e.preventDefault();
  keys[command](e);
};
document.addEventListener("keydown", window.fhemb_keys);
"""


def listener(models: Mapping[str, Any], more: str = "{}") -> Any:
    """A callback of the page that makes it listen to keys; ``more`` adds keys in JavaScript."""
    code = _LISTEN.replace("...more", f"...({more})")
    return theme.bokeh_models().CustomJS(args=dict(models), code=code)


def help_html(keys: Mapping[str, str]) -> str:
    """The list of keys."""
    rows = "".join(f"<dt>{key}</dt><dd>{text}</dd>" for key, text in keys.items())
    return (
        "<style>dl{display:grid;grid-template-columns:auto 1fr;gap:3px 16px;margin:0}"
        "dt{font-weight:600;white-space:nowrap}dd{margin:0}</style><dl>" + rows + "</dl>"
    )


OVERLAY = {
    "position": "fixed", "z-index": "100", "top": "60px", "left": "50%",
    "transform": "translateX(-50%)", "max-height": "80vh", "max-width": "92vw",
    "overflow": "auto", "padding": "14px 22px", "background": "white",
    "border": "1px solid #bbb", "border-radius": "6px", "box-shadow": "0 4px 24px #0003",
}  # fmt: skip
"""Style of the help: it lies over the window."""
