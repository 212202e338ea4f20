"""Registers ``.fhemb`` with xarray; its classes in ``accessor.py`` load at the first use."""

from typing import Any

import xarray as xr


class _Later(type):
    """The type of a class that stands for the one of its name in ``accessor.py``."""

    def _real(cls) -> Any:
        from fhemb_xr import accessor

        return getattr(accessor, cls.__name__)

    def __call__(cls, obj: xr.DataArray | xr.Dataset) -> Any:
        return cls._real()(obj)

    def __getattr__(cls, name: str) -> Any:  # xr.Dataset.fhemb.embed, as in its documentation
        return getattr(cls._real(), name)

    def __dir__(cls) -> list[str]:
        return dir(cls._real())


@xr.register_dataarray_accessor("fhemb")
class FhembDataArray(metaclass=_Later):
    """Methods on one array."""


@xr.register_dataset_accessor("fhemb")
class FhembDataset(metaclass=_Later):
    """Methods on a recording, and on streams."""
