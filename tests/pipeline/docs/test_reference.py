"""What is made of code, ``conf/`` and reports is current, and says what it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError, PipelineError
from pipeline.docs import cli_page, comments, conf_page, http_page, python_page, readme_parts
from pipeline.docs.command import made, main
from pipeline.docs.markdown import docstring
from pipeline.docs.pipeline_graph import Stage, needs
from pipeline.report.rows import read_report
from tests.pipeline.project import ROOT


@pytest.mark.parametrize("path", made())
def test_is_current(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == made()[path](), (
        "stale: python -m pipeline.docs"
    )


def test_check_names_what_is_stale_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "a.md"
    page.write_text("old")
    monkeypatch.setattr("pipeline.docs.command.ROOT", tmp_path)
    monkeypatch.setattr("pipeline.docs.command.made", lambda: {"a.md": lambda: "new"})
    assert main(["--check"]) == 1
    assert capsys.readouterr().out == "stale: a.md\n"
    assert page.read_text() == "old"
    assert main([]) == 0
    assert page.read_text() == "new"
    assert main(["--check"]) == 0


def test_every_command_option_and_default_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATTTS_BUNDLE", "/secret/folder")
    text = cli_page.render(ROOT)
    assert "/secret/folder" not in text
    for name in ("say", "serve", "batch", "voices clone", "fetch", "verify", "doctor"):
        assert f"## `chattts-onnx {name}`" in text
    assert "`--slots SLOTS`" in text
    assert "show this help" not in text


def test_routes_have_their_parameters_and_statuses() -> None:
    text = http_page.render(ROOT)
    assert "## `POST /v1/tts`" in text
    assert "| `text` | string | required |" in text
    assert "[SpeechBody](#speechbody)" in text
    assert "`CHATTTS_DRAIN_SECONDS`" in text
    assert "chattts_first_audio_seconds" in text


def test_signatures_are_those_of_the_code() -> None:
    def example(self: object, a: int, b: str | None = None) -> list[str]:
        raise NotImplementedError

    assert python_page.signature(example) == "(a: int, b: str | None = None) -> list[str]"
    text = python_page.render(ROOT)
    assert "### `write_wav(" in text
    assert " object at 0x" not in text


def test_docstrings_become_markdown() -> None:
    found = docstring(
        """Opens :class:`a.b.Bundle` as ``x``.

        Args:
            path: where it
                lies.
            threads: how many.

        Raises:
            BundleError: damaged.
        """
    )
    assert found == (
        "Opens `Bundle` as `x`.\n\nArgs:\n\n- `path`: where it lies.\n- `threads`: how many."
        "\n\nRaises:\n\n- `BundleError`: damaged."
    )


def test_comments_go_with_their_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "# Head.\na: 1\n# above b\nb:\n  c: [x]   # beside c,\n           # going on\n"
        '  d: "# no comment"\ne:\n  - one\n  - two   # the second\nf: {g: 1}\n'
    )
    found = comments.read_commented(path)
    assert found.head == "Head."
    assert [(entry.path, entry.value, entry.comment) for entry in found.entries] == [
        ("a", "1", ""),
        ("b", "", "above b"),
        ("b.c", "[x]", "beside c, going on"),
        ("b.d", '"# no comment"', ""),
        ("e", "(2 entries)", ""),
        ("e[]", "one", ""),
        ("e[]", "two", "the second"),
        ("f", "{g: 1}", ""),
    ]


def test_every_file_of_conf_is_on_the_page() -> None:
    text = conf_page.render(ROOT)
    for path in (ROOT / "conf").rglob("*.yaml"):
        if path.parent != ROOT / "conf":
            assert f"(../../{path.relative_to(ROOT).as_posix()})" in text


def test_edges_that_follow_from_others_are_left_out() -> None:
    def stage(name: str, *reads: str) -> Stage:
        return Stage(name, "", "", (), (), reads, (), (f"{name}.out",))

    stages = [stage("a"), stage("b", "a.out"), stage("c", "a.out", "b.out")]
    assert needs(stages) == {"a": set(), "b": {"a"}, "c": {"b"}}


def test_a_part_without_a_place_or_a_figure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no place for 'stages'"):
        readme_parts.fill("# README", ROOT, ["stages"])
    text = "<!-- stages: python -m pipeline.docs -->\nold\n<!-- end -->\nrest"
    assert "flowchart" in (made := readme_parts.fill(text, ROOT, ["stages"]))
    assert made.endswith("<!-- end -->\nrest") and "old" not in made
    report = tmp_path / "speech.json"
    report.write_text('{"context": {}, "rows": []}')
    with pytest.raises(PipelineError, match="which is to be shown"):
        read_report(report).value("int8", "rtf")
