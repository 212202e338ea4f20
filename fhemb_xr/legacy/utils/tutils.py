"""Films, by the original's path."""

from typing import Any


def makeVideo(  # noqa: N802  (the original's name)
    *timeseries: Any,
    percentile_ts: Any = None,
    interval: tuple[float, float] = (0, 200),
    interval_shift: float = 0,
    feature: Any = None,
    subj: Any = 2,
    title: str = "",
) -> Any:
    """Not there yet: ``fx.plot.player`` shows a face as a page.

    Raises
    ------
    NotImplementedError
        Always.
    """
    raise NotImplementedError("no film with sound yet: fx.plot.player(ds, subject)")
