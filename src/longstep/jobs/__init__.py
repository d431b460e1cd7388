"""Streaming jobs on data files: one strict config and one ``run`` each, resumable at any byte, in flat memory."""
