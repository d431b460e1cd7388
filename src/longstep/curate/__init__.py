"""From raw problems to training rows: filters, duplicates, decontamination, difficulty, selection, audits, pairs."""

from __future__ import annotations

from longstep.curate.adaptive import Adaptive
from longstep.curate.audit import KeyAudit, audit_keys, votes_of
from longstep.curate.decontaminate import Decontaminate
from longstep.curate.difficulty import Band, PassRate, Rated, Ratings, pass_rates, with_pass_rates
from longstep.curate.duplicates import Duplicates, drop_duplicates
from longstep.curate.filters import AnyFilter
from longstep.curate.funnel import Dropped, Filter, Funnel
from longstep.curate.overlap import AnyContamination, Overlap
from longstep.curate.pairings import AnyPairing, PairConfig
from longstep.curate.pairs import choose_pairs, pair_of
from longstep.curate.queue import Doubt, queue_table
from longstep.curate.selection import AnySelection
from longstep.curate.skipped_tags import SkippedTags

__all__ = [
    "Adaptive",
    "AnyContamination",
    "AnyFilter",
    "AnyPairing",
    "AnySelection",
    "Band",
    "Decontaminate",
    "Doubt",
    "Dropped",
    "Duplicates",
    "Filter",
    "Funnel",
    "KeyAudit",
    "Overlap",
    "PairConfig",
    "PassRate",
    "Rated",
    "Ratings",
    "SkippedTags",
    "audit_keys",
    "choose_pairs",
    "drop_duplicates",
    "pair_of",
    "pass_rates",
    "queue_table",
    "votes_of",
    "with_pass_rates",
]
