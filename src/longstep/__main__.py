"""``python -m longstep``."""

from longstep.cli.main import main

main()
