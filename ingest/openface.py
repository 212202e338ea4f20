"""The former place of :mod:`ingest.streams.openface`, whose names stay importable from here."""

from ingest.streams.openface import STREAMS as STREAMS
from ingest.streams.openface import columns as columns
from ingest.streams.openface import open_openface as open_openface
