"""The page at ``/`` in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import browser
from tests.chattts_onnx.serve.conftest import HTTP, STEPS, Gate, Running, until

SAMPLES = (2 * STEPS - 1) * 64
PAGE = Path(__file__).parents[3] / "chattts_onnx/serve/page"


def state(page: Any) -> str:
    return str(page.execute_script("return document.body.dataset.state"))


def drawn(page: Any) -> int:
    """Pixels of the waveform."""
    script = (
        "const c = document.getElementById('wave');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n;"
    )
    return int(page.execute_script(script))


def requested(page: Any) -> set[str]:
    """Addresses that the page asked for."""
    messages = (json.loads(entry["message"])["message"] for entry in page.get_log("performance"))
    found = {
        m["params"]["request"]["url"]
        for m in messages
        if m["method"] == "Network.requestWillBeSent"
    }
    # The browser's own pages (chrome://) and what the page made itself (blob:) cross no network.
    return {url for url in found if url.startswith(("http", "ws"))}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        # The first page takes a busy machine long.
        driver.set_page_load_timeout(120)
        yield driver


@pytest.mark.slow
def test_type_choose_listen_and_see(start_server, steady_path: Path, page: Any) -> None:  # type: ignore[no-untyped-def]
    server: Running = start_server(bundles={"one": steady_path, "two": steady_path})
    page.get(server.url)
    until(lambda: state(page) == "ready", "the page is ready")
    options = page.find_elements("css selector", "#variant option")
    assert [option.get_attribute("value") for option in options] == ["one", "two"]
    options[1].click()
    text = page.find_element("id", "text")
    text.clear()
    text.send_keys("hello world")
    voice = page.find_element("id", "voice")
    voice.clear()
    voice.send_keys("anna")
    names = page.find_elements("css selector", "#voices option")
    assert names[0].get_attribute("value") == "anna"
    assert drawn(page) == 0
    gate = Gate(server.service, "two")
    page.find_element("id", "speak").click()
    until(lambda: sum(server.service.load()["two"]) == 1, "it was submitted")
    gate.allow(30)
    # It sounds and is drawn while the model stands still half-way.
    until(lambda: state(page) == "streaming", "it streams")
    early = int(page.execute_script("return document.body.dataset.samples"))
    assert 0 < early < SAMPLES and drawn(page) > 0
    gate.open()
    until(lambda: state(page) == "done", "all has come")
    assert int(page.execute_script("return document.body.dataset.samples")) == SAMPLES
    assert int(page.execute_script("return document.body.dataset.scheduled")) > 1
    assert page.execute_script("return state.context.state") == "running"
    assert "two, seed" in page.find_element("id", "status").text
    assert page.find_element("id", "save").get_attribute("href").startswith("blob:")
    asked = requested(page)
    assert f"{server.url}/v1/tts" in asked
    assert [url for url in asked if not url.startswith(server.url)] == []
    severe = [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []


@pytest.mark.slow
def test_stop_errors_and_key(start_server, page: Any) -> None:  # type: ignore[no-untyped-def]
    server: Running = start_server(api_keys=("secret",))
    page.get(server.url)
    until(lambda: state(page) == "key", "it asks for a key")
    key = page.find_element("id", "key")
    key.send_keys("secret\t")
    until(lambda: state(page) == "ready", "the page is ready")
    voice = page.find_element("id", "voice")
    voice.clear()
    voice.send_keys("nobody")
    page.find_element("id", "speak").click()
    until(lambda: state(page) == "failed", "the error is shown")
    assert "no such voice" in page.find_element("id", "status").text
    voice.clear()
    gate = Gate(server.service)
    page.find_element("id", "speak").click()
    until(lambda: sum(server.service.load()["tiny"]) == 1, "it was submitted")
    page.find_element("id", "stop").click()
    gate.open()
    until(lambda: server.service.active == 0, "its slot is free")
    assert state(page) == "stopped"


def test_the_page_needs_nothing_from_elsewhere(server: Running) -> None:
    for name in ("index.html", "page.js", "page.css"):
        source = (PAGE / name).read_text("utf-8")
        assert "http://" not in source and "https://" not in source and "//cdn" not in source
    answer = HTTP.get(server.url + "/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert HTTP.get(server.url + "/page.js").headers["content-type"].startswith("text/javascript")
