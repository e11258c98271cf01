"""Run ChatTTS from ONNX bundles: numpy, onnxruntime and tokenizers, nothing else.

>>> bundle = open_bundle("bundles/int8")
>>> audio = bundle.say("Hello there.", voice=7, seed=1)   # float32 [samples]
>>> write_wav("hello.wav", audio, bundle.sample_rate)
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import _moved
from .errors import (
    BundleError,
    ChatTTSError,
    GenerationError,
    InputError,
    NonFiniteError,
    ProviderError,
    QueueFullError,
    RequestCancelledError,
    VoiceError,
)

__version__ = "0.1.0"

# ONNX Runtime reports home from the moment it is imported, and keeps an identifier under HOME.
# Nothing asks the network here unless it is told to: ORT_DISABLE_TELEMETRY=0 tells it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from .audio.wav import write_wav
    from .bundle import Bundle, open_bundle
    from .client import ChatTTSStreamer
    from .decoding.params import GenerationParams
    from .decoding.request import Generation, Request
    from .format.manifest import GraphInfo, Manifest, ModelInfo, ReceptiveField, TensorInfo
    from .speech.engine import Engine, Ticket
    from .speech.narrate import narrate
    from .speech.requests import Sample
    from .speech.windows import StreamOptions
    from .text import Lexicon, Normalized, Prompt, TextOptions, TextTokenizer, left_pad, normalize

# Imported on first use, so that `chattts-onnx --help` does not wait for ONNX Runtime.
_HOME = {
    "bundle": ("Bundle", "open_bundle"),
    "client": ("ChatTTSStreamer",),
    "speech.engine": ("Engine", "Ticket"),
    "decoding.request": ("Generation", "Request"),
    "format.manifest": ("GraphInfo", "Manifest", "ModelInfo", "ReceptiveField", "TensorInfo"),
    "decoding.params": ("GenerationParams",),
    "speech.windows": ("StreamOptions",),
    "speech.requests": ("Sample",),
    "speech.narrate": ("narrate",),
    "text": (
        "Lexicon",
        "Normalized",
        "Prompt",
        "TextOptions",
        "TextTokenizer",
        "left_pad",
        "normalize",
    ),
    "audio.wav": ("write_wav",),
}
_MODULES = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Bundle",
    "BundleError",
    "ChatTTSError",
    "ChatTTSStreamer",
    "Engine",
    "Generation",
    "GenerationError",
    "GenerationParams",
    "GraphInfo",
    "InputError",
    "Lexicon",
    "Manifest",
    "ModelInfo",
    "NonFiniteError",
    "Normalized",
    "Prompt",
    "ProviderError",
    "QueueFullError",
    "ReceptiveField",
    "Request",
    "RequestCancelledError",
    "Sample",
    "StreamOptions",
    "TensorInfo",
    "TextOptions",
    "TextTokenizer",
    "Ticket",
    "VoiceError",
    "__version__",
    "left_pad",
    "narrate",
    "normalize",
    "open_bundle",
    "write_wav",
]


_moved.install()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
