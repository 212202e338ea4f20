"""Where the parts of a fit lie in one array, and the signs of components.

A task returns one array, so a fit of eigenfaces is a matrix::

                    pixels (p)     variance   share   offset   dual (s)
    components (k)  loadings       .          .       .        .
    mean            .              0                           (offset, dual: kernel only)
    scale           .
    mask            1 or 0
    projection (k)  .              (method "sparse" only)
    origin          .              (method "kernel" only)
    samples (s)     .              (method "kernel" only)

Variances have ddof = 1, a share is that of the total variance. Pixels outside the mask and
components beyond the rank are NaN.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fhemb_xr.typing import F64, Floats


@dataclass(frozen=True)
class FitLayout:
    """Rows and columns of a fit, by name."""

    k: int
    """Components."""
    p: int
    """Pixels."""
    n_samples: int = 0
    """Samples that a kernel compares with; 0 for the other methods."""
    sparse: bool = False
    """Whether there are weights beside the components."""

    @classmethod
    def of_plain(cls, fit: Floats) -> "FitLayout":
        """The layout of a fit that has neither samples nor weights."""
        return cls(fit.shape[-2] - 3, fit.shape[-1] - 2)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns in all."""
        if self.n_samples:
            return self.samples.stop, self.dual.stop
        return (self.projection.stop if self.sparse else self.mask + 1), self.share + 1

    @property
    def components(self) -> slice:
        """Rows of the components, whose last columns hold what belongs to each."""
        return slice(self.k)

    @property
    def mean(self) -> int:
        """Row of what is subtracted from each pixel."""
        return self.k

    @property
    def scale(self) -> int:
        """Row of what each pixel is divided by."""
        return self.k + 1

    @property
    def mask(self) -> int:
        """Row that is 1 for the pixels of the mask."""
        return self.k + 2

    @property
    def projection(self) -> slice:
        """Rows of the weights that give the scores on sparse components."""
        return slice(self.k + 3, 2 * self.k + 3)

    @property
    def origin(self) -> int:
        """Row of what is subtracted from each pixel before the kernel."""
        return self.k + 3

    @property
    def samples(self) -> slice:
        """Rows of the scaled frames that the kernel compares with."""
        return slice(self.k + 4, self.k + 4 + self.n_samples)

    @property
    def pixels(self) -> slice:
        """Columns of the pixels."""
        return slice(self.p)

    @property
    def variance(self) -> int:
        """Column of the components' variances."""
        return self.p

    @property
    def share(self) -> int:
        """Column of their shares of the total variance."""
        return self.p + 1

    @property
    def offset(self) -> int:
        """Column of what is added to a kernel's scores."""
        return self.p + 2

    @property
    def dual(self) -> slice:
        """Columns of the weights of each sample's kernel."""
        return slice(self.p + 3, self.p + 3 + self.n_samples)


def layout(
    components: Floats, variances: Floats, total: float, seen: Any, mean: Any, scale: Any
) -> F64:
    """A plain fit, with the largest absolute loading of each component positive."""
    at = FitLayout(components.shape[0], seen.size)
    out = np.full(at.shape, np.nan)
    out[at.mask, at.pixels], out[at.mask, at.variance :] = seen, 0
    if not seen.any():
        return out
    signed = components * signs(components)[:, None]
    shares = variances / total if total > 0 else np.where(np.isnan(variances), np.nan, 0)
    out[at.components, at.pixels] = np.where(seen, signed, np.nan)
    out[at.components, at.variance], out[at.components, at.share] = variances, shares
    out[at.mean, at.pixels] = np.where(seen, mean, np.nan)
    out[at.scale, at.pixels] = np.where(seen, scale, np.nan)
    return out


def signs(components: Floats) -> F64:
    """-1 where the largest absolute loading is negative: ``(k, p) -> (k)``."""
    filled = np.nan_to_num(components)
    largest = filled[np.arange(len(filled)), np.abs(filled).argmax(axis=1)]
    return np.where(largest < 0, -1.0, 1.0)
