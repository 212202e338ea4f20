"""The store that a run fills: writer, ledger, revision, verification."""
