"""``fhemb view``: hours of many people in a window of the browser."""

import contextlib
import signal
import tempfile
import webbrowser
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fhemb_cli import completion
from fhemb_cli.console import reporting, tell
from fhemb_cli.options import Json, Scheduler, workers_of
from fhemb_cli.progress import progress


def view(
    stores: Annotated[
        list[str],
        typer.Argument(
            help="Recording, embeddings, results with an axis of time, in any order; paths or "
            "addresses.",
            autocompletion=completion.stores,
        ),
    ],
    feature: Annotated[
        str | None, typer.Option(metavar="NAME", help="Feature that is shown first.")
    ] = None,
    spans: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table .tsv of marked spans; default: don_events.tsv beside don.zarr.",
        ),
    ] = None,
    faces: Annotated[
        bool, typer.Option("--faces", help="Show faces; needs the people's consent.")
    ] = False,
    proxy: Annotated[
        bool,
        typer.Option(
            "--proxy",
            help="First write small faces, one a second, to don_faces.zarr beside don.zarr: "
            "all people at once.",
        ),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of this machine; 0: a free one.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser of this machine.")
    ] = True,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Browse people's curves and faces over the whole time, and mark spans; Ctrl-C ends it.

    The page is served on this machine only, behind a secret address.
    """
    with reporting(as_json) as say, workers_of(0, "", scheduler):
        from fhemb_xr.view import viewing
        from fhemb_xr.view.memory import proxy as recordings
        from fhemb_xr.view.memory.material import Material, local_recording
        from fhemb_xr.view.serving import HOST, Server
        from fhemb_xr.view.window.pages import Pages

        if proxy and not faces:
            raise ValueError("--proxy is for faces: say --faces too")
        if proxy:
            place = recordings.require_local(local_recording(stores))
            with progress("Small faces", scheduler):
                recordings.make(place)
        material = Material(stores, spans=spans, faces=faces)
        shown = viewing.require_feature(material, feature)
        pages = Pages(material, shown)
        server = Server(pages.fill, port)
        pages.warm()
        say(url=server.url)
        if not as_json:
            there = f"ssh -L {server.port}:{HOST}:{server.port} this-machine"
            tell("note", f"from another machine: {there}, then the same address; Ctrl-C ends")
        with contextlib.ExitStack() as places:
            # the address is a secret: an argument of the browser could be read by others
            page = places.enter_context(_redirection(server.url)) if browser else None
            before = signal.signal(signal.SIGINT, lambda *_: server.stop())
            places.callback(signal.signal, signal.SIGINT, before)
            server.run(partial(_open, page))
        material.close()


@contextlib.contextmanager
def _redirection(url: str) -> Iterator[Path]:
    """A page that only its owner can read and that leads to the address."""
    with tempfile.TemporaryDirectory(prefix="fhemb-") as folder:  # of mode 0700
        page = Path(folder) / "view.html"
        page.touch(mode=0o600)
        page.write_text(f'<!DOCTYPE html><meta http-equiv="refresh" content="0;url={url}">')
        yield page


def _open(page: Path | None) -> None:
    if page is not None:
        webbrowser.open(page.as_uri())
