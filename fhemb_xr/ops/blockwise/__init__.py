"""How dask graphs are built: reading inside tasks, overlaps, scans, reductions."""
