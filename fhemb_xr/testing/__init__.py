"""Simulated audiences, feature streams and heart beats; seeded and lazy."""

from fhemb_xr.testing.audience import audience as audience
from fhemb_xr.testing.hearts import hearts as hearts
from fhemb_xr.testing.streams import streams as streams
