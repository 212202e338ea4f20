"""Repairing a damaged store as far as possible, and saying what is left to do.

The ledger of an ingested recording describes its contents. Metadata and axes are made again
from it. Damaged shards are removed from the ledger, so that the next run of the same ingest
reads them from the source. A result must be computed again from its sources.
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
"""Mark in the ledger's first line: the next run builds a new store from the sound shards."""


@dataclass(frozen=True)
class Repair:
    """The damage found, the repairs done, and the work left.

    Attributes
    ----------
    store
        Name of the store.
    damage
        Damage that :func:`verify` found.
    mended
        Arrays whose metadata or axes were made again.
    struck
        Number of shards that the next run of the ingest reads again.
    todo
        Work left, as a sentence; empty if the store is sound now.
    """

    store: str
    damage: tuple[Damage, ...] = ()
    mended: tuple[str, ...] = ()
    struck: int = 0
    todo: str = ""

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self) | {"damage": [d.as_dict() for d in self.damage]}


def repair(store: Any) -> Repair:
    """Repair a damaged store as far as possible, and say what is left to do.

    Leftovers of killed writers are removed.

    Parameters
    ----------
    store
        Path on this machine.

    Returns
    -------
    Repair
        A :class:`Repair`: the damage found, the repairs done, and the work left.

    Raises
    ------
    StoreError
        There is no store, or another process is writing it.

    Notes
    -----
    Memory and time: the same as :func:`verify`. Sound data are not touched. Computes: none.

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
        raise StoreError("only stores in folders of this machine can be repaired")
    with locks.locked(path):
        atomic_files.sweep(path)
        if path.exists():
            atomic_files.sweep_pieces(path)
        damages = tuple(verify(path))
        if not damages:
            return Repair(path.name)
        ledger = path / schema.HEATMAP / manifest.LEDGER
        if not ledger.is_file():
            return Repair(path.name, damages, todo=_origin(path))
        return _repair_recording(path, ledger, damages)


def _origin(path: Path) -> str:
    """A sentence about how to make a result again."""
    try:
        root = manifest.document(path / manifest.ROOT).get("attributes", {})
        kind, history = root[provenance.KIND], str(root[schema.HISTORY]).splitlines()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"restore {path.name!r} from a copy, or compute it again"
    advice = "compute it again from its sources and save it with mode='w'"
    if kind == "embedding":
        advice = f"`fhemb repair {path.name} --source RECORDING` computes it again"
    return f"{advice}; its history ends with {history[-1]!r}"


def _repair_recording(path: Path, ledger: Path, damages: tuple[Damage, ...]) -> Repair:
    head, *lines = ledger.read_bytes().splitlines() or [b""]
    try:
        header = json.loads(head)
        struck_before = f"{schema.HEATMAP}/{ledger.name}" if header.get(DAMAGED) else None
        essential = {manifest.ROOT, f"{schema.HEATMAP}/{ledger.name}"} - {struck_before}
        if essential & {d.file for d in damages} or any(
            d.what == "unfinished" for d in damages
        ):
            raise ValueError
    except ValueError:
        again = "ingest it again under another name, which reads everything from the source"
        unfinished = any(d.what == "unfinished" for d in damages)
        todo = "`fhemb ingest run` with the same options continues it" if unfinished else again
        return Repair(path.name, damages, todo=todo)
    mended = _mend(path, header, damages)
    struck = {key for d in damages if (key := _key(d, header)) is not None}
    if struck:
        shutil.rmtree(
            atomic_files.successor(path), ignore_errors=True
        )  # it has links to damaged files
        _strike(ledger, header, lines, struck)
    _sum_up(path)
    left = verify(path)
    todo = str(left[0]) if left else ""
    if struck or header.get(DAMAGED):
        todo = "`fhemb ingest run` with the same options reads the damaged shards again"
    return Repair(path.name, damages, mended, len(struck), todo)


def _key(damage: Damage, header: dict[str, Any]) -> tuple[str, str, int] | None:
    """Session, subject and first frame of the shard that a damaged file belongs to."""
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


def _mend(path: Path, header: dict[str, Any], damages: tuple[Damage, ...]) -> tuple[str, ...]:
    """Make metadata and axes again from the ledger's first line; return the array names."""
    names = {d.array for d in damages if d.array and (d.array in AXES or not d.index)}
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
                    damaged = old / file.relative_to(new)
                    damaged.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    durable_files.replace_file(damaged, file.read_bytes())
    return tuple(sorted(names))


def _skeleton(path: Path, new: Path, header: dict[str, Any]) -> None:
    """Create an empty recording as the ledger describes it."""
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
        encoding=header.get("encoding", encoding.FAST),
    )
    encoding.set_axes(group, spans, header["rate_hz"])


def _sum_up(path: Path) -> None:
    """Write new checksums of files that hold no chunk; the map of data files stays."""
    root = manifest.document(path / manifest.ROOT)
    root["attributes"][manifest.CHECKSUMS] = manifest.checksums(path, {})
    durable_files.replace_file(path / manifest.ROOT, json.dumps(root, indent=2).encode())
