"""The commands ``fhemb ingest``."""

from ingest.cli.app import app as app
