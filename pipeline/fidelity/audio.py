"""Decoding compared: the same hidden states, codes and mels through reference and variant."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from pipeline.fidelity.forcing import ForcedBatch
from pipeline.fidelity.metrics import log_spectral_distance, mel_l1, snr_db
from pipeline.fidelity.models import Array, AudioFormat, Candidate
from pipeline.fidelity.spectra import log_mel, magnitude_spectrogram
from pipeline.report.metrics import Metric, by_name
from pipeline.report.rows import Row

_BY = ("component",)
METRICS = (
    Metric(name="code_agreement", unit="share", better="higher", best=1.0, conditions=_BY),
    Metric(
        name="mel_l1", unit="ln", better="lower", best=0.0, conditions=_BY, title="mel L1",
        digits=".2g",
    ),
    Metric(name="log_spectral_distance", unit="dB", better="lower", best=0.0, conditions=_BY),
    Metric(name="snr_db", unit="dB", better="higher", conditions=_BY),
)  # fmt: skip
SPOKEN = "decoder+vocos"
SNR_CEILING_DB = 200.0
"""Stands for an exact match: beyond float64's own precision for any pair that differs."""


@dataclass(frozen=True)
class Decoded:
    """One utterance's hidden states and codes, and what a model makes of them.

    Attributes:
        hidden: float32 [1, steps, hidden].
        codes: int64 [1, steps, num_vq].
        mels: log-mels [1, mels, frames] by the graph that made them.
        waveforms: [samples] by the graphs they passed through.
        encoded: int64 [1, steps, num_vq], codes of the waveform that is encoded again.
    """

    hidden: Array
    codes: Array
    mels: dict[str, Array]
    waveforms: dict[str, Array]
    encoded: Array


def decode(
    model: Candidate, hidden: Array, codes: Array, reference: Decoded | None = None
) -> Decoded:
    """Decode one utterance in every way.

    Vocos alone and the encoder get the mel and the waveform of ``reference``, or the model's own.
    """
    own = model.decoder_mel(hidden)
    spoken = model.decode_hidden(hidden)[0]
    mel = reference.mels["decoder"] if reference else own
    heard = reference.waveforms[SPOKEN] if reference else spoken
    return Decoded(
        hidden,
        codes,
        {"decoder": own, "dvae_decode": model.dvae_mel(codes)},
        {
            "vocos": model.vocode(mel)[0],
            SPOKEN: spoken,
            "dvae_decode+vocos": model.decode_codes(codes)[0],
        },
        model.encode(heard[None]),
    )


def decode_reference(reference: Candidate, batches: list[ForcedBatch]) -> list[Decoded]:
    """Every row of ``batches`` by itself over its own steps, without its end."""
    return [
        decode(reference, batch.hidden[row : row + 1, :steps], batch.codes[row : row + 1, :steps])
        for batch in batches
        for row, steps in enumerate(batch.lengths)
        if steps > 0
    ]


def decode_rows(
    variant: str, model: Candidate, expected: list[Decoded], audio: AudioFormat
) -> list[Row]:
    """Rows of :data:`METRICS`; ``component`` is the graph, or the chain of graphs, under test.

    Means are over utterances.  The decoder alone and the DVAE alone are compared by their mels;
    Vocos gets the reference's mel, so that its figures hold its own error only; ``decoder+vocos``
    and ``dvae_decode+vocos`` are what a listener hears.
    """
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for theirs in expected:
        ours = decode(model, theirs.hidden, theirs.codes, theirs)
        agreement = float((theirs.encoded == ours.encoded).mean())
        found["code_agreement", "dvae_encode"].append(agreement)
        for component, mel in theirs.mels.items():
            found["mel_l1", component].append(mel_l1(mel, ours.mels[component]))
        for component, waveform in theirs.waveforms.items():
            figures = waveform_metrics(waveform, ours.waveforms[component], audio)
            for metric, value in figures.items():
                found[metric, component].append(value)
    return [
        component_row(variant, metric, values, component)
        for (metric, component), values in sorted(found.items())
    ]


def component_row(variant: str, metric: str, values: list[float], component: str) -> Row:
    """The mean over utterances of one of :data:`METRICS`."""
    return by_name(METRICS)[metric].row(variant, float(np.mean(values)), component=component)


def waveform_metrics(expected: Array, heard: Array, audio: AudioFormat) -> dict[str, float]:
    """mel_l1, log_spectral_distance and snr_db of two waveforms [samples]."""

    def mel(waveform: Array) -> Array:
        return log_mel(waveform, audio.sample_rate, audio.n_fft, audio.hop_length, audio.num_mels)

    first = magnitude_spectrogram(expected, audio.n_fft, audio.hop_length)
    second = magnitude_spectrogram(heard, audio.n_fft, audio.hop_length)
    return {
        "mel_l1": mel_l1(mel(expected), mel(heard)),
        "log_spectral_distance": log_spectral_distance(first, second),
        # A mean over utterances has to stay a number where one of them matches exactly.
        "snr_db": min(snr_db(expected, heard), SNR_CEILING_DB),
    }
