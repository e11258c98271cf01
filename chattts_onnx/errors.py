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


class HearingError(ChatTTSError):
    """What hears speech is missing, damaged or cannot be loaded."""


class NonFiniteError(GenerationError):
    """A graph gave NaN or infinity; nothing is made of what it gave.

    Attributes:
        graph: name of the graph.
        output: name of its output.
        place: where, from the inside out: the step, the request.
    """

    def __init__(self, graph: str, output: str, found: str, place: tuple[str, ...] = ()) -> None:
        self.graph, self.output, self.found, self.place = graph, output, found, place
        where = " of ".join(place)
        super().__init__(
            f"graph {graph!r}, output {output!r}{', ' if where else ''}{where}: found {found}, "
            "expected finite numbers; the bundle is damaged or its precision too low. Validate it, "
            "or use the fp32 variant."
        )

    def within(self, *place: str) -> NonFiniteError:
        """The same error with more of the place known."""
        return NonFiniteError(self.graph, self.output, self.found, (*self.place, *place))


class QueueFullError(ChatTTSError):
    """The engine already holds as many waiting requests as it may."""


class RequestCancelledError(ChatTTSError):
    """The request was cancelled before it was done."""


# -- what a server says no to; a client raises the same classes ---------------------------------


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


class LostJobError(UnknownJobError):
    """The batch job was of another server or of this one before it was started again."""


class JobStateError(InputError):
    """A batch job is not in the state that was asked for."""


class AccessError(ChatTTSError):
    """No API key, or a wrong one."""


class OriginError(ChatTTSError):
    """A browser asked for a page, or by a name, that this server does not know."""
