"""``python -m ingest.cli``."""

from ingest.cli.app import app

if __name__ == "__main__":
    app()
