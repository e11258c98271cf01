"""``python -m pipeline.docs``; see :mod:`pipeline.docs.command`."""

import sys

from pipeline.docs.command import main

sys.exit(main())
