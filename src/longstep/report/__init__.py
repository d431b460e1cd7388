"""The run report: a self-contained HTML page, and score tables for the console."""

from __future__ import annotations

from longstep.report.compare import comparison_rows
from longstep.report.console import block_rows, score_rows, stage_tables, table, table_notes
from longstep.report.page import blocks_page, build_report, comparison_page, pair_page
from longstep.report.plots import interval_picture
from longstep.report.steering import steering

__all__ = [
    "block_rows",
    "blocks_page",
    "build_report",
    "comparison_page",
    "comparison_rows",
    "interval_picture",
    "pair_page",
    "score_rows",
    "stage_tables",
    "steering",
    "table",
    "table_notes",
]
