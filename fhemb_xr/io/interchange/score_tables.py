"""Accuracies of classifiers as a store, and as a workbook for those who read tables."""

import os
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import xarray as xr

from fhemb_xr.errors import StoreError, extra
from fhemb_xr.io.recording import open_result
from fhemb_xr.io.store import save

DIMS = ("metric", "classifier", "split")
STATISTICS = ("median", "mean", "std", "min", "max")


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

    Notes
    -----
    Memory: the accuracies. Computes at call: one, if lazy.
    """
    base = Path(path)
    base.parent.mkdir(parents=True, exist_ok=True)
    scores = scores.transpose(*DIMS).compute()
    store = base.with_name(f"{base.name}.zarr")
    save(scores.rename("accuracy"), store, mode="w")
    return write_workbook(scores, base) if find_spec("openpyxl") else store


def write_workbook(scores: xr.DataArray, path: str | os.PathLike[str]) -> Path:
    """Write accuracies as ``path.xlsx``: a summary, what was asked, a sheet per classifier.

    Raises
    ------
    ImportError
        openpyxl is not installed: ``pip install 'fhemb_xr[tables]'``.
    """
    with extra("tables"):
        import openpyxl  # noqa: F401  (pandas writes with it)
    file = Path(f"{path}.xlsx")
    staged = file.with_name(f".{file.name}")
    table = scores.transpose(*DIMS).to_series().rename("accuracy")
    grouped = table.groupby(level=["metric", "classifier"], sort=False)
    summary = grouped.agg(list(STATISTICS))
    about = pd.Series({str(k): str(v) for k, v in scores.attrs.items()}, name="value")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out, pd.ExcelWriter(out, engine="openpyxl") as book:
            summary.reset_index().to_excel(book, sheet_name="summary", index=False)
            about.to_excel(book, sheet_name="metadata")
            for name in scores["classifier"].to_numpy().tolist():
                one = scores.sel(classifier=name).transpose("metric", "split").to_pandas()
                one.to_excel(book, sheet_name=str(name)[:31])
        os.replace(staged, file)
    finally:
        staged.unlink(missing_ok=True)
    return file


def read_scores(path: str | os.PathLike[str]) -> xr.DataArray:
    """Read accuracies that :func:`write_scores` wrote.

    Raises
    ------
    StoreError
        There are none.
    """
    base = Path(path)
    store = base.with_name(f"{base.name}.zarr")
    if not store.exists():
        raise StoreError(f"no accuracies in {store.name!r}: write them first")
    found = open_result(store)
    assert isinstance(found, xr.DataArray)
    return found.compute()
