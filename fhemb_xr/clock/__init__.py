"""The clock of an array: its rate, its start, its gaps, read once and in one place.

Whoever takes or returns seconds, hertz, frames or lags asks a :class:`Clock`. It reads the
coordinate ``time``, the coordinate ``frame`` and the attribute ``sampling_rate``, and no data.
"""

from fhemb_xr.clock.coordinate import DATES as DATES
from fhemb_xr.clock.one_clock import Clock as Clock
from fhemb_xr.clock.rates import ASSUMED_HZ as ASSUMED_HZ
from fhemb_xr.clock.rates import FRAME as FRAME
from fhemb_xr.clock.rates import SAMPLING_RATE as SAMPLING_RATE
from fhemb_xr.clock.rates import TIME as TIME
from fhemb_xr.clock.rates import assumed_hz as assumed_hz
from fhemb_xr.clock.rates import attribute_hz as attribute_hz
from fhemb_xr.clock.rates import number_of_seconds as number_of_seconds
from fhemb_xr.clock.rates import positive_hz as positive_hz
from fhemb_xr.clock.two_clocks import on_one_origin as on_one_origin
from fhemb_xr.clock.two_clocks import require_same as require_same
