from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from mini.batches import TURNS, Examples, Sampler, disturb, pack
from mini.features import Features
from mini.gpt_model import GUIDED_HEADS, GUIDED_LAYERS, TrainableGpt
from mini.sizes import mini_dims
from mini.tokenizer import build_tokenizer, vocabulary
from mini.train_gpt import build_gpt
from mini.voices import VOICES, coordinates
from pipeline.reference.gpt import Gpt
from pipeline.reference.model import _positions

DIMS = replace(
    mini_dims(), hidden_size=32, num_attention_heads=4, num_key_value_heads=4, head_dim=8,
    num_hidden_layers=5, intermediate_size=48,
)  # fmt: skip
TOKENS = vocabulary()


def features(text: str, steps: int, voice: str = "mei", speed: int = 5, group: int = 0) -> Features:
    rng = np.random.default_rng(steps)
    ids = np.asarray(build_tokenizer().encode(text, add_special_tokens=False).ids, dtype=np.int16)
    return Features(
        text, "en", np.asarray(VOICES[voice], dtype=np.float32), speed, group, ids,
        rng.integers(0, 625, (steps, 4)).astype(np.int16),
        rng.integers(0, 255, (2 * steps, 100)).astype(np.uint8),
        np.sort(rng.integers(0, len(ids), steps)).astype(np.int16),
        rng.integers(0, 90, steps).astype(np.uint8),
        True,
    )  # fmt: skip


CHOSEN = [features("Room two.", 9), features("你好！", 5, speed=8)]


def examples(seed: int = 0) -> Examples:
    return Examples(DIMS, np.random.default_rng(seed))


def test_a_plain_batch_holds_prompt_codes_and_end() -> None:
    made = examples()
    batch = pack([made.plain(item) for item in CHOSEN], DIMS, None)
    assert batch.ids[0, :2, 0].tolist() == [TOKENS["[Stts]"], TOKENS["[spk_emb]"]]
    start = int(batch.text_mask[0].sum())
    assert batch.ids[0, start - 1, 0] == TOKENS["[Ptts]"]
    assert batch.ids[0, start : start + 9].numpy().tolist() == CHOSEN[0].codes.tolist()
    assert batch.targets.shape == (9 + 1 + 5 + 1, 4)
    assert (batch.targets[[9, 15]] == 625).all()
    assert batch.voiced.tolist() == [True] * 9 + [False] + [True] * 5 + [False]
    # the first step's token stands after [Stts][spk_emb]; the end looks at [Ptts]
    assert batch.looked_at[0] == 2 + CHOSEN[0].token_at[0]
    assert batch.looked_at[9] == start - 1


def test_a_sample_stands_before_the_text_and_is_not_learned() -> None:
    first, second = features("Room two.", 9), features("你好！", 5, speed=8)
    made = next(e for e in (examples(s).pair(first, second) for s in range(9)) if e.learned)
    batch = pack([made], DIMS, None)
    prompt = batch.ids[0, batch.text_mask[0], 0].tolist()
    text = [*first.ids, TOKENS["[speed_8]"], *second.ids, TOKENS["[Ptts]"]]
    assert prompt[2:] == text
    assert batch.targets.tolist() == [*second.codes.tolist(), [625] * 4]
    # the code before the first that is learned is the sample's last
    place = int(batch.rows[0])
    assert batch.ids[0, place].tolist() == first.codes[-1].tolist()
    begin = 2 + len(first.ids) + 1
    assert batch.looked_at[0] == begin + second.token_at[0]


def test_training_sees_what_the_reference_computes() -> None:
    torch.manual_seed(0)
    model = TrainableGpt(DIMS, TOKENS["[spk_emb]"], 4.0).eval()
    made = examples()
    batch = pack([made.plain(item) for item in CHOSEN], DIMS, None)
    reference = Gpt(DIMS, TOKENS["[spk_emb]"]).eval()
    weights = {k.removeprefix("gpt."): v for k, v in model.state_dict().items()}
    weights["embed.emb_text.weight"] = model.text.table().detach()
    reference.load_state_dict({k: weights[k] for k in reference.state_dict()})
    with torch.no_grad():
        hidden, looking, _ = model.hidden(batch)
        size, sequence = batch.text_mask.shape
        mask = torch.ones(size, sequence, dtype=torch.int64)
        empty = torch.empty(size, 4, 0, 8)
        expected, _, _ = reference(
            batch.ids, batch.text_mask, batch.speaker, mask, _positions(mask), batch.rows,
            [(empty, empty)] * 5,
        )  # fmt: skip
    assert torch.allclose(hidden, expected, atol=1e-5)
    assert looking.shape[1] == len(GUIDED_HEADS) * len(GUIDED_LAYERS)
    assert torch.allclose(looking.sum(-1), torch.ones(looking.shape[:2]), atol=1e-5)


def test_a_prompt_says_the_tempo_and_the_voice() -> None:
    made = examples()
    drawn = [made.drawn(CHOSEN[1]) for _ in range(8)]
    assert all(TOKENS["[speed_8]"] in example.head for example in drawn)
    found = [coordinates(example.speaker) for example in drawn]
    assert np.allclose(found, VOICES["mei"], atol=1e-3)
    # all but the coordinates is another each time
    assert abs(float(drawn[0].speaker @ drawn[1].speaker)) < 0.95


def test_every_utterance_has_its_turns_before_any_comes_again() -> None:
    languages = ("en", "zh")
    many = [
        replace(features("Hi!", 3 + index % 5, group=index), language=languages[index % 2])
        for index in range(10)
    ]
    turns = sorted(id(item) for item in many for _ in range(TURNS[item.language]))
    sampler = Sampler([many], examples(), 30, np.random.default_rng(0))
    seen: list[int] = []
    while len(seen) < len(turns):
        batch = sampler.next()
        assert max(e.positions for e in batch) * len(batch) <= 30
        seen += [id(item) for example in batch for item in example.items]
    assert sorted(seen) == turns


def test_noise_takes_whole_stretches_and_leaves_the_sample_alone() -> None:
    first, second = features("Room two.", 60), features("Room two.", 400)
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(60):
        heard = disturb(first.codes, second.codes, rng)
        kept.append(float((heard == first.codes).all(1).mean()))
    assert min(kept) < 0.2 and max(kept) > 0.6
    made = examples()
    pair = replace(made.pair(first, second), learned=1)
    ids = pack([pair], DIMS, np.random.default_rng(0)).ids[0].numpy()
    start = pair.positions - 460
    assert (ids[start : start + 60] == first.codes).all()
    assert not (ids[start + 60 : start + 460] == second.codes).all()


def test_the_gpt_hears_what_it_would_have_said_and_learns_what_it_should() -> None:
    torch.manual_seed(0)
    gpt = build_gpt(DIMS)
    batch = pack([examples().plain(item) for item in CHOSEN], DIMS, None)
    replaced = torch.zeros(len(batch.rows), dtype=torch.bool)
    replaced[2:6] = True
    heard = gpt.hear_itself(batch, replaced, 1e-4)
    start = int(batch.text_mask[0].sum())
    changed = (heard.ids != batch.ids).any(-1)
    assert set(changed[0].nonzero()[:, 0].tolist()) <= set(range(start + 2, start + 6))
    assert not changed[1].any()
    # nearly without chance: what each step found most likely
    hidden, _, _ = gpt.hidden(batch)
    likely = gpt.gpt.head_code(hidden).view(-1, 4, 626)[..., :-1].argmax(-1)
    assert torch.equal(heard.ids[0, start + 2 : start + 6], likely[2:6])
    assert torch.equal(heard.targets, batch.targets)
