"""Everything a server can be told, once: the source of its options, variables and documentation."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..format.installed import find_bundle, installed_bundles
from ..untrusted import brief
from .origin import is_loopback

if TYPE_CHECKING:
    from ..speech.windows import StreamOptions

PREFIX = "CHATTTS_"


def _option(default: Any, help: str, parse: Callable[[str], Any] = int) -> Any:
    return field(default=default, metadata={"help": help, "parse": parse})


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/\s?#*@]+", re.IGNORECASE)
_HOST = re.compile(r"[^\s/:?#*@]+|[0-9a-f:.]*:[0-9a-f:.]*", re.IGNORECASE)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _origins(text: str) -> tuple[str, ...]:
    return tuple(name.rstrip("/") for name in _names(text))


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(name.strip("[]") for name in _names(text))


@dataclass(frozen=True)
class ServeSettings:
    """How to serve.  ``bundles`` maps a variant's name to its folder; the first is the default."""

    bundles: Mapping[str, Path]
    api_keys: tuple[str, ...] = ()
    admin_keys: tuple[str, ...] = ()

    host: str = _option("127.0.0.1", "address to listen on", str)
    port: int = _option(8000, "port to listen on; 0 takes a free one and prints it")
    slots: int = _option(24, "utterances generated together, for each bundle")
    queue: int = _option(64, "requests that may wait beyond the slots, for all bundles together")
    max_length: int = _option(0, "tokens and steps of one piece; 0: all positions of the model")
    max_new_tokens: int = _option(2048, "most steps of one piece a request may ask for")
    threads: int = _option(0, "threads of the GPT; 0: the physical cores")
    step: str = _option(
        "", "what runs the GPT's steps: native, ort, or auto, the library wherever it fits", str
    )
    audio_threads: int = _option(1, "threads that turn one request's states into audio")
    audio_workers: int = _option(1, "requests whose audio is decoded at the same time")
    first_chunk: int = _option(12, "steps of 21.3 ms in the first chunk of a stream")
    max_chunk: int = _option(192, "steps in the longest chunk of a stream")
    look_ahead: int = _option(0, "steps a chunk waits for; 0: all that make its audio exact")
    max_chars: int = _option(5000, "characters of one text")
    max_body_bytes: int = _option(1 << 20, "bytes of a request's body")
    max_upload_bytes: int = _option(16 << 20, "bytes of an uploaded batch file")
    max_pending_bytes: int = _option(
        64 << 20, "bytes of all bodies of unanswered requests; one more is answered with 429"
    )
    max_connections: int = _option(512, "open connections; one more is answered with 503")
    receive_seconds: float = _option(
        20.0, "time for a request to arrive, and 1 s more for each 10 kB of it", float
    )
    request_seconds: float = _option(300.0, "time for one request, its waiting included", float)
    idle_seconds: float = _option(
        300.0, "time a WebSocket may be silent while nothing is said", float
    )
    stall_seconds: float = _option(30.0, "time a listener may leave its audio lying", float)
    buffer_seconds: float = _option(10.0, "audio kept for a listener who is slow", float)
    drain_seconds: float = _option(30.0, "time that running requests get at shutdown", float)
    watch_seconds: float = _option(0.0, "look for a new bundle this often; 0: never", float)
    jobs_folder: str = _option(
        "", "where batch jobs keep their files; default: a temporary one", str
    )
    batch_workers: int = _option(2, "lines of batch jobs spoken at the same time")
    batch_jobs: int = _option(16, "batch jobs kept, finished ones included; 0: none are taken")
    batch_lines: int = _option(10_000, "lines of one batch job")
    max_jobs_bytes: int = _option(8 << 30, "bytes that batch jobs hold on the disk, all together")
    keep_seconds: float = _option(3600.0, "how long a finished batch job is kept", float)
    cors_origins: tuple[str, ...] = _option(
        (), "pages that may call, such as http://localhost:3000, comma-separated; *: all", _origins
    )
    allowed_hosts: tuple[str, ...] = _option(
        (), "names this server answers to beside its own machine's, comma-separated", _hosts
    )
    models: tuple[str, ...] = _option(
        (),
        "names of models that mean a variant: NAME=VARIANT, comma-separated; *: all others",
        _names,
    )
    published: str = _option(
        "", "address that a container's port is published on; needs keys unless on loopback", str
    )
    log_texts: bool = _option(False, "write what users send into the log", _flag)
    naive: bool = _option(
        False, "for comparison: one request at a time, spoken whole before it is sent", _flag
    )
    no_verify: bool = _option(False, "skip the sha256 check of the bundles", _flag)

    def __post_init__(self) -> None:
        if not self.bundles:
            raise InputError("no bundle to serve; name one with --bundle.")
        for name in ("slots", "audio_threads", "audio_workers", "first_chunk", "max_chars"):
            _at_least(name, getattr(self, name), 1)
        for name in ("max_new_tokens", "max_body_bytes", "max_upload_bytes", "batch_workers"):
            _at_least(name, getattr(self, name), 1)
        for name in ("max_connections", "batch_lines", "max_pending_bytes", "max_jobs_bytes"):
            _at_least(name, getattr(self, name), 1)
        for name in ("queue", "max_length", "threads", "look_ahead", "port", "drain_seconds"):
            _at_least(name, getattr(self, name), 0)
        _at_least("batch_jobs", self.batch_jobs, 0)
        seconds = ("receive", "request", "idle", "stall", "buffer", "keep")
        for name in (f"{each}_seconds" for each in seconds):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected more than 0.")
        wrong = [entry for entry in self.models if not all(entry.partition("=")[::2])]
        if wrong:
            raise InputError(f"models has {wrong[0]!r}; expected NAME=VARIANT.")
        # What no browser ever sends would never be let in, and nobody would be told.
        expected = "a page's scheme and host, such as https://app.example:3000, or *"
        _all_match("cors_origins", self.cors_origins, _ORIGIN, expected)
        _all_match("allowed_hosts", self.allowed_hosts, _HOST, "a name or address, without a port")
        if self.published and not is_loopback(self.published) and not self.api_keys:
            raise InputError(
                f"published on {self.published} without keys, anyone may use the server; set "
                f"{PREFIX}API_KEYS."
            )
        if self.watch_seconds < 0:
            raise InputError(f"watch_seconds is {self.watch_seconds}; expected 0 or more.")
        if self.max_chunk < self.first_chunk:
            raise InputError(
                f"max_chunk is {self.max_chunk}; expected first_chunk ({self.first_chunk}) or more."
            )

    @property
    def stream(self) -> StreamOptions:
        """When chunks are sent."""
        from ..speech.windows import StreamOptions

        return StreamOptions(
            first_chunk=self.first_chunk,
            max_chunk=self.max_chunk,
            look_ahead=self.look_ahead or None,
        )

    @property
    def limit(self) -> int:
        """Requests that may be under way at once."""
        return (1 if self.naive else self.slots) + self.queue


def options() -> list[Field[Any]]:
    """The fields that are options of the command line and environment variables."""
    return [entry for entry in fields(ServeSettings) if "help" in entry.metadata]


def variable(name: str) -> str:
    """The environment variable of an option."""
    return PREFIX + name.upper()


def gather(
    bundles: Sequence[str],
    given: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    api_key_file: Path | None = None,
) -> ServeSettings:
    """Settings from the command line's ``given`` values (None: not given), then the environment.

    ``bundles`` are ``[NAME=]FOLDER``; keys come from ``CHATTTS_API_KEYS``, ``CHATTTS_ADMIN_KEYS``
    (commas between them) and ``api_key_file`` (one a line).  Raises :class:`InputError`.
    """
    env = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for entry in options():
        if given.get(entry.name) is not None:
            values[entry.name] = given[entry.name]
        elif text := env.get(variable(entry.name)):
            values[entry.name] = _parse(entry, text)
    named = list(bundles) or [b for b in env.get(f"{PREFIX}BUNDLE", "").split(",") if b]
    named = named or list(installed_bundles())
    keys = _names(env.get(f"{PREFIX}API_KEYS", ""))
    if api_key_file is not None:
        try:
            lines = api_key_file.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"{api_key_file} cannot be read: {error.strerror}.") from error
        keys += tuple(line.strip() for line in lines if line.strip() and line[0] != "#")
    return ServeSettings(
        bundles=named_bundles(named),
        api_keys=keys,
        admin_keys=_names(env.get(f"{PREFIX}ADMIN_KEYS", "")),
        **values,
    )


def named_bundles(entries: Sequence[str]) -> dict[str, Path]:
    """Variant name -> folder of ``[NAME=]FOLDER`` entries; a folder's own name serves as default.

    An installed bundle's name stands for its folder.

    Raises :class:`InputError` when two have one name.
    """
    found: dict[str, Path] = {}
    for entry in entries:
        name, separator, folder = entry.rpartition("=")
        path = Path(folder)
        name = name if separator else path.name or path.resolve().name
        if name in found:
            raise InputError(f"two bundles are called {name!r}; name them as NAME=FOLDER.")
        found[name] = find_bundle(folder) if folder else path
    return found


def _parse(entry: Field[Any], text: str) -> Any:
    try:
        return entry.metadata["parse"](text)
    except ValueError as error:
        raise InputError(f"${variable(entry.name)} is {text!r}: {error}.") from error


def _all_match(name: str, values: Sequence[str], pattern: re.Pattern[str], expected: str) -> None:
    for value in values:
        if not pattern.fullmatch(value):
            raise InputError(f"{name} has {brief(value)}; expected {expected}.")


def _at_least(name: str, value: float, least: int) -> None:
    if value < least:
        raise InputError(f"{name} is {value}; expected at least {least}.")
