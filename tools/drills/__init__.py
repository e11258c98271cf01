"""Attempts to break the project, in the counts that ``docs/reliability.md`` states.

Each drill is a command, ``python -m tools.drills.<name>``, that writes what it found to
``reports/reliability/<name>.json``; ``python -m tools.drills.page`` makes the page from them.
``tests/`` runs short forms of the same code.
"""

import chattts_onnx  # noqa: F401  first, since it keeps ONNX Runtime off the network
