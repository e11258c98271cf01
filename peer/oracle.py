"""Write what the official package computes on a checkpoint, for parity tests.

    python -m peer.oracle --checkpoint FOLDER --out oracle.npz [--steps 40] [--seed 0]

The generation outputs come from the official `generate()` itself: a logits processor records the
logits of every step and leaves only the wanted code possible, so the official loop (cache,
positions, masks, heads) runs teacher-forced.

Arrays (B prompts, S prompt length, T steps, H hidden, V codes a head, P sample steps):
`text_ids [B,S,4]`, `attention_mask [B,S]`, `codes [B,T,4]`, `speaker [H]`; per case in
`plain`, `speaker`, `speaker_half`: `<case>.hidden [B,T,H]`, `<case>.logits [B,T,4,V]`;
`plain.text_ids` and `plain.attention_mask` for the case without a speaker;
`sample.{text_ids,attention_mask,text_mask,hidden,logits}` with sample codes in the prompt;
`refine.{text_ids,attention_mask,tokens [B,T],hidden,logits [B,T,text tokens]}`;
`texts [B]`, the sentences of all prompts;
`decoder.{mel,wav}` from `speaker.hidden`, `dvae.{mel,wav}` from `codes`;
`encode.{waveform [N], mel [100,F], codes [F//2,4]}`;
`sampling.N.{settings, logits [R,V], history [L,R], probabilities [R,V]}` for N = 0, 1, 2, settings
being temperature, top-p, top-k and penalty; `voice.text` and its normalised `voice.direction [H]`;
`sample_voice.text` and its `sample_voice.codes [P,4]`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ChatTTS
import numpy as np
import torch
from ChatTTS.model import gen_logits
from numpy.typing import NDArray

from peer.loading import load_chat

TEXTS = ("你好", "hello world, 今天天气很好", "[laugh]we go 123 [uv_break]in the park一是")
SAMPLING = (
    # temperature, top-p, top-k, penalty; generated tokens
    (0.3, 0.7, 20, 1.05, 40),
    (0.7, 0.9, 50, 1.3, 5),
    (1.0, 0.05, 2, 1.0, 16),
)
Arrays = dict[str, NDArray[np.generic]]


class Forcing:
    """Logits processor that records what it sees and allows only the wanted token.

    Args:
        wanted: `[rows, steps]` token of each row (prompt, or prompt and head) at each step.
    """

    def __init__(self, wanted: torch.Tensor) -> None:
        self.wanted = wanted
        self.logits: list[torch.Tensor] = []

    def __call__(self, generated: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = len(self.logits)
        self.logits.append(scores.clone())
        forced = torch.full_like(scores, -torch.inf)
        return forced.scatter(1, self.wanted[:, step : step + 1], 0.0)


class Oracle:
    """The official package on one checkpoint, driven with chosen tokens."""

    def __init__(self, chat: ChatTTS.Chat, seed: int) -> None:
        self.chat = chat
        self.num_vq = chat.config.gpt.num_vq
        self.codes_a_head = chat.config.gpt.num_audio_tokens - 1
        self.rng = np.random.default_rng(seed)

    def draw_codes(self, *shape: int) -> torch.Tensor:
        """Random codes without the end token, int64."""
        return torch.from_numpy(self.rng.integers(0, self.codes_a_head, shape))

    def encode(
        self, texts: list[str], sample: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Left-padded ids `[B,S,4]`, attention mask `[B,S]` and text mask `[B,S]` of prompts."""
        ids, attention, text = self.chat.tokenizer.encode(texts, self.num_vq, prompt=sample)
        return ids, attention, text

    def code_prompts(self, with_speaker: bool) -> list[str]:
        """The code pass's prompts of `TEXTS`."""
        voice = "given" if with_speaker else None
        prompts = self.chat.speaker.decorate_code_prompts(list(TEXTS), "[speed_5]", None, voice)
        return list(prompts)

    @torch.no_grad()
    def forced_codes(
        self,
        prompt: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        codes: torch.Tensor,
        speaker: torch.Tensor | None,
    ) -> Arrays:
        """Hidden `[B,T,H]` and logits `[B,T,4,V]` of the code pass with `codes [B,T,4]` forced."""
        ids, attention, text_mask = prompt
        batch, steps, heads = codes.shape
        embedded = self.chat.embed(ids, text_mask)
        if speaker is not None:
            token = self.chat.tokenizer.spk_emb_ids
            self.chat.speaker.apply(embedded, speaker, ids, token, torch.device("cpu"))
        forcing = Forcing(codes.permute(0, 2, 1).reshape(batch * heads, steps))
        hidden = self._generate(embedded, ids, attention, forcing, infer_text=False, steps=steps)
        logits = torch.stack(forcing.logits, 1).view(batch, heads, steps, -1).transpose(1, 2)
        return {"hidden": hidden.numpy(), "logits": logits.contiguous().numpy()}

    @torch.no_grad()
    def forced_text(self, steps: int) -> Arrays:
        """Prompts, forced tokens, hidden and text logits of the refine pass."""
        prompts = self.chat.speaker.decorate_text_prompts(list(TEXTS), "[oral_2][break_4]")
        ids, attention, text_mask = self.encode(list(prompts))
        tokens = torch.from_numpy(self.rng.integers(5, 100, (len(TEXTS), steps)))
        forcing = Forcing(tokens)
        embedded = self.chat.embed(ids, text_mask)
        hidden = self._generate(embedded, ids, attention, forcing, infer_text=True, steps=steps)
        return {
            "text_ids": ids.numpy(),
            "attention_mask": attention.numpy(),
            "tokens": tokens.numpy(),
            "hidden": hidden.numpy(),
            "logits": torch.stack(forcing.logits, 1).numpy(),
        }

    def _generate(
        self,
        embedded: torch.Tensor,
        ids: torch.Tensor,
        attention: torch.Tensor,
        forcing: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        infer_text: bool,
        steps: int,
    ) -> torch.Tensor:
        end = self.chat.tokenizer.eos_token if infer_text else self.codes_a_head
        outputs = list(
            self.chat.gpt.generate(
                embedded,
                ids,
                temperature=torch.ones(1 if infer_text else self.num_vq),
                eos_token=end,
                attention_mask=attention,
                max_new_token=steps,
                logits_processors=(forcing,),
                infer_text=infer_text,
                return_hidden=True,
                show_tqdm=False,
            )
        )
        return torch.stack(outputs[-1].hiddens)

    @torch.no_grad()
    def audio(self, name: str, features: torch.Tensor) -> Arrays:
        """Mel `[B,100,2T]` and waveform of module `name` from `features [B,T,channels]`."""
        mel = getattr(self.chat, name)(features.transpose(1, 2).contiguous())
        return {"mel": mel.numpy(), "wav": self.chat.vocos.decode(mel.clone()).numpy()}

    @torch.no_grad()
    def encoded(self, samples: int) -> Arrays:
        """A synthetic waveform, its log-mel and its codes (voice cloning)."""
        time = np.arange(samples) / 24_000
        tone = 0.3 * np.sin(2 * np.pi * (180 + 400 * time) * time)
        waveform = (tone + 0.05 * self.rng.standard_normal(samples)).astype(np.float32)
        mel = self.chat.dvae.preprocessor_mel(torch.from_numpy(waveform))
        codes = self.chat.dvae.sample_audio(waveform.copy())
        return {"waveform": waveform, "mel": mel.numpy(), "codes": codes.numpy().T.copy()}

    def sampling(
        self, temperature: float, top_p: float, top_k: int, penalty: float, generated: int
    ) -> Arrays:
        """Probabilities that the official processors leave for random logits and history."""
        rows, vocabulary = 12, self.codes_a_head + 1
        logits = self.rng.standard_normal((rows, vocabulary)).astype(np.float32) * 2
        # Few different tokens, likely ones among them, so that the penalty counts repeats.
        likely = np.argsort(-logits, axis=1)[:, :6]
        choice = self.rng.integers(0, 6, (rows, generated))
        history = np.take_along_axis(likely, choice, axis=1)
        warpers, processors = gen_logits(self.codes_a_head, top_p, top_k, penalty)
        scores = torch.from_numpy(logits) / temperature
        for processor in (*processors, *warpers):
            scores = processor(torch.from_numpy(history), scores)
        return {
            "settings": np.array([temperature, top_p, top_k, penalty]),
            "logits": logits,
            "history": history.T.copy(),
            "probabilities": scores.softmax(-1).numpy(),
        }

    @torch.no_grad()
    def voice(self) -> Arrays:
        """A random voice in its text form, and the direction that is put into the prompt."""
        text = self.chat.sample_random_speaker()
        token = self.chat.tokenizer.spk_emb_ids
        ids = torch.full((1, 1, self.num_vq), token)
        empty = torch.zeros(1, 1, self.chat.config.gpt.hidden_size)
        placed = self.chat.speaker.apply(empty, text, ids, token, torch.device("cpu"))
        return {"text": np.array(text), "direction": placed[0, 0].numpy()}

    def sample_voice(self, steps: int) -> Arrays:
        """Sample codes in the text form in which they are kept."""
        codes = self.draw_codes(self.num_vq, steps)
        text = self.chat.speaker.encode_prompt(codes)
        return {"text": np.array(text), "codes": codes.numpy().T.copy()}


def compute(checkpoint: Path, steps: int, seed: int) -> Arrays:
    """All arrays that the module's docstring lists."""
    oracle = Oracle(load_chat(checkpoint), seed)
    hidden_size = oracle.chat.config.gpt.hidden_size
    codes = oracle.draw_codes(len(TEXTS), steps, oracle.num_vq)
    speaker = torch.from_numpy(oracle.rng.standard_normal(hidden_size).astype(np.float32) * 5)
    speaker = speaker.half().float()  # a value that both precisions hold exactly
    spoken = oracle.encode(oracle.code_prompts(with_speaker=True))
    plain = oracle.encode(oracle.code_prompts(with_speaker=False))
    sampled = oracle.encode(
        oracle.code_prompts(with_speaker=True), oracle.draw_codes(oracle.num_vq, 7)
    )
    with_speaker = oracle.forced_codes(spoken, codes, speaker)
    groups: dict[str, Arrays] = {
        "speaker": with_speaker,
        "speaker_half": oracle.forced_codes(spoken, codes, speaker.half()),
        "plain": {**_prompt(plain), **oracle.forced_codes(plain, codes, None)},
        "sample": {**_prompt(sampled), **oracle.forced_codes(sampled, codes, speaker)},
        "refine": oracle.forced_text(steps),
        "decoder": oracle.audio("decoder", torch.tensor(with_speaker["hidden"])),
        "dvae": oracle.audio("dvae", codes),
        "encode": oracle.encoded(samples=30_000),
        "voice": oracle.voice(),
        "sample_voice": oracle.sample_voice(steps=9),
        **{f"sampling.{i}": oracle.sampling(*case) for i, case in enumerate(SAMPLING)},
    }
    flat = {
        f"{group}.{key}": value for group, part in groups.items() for key, value in part.items()
    }
    prompt = {name: value for name, value in _prompt(spoken).items() if name != "text_mask"}
    prompt["texts"] = np.array(TEXTS)
    return {**prompt, "codes": codes.numpy(), "speaker": speaker.numpy(), **flat}


def _prompt(encoded: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> Arrays:
    names = ("text_ids", "attention_mask", "text_mask")
    return {name: tensor.numpy() for name, tensor in zip(names, encoded, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder holding asset/")
    parser.add_argument("--out", type=Path, required=True, help=".npz file to write")
    parser.add_argument("--steps", type=int, default=40, help="forced steps")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arrays: dict[str, Any] = dict(compute(arguments.checkpoint, arguments.steps, arguments.seed))
    np.savez_compressed(arguments.out, **arrays)


if __name__ == "__main__":
    main()
