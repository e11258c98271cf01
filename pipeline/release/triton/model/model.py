"""The speech model in Triton's Python backend: decoupled, text to chunks of audio.

``execute`` hands each request to a thread and returns, so requests join and leave the running
batch of one engine however many there are; Triton's own batcher could only start them together.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

VERSION_FOLDER = Path(__file__).resolve().parent
# The engine travels with the repository; an installed chattts_onnx of another version must not win.
sys.path.insert(0, str(VERSION_FOLDER))

from chattts_onnx.bundle import open_bundle  # noqa: E402
from chattts_onnx.errors import (  # noqa: E402
    ChatTTSError,
    InputError,
    QueueFullError,
    RequestCancelledError,
    VoiceError,
)
from chattts_onnx.speech.engine import Engine  # noqa: E402

from .inputs import read_request  # noqa: E402
from .metrics import Metrics  # noqa: E402
from .speech import Speech  # noqa: E402

Floats = npt.NDArray[np.float32]

# How often running requests are asked whether their client has gone: about a step.
_POLL_SECONDS = 0.02
_INT16_MAX = 32767.0


class Answer:
    """The way back to one request's client.

    All answers share ``channel``: calls into Triton from several threads at once can crash it.
    """

    def __init__(self, sender: Any, wanted: frozenset[str], channel: threading.Lock) -> None:
        self.wanted = wanted
        self._sender = sender
        self._channel = channel
        self._ended = False

    def send(self, response: Any) -> None:
        """One chunk."""
        with self._channel:
            self._sender.send(response)

    def end(self, response: Any | None) -> None:
        """The final flag, with a response if there is one more."""
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        with self._channel:
            self._ended = True
            if response is None:
                self._sender.send(flags=final)
            else:
                self._sender.send(response, flags=final)

    def abandoned(self) -> bool:
        """Whether the client has gone.  To ask Triton after the final flag would crash it."""
        with self._channel:
            return not self._ended and bool(self._sender.is_cancelled())


class TritonPythonModel:
    """See the module's docstring; Triton makes one per instance, each in a process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the bundle where ``instance_group`` says; Triton reports what is raised here."""
        config = json.loads(args["model_config"])
        settings = {key: value["string_value"] for key, value in config["parameters"].items()}
        self._max_characters = int(settings["max_characters"])
        threads = int(settings["threads"]) or None
        self._bundle = open_bundle(
            VERSION_FOLDER / "bundle", _providers(args, settings), threads, huge_pages=True
        )
        self._engine = Engine(
            self._bundle, slots=int(settings["slots"]), queue_size=int(settings["queue_size"])
        )
        self._channel = threading.Lock()
        self._metrics = Metrics(pb_utils, args["model_instance_name"], self._channel)
        self._active: dict[Speech, Answer] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._watcher.start()

    def execute(self, requests: list[Any]) -> None:
        """Queue each request, or refuse it here; a thread sends the chunks of what was queued.

        Refusals are not left to a thread: Triton does not bear a final flag from another thread
        before this has returned.
        """
        for request in requests:
            wanted = frozenset(request.requested_output_names())
            answer = Answer(request.get_response_sender(), wanted, self._channel)
            try:
                speech = self._queued(request)
            except Exception as error:
                self._end(answer, error)
                continue
            with self._changed:
                self._active[speech] = answer
                self._changed.notify_all()
            threading.Thread(target=self._speak, args=(answer, speech), daemon=True).start()

    def finalize(self) -> None:
        """Cancel what runs and end the engine."""
        with self._changed:
            self._closed = True
            for speech in self._active:
                speech.cancel()
            self._changed.notify_all()
        self._watcher.join()
        self._engine.close()

    def _queued(self, request: Any) -> Speech:
        """A request's speech, waiting for its slot.  Tensors are gone once ``execute`` returns."""

        def value(name: str) -> Any:
            tensor = pb_utils.get_input_tensor_by_name(request, name)
            return None if tensor is None else tensor.as_numpy()

        names = list(self._bundle.shelf.names)
        defaults = self._bundle.default_params()
        checked = read_request(value, defaults, names, self._max_characters)
        return Speech(self._engine, self._bundle, checked)

    def _speak(self, answer: Answer, speech: Speech) -> None:
        """Send chunks until the speech ends."""
        error = None
        try:
            for chunk in speech.chunks():
                answer.send(self._response(chunk, answer.wanted))
        except Exception as failure:
            error = failure
        speech.cancel()
        with self._changed:
            self._active.pop(speech, None)
        self._end(answer, error)

    def _end(self, answer: Answer, error: Exception | None) -> None:
        """The final flag, with the error if there was one and a client to read it."""
        self._metrics.count(_outcome(error))
        if error is None or isinstance(error, RequestCancelledError):
            answer.end(None)
        else:
            answer.end(pb_utils.InferenceResponse(error=_told(error)))

    def _response(self, chunk: Floats, wanted: frozenset[str]) -> Any:
        """The outputs that were asked for, or all."""
        made: dict[str, Any] = {
            "audio": lambda: chunk,
            "pcm": lambda: np.rint(np.clip(chunk, -1, 1) * _INT16_MAX).astype(np.int16),
            "sample_rate": lambda: np.array([self._bundle.sample_rate], dtype=np.int32),
        }
        tensors = [
            pb_utils.Tensor(name, make())
            for name, make in made.items()
            if not wanted or name in wanted
        ]
        return pb_utils.InferenceResponse(output_tensors=tensors)

    def _watch(self) -> None:
        """Cancel requests whose client has gone, and keep the gauges."""
        while True:
            with self._changed:
                while not self._active and not self._closed:
                    self._metrics.show_load(*self._engine.load)
                    # The last request leaves the engine a moment after it leaves here.
                    self._changed.wait(None if self._engine.load == (0, 0) else _POLL_SECONDS)
                if self._closed:
                    return
                active = list(self._active.items())
            for speech, answer in active:
                if answer.abandoned():
                    speech.cancel()
            self._metrics.show_load(*self._engine.load)
            with self._changed:
                self._changed.wait(_POLL_SECONDS)


def _providers(args: dict[str, str], settings: dict[str, str]) -> list[Any]:
    """Execution providers of an instance of kind KIND_CPU or KIND_GPU."""
    if args["model_instance_kind"] != "GPU":
        return ["CPUExecutionProvider"]
    options = json.loads(settings.get("cuda_options", "{}"))
    return [("CUDAExecutionProvider", {**options, "device_id": args["model_instance_device_id"]})]


def _outcome(error: Exception | None) -> str:
    """The counter's label."""
    if error is None:
        return "spoken"
    if isinstance(error, RequestCancelledError):
        return "cancelled"
    if isinstance(error, (InputError, VoiceError, QueueFullError)):
        return "refused"
    return "failed"


def _told(error: Exception) -> Any:
    """Triton's form of an error, with the code that clients can act on."""
    codes: dict[type[Exception], Any] = {
        InputError: pb_utils.TritonError.INVALID_ARG,
        VoiceError: pb_utils.TritonError.INVALID_ARG,
        QueueFullError: pb_utils.TritonError.UNAVAILABLE,
    }
    named = isinstance(error, ChatTTSError)
    message = str(error) if named else f"{type(error).__name__}: {error}"
    return pb_utils.TritonError(message, codes.get(type(error), pb_utils.TritonError.INTERNAL))
