"""Options of speech: one table, and every front offers what stands in it."""

from __future__ import annotations

import argparse
import math
from typing import Any

import pytest
from pydantic import BaseModel

from chattts_onnx import Bundle, InputError, cli
from chattts_onnx.bulk.line import COLUMNS
from chattts_onnx.cli.completion import _paths
from chattts_onnx.serve import upload
from chattts_onnx.serve.schemas import JobBody, OpenAISpeechBody, SpeechBody
from chattts_onnx.speech.options import OPTIONS, check_options, read_options, shown_options

BY_NAME = {option.shown: option for option in OPTIONS.values()}


@pytest.mark.parametrize("command", ["say", "batch"])
def test_commands_have_an_argument_for_each(command: str) -> None:
    parser = dict(_paths(cli.build_parser()))[(command,)]
    actions = {action.dest: action for action in parser._actions}
    for name, option in OPTIONS.items():
        action = actions[name]
        assert f"--{option.shown.replace('_', '-')}" in action.option_strings
        assert action.help == option.words and action.default is None
        assert tuple(action.choices or ()) == option.choices
        assert isinstance(action, argparse.BooleanOptionalAction) == (option.kind is bool)


@pytest.mark.parametrize("body", [SpeechBody, OpenAISpeechBody, JobBody])
def test_bodies_have_a_field_for_each_with_its_bounds(body: type[BaseModel]) -> None:
    fields = body.model_json_schema()["properties"]
    for name, option in BY_NAME.items():
        if (body, name) == (OpenAISpeechBody, "speed"):
            continue  # a factor, as OpenAI has it
        field = fields[name]
        kind = field["anyOf"][0]
        assert field["description"] == option.help and field["default"] is None
        assert kind.get("minimum", kind.get("exclusiveMinimum")) == (
            option.least if option.above is None else option.above
        )
        most = kind.get("maxLength" if option.kind is str else "maximum")
        assert most == option.most and tuple(kind.get("enum", ())) == option.choices


def test_tables_have_a_column_for_each() -> None:
    assert set(COLUMNS) == {"text", "id", "voice", *BY_NAME}
    assert set(upload._COLUMNS) == {"text", "id", "voice", "variant", *BY_NAME}


@pytest.mark.parametrize("name", list(OPTIONS))
def test_bounds_are_held_everywhere_in_the_same_words(name: str, bundle: Bundle) -> None:
    option = OPTIONS[name]
    bad: dict[type, Any] = {int: -1, float: -99.0, bool: "maybe", str: "x" * 300}
    value = bad[option.kind]
    words = f"{option.shown} is .*expected {option.expected}"
    with pytest.raises(InputError, match=words):
        bundle.say("hello", **{name: value})
    with pytest.raises(InputError, match=words):
        read_options({option.shown: value})


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("speed", " 5 ", 5),
        ("speed", 5.0, 5),
        ("seed", str(2**63 - 1), 2**63 - 1),
        ("temperature", "0.5", 0.5),
        ("temperature", 1, 1),
        ("normalize", "False", False),
        ("yao", 1, True),
        ("language", "zh ", "zh"),
        ("refine_prompt", "[oral_2]", "[oral_2]"),
        ("break_", "3", 3),
        ("speed", math.nan, None),
        ("refine_prompt", " ", None),
    ],
)
def test_cells_are_read_as_csv_and_data_frames_have_them(name: str, cell: Any, value: Any) -> None:
    shown = OPTIONS[name].shown
    assert read_options({shown: cell}) == ({} if value is None else {name: value})
    assert shown_options({name: value}) == ({} if value is None else {shown: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speed", True),
        ("speed", 1.5),
        ("speed", "5"),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", 10**400),
        ("top_p", 0),
        ("normalize", 1),
        ("language", "fr"),
        ("refine_prompt", 3),
        ("seed", 2**63),
    ],
)
def test_what_is_none_of_it_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name} is "):
        check_options({name: value})


def test_unknown_names_are_refused_by_name(bundle: Bundle) -> None:
    with pytest.raises(InputError, match=r"unknown options \['warmth'\]; known: .*'temperature'"):
        bundle.generate("hello", warmth=3)
    with pytest.raises(InputError, match="unknown options"):
        check_options({"params": None})


def test_options_change_the_bundles_settings(bundle: Bundle) -> None:
    params = bundle.default_params().but(min_new_tokens=9, max_new_tokens=20)
    short = bundle.generate("hello", seed=1, params=params, max_new_tokens=5)
    assert len(short) == 5  # min_new_tokens went down with it
    with pytest.raises(InputError, match=r"min_new_tokens is 9; .* between 0 and"):
        bundle.generate("hello", min_new_tokens=9, max_new_tokens=5)
    steady = bundle.generate("hello", seed=1, temperature=0.01, top_k=3, min_new_tokens=8)
    same = bundle.default_params().but(temperature=0.01, top_k=3, min_new_tokens=8)
    assert (steady.codes == bundle.generate("hello", seed=1, params=same).codes).all()
