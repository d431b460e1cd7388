"""``python -m longstep``."""

from longstep.cli import main

main()
