"""Formats of data files: any file as lines of JSON, any layout as records, and back.

``files.read_file`` gives the rows of a file as ``Line``s from a position on; ``lines.parse`` gives a row of a line;
``layouts.detect`` and ``layouts.layout`` give a ``Layout``, which reads a row into a ``Record`` and renders it.
"""
