from __future__ import annotations

import pytest

from mini.prompts import FILES, FOLDER, render
from mini.sentences import is_heldout
from pipeline.core.sentences import load_sentences


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_committed_files_are_what_the_command_writes(name: str) -> None:
    heldout, count, *_ = FILES[name]
    assert (FOLDER / name).read_text(encoding="utf-8") == render(name)
    sentences = load_sentences(FOLDER / name)
    assert len({sentence.text for sentence in sentences}) == count
    assert {is_heldout(sentence.text) for sentence in sentences} == {heldout}


def test_no_sentence_that_judges_is_tuned_or_calibrated_on() -> None:
    texts = {name: {one.text for one in load_sentences(FOLDER / name)} for name in FILES}
    judges = texts.pop("mini_heldout.jsonl")
    for name, others in texts.items():
        assert not judges & others, name
