"""``python -m fhemb_xr.cli``: the command without its script; other processes start it so."""

from fhemb_xr.cli.app import main

if __name__ == "__main__":
    main()
