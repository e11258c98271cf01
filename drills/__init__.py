"""Attempts to break the project, in the counts that ``docs/reliability.md`` states.

Each drill is a command, ``python -m drills.<name>``, that writes what it found to
``reports/reliability/<name>.json``; ``python -m drills.page`` makes the page from all of them.
``tests/`` runs short forms of the same code.
"""

import chattts_onnx  # noqa: F401  first, since it keeps ONNX Runtime off the network
