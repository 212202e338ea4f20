"""An array on the disk, as dask sees one: it knows what is read and what is held of it."""

import weakref


class CountingStore:
    """An array that counts what is read of it, where, and the most blocks held at once."""

    def __init__(self, values):
        self.values = values
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.reads = self.held = self.most = 0
        self.places = []

    def __getitem__(self, where):
        self.reads += 1
        self.places.append(str(where))
        self.held += 1
        self.most = max(self.most, self.held)
        out = self.values[where].copy()
        weakref.finalize(out, self._release)
        return out

    def _release(self):
        self.held -= 1

    def __dask_tokenize__(self):
        return "store", self.values.tobytes()
