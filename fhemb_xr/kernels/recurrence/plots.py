"""What makes a recurrence plot and its windows, beside the series."""

from typing import NamedTuple

from fhemb_xr.kernels.fields import Fields

MEASURES = ("RR", "DET", "L", "Lmax", "ENTR", "LAM", "TT")


class Plot(NamedTuple):
    """What a recurrence plot is made of, beside the series."""

    dim: int
    delay: int
    radius: float | None
    """Largest distance of a recurrence; None: chosen so that ``rate`` is reached."""
    rate: float
    supremum: bool
    joint: bool
    theiler: int
    """Diagonals on either side that are left out where a series meets itself, and the main
    one; 0: none is.
    """
    shortest: tuple[int, int]
    """Least length of a diagonal and of a vertical line."""
    max_lag: int

    def fields(self, n_radii: int) -> Fields:
        """Shapes of the parts of the result."""
        profile = (2 * self.max_lag + 1,)
        return Fields(measures=(len(MEASURES),), radius=(n_radii,), profile=profile)


class Cut(NamedTuple):
    """How series are cut into windows."""

    width: int
    step: int
    edge: int
    """Samples at both ends in which no window lies."""
    standardised: bool
