"""What one window of the viewer shows now, and how its parts hear of a change."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from fhemb_xr.view.memory.material import Material

MOST_SIGNALS = 4
"""Features that are drawn at once: so many colours are told apart."""
THREADS = 4
"""Threads of a window's heavy work: a store may be slow, and decoding uses two cores."""
ROWS, SECONDS = 20, 10.0
"""People and seconds at first, as MNE has them."""


class State:
    """Choices of one window; a part asks to be called when one of them changes.

    Topics: ``"signals"`` (features, band, scale), ``"rows"`` (which people), ``"window"``
    (which seconds), ``"cursor"``, ``"data"`` (more has been read), ``"people"``
    (which are marked or chosen).
    """

    def __init__(self, material: Material, document: Any = None) -> None:
        self.material = material
        self.document = document
        self.names: list[str] = [next(iter(material.series))]
        self.band = ""
        self.common_scale = False
        self.butterfly = False
        self.centre_on_view = False
        self.gain = 1.0
        self.first, self.rows = 0, min(ROWS, len(material.people))
        start, stop = material.extent
        self.window = (start, min(start + SECONDS, stop))
        self.cursor = start
        self.chosen: list[Any] = material.people[:4]
        """People whose faces are shown."""
        self._heard: dict[str, list[Callable[[], None]]] = {}
        self._timers: dict[str, Any] = {}
        self._pool: ThreadPoolExecutor | None = None
        self.closed = False

    def on(self, topics: str, call: Callable[[], None]) -> None:
        """Call a part when one of these topics (words) changes."""
        for topic in topics.split():
            self._heard.setdefault(topic, []).append(call)

    def changed(self, *topics: str) -> None:
        """Tell all parts that heard of one of the topics, each once."""
        calls = dict.fromkeys(c for t in topics for c in self._heard.get(t, ()))
        for call in calls:
            call()

    def visible(self) -> list[Any]:
        """People in view."""
        people = self.material.people
        return people if self.butterfly else people[self.first : self.first + self.rows]

    def bad_people(self) -> set[Any]:
        """People who are marked as bad for the whole time."""
        return set()

    def move_cursor(self, second: float) -> None:
        """Put the guide of all parts at a moment."""
        start, stop = self.material.extent
        self.cursor = min(max(float(second), start), stop)
        self.changed("cursor")

    def later(self, key: str, call: Callable[[], None], ms: int = 40) -> None:
        """Call once, when nothing of this key was asked for some milliseconds.

        Without a document, at once: a model tree alone has no clock.
        """
        if self.document is None:
            call()
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            self.document.remove_timeout_callback(timer)

        def due() -> None:
            self._timers.pop(key, None)
            call()

        self._timers[key] = self.document.add_timeout_callback(due, ms)

    def aside(self, work: Callable[[], Any], publish: Callable[[Any], None]) -> None:
        """Do heavy work off the event loop, and publish its result on it."""
        if self.document is None:
            publish(work())
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, "fhemb-view-aside")

        def done(future: "Future[Any]") -> None:
            if self.closed or future.cancelled() or future.exception() is not None:
                return  # what cannot be read stays empty; series say why in the line above
            result = future.result()
            call = lambda: None if self.closed else publish(result)  # noqa: E731
            self.document.add_next_tick_callback(call)

        self._pool.submit(work).add_done_callback(done)

    def close(self) -> None:
        """The window is gone."""
        self.closed = True
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
