"""The pictures of the how-to page on MLflow: ``python -m tools.mlflow_pictures [WORKSPACE]``

Opens the records of a workspace in Chromium, the last two runs beside each other. Writes
``docs/how-to/pictures/mlflow-*.png``.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from pipeline.config import load_params
from pipeline.tracking.pages import PARENT_TAG, links
from tests.browser import browser

FOLDER = Path("docs/how-to/pictures")
WIDTH, HEIGHT = 1500, 900
SECONDS = 200.0
# of MLflow's page: a panel at the right that opens by itself
ASSISTANT = {"fab.autoOpenedOnFirstLoad_v1": "true", "panelOpen_v1": "false"}


@contextmanager
def served(workspace: Path) -> Iterator[str]:
    """MLflow on a free port, as ``make ui`` starts it; its address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pipeline.ui", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=workspace, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait(url: str) -> None:
    until = time.monotonic() + SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def take(page: Any, url: str, shows: str, path: Path, folded: Sequence[str] = ()) -> None:
    """Open ``url``, wait for the text ``shows``, fold sections away, and write the PNG ``path``."""
    page.get("about:blank")
    page.get(url)
    WebDriverWait(page, SECONDS).until(
        lambda found: shows in found.find_element(By.TAG_NAME, "body").text
    )
    for title in folded:
        page.find_element(By.XPATH, f"//*[text()='{title}']").click()
    # charts are drawn after their headings
    time.sleep(2.0)
    page.save_screenshot(str(path))


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tools.mlflow_pictures", description=__doc__)
    parser.add_argument("workspace", type=Path, nargs="?", default=Path())
    workspace = parser.parse_args().workspace
    config = load_params(workspace / "params.yaml").tracking
    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is None:
        parser.error(f"{workspace}: no experiment {config.experiment}; run `make repro`")
    number = experiment.experiment_id
    found = client.search_runs([number], order_by=["attributes.start_time DESC"])
    parents = [run.info.run_id for run in found if PARENT_TAG not in run.data.tags]
    child = next(run.info.run_id for run in found if run.info.run_name == "int8")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        served(workspace) as url,
        TemporaryDirectory() as profile,
        browser(Path(profile)) as page,
    ):
        page.set_window_size(WIDTH, HEIGHT)
        page.get(url)
        for key, value in ASSISTANT.items():
            page.execute_script(f"localStorage.setItem('mlflow.assistant.{key}', '{value}')")
        page.refresh()
        shown = {"runs": "wer_en", "variants": "size_mb"}
        for name, link in links(url, number).items():
            take(page, link, shown[name], FOLDER / f"mlflow-{name}.png")
        kind = "workflowType=machine_learning"
        table = f"{url}/#/experiments/{number}/runs/{child}/artifacts/tables/validation.json?{kind}"
        take(page, table, "top1_agreement", FOLDER / "mlflow-table.png")
        if len(parents) > 1:
            pair = f'runs=["{parents[0]}","{parents[1]}"]&experiments=["{number}"]'
            compare = f"{url}/#/compare-runs?{pair}&{kind}"
            folded = ("Visualizations", "Run details", "Parameters")
            take(page, compare, "Show diff only", FOLDER / "mlflow-compare.png", folded)
    return 0


if __name__ == "__main__":
    sys.exit(main())
