"""The run report: a self-contained HTML page and the console table."""

from __future__ import annotations

from longstep.report.page import build_report, table

__all__ = ["build_report", "table"]
