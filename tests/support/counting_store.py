"""An array on the disk, as dask sees one: it knows what is read and what is held of it."""

import weakref


class CountingStore:
    """An array that counts what is read of it, and the most blocks that are held at once."""

    def __init__(self, values):
        self.values = values
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.reads = self.held = self.most = 0

    def __getitem__(self, where):
        self.reads += 1
        self.held += 1
        self.most = max(self.most, self.held)
        out = self.values[where].copy()
        weakref.finalize(out, self._release)
        return out

    def _release(self):
        self.held -= 1

    def __dask_tokenize__(self):
        return "store"
