"""Who draws completions, and how what was drawn survives a kill."""
