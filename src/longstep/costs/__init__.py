"""What stages cost, as arithmetic: operations, bytes, rows that flow, hours and dollars."""
