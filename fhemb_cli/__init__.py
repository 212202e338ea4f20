"""The command ``fhemb``.

It is a package apart from ``fhemb_xr``, which imports xarray: help and completion need none.
What a command needs is imported when it runs.
"""
