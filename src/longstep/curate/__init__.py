"""From raw problems to training rows: filters, duplicates, decontamination, difficulty, pairs."""

from __future__ import annotations

from longstep.curate.decontaminate import Decontaminate
from longstep.curate.difficulty import Band, PassRate, key_audit, pass_rates, with_pass_rates
from longstep.curate.duplicates import drop_duplicates
from longstep.curate.filters import FILTERS, AnyFilter
from longstep.curate.funnel import Dropped, Filter, Funnel
from longstep.curate.pairs import PairConfig, build_pairs

__all__ = [
    "FILTERS",
    "AnyFilter",
    "Band",
    "Decontaminate",
    "Dropped",
    "Filter",
    "Funnel",
    "PairConfig",
    "PassRate",
    "build_pairs",
    "drop_duplicates",
    "key_audit",
    "pass_rates",
    "with_pass_rates",
]
