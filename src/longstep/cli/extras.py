"""What a light installation lacks, for commands: the table itself is in ``run.extras``, which a run asks as well."""

from __future__ import annotations

from longstep.run.extras import EXTRAS, absent, command, is_here, missing

__all__ = ["EXTRAS", "absent", "command", "is_here", "missing"]
