"""Write the figures of the README from the reports: ``python -m pipeline.readme``."""

from __future__ import annotations

import sys

from pipeline.docs.command import README, main

if __name__ == "__main__":
    sys.exit(main(prog="python -m pipeline.readme", only=[README]))
