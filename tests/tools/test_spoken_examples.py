from __future__ import annotations

from pathlib import Path

from tools.spoken_examples import examples

PAGE = """
$ chattts-onnx say "Good morning." -b bundle -o a.wav
$ chattts-onnx say "Not said." --dry-run
$ chattts-onnx say "$TEXT" -o b.wav
$ echo "Piped." | chattts-onnx say -o c.wav
$ curl -d '{"input": "Sent.", "voice": "joe"}' http://host/
client.audio.speech.create(input="Called.", voice="joe")
audio = bundle.say("你好。", voice=7)
bundle.stream("Good morning.")
chattts-onnx say "..." -o d.wav
"""


def test_finds_what_is_spoken_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(PAGE, "utf-8")
    found = examples(tmp_path)
    assert [example.text for example in found] == [
        "Good morning.", "Piped.", "Sent.", "Called.", "你好。",
    ]  # fmt: skip
    assert [example.language for example in found] == ["en", "en", "en", "en", "zh"]
    assert found[1].place == "README.md:5"


def test_the_project_shows_some() -> None:
    places = {example.place.partition(":")[0] for example in examples()}
    assert {"README.md", "docs/reference/cli.md"} <= places
