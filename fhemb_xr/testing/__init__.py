"""Simulated audiences, feature streams and heart beats: seeded, lazy."""

from fhemb_xr.testing.audience import audience as audience
from fhemb_xr.testing.audience import streams as streams
from fhemb_xr.testing.hearts import hearts as hearts
