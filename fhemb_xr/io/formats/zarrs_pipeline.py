"""The pipeline of ``zarrs``: used for reading only, in the process that opened the array."""

import os
from typing import Any

from zarr.registry import register_pipeline
from zarrs import ZarrsCodecPipeline

from fhemb_xr.dask_internals import python_pipeline


class ReadingPipeline(ZarrsCodecPipeline):
    """Decode by ``zarrs``; a forked process, which lacks its threads, uses zarr-python.

    zarr-python writes: its files appear whole under their names, or not at all.
    """

    @classmethod
    def from_array_metadata_and_store(cls, array_metadata: Any, store: Any) -> Any:
        """Make the pipeline; zarr calls this when it opens an array."""
        made = super().from_array_metadata_and_store(array_metadata, store)
        made._pid = os.getpid()
        return made

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self._pid = os.getpid()

    async def read(self, batch_info: Any, out: Any, drop_axes: tuple[int, ...] = ()) -> Any:
        """Read chunks into ``out``."""
        if python_pipeline(self) is not None and self._pid != os.getpid():
            return await python_pipeline(self).read(batch_info, out, drop_axes)
        return await super().read(batch_info, out, drop_axes)

    async def write(self, batch_info: Any, value: Any, drop_axes: tuple[int, ...] = ()) -> None:
        """Write ``value`` to chunks."""
        writer = python_pipeline(self)
        assert writer is not None  # None only with codec_pipeline.strict, which is never set
        await writer.write(batch_info, value, drop_axes)


register_pipeline(ReadingPipeline)
PATH = f"{ReadingPipeline.__module__}.{ReadingPipeline.__qualname__}"
