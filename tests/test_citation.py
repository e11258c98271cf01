"""CITATION.cff and CHANGELOG.md say the version that the code has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import chattts_onnx

ROOT = Path(__file__).resolve().parents[1]
_NAME = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "family-names": {"type": "string"}},
    "anyOf": [{"required": ["name"]}, {"required": ["family-names"]}],
}
# What the Citation File Format 1.2.0 demands, of the keys that are used here.
_SCHEMA = {
    "type": "object",
    "required": ["cff-version", "message", "title", "authors"],
    "additionalProperties": False,
    "properties": {
        "cff-version": {"const": "1.2.0"},
        "message": {"type": "string", "minLength": 1},
        "title": {"type": "string", "minLength": 1},
        "abstract": {"type": "string", "minLength": 1},
        "type": {"enum": ["software", "dataset"]},
        "version": {"type": "string", "minLength": 1},
        "license": {"type": "string"},
        "date-released": {"type": "string", "format": "date"},
        "authors": {"type": "array", "minItems": 1, "items": _NAME},
        "keywords": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "references": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["authors", "title", "type"]},
        },
    },
}


@pytest.fixture
def citation() -> dict[str, Any]:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader=yaml.BaseLoader))


def test_the_citation_is_valid(citation: dict[str, Any]) -> None:
    jsonschema.validate(citation, _SCHEMA)
    del citation["authors"]
    with pytest.raises(jsonschema.ValidationError, match="authors"):
        jsonschema.validate(citation, _SCHEMA)


def test_version_and_licence_are_one(citation: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"] == chattts_onnx.__version__
    assert citation["license"] == project["license"]


def test_the_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    for heading in versions[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading), heading
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds
