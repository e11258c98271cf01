"""Runs a job and kills itself, as `kill -9` does, at the n-th event on its output folder.

``python -m tests.chattts_onnx.bulk.killed CORPUS BUNDLE OUTPUT N``; with N 0 it lives and prints
how many events there were.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from chattts_onnx import open_bundle
from chattts_onnx.bulk import run
from tests.chattts_onnx.bulk.corpora import make_job

# Everything that changes the folder or precedes a change of a file in it.
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.link", "os.rmdir", "shutil.rmtree"}


def main() -> None:
    corpus, bundle, output = map(Path, sys.argv[1:4])
    last, seen, lock = int(sys.argv[4]), 0, threading.Lock()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in EVENTS and str(output) in str(arguments[0]):
            with lock:
                seen += 1
                if seen == last:
                    os.kill(os.getpid(), signal.SIGKILL)

    job = make_job(corpus, bundle, output)
    opened = open_bundle(bundle, threads=1)
    sys.addaudithook(hook)
    run(job, opened, slots=2)
    print(seen)


if __name__ == "__main__":
    main()
