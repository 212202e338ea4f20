"""Creating the empty store of a run, with the first line of its ledger."""

from pathlib import Path
from typing import Any

from fhemb_xr import schema
from fhemb_xr.io import encoding, provenance
from fhemb_xr.io.local import atomic_files, durable_files
from ingest.hints import Request
from ingest.planning import Plan
from ingest.store.ledger import Ledger


def create(path: Path, plan: Plan, request: Request) -> None:
    """Make the empty store beside its place and rename it.

    Raises
    ------
    StoreError
        The disk has too little room.
    """
    # measured: a packed pixel takes 7 bits, an unpacked one 18
    atomic_files.require_room(
        path, int(plan.n_faces * plan.pixels * (2.5 if request.float32 else 1))
    )
    with atomic_files.staging(path) as folder:
        aside = folder / path.name
        group = encoding.create_recording(
            aside,
            subjects=list(plan.subjects),
            sessions=[s.name for s in plan.sessions],
            n_frames=plan.n_frames,
            shape=plan.grid,
            sampling_rate=plan.rate_hz,
            title=request.title or plan.source,
            threshold=request.threshold,
            float32=bool(request.float32),
            resized=plan.resized,
            shard_frames=request.shard_frames,
            encoding=request.encoding or encoding.FAST,
        )
        encoding.set_axes(group, [(s.start, s.stop) for s in plan.sessions], plan.rate_hz)
        group.attrs.update({f"camera_{name}": value for name, value in plan.camera.items()})
        provenance.restamp(group, f"ingest of {plan.source}")
        heat: Any = group[schema.HEATMAP]
        Ledger.create(aside, header(plan, request, (heat.shards or heat.chunks)[2]))
        durable_files.sync_tree(aside)
        atomic_files.publish(aside, path)


def header(plan: Plan, request: Request, shard_frames: int) -> dict[str, Any]:
    """The first line of a ledger: source, people, frames and encoding of the store."""
    return {
        "fhemb_ledger": "1.0",
        "source": plan.source,
        "layout": plan.layout,
        "cell": plan.cell,
        "sessions": [vars(s) for s in plan.sessions],
        "subjects": list(plan.subjects),
        "grid": list(plan.grid),
        "float32": bool(request.float32),
        "encoding": request.encoding or encoding.FAST,
        "resized": plan.resized,
        "rate_hz": plan.rate_hz,
        "shard_frames": int(shard_frames),
        "asked_frames": request.frames and list(request.frames),
    }
