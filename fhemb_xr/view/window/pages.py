"""Windows in the pages of a server: the first is built while the browser starts."""

import threading
from collections.abc import Callable
from typing import Any

from fhemb_xr import schema
from fhemb_xr.view.memory.material import Material
from fhemb_xr.view.window.app import Window

_TICK_MS = 200
"""How often a page asks whether more has been read."""


class Pages:
    """What fills the pages of one server.

    Parameters
    ----------
    material
        What all windows show.
    feature
        What is shown first; by default the first feature.
    """

    def __init__(self, material: Material, feature: str | None = None) -> None:
        self._material, self._feature = material, feature
        self._builder: threading.Thread | None = None
        self._built: Window | None = None

    def warm(self) -> threading.Thread:
        """Import, build and begin to read what the first page needs, in a thread; once."""
        if self._builder is None:
            self._builder = threading.Thread(
                target=self._build, name="fhemb-view-warm", daemon=True
            )
            self._builder.start()
        return self._builder

    def fill(self, document: Any) -> Window:
        """Put a window into the document of a page."""
        if self._builder is not None:
            self._builder.join()
        window, self._built = self._built, None
        if window is None:
            window = Window(self._material, document, self._feature)
        else:
            awaited, window.state.document = window.state.document, document
            awaited.is_there(document)
        recording = self._material.recording
        title = "" if recording is None else str(recording.attrs.get("title", ""))
        document.title = f"{title or schema.EMBEDDING.capitalize()} · fhemb view"
        document.validate = _nothing  # the tests do it: a tenth of the time to the first view
        document.add_root(window.layout)
        document.js_on_event("document_ready", window.listener())
        document.add_periodic_callback(window.tick, _TICK_MS)
        document.on_session_destroyed(lambda context: window.state.close())
        return window

    def _build(self) -> None:
        self._built = Window(self._material, Awaited(), self._feature)


def _nothing() -> None:
    """Take the place of bokeh's check of all models."""


class Awaited:
    """Stands for a document that is still to come, and keeps what it shall do then."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], Any]] = []
        self._document: Any = None
        self._lock = threading.Lock()

    def add_next_tick_callback(self, call: Callable[[], Any]) -> None:
        """Call on the loop of the document; from any thread."""
        with self._lock:
            if self._document is None:
                self._calls.append(call)
                return
        self._document.add_next_tick_callback(call)

    def add_timeout_callback(self, call: Callable[[], Any], ms: int) -> None:
        """Call when the document is there: nobody moves anything before."""
        self.add_next_tick_callback(call)

    def is_there(self, document: Any) -> None:
        """Hand over what has waited."""
        with self._lock:
            self._document, calls = document, self._calls
        for call in calls:
            document.add_next_tick_callback(call)
