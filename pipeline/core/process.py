"""Work in a process of its own: started, waited for, asked, and certainly ended.

:class:`Process` is the one way to start it; :func:`run` waits for its end, :class:`Conversation`
asks it for one thing after the other, and :func:`answer` is the other end of that.
"""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self, TextIO

from chattts_onnx.errors import ChatTTSError

ROOT = Path(__file__).resolve().parents[2]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LAST_WORDS = 2000
"""Characters of what a process printed that an error repeats."""


def own_environment(threads: int | None = None) -> dict[str, str]:
    """Variables for a Python process that imports this code, wherever it is started.

    Args:
        threads: of numerical libraries; None leaves the choice to them.
    """
    environment = dict(os.environ)
    # A workspace other than the repository's root has no packages beside it.
    paths = [str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    if threads is not None:
        environment |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    return environment


class Process:
    """A command in a session of its own, started at once; left as a context manager, it is ended.

    What it prints goes to files, so that no pipe fills while nobody reads.

    Args:
        command: the program and its words.
        environment: its variables; None for those of :func:`own_environment`.
        folder: where it works.
        log: a file that all it prints is appended to; None keeps it for :attr:`output`.
        piped: stdin and stdout are pipes, for whoever talks with it.
        grace: seconds that it has to end by itself, when it is asked to, before it is killed.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path | None = None,
        piped: bool = False,
        grace: float = 2.0,
    ) -> None:
        self._grace = grace
        # Closed by `end`.
        self._files: list[IO[bytes]] = [log.open("ab+") if log else tempfile.TemporaryFile()]  # noqa: SIM115
        if not log and not piped:
            self._files.append(tempfile.TemporaryFile())  # noqa: SIM115
        errors, out = self._files[0], self._files[-1]
        self._began = errors.seek(0, os.SEEK_END)
        self._popen = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else out,
            stderr=errors,
            env=own_environment() if environment is None else environment,
            cwd=folder,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Its number, which is that of its process group too."""
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """How it ended (negative: by that signal), None while it runs."""
        return self._popen.poll()

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Its stdin and stdout, where they are piped."""
        assert self._popen.stdin is not None and self._popen.stdout is not None
        return self._popen.stdin, self._popen.stdout

    @property
    def output(self) -> str:
        """What it printed to stdout so far; with a ``log``, to stderr too."""
        return _text(self._files[-1], self._began)

    @property
    def errors(self) -> str:
        """What it printed to stderr so far."""
        return _text(self._files[0], self._began)

    @property
    def last_words(self) -> str:
        """The end of what it said of errors, else of all it printed."""
        return (self.errors.strip() or self.output.strip())[-LAST_WORDS:]

    def wait(self, seconds: float | None = None) -> int | None:
        """Its status once it has ended, None where it still runs after ``seconds``."""
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(seconds)
        return None

    def ask_to_end(self) -> None:
        """SIGTERM."""
        self._popen.terminate()

    def kill(self) -> None:
        """SIGKILL it and whatever it started."""
        if self.status is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def end(self) -> None:
        """Ask it to end, by closing a pipe or by SIGTERM, and kill what is left of it."""
        ran = self.status is None
        if self._popen.stdin is not None:
            with suppress(OSError):
                self._popen.stdin.close()
        elif ran:
            self.ask_to_end()
        self.wait(self._grace)
        # Also where it ended when it was asked to: what it started may not have.
        if ran:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        for file in self._files:
            file.close()


def _text(file: IO[bytes], start: int) -> str:
    count = os.fstat(file.fileno()).st_size - start
    return os.pread(file.fileno(), max(0, count), start).decode("utf-8", "replace")


def run(
    command: Sequence[str | Path],
    what: str,
    error: type[ChatTTSError],
    limit: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a command printed to stdout, once it has ended well.

    Args:
        command: the program and its words.
        what: of it, as an error begins.
        error: which one is raised.
        limit: seconds after which it is ended.
        environment: as of :class:`Process`.

    Raises:
        error: it ended with a status other than 0, or not in time; its last words are told.
    """
    with Process(command, environment) as process:
        if status := process.wait(limit):
            raise error(f"{what} ended with status {status}: {process.last_words}")
        if process.status is None:
            raise error(f"{what} had not ended after {limit:g} s: {process.last_words}")
        return process.output


class Conversation:
    """Questions to a process and its answers, JSON objects, one a line; a context manager.

    Args:
        name: of it, as an error begins.
        command: what is started.
        error: what is raised where it does not answer.
        environment: as of :class:`Process`.
        log: as of :class:`Process`, for what it prints besides.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        error: type[ChatTTSError],
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self._name, self._error = name, error
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self.process = Process(command, environment, log=log, piped=True)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end()

    def ask(self, request: Mapping[str, Any], seconds: float) -> Any:
        """The ``result`` of the answer.

        Raises:
            ChatTTSError: of the kind that was named, with its last words: it answers with an error,
                dies, or says nothing for ``seconds``.
        """
        stdin, _ = self.process.pipes
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except OSError:
            raise self._failed(request, "its process is gone") from None
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise self._failed(request, f"no answer within {seconds:g} s") from None
        if line is None:
            raise self._failed(request, "its process ended")
        answer = json.loads(line)
        if "error" in answer:
            raise self._failed(request, f"{answer['error']}: {answer['message']}")
        return answer["result"]

    def _failed(self, request: Mapping[str, Any], reason: str) -> ChatTTSError:
        asked = f"{request.get('call', 'open')} {request.get('arguments', '')}"
        said = self.process.last_words if self.process.errors else ""
        tail = f"\nIts last output:\n{said}" if said else ""
        return self._error(f"{self._name}, {asked}: {reason}.{tail}")

    def _read(self) -> None:
        _, stdout = self.process.pipes
        with suppress(ValueError, OSError):  # closed by the end of the conversation
            for line in stdout:
                self._lines.put(line)
        self._lines.put(None)


def answer(
    handle: Callable[[dict[str, Any]], Any],
    requests: Iterable[str] | None = None,
    answers: TextIO | None = None,
) -> None:
    """Answer the questions of a :class:`Conversation` until they end.

    Args:
        handle: gives a question's result; whatever it raises is an answer too.
        requests: lines; None for this process's stdin.
        answers: where lines go to; None for this process's stdout.
    """
    if answers is None:
        # A library that prints to stdout would break the protocol: it prints to stderr instead.
        answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if requests is None:
        threading.Thread(target=_end_with_the_asker, daemon=True).start()
        requests = sys.stdin
    for line in requests:
        try:
            told: dict[str, Any] = {"result": handle(json.loads(line))}
        except Exception as error:  # the other end shows it; a dead process could not
            if not isinstance(error, ChatTTSError):
                traceback.print_exc(file=sys.stderr)
            told = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(told, default=float) + "\n")
        answers.flush()


def _end_with_the_asker() -> None:
    """End this process when the other end of stdin is closed: nobody waits for what it does."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)
    poll.poll()  # a hang-up is told without being asked for
    os._exit(0)
