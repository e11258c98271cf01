"""Bulk speech: a corpus of any length to shards of audio with a manifest.

>>> corpus = Corpus((Path("corpus.jsonl"),))
>>> settings = Settings(shard_lines=1000)
>>> job = Job(corpus, scan(corpus, 1000), Path("bundles/int8"), Path("speech"), settings)
>>> summary = run(job, open_bundle("bundles/int8"))
"""

from __future__ import annotations

from .check import Findings, check
from .corpus import Corpus, Scan, scan
from .errors import BulkError, CorpusError, JobError, LineError
from .job import Job, Settings
from .line import Defaults, Line
from .run import run
from .shards import MANIFEST, Store
from .summary import Summary, Tally

__all__ = [
    "MANIFEST",
    "BulkError",
    "Corpus",
    "CorpusError",
    "Defaults",
    "Findings",
    "Job",
    "JobError",
    "Line",
    "LineError",
    "Scan",
    "Settings",
    "Store",
    "Summary",
    "Tally",
    "check",
    "run",
    "scan",
]
