"""Which code decodes chunks: zarr-python's, or the compiled threads of ``zarrs``.

The pipeline belongs to an array from its opening on, so it is chosen there, for reading only:
the writes of ``zarrs`` are not atomic.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from fhemb_xr.errors import ConfigError
from fhemb_xr.options import options


def compiled(local: Path | None) -> bool:
    """Whether arrays of a store are to be read by ``zarrs``.

    Raises
    ------
    ConfigError
        It is asked for and not installed.
    """
    asked = options.codec_pipeline
    there = find_spec("zarrs") is not None
    if asked == "zarrs" and not there:
        raise ConfigError(
            "codec_pipeline is 'zarrs', which is not installed: pip install 'fhemb_xr[fast]', "
            "or ask for 'auto'"
        )
    return asked != "zarr" and there and local is not None


@contextmanager
def reading(local: Path | None) -> Iterator[None]:
    """Arrays opened inside are read by the pipeline that the options ask for."""
    import zarr

    if not compiled(local):
        yield
        return
    from fhemb_xr.io.formats.zarrs_pipeline import PATH

    with zarr.config.set({"codec_pipeline.path": PATH}), warnings.catch_warnings():
        # of text and other codecs that it leaves to zarr-python
        warnings.filterwarnings("ignore", "Array is unsupported by ZarrsCodecPipeline")
        yield
