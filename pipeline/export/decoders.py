"""The graphs around the GPT: text head, Decoder, DVAE both ways, and Vocos."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from pipeline.export.common import GraphSpec
from pipeline.reference.convnext import split_frames
from pipeline.reference.dvae import DVAE, Decoder
from pipeline.reference.gpt import Projection
from pipeline.reference.load import Modules

# all sizes of the examples differ and are at least 2, so that none is taken for a constant
BATCH, STEPS, ROWS = 2, 11, 3


class TextHead(nn.Module):
    """Gives the head a name of its own in the graph."""

    def __init__(self, head: Projection) -> None:
        super().__init__()
        self.head_text = head

    def forward(self, hidden: Tensor) -> Tensor:
        """Map ``hidden`` [N, hidden] to [N, num_text_tokens]."""
        return self.head_text(hidden)


class MelDecoder(nn.Module):
    """Hidden states to mel, with ``coef`` folded into the last convolution."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder.decoder
        self.out_conv = fold_output_scale(decoder.out_conv, decoder.coef)

    def forward(self, hidden: Tensor) -> Tensor:
        """See :meth:`Decoder.forward`."""
        return self.out_conv(self.decoder(split_frames(hidden.transpose(1, 2))))


class DvaeDecode(nn.Module):
    """Codes to mel, with ``coef`` folded into the last convolution."""

    def __init__(self, dvae: DVAE) -> None:
        super().__init__()
        self.quantizer, self.decoder = dvae.quantizer, dvae.decoder
        self.out_conv = fold_output_scale(dvae.out_conv, dvae.coef)

    def forward(self, codes: Tensor) -> Tensor:
        """See :meth:`DVAE.decode`."""
        features = self.quantizer.decode(codes).transpose(1, 2)
        return self.out_conv(self.decoder(split_frames(features)))


class DvaeEncode(nn.Module):
    """Waveform to codes, with the division by ``coef`` folded into the first convolution."""

    def __init__(self, dvae: DVAE) -> None:
        super().__init__()
        self.log_mel, self.encoder, self.quantizer = dvae.log_mel, dvae.encoder, dvae.quantizer
        first, *rest = dvae.downsample_conv
        self.downsample_conv = nn.Sequential(fold_input_divisor(first, dvae.coef), *rest)

    def forward(self, waveform: Tensor) -> Tensor:
        """See :meth:`DVAE.encode`."""
        features = self.encoder(self.downsample_conv(self.log_mel(waveform)))
        return self.quantizer.encode(features.transpose(1, 2))


def fold_output_scale(conv: nn.Module, scale: Tensor) -> nn.Conv1d:
    """Return a copy of a bias-free ``conv`` whose outputs are scaled by ``scale`` [1, out, 1]."""
    folded = _copy(conv)
    folded.weight.data = folded.weight.data * scale.view(-1, 1, 1)
    return folded


def fold_input_divisor(conv: nn.Module, divisor: Tensor) -> nn.Conv1d:
    """Return a copy of ``conv`` that divides its input by ``divisor`` [1, in, 1] first.

    Its zero padding is the same before and after a division, so the fold is exact at the edges.
    """
    folded = _copy(conv)
    folded.weight.data = folded.weight.data / divisor.view(1, -1, 1)
    return folded


def _copy(conv: nn.Module) -> nn.Conv1d:
    if not isinstance(conv, nn.Conv1d):
        raise TypeError(f"expected Conv1d, found {type(conv).__name__}")
    return copy.deepcopy(conv)


def specs(modules: Modules) -> list[GraphSpec]:
    """Describe the five graphs for export."""
    dims = modules.dims
    mel = ("batch", dims.num_mels, "frames")
    codes = ("batch", "steps", dims.num_vq)
    return [
        GraphSpec(
            name="text_head",
            doc="ChatTTS text head: last hidden states to text logits, for the refine pass.",
            module=TextHead(modules.text_head),
            inputs={"hidden": torch.randn(ROWS, dims.hidden_size)},
            shapes={"hidden": ("selected", dims.hidden_size)},
            outputs={"text_logits": ("selected", dims.num_text_tokens)},
        ),
        GraphSpec(
            name="decoder",
            doc="ChatTTS Decoder: GPT hidden states to log-mel, two frames a step.",
            module=MelDecoder(modules.decoder),
            inputs={"hidden": torch.randn(BATCH, STEPS, dims.hidden_size)},
            shapes={"hidden": ("batch", "steps", dims.hidden_size)},
            outputs={"mel": mel},
        ),
        GraphSpec(
            name="dvae_decode",
            doc="ChatTTS DVAE: audio codes to log-mel, two frames a step.",
            module=DvaeDecode(modules.dvae),
            inputs={
                "codes": torch.randint(0, dims.num_audio_tokens - 1, (BATCH, STEPS, dims.num_vq))
            },
            shapes={"codes": codes},
            outputs={"mel": mel},
        ),
        GraphSpec(
            name="dvae_encode",
            doc="ChatTTS DVAE encoder: waveform at 24 kHz to audio codes, for voice cloning.",
            module=DvaeEncode(modules.dvae),
            inputs={"waveform": torch.randn(BATCH, 2 * STEPS * dims.hop_length + 7) * 0.1},
            shapes={"waveform": ("batch", "samples")},
            outputs={"codes": codes},
        ),
        GraphSpec(
            name="vocos",
            doc="Vocos: log-mel to waveform at 24 kHz, inverse STFT included.",
            module=modules.vocos,
            inputs={"mel": torch.randn(BATCH, dims.num_mels, 2 * STEPS)},
            shapes={"mel": mel},
            outputs={"waveform": ("batch", "samples")},
        ),
    ]
