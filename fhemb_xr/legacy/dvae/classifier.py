"""The denoising variational classifier, by the original's path."""

from typing import Any


class VAEClassifier:
    """Not there yet: any classifier joins :func:`fhemb_xr.classify` by ``own=``.

    Raises
    ------
    NotImplementedError
        Always.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("no variational classifier yet: fx.classify(..., own={...})")
