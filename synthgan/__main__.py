"""Run the command line: ``python -m synthgan``."""

import sys

from synthgan.cli import main

if __name__ == "__main__":
    sys.exit(main())
