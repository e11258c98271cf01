"""An ``<audio>`` of a real browser plays every format that the server sends, to its end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser import browser
from tests.chattts_onnx.serve.conftest import STEPS, Running

# Where the source may be sought in the browser asks for it again; a stream is asked for once.
_PLAY = """
const [address, done] = arguments, sound = new Audio(address);
sound.onended = () => done({played: sound.currentTime, length: sound.duration});
sound.onerror = () => done({error: sound.error.message || String(sound.error.code)});
sound.play().catch(error => done({error: String(error)}));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        driver.set_page_load_timeout(120)
        driver.set_script_timeout(120)
        yield driver


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "opus"])
def test_a_stream_is_played_to_its_end(form: str, page: Any, server: Running) -> None:
    pytest.importorskip("soundfile")
    page.get(f"{server.url}/health")  # its own page plays by Web Audio and lets nothing else
    address = f"/v1/tts?text=hello&seed=1&format={form}&max_new_tokens={STEPS}"
    found = page.execute_async_script(_PLAY, address)
    assert "error" not in found, found
    seconds = (2 * STEPS - 1) * 64 / 8000
    assert found["played"] == pytest.approx(found["length"], abs=0.05)
    # What encoders add at both ends, and Chromium leaves up to two packets out.
    assert seconds - (0.05 if form in ("mp3", "opus") else 0.01) <= found["played"] <= seconds + 0.2
