"""Other graders, written again from their public description, for ``bench/verify.py`` alone.

Each module has ``grade(gold, answer, kind) -> str``: a status as in ``longstep.types.Verdict``. They
are approximations; each docstring names the source and what differs. None is meant to be used.
"""
