"""Removing a person from stores, so that no byte of them is left.

Each store is exchanged for one without the person, built beside it: files of other people are
linked, those that are shared with others are written anew, and the old store goes, with all
that killed writers left. So whoever dies in it leaves the old store or the new one, and the
same call again ends what was begun.
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
from fhemb_xr.io.local import atomic_files, durable_files, locks

_OF_PEOPLE = re.compile(rf"{schema.SUBJECT}(_\d+)?")
Places = dict[str, int]
"""Dimensions of people, and where along them the person is."""


@dataclass(frozen=True)
class Erasure:
    """What was removed from one store.

    Attributes
    ----------
    store
        Name of the store.
    found
        Whether the person was in it.
    files
        Data files of the person alone, which are gone.
    rewritten
        Arrays in which the person shared files with others, written anew without.
    swept
        Leavings of killed writers that were removed.
    linked
        Files with bytes of the person that have another name somewhere, in a copy made with
        hard links: that copy is to be removed too.
    pooled
        Whether the store has no axis of people: what was computed from all of them together
        must be made again from a recording without the person.
    """

    store: str
    found: bool = False
    files: int = 0
    rewritten: tuple[str, ...] = ()
    swept: int = 0
    linked: int = 0
    pooled: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)


def forget(subject: int | str, *stores: Any) -> list[Erasure]:
    """Remove a person from stores: data, labels, ledger, and what killed writers left.

    Recordings, finished or not, and everything that was derived and saved: list all of them.
    Nothing else is changed, to the bit; an ingest goes on without the person.

    Parameters
    ----------
    subject
        The person's label.
    stores
        Paths of stores on this machine.

    Returns
    -------
    What was done, one for each store. A store without the person is left as it is.

    Raises
    ------
    StoreError
        There is no store, it is not one of this library, or someone is writing it.

    Notes
    -----
    Memory: one file of an array that people share. Computes: none. A store that holds nobody
    else is removed. The source in the database, backups, reports and pictures are not touched;
    on journalling file systems and flash the blocks that are freed may outlive their names
    until they are used again: only an encrypted disk helps against that.

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
    """Axes of people of a local store on which the person is; changes nothing."""
    path = atomic_files.local_path(store)
    if path is None or not (path / manifest.ROOT).is_file():
        raise StoreError(f"there is no store {str(store)!r}: is the path right?")
    return list(_places(_opened(path)[0], subject)[0])


def _forget(subject: int | str, store: Any) -> Erasure:
    path = atomic_files.local_path(store)
    if path is None:
        raise StoreError("people are removed from stores in folders of this machine only")
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
    """What is left out on the way."""

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
    """Remove all that killed writers left, whoever is in it."""
    aside = atomic_files.successor(path)
    left = [*atomic_files.leavings(path), *([aside] if aside.exists() else [])]
    atomic_files.sweep(path)
    if aside.exists():
        shutil.rmtree(aside)
    if path.exists():
        atomic_files.sweep_pieces(path)
    return len(left)


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
    """Where the person is, and all axes of people."""
    axes = [n for n in arrays if _OF_PEOPLE.fullmatch(n)]
    places = {}
    for name in axes:
        labels = np.asarray(arrays[name][...]).ravel().tolist()
        at = [i for i, label in enumerate(labels) if str(label) == str(subject)]
        if at:
            places[name] = at[0]
    return places, axes


def _remove(path: Path, gone: _Gone, swept: int) -> Erasure:
    """A store that holds nobody else."""
    for file in _data(path):
        gone.count(file, whole=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.staging")
    path.rename(aside)
    durable_files.sync_folder(path.parent)
    shutil.rmtree(aside)
    return gone.told(path.name, swept)


def _data(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name.isdigit())


def _copy(old: Path, new: Path, array: Any, gone: _Gone) -> None:
    """An array without the person: by links where each has files of their own."""
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
        if any(index[i] == at for i, at in axes.items()):
            gone.count(file, whole=True)
            continue
        moved = [k - (i in axes and k > axes[i]) for i, k in enumerate(index)]
        there = new.joinpath("c", *map(str, moved))
        there.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable_files.link(file, there)


def _rewrite(old: Path, new: Path, array: Any, axes: dict[int, int], gone: _Gone) -> None:
    """An array whose files several people share."""
    import zarr

    gone.rewritten.append(old.name)
    for file in _data(old):
        gone.count(file, whole=False)
    kept = [np.delete(np.arange(n), axes.get(i, [])) for i, n in enumerate(array.shape)]
    # a result must have every file; a recording has none where there is nobody
    with zarr.config.set({"array.write_empty_chunks": not _sparse(old, array)}):
        target: Any = zarr.open_array(new, mode="r+")
        for region in damage.regions(target.shape, target.shards or target.chunks):
            some = tuple(k[span] for k, span in zip(kept, region, strict=True))
            target[region] = array.get_orthogonal_selection(some)


def _sparse(folder: Path, array: Any) -> bool:
    return manifest.present(folder, array.metadata.to_dict()) is not None


def _finish(path: Path, aside: Path, attrs: dict[str, Any], subject: int | str) -> None:
    """The group, the ledger of an ingest, and the description of what there is now."""
    import zarr

    root = manifest.document(path / manifest.ROOT)
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
    """The lines of an ingest's ledger that are not of a person; the first names all people."""
    lines: list[str] = []
    for raw in ledger.splitlines():
        try:
            line = json.loads(raw)
        except ValueError:  # cut short: whoever died here had not finished it
            continue
        if not lines:
            line["subjects"] = [s for s in line["subjects"] if str(s) != str(subject)]
        elif str(line["subject"]) == str(subject):
            continue
        lines.append(json.dumps(line, separators=(",", ":")) + "\n")
    return "".join(lines).encode()
