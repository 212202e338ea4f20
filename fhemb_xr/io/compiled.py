"""Chunks of one generation of a store, decoded by the compiled threads of ``zarrs``.

``zarrs`` opens the files itself, past the store that looks whether it is still the same; so the
look is taken here, after every read, with the same errors.
"""

from collections.abc import Iterable
from typing import Any

from zarr.registry import register_pipeline
from zarr.storage import LocalStore
from zarrs import ZarrsCodecPipeline

from fhemb_xr.io.generation import Generation, patiently


class Pipeline(ZarrsCodecPipeline):
    """``zarrs`` for reading a :class:`~fhemb_xr.io.generation.Generation`."""

    generation: Generation | None = None

    @classmethod
    def from_array_metadata_and_store(cls, array_metadata: Any, store: Any) -> "Pipeline":
        """Of an array; ``zarrs`` knows stores by the name of their class."""
        plain = LocalStore(store.root) if isinstance(store, Generation) else store
        made: Pipeline = super().from_array_metadata_and_store(array_metadata, plain)
        made.generation = store if isinstance(store, Generation) else None
        return made

    def __getstate__(self) -> Any:
        return {**super().__getstate__(), "generation": self.generation}

    def __setstate__(self, state: Any) -> None:
        self.generation = state.pop("generation")
        super().__setstate__(state)

    async def read(
        self, batch_info: Iterable[Any], out: Any, drop_axes: tuple[int, ...] = ()
    ) -> None:
        """Chunks into ``out``, if the store is still the one that was opened."""
        pieces = list(batch_info)
        await patiently(lambda: ZarrsCodecPipeline.read(self, pieces, out, drop_axes))
        if self.generation is not None:
            self.generation.require_files([piece[0].path for piece in pieces])


register_pipeline(Pipeline)
PATH = f"{Pipeline.__module__}.{Pipeline.__qualname__}"
