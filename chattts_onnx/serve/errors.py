"""The HTTP status that tells each error."""

from __future__ import annotations

from ..errors import (
    AccessError,
    InputError,
    JobStateError,
    OriginError,
    QueueFullError,
    StoppingError,
    TimeLimitError,
    TooLargeError,
    UnknownJobError,
    UnknownVariantError,
    VoiceError,
)
from ..errors import OverloadedError as OverloadedError
from ..errors import SlowListenerError as SlowListenerError

# The first that fits; what is not named here is a fault of the server.
_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (TooLargeError, 413),
    (UnknownVariantError, 404),
    (UnknownJobError, 404),
    (JobStateError, 409),
    (AccessError, 401),
    (OriginError, 403),
    (QueueFullError, 429),
    (StoppingError, 503),
    (TimeLimitError, 504),
    (VoiceError, 422),
    (InputError, 422),
)


def status_of(error: BaseException) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def without_message(error: BaseException) -> BaseException:
    """The error's traceback under its class alone, for logs: a message may hold a user's words."""
    bare = RuntimeError(type(error).__name__)
    return bare.with_traceback(error.__traceback__)
