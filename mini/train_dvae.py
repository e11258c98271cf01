"""Step 2: the DVAE, mel to codes and back, ``python -m mini.train_dvae``."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from mini.bank import SpeechBank
from mini.sizes import mini_dims
from mini.trainer import Losses, Schedule, Trainer, parse_schedule, work_folder
from pipeline.checkpoint.dims import CheckpointDims
from pipeline.reference.convnext import split_frames
from pipeline.reference.dvae import DVAE
from pipeline.reference.gfsq import ResidualFSQ

FRAMES = 64
# speech reaches about this far from the mean log-mel; only scales what the networks see
COEF = 4.0


def build_dvae(dims: CheckpointDims) -> DVAE:
    """Return an untrained DVAE."""
    dvae = DVAE(dims)
    dvae.coef.fill_(COEF)
    return dvae


def quantize(rvq: ResidualFSQ, x: Tensor) -> Tensor:
    """Quantize ``x`` [B, T, dim] and project back; gradients pass straight through rounding."""
    rest = rvq.project_in(x)
    total = torch.zeros_like(rest)
    for scale in rvq.scales.unbind(0):
        bounded = rvq.bound(rest / scale)
        level = bounded + (torch.round(bounded) - bounded).detach()
        code = level / rvq.half_width * scale
        total = total + code
        rest = rest - code.detach()
    return rvq.project_out(total)


def reconstruct(dvae: DVAE, mel: Tensor) -> Tensor:
    """Pass ``mel`` [B, num_mels, 2 T] through the codes, with gradients."""
    features = dvae.encoder(dvae.downsample_conv(mel / dvae.coef)).transpose(1, 2)
    parts = features.chunk(dvae.quantizer.groups, dim=-1)
    groups = cast("list[ResidualFSQ]", list(dvae.quantizer.rvqs))
    quantized = [quantize(rvq, part) for rvq, part in zip(groups, parts, strict=True)]
    frames = split_frames(torch.cat(quantized, dim=-1).transpose(1, 2))
    return dvae.out_conv(dvae.decoder(frames)) * dvae.coef


def mel_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute and squared distance; faint bins, which no one hears, are clipped away."""
    floor = -9.0
    difference = found.clamp_min(floor) - wanted.clamp_min(floor)
    pull = (found - wanted).abs().mean()
    return difference.abs().mean() + 0.25 * difference.square().mean() + 0.2 * pull


def main() -> None:
    """Train the DVAE."""
    arguments, schedule = parse_schedule(__doc__ or "", Schedule(3000, 12, 1.5e-3, 60.0))
    work = work_folder(arguments.work)
    dims = mini_dims()
    trainer = Trainer("dvae", build_dvae(dims), schedule, work, arguments.seed)
    dvae, device = trainer.module, trainer.device
    bank, heldout = SpeechBank(work, "train"), SpeechBank(work, "heldout", limit=20)
    rng = np.random.default_rng([arguments.seed, trainer.step])
    samples = (FRAMES - 1) * dims.hop_length

    def loss(step: int) -> Losses:
        with torch.no_grad():
            mel = dvae.log_mel(bank.crops(schedule.batch, samples, rng).to(device))
        return {"total": mel_distance(reconstruct(dvae, mel), mel)}

    def evaluate() -> dict[str, float]:
        distances: list[float] = []
        used: set[tuple[int, int]] = set()
        for index in range(len(heldout.waves)):
            wave = heldout.whole(index).to(device)
            codes = dvae.encode(wave)
            mel = dvae.log_mel(wave)[..., : 2 * codes.shape[1]]
            distances.append(float(mel_distance(dvae.decode(codes), mel)))
            used.update((book, int(c)) for book in range(4) for c in codes[0, :, book])
        return {"mel": float(np.mean(distances)), "codes_used": float(len(used))}

    trainer.run(loss, evaluate, every=200)


if __name__ == "__main__":
    main()
