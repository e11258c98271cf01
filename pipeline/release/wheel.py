"""A bundle as a data wheel, so that ``pip install`` brings a voice; its bytes repeat.

The form is that of the binary distribution format (PEP 427): a zip with the package, its metadata
and a record of all hashes.  Nothing is compressed, since zlib's bytes differ from build to build.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from chattts_onnx import __version__
from chattts_onnx.format.installed import FOLDER, GROUP
from chattts_onnx.format.manifest import MANIFEST_NAME, Manifest
from pipeline.core.errors import ReleaseError

# What an index takes by default.
LARGEST = 100 * 1000**2
_DATE = (1980, 1, 1, 0, 0, 0)


def bundle_wheel(bundle: Path, licence: str, folder: Path) -> Path | None:
    """Write ``chattts_onnx_<checkpoint>-<version>-py3-none-any.whl``; return its path.

    None where the bundle is larger than :data:`LARGEST`: no index would take it.

    Raises:
        BundleError: the bundle is missing or damaged.
        ReleaseError: the checkpoint's name makes no package's name.
    """
    manifest = Manifest.load(bundle)
    if sum(info.bytes for info in manifest.files.values()) > LARGEST:
        return None
    name = str(manifest.checkpoint["name"])
    package = f"chattts_onnx_{name.replace('-', '_')}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", package):
        raise ReleaseError(f"checkpoint {name!r}: expected lower-case letters, digits, _ and -.")
    about = f'"""The bundle {name} ({manifest.variant}) of chattts-onnx: data, no code."""\n'
    content: dict[str, bytes | Path] = {f"{package}/__init__.py": about.encode()}
    for file in [MANIFEST_NAME, *sorted(manifest.files)]:
        content[f"{package}/{FOLDER}/{file}"] = bundle / file
    info = f"{package}-{__version__}.dist-info"
    content |= {f"{info}/{file}": text.encode() for file, text in _metadata(
        name, package, manifest, licence).items()}  # fmt: skip
    path = folder / f"{package}-{__version__}-py3-none-any.whl"
    _write(path, content, f"{info}/RECORD")
    return path


def _metadata(name: str, package: str, manifest: Manifest, licence: str) -> Mapping[str, str]:
    runtime = manifest.tools.get("onnxruntime")
    return {
        "METADATA": "\n".join(
            [
                "Metadata-Version: 2.4",
                f"Name: {package.replace('_', '-')}",
                f"Version: {__version__}",
                f"Summary: The speech model {name} ({manifest.variant}) for chattts-onnx",
                f"License-Expression: {licence}",
                "Requires-Python: >=3.11",
                f"Requires-Dist: chattts-onnx>={__version__}",
                "",
                f"Made with ONNX Runtime {runtime}; `chattts-onnx doctor` says what differs here.",
                "",
            ]
        ),
        "WHEEL": "Wheel-Version: 1.0\nGenerator: chattts-onnx\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        "entry_points.txt": f"[{GROUP}]\n{name} = {package}\n",
    }


def _write(path: Path, content: Mapping[str, bytes | Path], record: str) -> None:
    lines = []
    scratch = path.with_name(f".{path.name}.partial")
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_STORED) as wheel:
        for name, source in content.items():
            data = source if isinstance(source, bytes) else source.read_bytes()
            wheel.writestr(_entry(name), data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}\n")
        wheel.writestr(_entry(record), "".join([*lines, f"{record},,\n"]))
    scratch.replace(path)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = 0o644 << 16
    return entry
