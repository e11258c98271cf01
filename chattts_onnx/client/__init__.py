"""The typed client: speech as arrays while it is made, from a bundle here or a server elsewhere."""

from .errors import BrokenStreamError, ConnectionFailedError, RemoteError
from .streamer import ChatTTSStreamer

__all__ = ["BrokenStreamError", "ChatTTSStreamer", "ConnectionFailedError", "RemoteError"]
