"""The code that decodes chunks: zarr-python, or the compiled threads of ``zarrs``.

An array keeps the pipeline that it was opened with, so the pipeline is chosen at opening.
``zarrs`` is used for reading only, because its writes are not atomic.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from fhemb_xr.errors import ConfigError
from fhemb_xr.options import options


def compiled(local: Path | None) -> bool:
    """Whether ``zarrs`` reads the arrays of a store.

    Raises
    ------
    ConfigError
        The options ask for ``zarrs``, and it is not installed.
    """
    asked = options.codec_pipeline
    installed = find_spec("zarrs") is not None
    if asked == "zarrs" and not installed:
        raise ConfigError(
            "codec_pipeline is 'zarrs', which is not installed: pip install 'fhemb_xr[fast]', "
            "or set 'auto'"
        )
    return asked != "zarr" and installed and local is not None


@contextmanager
def reading(local: Path | None) -> Iterator[None]:
    """Arrays that are opened in this block use the pipeline of the options."""
    import zarr

    if not compiled(local):
        yield
        return
    from fhemb_xr.io.formats.zarrs_pipeline import PATH

    with zarr.config.set({"codec_pipeline.path": PATH}), warnings.catch_warnings():
        # it warns of text and other codecs, which it leaves to zarr-python
        warnings.filterwarnings("ignore", "Array is unsupported by ZarrsCodecPipeline")
        yield
