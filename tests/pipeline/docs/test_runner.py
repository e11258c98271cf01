"""What runs the pages notices what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chattts_onnx.cli import build_parser
from pipeline.docs.cli_page import commands
from tests.pipeline.docs import stand_ins
from tests.pipeline.docs.blocks import Block, read_blocks
from tests.pipeline.docs.checking import faults
from tests.pipeline.docs.running import Page

PAGE = """\
# Page

```console
$ echo one \\
    two | cat
one two
$ true
```

<!-- not run: needs Docker -->
```sh
docker run x
```

```yaml
a: 1
```

<!-- keeps running -->
```python
print(1)
```
"""


def block(code: str, language: str = "console", keeps_running: bool = False) -> Block:
    return Block(1, language, code, "", keeps_running)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page("page.md", tmp_path, dict(os.environ), {"WORD": "other"})


def test_blocks_and_their_marks(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(PAGE)
    first, second, third = read_blocks(path)
    assert [(c.text, c.output) for c in first.commands] == [
        ("echo one \\\n    two | cat", "one two"),
        ("true", ""),
    ]
    assert (second.not_run, second.line, second.language) == ("needs Docker", 12, "sh")
    assert (third.not_run, third.keeps_running) == ("", True)


def test_commands_share_a_shell_and_show_their_output(page: Page) -> None:
    page.run([block("$ export A=1\n$ echo $A WORD\n1 other\n$ echo a b c\na ... c")])


@pytest.mark.parametrize("code", ["$ false", "$ true\n$ no-such-program", "$ false | cat"])
def test_a_command_that_fails_is_named(page: Page, code: str) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:1 ended with"):
        page.run([block(code)])


def test_other_output_is_noticed(page: Page) -> None:
    with pytest.raises(AssertionError, match="echo two"):
        page.run([block("$ echo one\none\n$ echo two\nthree")])


def test_a_python_block_that_fails_is_noticed(page: Page) -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        page.run([block("1 / 0", "python")])


def test_a_server_is_awaited_asked_and_stopped(page: Page) -> None:
    serve = "$ python3 -u -m http.server 8765 --bind 127.0.0.1\nServing HTTP on ..."
    ask = "$ python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:8000')\""
    serve = serve.replace("8765 --bind", "$CHATTTS_PORT --bind")
    page.run([block(serve, keeps_running=True), block(ask)])
    with pytest.raises(AssertionError, match="ended with"):
        page.run([block(ask)])


def test_a_server_that_never_says_so_is_noticed(page: Page) -> None:
    with pytest.raises(AssertionError, match="never printed 'ready'"):
        page.run([block("$ echo no\nready", keeps_running=True)])


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("$ make repo", "no target repo"),
        ("$ make repro CHECKPIONT=mini", "no variable CHECKPIONT"),
        ("$ A=1 chattts-onnx say hello --no-such", "does not take"),
        ("$ true && python -m pipeline.no_such", "no module"),
        ("$ python -m pipeline.studies.load ramp --no-such x", "has no --no-such"),
        ("$ if true", "syntax error"),
    ],
)
def test_what_does_not_exist_is_found_without_running_it(code: str, fault: str) -> None:
    assert any(fault in found for found in faults(block(code)))


def test_what_exists_passes() -> None:
    code = (
        "$ make search CHECKPOINT=mini MINUTES=1 WRITE=1\n"
        "$ python -m pipeline.studies.load ramp --config x"
    )
    assert not list(faults(block(code)))


def test_extras_have_to_exist() -> None:
    assert stand_ins.pip(["install", "chattts-onnx[serve,audio]"]) == ""
    assert stand_ins.pip(["install", "chattts-onnx[sound]"]) == "no extra sound"


def test_examples_in_the_help_take_their_options() -> None:
    examples = [
        line.strip()
        for _, parser in commands(build_parser())
        for line in (parser.epilog or "").splitlines()
        if line.strip().startswith("chattts-onnx ")
    ]
    assert len(examples) > 20
    for line in examples:
        assert not list(faults(block(f"$ {line}"))), line
