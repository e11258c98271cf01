"""A headless Chromium for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Keys:
    """Keys as WebDriver sends them."""

    CONTROL, ENTER = "\ue009", "\ue007"


_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1000,900",
)


@contextmanager
def browser(profile: Path, rebound: str | None = None) -> Iterator[Any]:
    """A driver of Chromium with the empty folder ``profile``; skips where there is none.

    No name is looked up, and no proxy asked; the name ``rebound`` leads to this machine.
    """
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium with chromedriver here")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    rules = "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    if rebound is not None:
        rules = f"MAP {rebound} 127.0.0.1 , {rules}"
    for flag in (*_FLAGS, f"--host-resolver-rules={rules}", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    page = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield page
    finally:
        page.quit()
