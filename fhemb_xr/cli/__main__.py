"""``python -m fhemb_xr.cli``: the command without its script, as other processes start it."""

from fhemb_xr.cli.app import main

if __name__ == "__main__":
    main()
