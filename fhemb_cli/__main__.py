"""``python -m fhemb_cli``: the command without its script; other processes start it so."""

from fhemb_cli.app import main

if __name__ == "__main__":
    main()
