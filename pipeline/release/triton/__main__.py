"""``python -m pipeline.release.triton --bundle bundles/int8 --out model_repository``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.core.command import command
from pipeline.release.triton.config import SpeechModelConfig, TritonConfig, VocoderModelConfig
from pipeline.release.triton.repository import write_repository


def parser() -> argparse.ArgumentParser:
    """The command line; defaults are those of the dataclasses."""
    speech, vocoder = SpeechModelConfig(), VocoderModelConfig()
    made = argparse.ArgumentParser(
        prog="python -m pipeline.release.triton",
        description="Write a Triton model repository of a bundle.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = made.add_argument
    add("--bundle", type=Path, required=True, help="bundle folder, such as bundles/int8")
    add("--out", type=Path, default=Path("model_repository"), help="folder to write")
    add("--device", choices=("cpu", "gpu"), default="cpu", help="where instances run")
    add("--instances", type=int, default=speech.instances, help="processes of the speech model")
    add("--slots", type=int, default=speech.slots, help="requests spoken at once by an instance")
    add("--queue-size", type=int, default=speech.queue_size, help="requests that wait in one")
    add("--threads", type=int, default=speech.threads, help="of an instance; 0: physical cores")
    add("--max-characters", type=int, default=speech.max_characters, help="longest text")
    add(
        "--vocoder-backend",
        choices=("onnxruntime", "python"),
        default=vocoder.backend,
        help="python for a server without the onnxruntime backend",
    )
    add("--vocoder-instances", type=int, default=vocoder.instances, help="sessions of the vocoder")
    return made


@command("triton")
def main(arguments: list[str] | None = None) -> int:
    """Entry point: exit status 2 for an error."""
    given = parser().parse_args(arguments)
    config = TritonConfig(
        variant=given.bundle.name,
        device=given.device,
        speech=SpeechModelConfig(
            instances=given.instances,
            slots=given.slots,
            queue_size=given.queue_size,
            threads=given.threads,
            max_characters=given.max_characters,
        ),
        vocoder=VocoderModelConfig(
            backend=given.vocoder_backend,
            instances=given.vocoder_instances,
            threads=given.threads,
        ),
    )
    write_repository(given.bundle, given.out, config)
    print(f"{given.out}: start it with tritonserver --model-repository={given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
