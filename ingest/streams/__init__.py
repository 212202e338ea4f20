"""Readers of feature streams and traces of other tools; labelled and lazy."""

from ingest.streams.hdf5_writer import write_hdf5 as write_hdf5
from ingest.streams.openface import open_openface as open_openface
from ingest.streams.openface import open_people as open_people
from ingest.streams.other_tables import open_table as open_table
from ingest.streams.readers import open_folder as open_folder
from ingest.streams.readers import open_npy as open_npy
from ingest.streams.readers import open_skeleton as open_skeleton
