"""The command ``fhemb``."""

from fhemb_xr.cli.app import app as app
from fhemb_xr.cli.app import main as main
