"""The page at ``/`` in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Keys, browser
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


def ready(page: Any, server: Running) -> None:
    page.get(server.url)
    until(lambda: state(page) == "ready", "the page is ready")


def type_text(page: Any, words: str) -> Any:
    text = page.find_element("id", "text")
    text.clear()
    text.send_keys(words)
    return text


def value(page: Any, script: str) -> Any:
    return page.execute_script(f"return {script}")


@pytest.mark.slow
def test_type_choose_listen_and_see(start_server, steady_path: Path, page: Any) -> None:  # type: ignore[no-untyped-def]
    server: Running = start_server(bundles={"one": steady_path, "two": steady_path})
    ready(page, server)
    page.find_element("css selector", "#more summary").click()
    options = page.find_elements("css selector", "#variant option")
    assert [option.get_attribute("value") for option in options] == ["one", "two"]
    options[1].click()
    until(lambda: page.find_elements("css selector", "input[name=voice]"), "voices are there")
    voices = page.find_elements("css selector", "#voices input[name=voice]")
    # Each voice can be seen at once, and a number stands for one of all others.
    assert [voice.get_attribute("value") for voice in voices] == ["anna", ""]
    type_text(page, "hello world")
    assert drawn(page) == 0
    gate = Gate(server.service, "two")
    page.find_element("id", "speak").click()
    until(lambda: sum(server.service.load()["two"]) == 1, "it was submitted")
    gate.allow(30)
    # It sounds, is drawn and can be saved while the model stands still half-way.
    until(lambda: state(page) == "streaming", "it streams")
    early = int(value(page, "document.body.dataset.samples"))
    assert 0 < early < SAMPLES and drawn(page) > 0
    save = page.find_element("id", "save")
    kept = "HTMLAnchorElement.prototype.click = function () { window.saved = this; }"
    page.execute_script(kept)
    # by keys: what has no address yet cannot be reached as a link
    save.send_keys(Keys.ENTER)
    assert value(page, "player.clip.wav().size") == 44 + 2 * early
    assert value(page, "saved.href").startswith("blob:")
    assert value(page, "saved.download") == "speech.wav"
    until(lambda: page.find_elements("css selector", "#spoken mark"), "a word is marked")
    gate.open()
    until(lambda: state(page) == "done", "all has come")
    assert int(value(page, "document.body.dataset.samples")) == SAMPLES
    assert value(page, "player.context.state") == "running"
    assert "two, seed" in page.find_element("id", "status").text
    past = page.find_elements("css selector", "#history li span")
    assert [line.text for line in past] == ["hello world"]
    named = page.find_element("css selector", "#history button").accessible_name
    assert named == "Play: hello world"
    # read aloud when they change: the status alone, not the time
    assert (
        value(page, "document.querySelectorAll('output, [role=status], [aria-live]').length") == 1
    )
    asked = requested(page)
    assert f"{server.url}/v1/tts" in asked
    assert [url for url in asked if not url.startswith(server.url)] == []
    severe = [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []


@pytest.mark.slow
def test_what_was_said_is_paused_sought_and_replayed(start_server, page: Any) -> None:  # type: ignore[no-untyped-def]
    server: Running = start_server()
    ready(page, server)
    # By keys alone.
    type_text(page, "hello world").send_keys(Keys.CONTROL, Keys.ENTER)
    until(lambda: state(page) == "done", "all has come")
    play, stop = page.find_element("id", "play"), page.find_element("id", "stop")
    # what follows a click is looked at with it: a busy machine may be slower than the sound
    pressed = "arguments[0].click(); return [player.position, player.playing]"
    again, past = (
        page.find_element("id", "again"),
        page.find_element("css selector", "#history button"),
    )
    page.execute_script(f"player.play(player.clip); {pressed}", play)
    until(lambda: value(page, "player.context.state") == "suspended", "it is paused")
    held = value(page, "player.position")
    assert play.text == "Play" and value(page, "player.position") == held
    page.execute_script("player.seek(player.clip.seconds / 2)")
    half = value(page, "player.clip.seconds / 2")
    assert value(page, "player.position") == pytest.approx(half, abs=0.05)
    at, playing = page.execute_script(pressed, again)
    assert at < half and playing
    # Stop ends what is heard, though nothing is being made any more.
    page.execute_script("player.play(player.clip)")
    assert page.execute_script(pressed, stop)[1] is False and not stop.is_enabled()
    assert page.execute_script(pressed, past)[1] is True
    page.find_element("css selector", "#voices button").click()
    until(lambda: len(page.find_elements("css selector", "#history li")) == 2, "a sample is heard")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_lies_beside_the_screen(server: Running, page: Any, width: int) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    ready(page, server)
    page.find_element("css selector", "#more summary").click()
    assert value(page, "document.documentElement.scrollWidth") <= width
    outside = (
        "[...document.querySelectorAll('button, input, select, textarea, canvas, label')]"
        ".filter(e => !e.closest('.unseen, [hidden]') && e.getClientRects().length &&"
        " e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML)"
    )
    assert value(page, outside) == []
    unnamed = (
        "[...document.querySelectorAll('input, select, textarea, button')].filter(e =>"
        " !e.labels?.length && !e.getAttribute('aria-label') && !e.textContent.trim())"
        ".map(e => e.outerHTML)"
    )
    assert value(page, unnamed) == []
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_stop_errors_and_key(start_server, page: Any) -> None:  # type: ignore[no-untyped-def]
    server: Running = start_server(api_keys=("secret",))
    page.get(server.url)
    until(lambda: state(page) == "key", "it asks for a key")
    page.find_element("id", "key").send_keys("secret\t")
    until(lambda: state(page) == "ready", "the page is ready")
    page.execute_script("document.querySelector('input[name=voice]').value = 'nobody'")
    page.find_element("id", "speak").click()
    until(lambda: state(page) == "failed", "the error is shown")
    assert "no such voice" in page.find_element("id", "status").text
    page.find_element("id", "number").click()
    gate = Gate(server.service)
    page.find_element("id", "speak").click()
    until(lambda: sum(server.service.load()["tiny"]) == 1, "it was submitted")
    page.find_element("id", "stop").click()
    gate.open()
    until(lambda: server.service.active == 0, "its slot is free")
    assert state(page) == "stopped"


def test_the_page_needs_nothing_from_elsewhere(server: Running) -> None:
    for name in ("index.html", "page.js", "player.js", "page.css"):
        source = (PAGE / name).read_text("utf-8")
        assert "http://" not in source and "https://" not in source and "//cdn" not in source
    answer = HTTP.get(server.url + "/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    for script in ("page.js", "player.js"):
        found = HTTP.get(f"{server.url}/{script}").headers["content-type"]
        assert found.startswith("text/javascript")
    assert HTTP.get(f"{server.url}/other.js").status_code in (404, 422)


@pytest.mark.slow
def test_the_word_that_is_marked_is_the_one_that_is_said(start_server, page: Any) -> None:  # type: ignore[no-untyped-def]
    server: Running = start_server()
    ready(page, server)
    type_text(page, "Say $5, please. **Now** then.")
    page.find_element("id", "speak").click()
    until(lambda: state(page) == "done", "all has come")
    words = value(
        page, "player.clip.words.map(w => [player.clip.text.slice(w.at, w.to), w.start, w.end])"
    )
    assert [word for word, _, _ in words] == ["Say", "$5,", "please.", "Now", "then."]
    for word, start, end in words:
        middle = (start + end) / 2
        found = value(
            page,
            f"(s => player.clip.text.slice(s.at, s.to))(player.clip.wordAt({middle}))",
        )
        assert found == word


@pytest.mark.slow
def test_the_description_needs_no_network(start_server, page: Any) -> None:  # type: ignore[no-untyped-def]
    server: Running = start_server()
    page.get_log("performance"), page.get_log("browser")
    page.get(f"{server.url}/docs")
    until(lambda: page.find_elements("css selector", "#routes details"), "routes are there")
    routes = [each.text for each in page.find_elements("css selector", "#routes summary code")]
    assert {"POST /v1/tts", "POST /v1/audio/speech", "GET /health"} <= set(routes)
    shown = value(page, "document.getElementById('routes').textContent")
    assert "temperature" in shown and "undefined" not in shown and "[object" not in shown
    assert all(url.startswith(server.url) for url in requested(page))
    assert [e for e in page.get_log("browser") if e["level"] == "SEVERE"] == []
