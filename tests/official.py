"""Files of 2noise/ChatTTS and voices that its users share, which this repository may not carry.

``CHATTTS_DATA`` names their folder, with ``official_tokenizer/`` (``asset/tokenizer`` of the hub's
repository), ``official_prefixes/`` (the first bytes of its weights) and ``voices/``; it is looked
for beside the checkout as well.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CHATTTS_DATA", ROOT.parent / "shared" / "data"))
TOKENIZER = DATA / "official_tokenizer"
PREFIXES = DATA / "official_prefixes"
VOICES = DATA / "voices"
