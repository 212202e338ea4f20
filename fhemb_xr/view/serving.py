"""A bokeh server for one reader: loopback only, behind a secret path, with a content policy.

The secret path is what keeps others out: an allowed origin of the websocket stops other pages,
but not another user's command line. A foreign ``Host`` gets nothing, so that a name which is
made to point here (DNS rebinding) does not reach the viewer.
"""

import asyncio
import re
import secrets
import threading
from collections.abc import Callable
from typing import Any

from fhemb_xr.errors import StoreError, extra

HOST = "127.0.0.1"
_SECRET_BYTES = 24
_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' ws://{host}:{port}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors {ancestors}"
)
"""Bokeh evaluates the code of callbacks and styles its parts inline; nothing else may load."""
_NO_ICON = b'<link rel="icon" href="data:,">'
"""Without it a browser asks the host for /favicon.ico."""
NOBODY, NOTEBOOKS = "'none'", "http://localhost:* http://127.0.0.1:*"
"""Pages that may hold the viewer in a frame."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-site",
}


class Server:
    """The viewer's server, on a free port of this machine.

    Parameters
    ----------
    fill
        Builds a window into a document.
    port
        0: a free one.
    ancestors
        Pages that may hold it in a frame.
    """

    def __init__(
        self, fill: Callable[[Any], Any], port: int = 0, ancestors: str = NOBODY
    ) -> None:
        self._fill, self._ancestors = fill, ancestors
        self._secret = secrets.token_urlsafe(_SECRET_BYTES)
        with extra("plot"):
            # whole, before any thread that builds a window imports parts of it
            import bokeh.server.server  # noqa: F401
            from bokeh.server.util import bind_sockets

        try:
            self._sockets, self.port = bind_sockets(HOST, port)
        except OSError as error:
            raise StoreError(
                f"port {port} of this machine cannot be used ({error.strerror}): choose "
                "another, or 0 for a free one"
            ) from None
        self._loop: Any = None
        self._ended = False
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """Address of the page; whoever has it sees everything."""
        return f"http://{HOST}:{self.port}/{self._secret}/"

    def __repr__(self) -> str:
        return f"<Server of the viewer on port {self.port} of this machine>"

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve in this thread until :meth:`stop`; ``ready`` is called when pages can come."""
        from tornado.ioloop import IOLoop

        asyncio.set_event_loop(asyncio.new_event_loop())
        loop = IOLoop.current()
        try:
            served, http = self._start(loop)
            self._loop = loop
        finally:
            self._ready.set()  # also of a server that did not begin: nobody waits for ever
        loop.add_callback(ready)
        if self._ended:  # before it began
            loop.add_callback(loop.stop)
        try:
            loop.start()
        finally:
            served.stop(wait=False)
            loop.run_sync(http.close_all_connections)
            loop.close()

    def start(self) -> None:
        """Serve in a thread of this process, until :meth:`stop` or its end."""
        threading.Thread(target=self.run, name="fhemb-view-server", daemon=True).start()
        self._ready.wait()
        if self._loop is None:
            raise StoreError("the viewer's server did not begin: try again, with another port")

    def stop(self) -> None:
        """End the server; from any thread, or from the handler of a signal."""
        self._ended = True
        if self._loop is not None:
            self._loop.add_callback(self._loop.stop)

    def _start(self, loop: Any) -> Any:
        from bokeh.application import Application
        from bokeh.application.handlers.function import FunctionHandler
        from bokeh.server.server import BaseServer
        from tornado.httpserver import HTTPServer
        from tornado.routing import HostMatches, Rule, RuleRouter

        places = [f"{host}:{self.port}" for host in (HOST, "localhost")]
        app = _application(
            {"/": Application(FunctionHandler(self._fill))},
            prefix=self._secret,
            extra_websocket_origins=places,
            use_index=False,
            ico_path="none",
            log_function=lambda handler: None,  # an address would stand in the log
            unused_session_lifetime_milliseconds=15_000,
            check_unused_sessions_milliseconds=5_000,
        )
        app.add_transform(self._guarded())
        allowed = HostMatches(re.compile(rf"^({re.escape(HOST)}|localhost)$"))
        http = HTTPServer(RuleRouter([Rule(allowed, app)]))
        http.add_sockets(self._sockets)
        server = BaseServer(loop, app, http)
        server.start()
        return server, http

    def _guarded(self) -> Any:
        """A transform that gives every answer the content policy, and scripts its nonce."""
        from tornado.web import OutputTransform

        port, ancestors = self.port, self._ancestors

        class Guarded(OutputTransform):
            def __init__(self, request: Any) -> None:
                self.host = request.host_name

            def transform_first_chunk(
                self, status: int, headers: Any, chunk: bytes, finishing: bool
            ) -> tuple[int, Any, bytes]:
                nonce = secrets.token_urlsafe(16)
                policy = _POLICY.format(
                    nonce=nonce, host=self.host, port=port, ancestors=ancestors
                )
                headers["Content-Security-Policy"] = policy
                for name, value in HEADERS.items():
                    headers[name] = value
                if finishing and headers.get("Content-Type", "").startswith("text/html"):
                    script = f'<script nonce="{nonce}"'.encode()
                    chunk = re.sub(rb"<script(?=[\s>])", script, chunk)
                    chunk = chunk.replace(b"<title>", _NO_ICON + b"<title>", 1)
                    headers["Content-Length"] = str(len(chunk))
                return status, headers, chunk

        return Guarded


def _application(*args: Any, **options: Any) -> Any:
    """Bokeh's application, whose scripts come from here whatever the environment says."""
    from bokeh.resources import Resources
    from bokeh.server.tornado import BokehTornado

    class Local(BokehTornado):
        def resources(self, absolute_url: Any = None) -> Any:
            parts: list[Any] = ["bokeh", "bokeh-widgets", "bokeh-tables"]
            return Resources(mode="server", root_url=f"{self.prefix}/", components=parts)

    return Local(*args, **options)
