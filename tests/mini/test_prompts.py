from __future__ import annotations

import json
from collections import Counter

import pytest

from mini import text
from mini.prompts import FILES, render
from pipeline.core.sentences import Sentence, load_sentences


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Sentence]]:
    folder = tmp_path_factory.mktemp("prompts")
    for name in FILES:
        (folder / name).write_text(render(name), encoding="utf-8")
    return {name: load_sentences(folder / name) for name in FILES}


def test_both_languages_and_sets_come_in_turn(files: dict[str, list[Sentence]]) -> None:
    """So that any number of sentences from the top is a fair one."""
    first = files["mini_heldout.jsonl"][:24]
    found = Counter((sentence.language, sentence.set) for sentence in first)
    assert set(found.values()) == {6}
    assert {sentence.language for sentence in files["mini_calibration.jsonl"]} == {"zh", "en"}


def test_enough_sentences_judge_each_language(files: dict[str, list[Sentence]]) -> None:
    judges = files["mini_heldout.jsonl"]
    count = Counter(sentence.language for sentence in judges)
    assert min(count.values()) >= 250


def test_no_sentence_that_judges_is_tuned_calibrated_or_trained_on(
    files: dict[str, list[Sentence]],
) -> None:
    texts = {name: {one.text for one in sentences} for name, sentences in files.items()}
    judges = texts.pop("mini_heldout.jsonl")
    for name, others in texts.items():
        assert not judges & others, name
    for language in text.LANGUAGES:
        assert not judges & set(text.written(language))


def test_a_line_is_json_as_people_read_it() -> None:
    line = next(x for x in render("mini_heldout.jsonl").splitlines() if '"zh"' in x)
    assert json.loads(line)["text"] in line
