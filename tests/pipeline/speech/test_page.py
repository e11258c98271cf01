from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.speech.config import PageConfig
from pipeline.speech.figures import speech_rows
from pipeline.speech.page import RANDOM, heard_html, render_page
from tests.browser import browser
from tests.pipeline.speech.spoken import judged, said, tone

VARIANTS = ("fp32", "int8")
BOUNDS = PageConfig(sentences=10, max_bytes=2_000_000)


def make_page(bounds: PageConfig = BOUNDS, random_weights: bool = False) -> str:
    """Two sentences by two variants; the second one's last is empty."""
    fp32 = [judged(said("603"), "Now serving <b>603</b>"), judged(said("degrees", 1), "rainy & 3")]
    int8 = [judged(said("603"), "603"), judged(tone(0.0, 1), "", float("nan"))]
    judgements = dict(zip(VARIANTS, (fp32, int8), strict=True))
    rows = speech_rows(judgements, "fp32", 20, 1)
    return render_page("mini: speech", rows, judgements, bounds, random_weights)


def test_the_page_holds_everything_and_refers_to_nothing_else() -> None:
    page = make_page()
    sources = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert len(sources) == 1 + 2 * 3  # the icon; a picture and a player for each that sounds
    assert all(source.startswith("data:") for source in sources)
    assert "<b>603" not in page
    assert "<mark>b</mark>" in page and "rainy" in page
    assert "nothing to hear" in page
    assert RANDOM not in page
    assert RANDOM in make_page(random_weights=True)


@pytest.mark.parametrize(
    ("wanted", "heard", "shown"),
    [
        ("Now serving 603.", "now serving six oh three", "now serving six oh three"),
        ("A <b> C.", "a <b> c", "a &lt;b&gt; c"),
        ("Turn left here.", "Turn right here", "turn <mark>right</mark> here"),
        ("Turn left here.", "Turn here", "turn <del>left</del> here"),
        ("Turn here.", "Turn it here", "turn <mark>it</mark> here"),
        ("今天天气好", "今天天汽好", "今天天 <mark>汽</mark> 好"),
        ("Hello.", "", "<del>hello</del>"),
    ],
)
def test_only_what_differs_is_marked(wanted: str, heard: str, shown: str) -> None:
    assert heard_html(wanted, heard) == shown


def test_the_page_keeps_its_bounds_and_says_so() -> None:
    assert "2 of 2 utterances" in make_page()
    assert "1 of 2 utterances" in make_page(PageConfig(sentences=1, max_bytes=2_000_000))
    whole = len(make_page().encode())
    smaller = make_page(PageConfig(sentences=10, max_bytes=whole - 1000))
    assert "1 of 2 utterances" in smaller
    assert len(smaller.encode()) <= whole - 1000


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    """Chromium without a display."""
    with browser(tmp_path / "profile") as started:
        started.set_page_load_timeout(120)
        started.set_script_timeout(120)
        yield started


PLAY = """
const [player, done] = arguments;
player.addEventListener("ended", () => done("ended"));
player.addEventListener("error", () => done("error " + player.error.message));
player.addEventListener("loadedmetadata", () => {
  player.currentTime = player.duration - 0.3;
  player.play().catch((problem) => done("refused " + problem));
});
player.load();
"""


@pytest.mark.slow
def test_a_browser_shows_and_plays_it(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "listen.html"
    path.write_text(make_page(), encoding="utf-8")
    page.get(path.as_uri())
    assert page.title == "mini: speech"
    widths = "return [...document.images].map((image) => image.complete && image.naturalWidth)"
    assert all(width > 50 for width in page.execute_script(widths))

    players = page.find_elements("css selector", "audio")
    assert len(players) == 3
    # to the last sample: the browser decodes what was encoded, all of it
    assert [page.execute_async_script(PLAY, player) for player in players] == ["ended"] * 3
    durations = [page.execute_script("return arguments[0].duration", p) for p in players]
    expected = [said(name).seconds for name in ("603", "603", "degrees")]
    assert np.allclose(durations, expected, atol=0.15)

    cells = page.find_elements("css selector", "#speech .v1")
    assert all(cell.is_displayed() for cell in cells)
    page.find_element("id", "t1").click()
    assert not any(cell.is_displayed() for cell in cells)
    assert page.find_element("css selector", "#speech .v0").is_displayed()

    names = {str(player.get_attribute("aria-label")).partition(":")[0] for player in players}
    assert names == {"fp32", "int8"}

    # blind: of what is shown, names are hidden until the votes are shown
    page.find_element("id", "begin").click()
    assert "show two variants" in page.find_element("id", "question").text
    page.find_element("id", "t1").click()
    page.find_element("id", "begin").click()
    assert not page.find_element("id", "speech").is_displayed()
    # by keys alone: the focus follows
    assert page.switch_to.active_element.get_attribute("id") == "hear0"
    page.switch_to.active_element.send_keys("b1")
    page.find_element("css selector", "[data-vote='']").click()
    assert page.find_element("id", "question").text.startswith("3. ")
    assert not page.find_element("id", "tally").text
    page.find_element("id", "end").click()
    tally = page.find_element("id", "tally").text
    assert "fp32 better" in tally and "int8 better" in tally and "no difference 1" in tally

    for width in (390, 1280):
        size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        players = "[...document.querySelectorAll('audio')]"
        right = f"return Math.max(...{players}.map(p => p.getBoundingClientRect().right))"
        assert page.execute_script(right) <= width

    # no missing resource, no failed script
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
