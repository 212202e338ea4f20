"""Tables of OpenFace and embeddings into one HDF5 file, by the name of the scripts."""

import csv
from pathlib import Path
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, SourceError
from fhemb_xr.noxi import files
from fhemb_xr.ops.checks import require_choice, unknown_name
from fhemb_xr.ops.streams.normalisation import normalise
from fhemb_xr.ops.streams.splits import Streams, recordings

KINDS = ("openface", "vit", "mixed")
NOXI_HZ = 25.0
"""Frames a second of NoXi's films."""
_POLICIES = {"none": "none", "standardize": "standard", "minmax": "minmax"}


def save_to_hdf5(
    output_path: Path | str = "./data/openface_data.h5",
    feature_type: str = "openface",
    vit_normalization: str = "none",
    vit_features_path: Path | str | None = None,
    *,
    data_folder: Path | str = "./data/openface",
    sample_list: Path | str | None = "./data/sample_list.csv",
    mode: str = "w-",
) -> Path:
    """Tables and embeddings of all sessions, normalised, into one file of HDF5.

    Columns of OpenFace are found by name. A face is scaled in each frame over its landmarks,
    action units by their range from 0 to 5, and the pose by the recording: each angle by
    itself, not across the three angles as in the scripts.

    Parameters
    ----------
    output_path
        The file.
    feature_type
        ``"openface"``, ``"vit"`` or ``"mixed"``.
    vit_normalization
        ``"none"``, ``"standardize"`` or ``"minmax"`` of each recording's embeddings; they are
        best left as they are.
    vit_features_path
        Folder of ``<session>_<person>.npy``.
    data_folder
        Folder of ``<session>_<person>.csv``.
    sample_list
        Table whose second column names the sessions, in their order; where there is no such
        file, all sessions by name.
    mode
        ``"w-"`` refuses to overwrite a file, ``"w"`` replaces it.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    SourceError
        No such files.
    SchemaError
        Embeddings without ``vit_features_path``, or a session without them.
    UnknownNameError
        No such kind, normalisation or session (a ``KeyError``).
    StoreError
        The file exists.
    """
    kind = require_choice("kind of features", feature_type, KINDS)
    policy = _POLICIES[require_choice("normalisation", vit_normalization, _POLICIES)]
    if kind != "openface" and vit_features_path is None:
        raise SchemaError(
            f"feature_type={kind!r} needs embeddings: give vit_features_path, the folder of "
            "<session>_<person>.npy"
        )
    folders = {"openface": [data_folder], "vit": [vit_features_path]}.get(
        kind, [data_folder, vit_features_path]
    )
    how: dict[str, Any] = {"rate_hz": NOXI_HZ} if kind == "vit" else {}
    found = files.function("open_folder")(folders, **how)
    streams = scaled(_listed(found, sample_list), policy)
    files.function("write_hdf5")(streams, output_path, mode=mode)
    return Path(output_path)


def _listed(streams: Streams, sample_list: Path | str | None) -> xr.DataTree:
    """The sessions of a list in its order, as a tree; all where there is no list."""
    each = {(w[schema.SESSION], w[schema.PERSON]): ds for w, ds in recordings(streams)}
    there = list(dict.fromkeys(session for session, _ in each))
    wanted = there
    if sample_list is not None and Path(sample_list).is_file():
        with Path(sample_list).open(newline="") as file:
            rows = list(csv.reader(file))[1:]
        wanted = [row[1] for row in rows if len(row) > 1]
        if not wanted:
            raise SourceError(
                f"{Path(sample_list).name!r} names no session in its second column"
            )
    if absent := [name for name in wanted if name not in there]:
        raise unknown_name("session", absent[0], there, personal=True)
    parts = {f"/{s}/{p}": each[s, p] for s in wanted for n, p in each if n == s}
    return xr.DataTree.from_dict(parts)


def scaled(streams: xr.DataTree, vit_policy: str = "none") -> xr.DataTree:
    """Streams as the scripts scale them, but for the rotations, see :func:`save_to_hdf5`."""
    plans: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({schema.FACE: "minmax"}, {"per": "frame", "dims": {schema.FACE: [schema.LANDMARK]}}),
        ({schema.AUS: (0.0, 5.0)}, {}),
        ({schema.HEAD: "minmax"}, {"per": "recording"}),
        ({schema.VIT: vit_policy}, {"per": "recording"}),
    ]
    there = {str(n) for _, ds in recordings(streams) for n in ds.data_vars}
    for policies, how in plans:
        if {*policies} <= there and [*policies.values()] != ["none"]:
            others = dict.fromkeys(there & {*schema.STREAMS} - {*policies}, "none")
            streams = normalise(streams, {**others, **policies}, **how)
    return streams
