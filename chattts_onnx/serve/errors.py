"""What a server says no to.  Each error has the HTTP status that tells it."""

from __future__ import annotations

from ..errors import ChatTTSError, InputError, QueueFullError, VoiceError


class TooLargeError(InputError):
    """A text, a list of lines or a body is longer than the server takes."""


class OverloadedError(QueueFullError):
    """As many requests are under way as may be; ``retry_after`` seconds is a fair guess."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoppingError(ChatTTSError):
    """The server is shutting down and takes nothing new, or its deadline ended a request."""


class TimeLimitError(ChatTTSError):
    """A request took longer than the server allows."""


class SlowListenerError(ChatTTSError):
    """A listener left its audio lying for longer than the server waits."""


class UnknownVariantError(InputError):
    """No bundle of this name is served."""


class UnknownJobError(InputError):
    """There is no batch job of this id, or it belongs to another key."""


class JobStateError(InputError):
    """A batch job is not in the state that was asked for."""


class AccessError(ChatTTSError):
    """No API key, or a wrong one."""


class OriginError(ChatTTSError):
    """A browser asked for a page, or by a name, that this server does not know."""


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
