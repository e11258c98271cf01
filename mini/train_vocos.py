"""Step 3: the Vocos, mel to waveform, ``python -m mini.train_vocos``.

Multi-resolution spectral losses alone: there is no discriminator.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mini.bank import SpeechBank
from mini.samples import write_sample
from mini.sizes import mini_dims
from mini.trainer import Losses, Schedule, Trainer, parse_schedule, work_folder
from pipeline.reference.spectral import LogMel
from pipeline.reference.vocos import Vocos

SECONDS = 0.6
RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512), (256, 64))
MEL_WEIGHT = 2.0


def _magnitude(wave: Tensor, n_fft: int, hop: int) -> Tensor:
    window = torch.hann_window(n_fft, device=wave.device)
    spectrum = torch.stft(wave, n_fft, hop, window=window, return_complex=True)
    return spectrum.abs().clamp_min(1e-5)


def stft_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Spectral convergence and log-magnitude distance over several resolutions.

    Yamamoto et al. 2020, arXiv:1910.11480.
    """
    total = found.new_zeros(())
    for n_fft, hop in RESOLUTIONS:
        a, b = _magnitude(found, n_fft, hop), _magnitude(wanted, n_fft, hop)
        convergence = torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b)
        total = total + convergence + F.l1_loss(a.log(), b.log())
    return total / len(RESOLUTIONS)


def main() -> None:
    """Train the Vocos."""
    arguments, schedule = parse_schedule(__doc__ or "", Schedule(9000, 8, 1.5e-3, 60.0))
    work = work_folder(arguments.work)
    dims = mini_dims()
    trainer = Trainer("vocos", Vocos(dims), schedule, work, arguments.seed)
    vocos, device = trainer.module, trainer.device
    log_mel = LogMel(dims.sample_rate, dims.n_fft, dims.hop_length, dims.num_mels).to(device)
    bank, heldout = SpeechBank(work, "train"), SpeechBank(work, "heldout", limit=6)
    rng = np.random.default_rng([arguments.seed, trainer.step])
    samples = int(SECONDS * dims.sample_rate) // dims.hop_length * dims.hop_length

    def loss(step: int) -> Losses:
        wave = bank.crops(schedule.batch, samples, rng).to(device)
        mel = log_mel(wave)
        made = vocos(mel)
        spectral = stft_distance(made, wave)
        mel_loss = F.l1_loss(log_mel(made), mel)
        return {"total": spectral + MEL_WEIGHT * mel_loss, "stft": spectral, "mel": mel_loss}

    def evaluate() -> dict[str, float]:
        spectral, mels = [], []
        for index in range(len(heldout.waves)):
            wave = heldout.whole(index).to(device)
            wave = wave[:, : wave.shape[1] // dims.hop_length * dims.hop_length]
            made = vocos(log_mel(wave))
            spectral.append(float(stft_distance(made, wave)))
            mels.append(float(F.l1_loss(log_mel(made), log_mel(wave))))
            if index < 2:
                write_sample(work, f"vocos-{index}", made[0].cpu().numpy())
        return {"stft": float(np.mean(spectral)), "mel": float(np.mean(mels))}

    trainer.run(loss, evaluate, every=250)


if __name__ == "__main__":
    main()
