"""Errors of bulk work."""

from __future__ import annotations

from ..errors import ChatTTSError, InputError


class BulkError(ChatTTSError):
    """The whole job can't go on; what is finished stays, and the same command resumes it."""


class CorpusError(InputError):
    """A corpus can't be read, or (with ``strict``) holds lines that can't be spoken."""


class JobError(InputError):
    """An output folder holds another job, or one that is running."""


class LineError(InputError):
    """One line of a corpus can't be spoken; it is recorded and the next one follows."""
