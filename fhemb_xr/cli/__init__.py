"""The command ``fhemb``, which lives in ``fhemb_cli``: help and completion load no xarray."""

from fhemb_cli.app import app as app
from fhemb_cli.app import main as main
