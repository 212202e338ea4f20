"""``python -m fhemb_xr.cli``: the command without its script."""

from fhemb_cli.app import main

if __name__ == "__main__":
    main()
