"""Redoing what can be redone in a damaged store, and saying what cannot.

An ingested recording tells in its ledger what it is made of: metadata and axes are made again
from that, and shards that are damaged are struck off, so that the next run of the same ingest
reads them from the source. A result is to be computed again from what it was derived from.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fhemb_xr import schema
from fhemb_xr.errors import StoreError
from fhemb_xr.io import encoding, provenance
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.integrity.damage import Damage
from fhemb_xr.io.integrity.verification import verify
from fhemb_xr.io.local import atomic_files, durable_files, locks

AXES = (schema.SUBJECT, schema.SESSION, schema.AXIS, schema.TIME, schema.FRAME, schema.N_TIME)
DAMAGED = "damaged"
"""Mark in the ledger's first line: a run is to make the store anew from what is whole."""


@dataclass(frozen=True)
class Repair:
    """What was found, what was done about it, and what is left to do.

    Attributes
    ----------
    store
        Name of the store.
    damage
        What :func:`verify` found.
    mended
        Arrays whose metadata or axes were made again.
    struck
        Shards that the next run of the ingest reads again.
    todo
        What is left to do, in a sentence; empty where the store is sound now.
    """

    store: str
    damage: tuple[Damage, ...] = ()
    mended: tuple[str, ...] = ()
    struck: int = 0
    todo: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self) | {"damage": [d.as_dict() for d in self.damage]}


def repair(store: Any) -> Repair:
    """Mend what can be mended in a damaged store, and say what is to be done for the rest.

    Parameters
    ----------
    store
        A path on this machine.

    Returns
    -------
    What was found, done, and left to do. What killed writers left is gone.

    Raises
    ------
    StoreError
        There is no store, or someone is writing it.

    Notes
    -----
    Memory and time: those of :func:`verify`. Nothing that is sound is touched. Computes: none.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.testing.audience(n_subjects=2, seconds=4).fhemb.save(f"{folder}/a.zarr")
    ...     fx.repair(f"{folder}/a.zarr").todo
    ''
    """
    path = atomic_files.local_path(store)
    if path is None:
        raise StoreError("only stores in folders of this machine are repaired")
    with locks.locked(path):
        atomic_files.sweep(path)
        if path.exists():
            atomic_files.sweep_pieces(path)
        found = tuple(verify(path))
        if not found:
            return Repair(path.name)
        ledger = path / schema.HEATMAP / manifest.LEDGER
        if not ledger.is_file():
            return Repair(path.name, found, todo=_origin(path))
        return _repair_recording(path, ledger, found)


def _origin(path: Path) -> str:
    """How a result is made again."""
    try:
        root = manifest.document(path / manifest.ROOT).get("attributes", {})
        kind, history = root[provenance.KIND], str(root[schema.HISTORY]).splitlines()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"restore {path.name!r} from a copy, or compute it again"
    how = "save it again with mode='w' from what it was derived from"
    if kind == "embedding":
        how = f"`fhemb repair {path.name} --source RECORDING` computes it again"
    return f"{how}; its history ends with {history[-1]!r}"


def _repair_recording(path: Path, ledger: Path, found: tuple[Damage, ...]) -> Repair:
    head, *lines = ledger.read_bytes().splitlines() or [b""]
    try:
        header = json.loads(head)
        struck_before = f"{schema.HEATMAP}/{ledger.name}" if header.get(DAMAGED) else None
        own = {manifest.ROOT, f"{schema.HEATMAP}/{ledger.name}"} - {struck_before}
        if own & {d.file for d in found} or any(d.what == "unfinished" for d in found):
            raise ValueError
    except ValueError:
        again = "ingest it anew under another name, which reads all of it from the source"
        unfinished = any(d.what == "unfinished" for d in found)
        todo = "`fhemb ingest run` with the same options goes on in it" if unfinished else again
        return Repair(path.name, found, todo=todo)
    mended = _mend(path, header, found)
    struck = {key for d in found if (key := _key(d, header)) is not None}
    if struck:
        shutil.rmtree(
            atomic_files.successor(path), ignore_errors=True
        )  # has links to what is damaged
        _strike(ledger, header, lines, struck)
    _sum_up(path)
    left = verify(path)
    todo = str(left[0]) if left else ""
    if struck or header.get(DAMAGED):
        todo = "`fhemb ingest run` with the same options reads again what is damaged"
    return Repair(path.name, found, mended, len(struck), todo)


def _key(damage: Damage, header: dict[str, Any]) -> tuple[str, str, int] | None:
    """Session, subject and first frame of the shard that a damaged file is a part of."""
    if damage.array in AXES or len(damage.index) < 3:
        return None
    who, session, block = damage.index[:3]
    start = min(s["start"] for s in header["sessions"])
    first = start + block * header["shard_frames"]
    return header["sessions"][session]["name"], str(header["subjects"][who]), first


def _strike(ledger: Path, header: dict[str, Any], lines: list[bytes], struck: set[Any]) -> None:
    kept = [json.dumps(header | {DAMAGED: True}, separators=(",", ":")).encode()]
    for raw in lines:
        line = json.loads(raw)
        if (line["session"], str(line["subject"]), line["start"]) not in struck:
            kept.append(raw)
    durable_files.replace_file(ledger, b"\n".join([*kept, b""]))


def _mend(path: Path, header: dict[str, Any], found: tuple[Damage, ...]) -> tuple[str, ...]:
    """Metadata and axes made again from the ledger's first line."""
    names = {d.array for d in found if d.array and (d.array in AXES or not d.index)}
    if not names:
        return ()
    with atomic_files.staging(path) as folder:
        _skeleton(path, folder / "new", header)
        for name in sorted(names & {p.name for p in (folder / "new").iterdir()}):
            new, old = folder / "new" / name, path / name
            if name in AXES:
                shutil.rmtree(old / "c", ignore_errors=True)
            for file in sorted(p for p in new.rglob("*") if p.is_file()):
                if name in AXES or file.name == manifest.ROOT:
                    there = old / file.relative_to(new)
                    there.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    durable_files.replace_file(there, file.read_bytes())
    return tuple(sorted(names))


def _skeleton(path: Path, new: Path, header: dict[str, Any]) -> None:
    """An empty recording as the ledger describes it."""
    attrs = manifest.document(path / manifest.ROOT)["attributes"]
    spans = [(s["start"], s["stop"]) for s in header["sessions"]]
    first, last = min(a for a, _ in spans), max(b for _, b in spans)
    group = encoding.create_recording(
        new,
        subjects=header["subjects"],
        sessions=[s["name"] for s in header["sessions"]],
        n_frames=last - first,
        shape=tuple(header["grid"]),
        sampling_rate=header["rate_hz"],
        title=attrs.get("title", ""),
        threshold=attrs.get(schema.THRESHOLD, 0.0),
        float32=header["float32"],
        shard_frames=header["shard_frames"],
    )
    encoding.set_axes(group, spans, header["rate_hz"])


def _sum_up(path: Path) -> None:
    """New checksums of the files that hold no chunk; what there must be stays as it was."""
    root = manifest.document(path / manifest.ROOT)
    root["attributes"][manifest.CHECKSUMS] = manifest.checksums(path, {})
    durable_files.replace_file(path / manifest.ROOT, json.dumps(root, indent=2).encode())
