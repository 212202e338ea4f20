"""The original's constants.

The keys of ``.env.db`` and ``.env.paths`` are read by ``ingest.settings.database()`` and
``ingest.settings.paths()``.
"""

from fhemb_xr.ops.pipeline import STATISTICS

THERMO_SR = 25
"""Frames of the thermal camera in a second."""
FEATURE = STATISTICS
"""Names of the nine statistics; what the original's constant holds is nowhere shown."""
