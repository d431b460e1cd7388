"""Importing this takes all that is there out of garbage collection, in a process that others are forked from.

Every trainer collects garbage when it begins and ends, and would look at each object of the imported libraries again.
"""

import gc

gc.collect()
gc.freeze()
