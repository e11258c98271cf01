"""Errors that a user can act on.

Every error the runtime raises on purpose derives from :class:`ChatTTSError`.  Its message says
what was found, what was expected and what to do; command-line entry points print it without a
traceback.
"""

from __future__ import annotations


class ChatTTSError(Exception):
    """Base of all errors raised on purpose by this distribution."""


class BundleError(ChatTTSError):
    """A bundle is missing, damaged, or of a format that this version does not read."""


class ArchiveError(BundleError):
    """A release archive is missing, damaged, not what its checksums say, or unsafe to unpack."""


class InputError(ChatTTSError):
    """An argument given by the user has the wrong type, shape or value."""


class VoiceError(ChatTTSError):
    """A speaker vector cannot be read or has the wrong length."""


class ProviderError(ChatTTSError):
    """An execution provider was asked for that this ONNX Runtime or machine does not offer."""


class GenerationError(ChatTTSError):
    """The model produced nothing usable within the allowed retries."""


class QueueFullError(ChatTTSError):
    """The engine already holds as many waiting requests as it may."""


class RequestCancelledError(ChatTTSError):
    """The request was cancelled before it was done."""
