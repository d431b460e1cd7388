"""Selection rules, one leaf file each; the list of them is ``AnySelection`` in ``curate.selection``."""
