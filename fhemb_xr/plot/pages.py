"""Pages of HTML that hold their figures, ask the network for nothing, and can be read aloud."""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)
"""What a page may do: run what is in it, load nothing. Bokeh evaluates callbacks."""

SPEAK = """<script>
(() => {
  // Bokeh paints on canvases without a name: each says the caption of its figure, and each
  // button and slider what it does. The layers that catch the pointer are no stops of Tab.
  const within = function* (node) {
    for (const child of node.children) {
      yield child;
      if (child.shadowRoot) yield* within(child.shadowRoot);
      yield* within(child);
    }
  };
  const slider = handle => {
    const host = handle.getRootNode().host;
    const title = handle.getRootNode().querySelector(".bk-slider-title");
    const say = () => {
      const [name, value] = (title ? title.textContent : "").split(": ");
      handle.setAttribute("aria-label", name || "Value");
      if (value && handle.getAttribute("aria-valuetext") !== value)
        handle.setAttribute("aria-valuetext", value);
    };
    say();
    new MutationObserver(say).observe(handle, {attributeFilter: ["aria-valuenow"]});
    if (title) new MutationObserver(say).observe(title, {childList: true, subtree: true});
  };
  const name = (root, text) => {
    let canvases = 0;
    for (const part of within(root)) {
      if (part.tagName === "CANVAS") {
        if (part.closest(".bk-events, .bk-Legend")) { part.setAttribute("aria-hidden", true); }
        else if (canvases++ % 2) part.setAttribute("aria-hidden", true);
        else { part.setAttribute("role", "img"); part.setAttribute("aria-label", text); }
      } else if (part.classList.contains("bk-events")) part.tabIndex = -1;
      else if (/bk-(OnOff|Click)Button|bk-tool-overflow/.test(part.className)) {
        part.setAttribute("role", "button");
        part.setAttribute("aria-label", part.title || "More tools");
      } else if (part.getAttribute("role") === "slider") slider(part);
    }
    return canvases > 0;
  };
  let left = 100;
  const look = () => {
    const waiting = [...document.querySelectorAll("[data-root-id]")].filter(root => {
      const text = root.closest("figure")?.querySelector("figcaption")?.textContent;
      return !name(root, text ?? document.title);
    });
    if (waiting.length && left--) setTimeout(look, 200);
  };
  if (document.readyState === "complete") look(); else addEventListener("load", look);
})();
</script>"""


def page(models: Mapping[str, Any], body: str, title: str, style: str = "") -> str:
    """A self-contained page: ``{name}`` in ``body`` becomes the figure of that name."""
    from bokeh.document import Document
    from bokeh.embed import components
    from bokeh.resources import Resources

    loaded, together = "", Document()
    if all(part.document is None for model in models.values() for part in model.references()):
        with together.models.freeze():  # else it looks through all figures for each of them
            for model in models.values():
                together.add_root(model)
    script, divs = components(dict(models)) if models else ("", {})
    script, *figures = _stable(script, *divs.values())
    for name, div in zip(divs, figures, strict=True):
        body = body.replace("{" + name + "}", div)
    if models:
        raw = Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).js_raw
        loaded = "<script>{}</script>\n".format("\n".join(raw))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n"
        f"<script>document.documentElement.classList.add('scripts');</script>\n{loaded}</head>\n<body>\n{body}\n{script}\n{SPEAK}\n</body>\n</html>\n"
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
