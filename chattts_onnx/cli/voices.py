"""``chattts-onnx voices``: list, create, show, convert and clone voices."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..charset import argument
from ..errors import InputError
from ..format.installed import known_bundle
from .common import Commands, add_bundle, add_runtime, bundle_folder, new_command, open_named_bundle

if TYPE_CHECKING:
    from ..voices.collection import VoiceShelf

# ChatTTS's own checkpoint; a bundle's manifest says it for others.
_USUAL_SIZE = 768
_EXAMPLES = """  chattts-onnx voices list -b bundles/int8
  chattts-onnx voices list shared.json
  chattts-onnx voices create anna --seed 7 -b bundles/int8
  chattts-onnx voices create anna --seed 7 -o anna.json -b bundles/int8
  chattts-onnx voices show anna -b bundles/int8
  chattts-onnx voices convert spreadsheet.csv anna.json
  chattts-onnx voices convert 'voices.xlsx#Sheet2' anna.json
  chattts-onnx voices convert 'anna.json(2)+7(1)' mixed.json
  chattts-onnx voices clone me.wav --transcript "What I said." -o me.json -b bundles/int8
"""


def add_command(commands: Commands) -> None:
    """Declare the command."""
    parser = new_command(commands, "voices", "list, make, show and convert voices", _EXAMPLES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="names in a bundle or a JSON collection")
    listing.add_argument("file", nargs="?", type=Path, help="JSON collection")
    listing.set_defaults(run=_list)
    create = actions.add_parser("create", help="save a voice under a name or in a file")
    create.add_argument("name", help="name in the bundle")
    source = create.add_mutually_exclusive_group(required=True)
    source.add_argument("--seed", type=int, help="draw it at random by this seed")
    source.add_argument("--source", help="file (FILE#NAME), text form or mix such as 7(2)+9(1)")
    create.add_argument("-o", "--output", type=Path, help="file instead of the bundle")
    create.set_defaults(run=_create)
    show = actions.add_parser("show", help="print a voice's text form and what it holds")
    show.add_argument("voice", help="seed, name, file (FILE#NAME), text form or mix")
    show.set_defaults(run=_show)
    convert = actions.add_parser("convert", help="rewrite a voice as .json, .csv, .npy or .txt")
    convert.add_argument("source", help="seed, name, file (FILE#NAME), text form or mix")
    convert.add_argument("target", type=Path, help="its suffix tells the form")
    convert.set_defaults(run=_convert)
    clone = actions.add_parser("clone", help="encode a recording to speak in its voice")
    clone.add_argument("recording", type=Path, help="1 to 30 s of one speaker")
    clone.add_argument("--transcript", required=True, help="what is said in it")
    clone.add_argument("-o", "--output", type=Path, required=True, help="JSON file for --clone")
    clone.set_defaults(run=_clone)
    for action in (listing, create, show, convert, clone):
        add_bundle(action)
    add_runtime(clone)


def _shelf(parsed: argparse.Namespace) -> VoiceShelf:
    """Voices of the bundle, or of the usual size where none is named; no graph is loaded."""
    from ..format.manifest import Manifest
    from ..voices.collection import VoiceShelf

    folder = known_bundle(parsed.bundle)
    if folder is None:
        return VoiceShelf(Path("voices"), _USUAL_SIZE)
    manifest = Manifest.load(folder, verify=False)
    return VoiceShelf(folder / "voices", manifest.model.hidden_size)


def _list(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    from ..voices.files import voice_names

    if parsed.file is not None:
        if not parsed.file.is_file():
            raise InputError(f"{parsed.file} not found; expected a JSON collection of voices.")
        for name in voice_names(parsed.file) or [parsed.file.stem]:
            print(name)
        return 0
    bundle_folder(parsed)  # an error where there is none
    for name, path in _shelf(parsed).names.items():
        print(f"{name}\t{path}")
    return 0


def _create(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    shelf = _shelf(parsed)
    voice = parsed.source if parsed.seed is None else parsed.seed
    if parsed.output is None:
        bundle_folder(parsed)
        print(shelf.save(parsed.name, voice))
        return 0
    from ..voices.vectors import save_speaker

    details = {"name": parsed.name} | ({} if parsed.seed is None else {"seed": parsed.seed})
    save_speaker(parsed.output, shelf.vector(voice), shelf.hidden_size, **details)
    print(parsed.output)
    return 0


def _show(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    import numpy as np

    from ..voices.vectors import encode_speaker

    vector = _shelf(parsed).vector(parsed.voice)
    print(
        f"{len(vector)} numbers, mean {vector.mean():.4f}, deviation {vector.std():.4f}, ", end=""
    )
    print(f"norm {np.linalg.norm(vector):.4f}")
    print(encode_speaker(vector))
    return 0


def _convert(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    from ..voices.vectors import save_speaker

    shelf = _shelf(parsed)
    if parsed.target.suffix.lower() not in (".json", ".csv", ".npy", ".txt"):
        raise InputError(f"{parsed.target} has no suffix of a voice: .json, .csv, .npy or .txt.")
    save_speaker(parsed.target, shelf.vector(parsed.source), shelf.hidden_size)
    print(parsed.target)
    return 0


def _clone(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    from ..speech.cloning import make_sample, save_sample

    if parsed.output.suffix.lower() != ".json":
        raise InputError(f"{parsed.output} has another suffix than .json, which --clone reads.")
    transcript = argument(parsed.transcript, "--transcript")
    sample = make_sample(open_named_bundle(parsed), parsed.recording, transcript)
    save_sample(parsed.output, sample)
    print(f"{parsed.output}: {len(sample.codes)} steps; {sample.transcript}")
    return 0
