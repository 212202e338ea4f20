"""Removing a person from stores, so that no byte of the person is left.

Each store is replaced by one without the person, which is built beside it. Files of other
people are linked; files that people share are written again. Then the old store and the
leftovers of killed writers are removed. A process that dies leaves the old store or the new
one, and the same call completes the work.
"""

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr import schema
from fhemb_xr.errors import StoreError
from fhemb_xr.io import encoding, icechunk_versions, provenance
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.integrity import damage
from fhemb_xr.io.local import atomic_files, durable_files, locks, systems
from fhemb_xr.io.packed import differences

_OF_PEOPLE = re.compile(rf"{schema.SUBJECT}(_\d+)?")
Places = dict[str, int]
"""Dimensions of people, and the position of the person along each."""


@dataclass(frozen=True)
class Erasure:
    """The data that were removed from one store.

    Attributes
    ----------
    store
        Name of the store.
    found
        Whether the person was in it.
    files
        Number of removed data files that held the person only.
    rewritten
        Arrays in which the person shared files with others; they were written again.
    swept
        Number of removed leftovers of killed writers.
    linked
        Number of files with data of the person that have another name, in a copy made with
        hard links. Remove that copy too.
    pooled
        Whether the store has no axis of people. A result of all people together must be
        computed again from a recording without the person.
    """

    store: str
    found: bool = False
    files: int = 0
    rewritten: tuple[str, ...] = ()
    swept: int = 0
    linked: int = 0
    pooled: bool = False

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)


def forget(subject: int | str, *stores: Any) -> list[Erasure]:
    """Remove a person from stores: data, labels, ledger, and leftovers of killed writers.

    List all stores of the person: recordings, finished or not, and every saved result. No bit
    of other data changes. An ingest continues without the person.

    Parameters
    ----------
    subject
        Label of the person.
    stores
        Paths of stores on this machine.

    Returns
    -------
    list[Erasure]
        One :class:`Erasure` for each store. A store without the person is not changed.

    Raises
    ------
    StoreError
        There is no store, it is not one of this library, or another process is writing it.

    Notes
    -----
    Memory: one file of an array that people share. Computes: none. A store that holds nobody
    else is removed. The source in the database, backups, reports and pictures are not touched.
    On journalling file systems and on flash, freed blocks may keep the data until they are
    used again; only an encrypted disk helps against that.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.testing.audience(n_subjects=2, seconds=4).fhemb.save(f"{folder}/a.zarr")
    ...     (done,) = fx.forget(40, f"{folder}/a.zarr")
    ...     left = fx.open_recording(f"{folder}/a.zarr").subject.values.tolist()
    >>> done.found, left
    (True, [41])
    """
    return [_forget(subject, store) for store in stores]


def places(store: Any, subject: int | str) -> list[str]:
    """Axes of people of a local store that hold the person; changes nothing."""
    path = atomic_files.local_path(store)
    if path is None or not (path / manifest.ROOT).is_file():
        raise StoreError(f"there is no store {str(store)!r}: is the path right?")
    return list(_places(_opened(path)[0], subject)[0])


def _forget(subject: int | str, store: Any) -> Erasure:
    path = atomic_files.local_path(store)
    if path is None:
        raise StoreError("people can be removed only from stores in folders of this machine")
    with locks.locked(path):
        swept = _sweep(path)
        if icechunk_versions.is_versioned(path):
            raise StoreError(
                f"every earlier version in {path.name!r} would keep the person: save its "
                "newest without them into another store, and delete this one"
            )
        if not (path / manifest.ROOT).is_file():
            raise StoreError(f"there is no store {path.name!r}: is the path right?")
        arrays, attrs = _opened(path)
        places, axes = _places(arrays, subject)
        if not places:
            return Erasure(path.name, swept=swept, pooled=not axes)
        gone = _Gone(places)
        if any(arrays[d].shape in ((), (1,)) for d in places):
            return _remove(path, gone, swept)
        with atomic_files.staging(path) as aside:
            for name, array in arrays.items():
                _copy(path / name, aside / name, array, gone)
            _finish(path, aside, attrs, subject)
            durable_files.sync_tree(aside)
            atomic_files.publish(aside, path)
        return gone.told(path.name, swept)


class _Gone:
    """The person's places, and counts of what was removed."""

    def __init__(self, places: Places) -> None:
        self.places, self.files, self.linked = places, 0, 0
        self.rewritten: list[str] = []

    def count(self, path: Path, *, whole: bool) -> None:
        self.files += whole
        self.linked += path.stat().st_nlink > 1

    def told(self, name: str, swept: int) -> Erasure:
        done = tuple(sorted(self.rewritten))
        return Erasure(name, True, self.files, done, swept, self.linked)


def _sweep(path: Path) -> int:
    """Remove all leftovers of killed writers; return their number."""
    aside = atomic_files.successor(path)
    leftovers = [*atomic_files.leavings(path), *([aside] if aside.exists() else [])]
    atomic_files.sweep(path)
    if aside.exists():
        shutil.rmtree(aside)
    if path.exists():
        atomic_files.sweep_pieces(path)
    return len(leftovers)


def _opened(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    import zarr

    try:
        attrs = manifest.document(path / manifest.ROOT).get("attributes", {})
        schema.check_version(attrs)
        folders = [p for p in sorted(path.iterdir()) if (p / manifest.ROOT).is_file()]
        arrays = {p.name: zarr.open_array(p, mode="r", zarr_format=3) for p in folders}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path.name!r} cannot be read ({error}): remove the whole store, if nothing else "
            "helps"
        ) from None
    return arrays, attrs


def _places(arrays: dict[str, Any], subject: int | str) -> tuple[Places, list[str]]:
    """The person's places, and all axes of people."""
    axes = [n for n in arrays if _OF_PEOPLE.fullmatch(n)]
    places = {}
    for name in axes:
        labels = np.asarray(arrays[name][...]).ravel().tolist()
        positions = [i for i, label in enumerate(labels) if str(label) == str(subject)]
        if positions:
            places[name] = positions[0]
    return places, axes


def _remove(path: Path, gone: _Gone, swept: int) -> Erasure:
    """Remove a store that holds nobody else."""
    for file in _data(path):
        gone.count(file, whole=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.staging")
    systems.rename(path, aside)
    systems.sync_folder(path.parent)
    shutil.rmtree(aside)
    return gone.told(path.name, swept)


def _data(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name.isdigit())


def _copy(old: Path, new: Path, array: Any, gone: _Gone) -> None:
    """Copy an array without the person; files of one person each are only linked."""
    dims = array.metadata.dimension_names or ()
    axes = {i: gone.places[d] for i, d in enumerate(dims) if d in gone.places}
    new.mkdir(mode=0o700)
    meta = manifest.document(old / manifest.ROOT)
    meta["shape"] = [n - (i in axes) for i, n in enumerate(meta["shape"])]
    (new / manifest.ROOT).write_text(json.dumps(meta, indent=2))
    unit = array.shards or array.chunks
    if any(unit[i] != 1 for i in axes):
        _rewrite(old, new, array, axes, gone)
        return
    for file in [*_data(old), *([old / "c"] if (old / "c").is_file() else [])]:
        index = [int(p) for p in file.relative_to(old / "c").parts]
        if any(index[i] == position for i, position in axes.items()):
            gone.count(file, whole=True)
            continue
        moved = [k - (i in axes and k > axes[i]) for i, k in enumerate(index)]
        target = new.joinpath("c", *map(str, moved))
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable_files.link(file, target)


def _rewrite(old: Path, new: Path, array: Any, axes: dict[int, int], gone: _Gone) -> None:
    """Copy an array whose files several people share, without the person."""
    import zarr

    gone.rewritten.append(old.name)
    for file in _data(old):
        gone.count(file, whole=False)
    kept = [np.delete(np.arange(n), axes.get(i, [])) for i, n in enumerate(array.shape)]
    # a result must have every file; a recording has no files for absent people
    with zarr.config.set({"array.write_empty_chunks": not _sparse(old, array)}):
        target: Any = zarr.open_array(new, mode="r+")
        for region in damage.regions(target.shape, target.shards or target.chunks):
            some = tuple(k[span] for k, span in zip(kept, region, strict=True))
            differences.write(target, region, array.get_orthogonal_selection(some))


def _sparse(folder: Path, array: Any) -> bool:
    return manifest.present(folder, array.metadata.to_dict()) is not None


def _finish(path: Path, aside: Path, attrs: dict[str, Any], subject: int | str) -> None:
    """Write the group, the ledger of an ingest, and the new manifest."""
    import zarr

    root = manifest.document(path / manifest.ROOT)
    root.get("attributes", {}).pop(manifest.MADE_OF, None)  # hashes of the person's faces
    (aside / manifest.ROOT).write_text(json.dumps(root, indent=2))
    ledger = Path(schema.HEATMAP, manifest.LEDGER)
    if (path / ledger).is_file():
        (aside / ledger).write_bytes(without((path / ledger).read_bytes(), subject))
    group = zarr.open_group(aside, mode="r+")
    provenance.restamp(group, "forget of one subject")
    status = attrs.get(encoding.STATUS, encoding.COMPLETE)
    if status == encoding.COMPLETE:
        group.attrs.update(manifest.seal(aside, {encoding.STATUS: status}))


def without(ledger: bytes, subject: int | str) -> bytes:
    """The ledger of an ingest without a person, whose first line lists all people."""
    lines: list[str] = []
    for raw in ledger.splitlines():
        try:
            line = json.loads(raw)
        except ValueError:  # a writer died and left half a line
            continue
        if not lines:
            line["subjects"] = [s for s in line["subjects"] if str(s) != str(subject)]
        elif str(line["subject"]) == str(subject):
            continue
        lines.append(json.dumps(line, separators=(",", ":")) + "\n")
    return "".join(lines).encode()
