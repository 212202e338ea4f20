"""The original's constants, and its switches of messages.

The keys of ``.env.db`` and ``.env.paths`` are read by ``ingest.settings.database()`` and
``ingest.settings.paths()``.
"""

from fhemb_xr.legacy.logs import set_log_levels as set_log_levels
from fhemb_xr.legacy.logs import set_logger_level as set_logger_level
from fhemb_xr.legacy.logs import setup_logging as setup_logging
from fhemb_xr.ops.pipeline import STATISTICS

THERMO_SR = 25
"""Frames of the thermal camera in a second."""
FEATURE = STATISTICS
"""Names of the nine statistics; what the original's constant holds is nowhere shown."""
