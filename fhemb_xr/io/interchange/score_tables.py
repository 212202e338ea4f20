"""Accuracies of classifiers as a store, and as a workbook for those who read tables."""

import os
import re
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pandas as pd
import xarray as xr

from fhemb_xr.errors import StoreError, extra
from fhemb_xr.io.local.durable_files import replace_file
from fhemb_xr.io.recording import open_result
from fhemb_xr.io.store import save

DIMS = ("metric", "classifier", "split")
STATISTICS = ("median", "mean", "std", "min", "max")
SHEETS = ("summary", "metadata")
"""Sheets of a workbook beside those of the classifiers."""
_LONGEST = 31
"""Characters of the name of a sheet, in Excel."""


def write_scores(scores: xr.DataArray, path: str | os.PathLike[str]) -> Path:
    """Write accuracies as the store ``path.zarr`` and, where it can be, as ``path.xlsx``.

    Parameters
    ----------
    scores
        Accuracies ``(metric, classifier, split)``.
    path
        The files without their ending; files that exist are replaced.

    Returns
    -------
    Path
        The workbook, or the store where openpyxl is not installed.

    Raises
    ------
    StoreError
        Two classifiers would have one sheet. Nothing is written then.

    Notes
    -----
    Memory: the accuracies. Computes at call: one, if lazy.
    """
    base = Path(path)
    scores = scores.transpose(*DIMS).compute()
    store = base.with_name(f"{base.name}.zarr")
    content = _workbook(scores) if find_spec("openpyxl") else None  # refused before a write
    base.parent.mkdir(parents=True, exist_ok=True)
    save(scores.rename("accuracy"), store, mode="w")
    return store if content is None else _replaced(base, content)


def write_workbook(scores: xr.DataArray, path: str | os.PathLike[str]) -> Path:
    """Write accuracies as ``path.xlsx``: a summary, what was asked, a sheet per classifier.

    Raises
    ------
    ImportError
        openpyxl is not installed: ``pip install 'fhemb_xr[tables]'``.
    StoreError
        Two classifiers would have one sheet.
    """
    return _replaced(Path(path), _workbook(scores))


def _replaced(base: Path, content: bytes) -> Path:
    file = base.with_name(f"{base.name}.xlsx")
    replace_file(file, content)
    return file


def _workbook(scores: xr.DataArray) -> bytes:
    with extra("tables"):
        import openpyxl  # noqa: F401  (pandas writes with it)
    names = scores["classifier"].to_numpy().tolist()
    sheets = _sheets([str(name) for name in names])
    table = scores.transpose(*DIMS).to_series().rename("accuracy")
    grouped = table.groupby(level=["metric", "classifier"], sort=False)
    summary = grouped.agg(list(STATISTICS))
    about = pd.Series({str(k): str(v) for k, v in scores.attrs.items()}, name="value")
    out = BytesIO()
    with pd.ExcelWriter(out, engine="openpyxl") as book:
        summary.reset_index().to_excel(book, sheet_name=SHEETS[0], index=False)
        about.to_excel(book, sheet_name=SHEETS[1])
        for k, sheet in enumerate(sheets):
            one = scores.isel(classifier=k).transpose("metric", "split").to_pandas()
            one.to_excel(book, sheet_name=sheet)
    return out.getvalue()


def _sheets(names: list[str]) -> list[str]:
    """The sheet of each classifier: its name, as far as Excel takes it.

    Raises
    ------
    StoreError
        Two have one name then, or that of another sheet.
    """
    sheets = [re.sub(r"[][:*?/\\]|^'|'$", "_", name[:_LONGEST]) or "_" for name in names]
    owners = dict.fromkeys((*SHEETS, "history"), "of every workbook")
    for name, sheet in zip(names, sheets, strict=True):
        if (other := owners.get(sheet.casefold())) is not None:
            raise StoreError(
                f"the sheet {sheet!r} of the classifier {name!r} is that {other} too: choose "
                f"names that differ in their first {_LONGEST} characters, and not by case or "
                "by []:*?/\\ alone"
            )
        owners[sheet.casefold()] = f"of {name!r}"
    return sheets


def read_scores(path: str | os.PathLike[str]) -> xr.DataArray:
    """Read accuracies that :func:`write_scores` wrote.

    Raises
    ------
    StoreError
        There are none, or something else has their name.
    """
    base = Path(path)
    store = base.with_name(f"{base.name}.zarr")
    if not store.exists():
        raise StoreError(f"no accuracies in {store.name!r}: write them first")
    found = open_result(store)
    if not isinstance(found, xr.DataArray) or {*found.dims} != {*DIMS}:
        raise StoreError(
            f"{store.name!r} holds no accuracies {DIMS}, found {dict(found.sizes)}: give the "
            "path that write_scores was given"
        )
    return found.compute()
