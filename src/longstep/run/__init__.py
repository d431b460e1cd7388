"""A recipe in a folder: read, planned, run, forked."""
