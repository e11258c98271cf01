"""``SHA256SUMS``: which files a release has, which of them are parts of one archive.

The file is the one that ``sha256sum -c`` reads.  An archive larger than hosts accept lies there as
``name.tar.001``, ``name.tar.002``, …, so that each part can be checked by itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ArchiveError
from ..format.files import hash_file
from ..untrusted import brief, brief_text

SUMS_NAME = "SHA256SUMS"
ARCHIVE_SUFFIX = ".tar"
# The largest SHA256SUMS that is read: thousands of files.
MAX_SUMS_BYTES = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([A-Za-z0-9][A-Za-z0-9._+-]*)")
_PART = re.compile(r"(.+\.tar)\.(\d{3})")


@dataclass(frozen=True)
class Sums:
    """The content of ``SHA256SUMS``: hex sha256 of each file, by plain file name."""

    files: Mapping[str, str]

    @classmethod
    def parse(cls, data: bytes, where: str, pin: str | None = None) -> Sums:
        """Read the file's bytes; ``pin`` is the sha256 they must have, ``where`` names them.

        Raises:
            ArchiveError: they have another hash, or a line is no hash with a plain file name.
        """
        found = hashlib.sha256(data).hexdigest()
        if pin is not None and found != pin.lower():
            raise ArchiveError(
                f"{where}: has sha256 {found}, expected {pin}; it was replaced, or --pin is of "
                "another release."
            )
        files: dict[str, str] = {}
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            match = _LINE.fullmatch(line)
            if match is None or match[2] in files:
                raise ArchiveError(
                    f"{where}: line {number} is {line[:80]!r}, expected a sha256, two spaces and a "
                    "file name of its own. Get the file again."
                )
            files[match[2]] = match[1]
        return cls(files)

    @classmethod
    def load(cls, folder: Path, pin: str | None = None) -> Sums:
        """Read ``folder/SHA256SUMS``; :class:`ArchiveError` where there is none."""
        path = folder / SUMS_NAME
        if not path.is_file():
            raise ArchiveError(
                f"{path} not found; it says what the archive's bytes have to be. Get it from where "
                "the archive came from."
            )
        if path.stat().st_size > MAX_SUMS_BYTES:
            raise ArchiveError(f"{path} is larger than {MAX_SUMS_BYTES} bytes; refused.")
        return cls.parse(path.read_bytes(), str(path), pin)

    def archives(self) -> list[str]:
        """Names of the archives, split ones by the name they have when joined."""
        return sorted({archive_name(name) for name in self.files if _is_archive(name)})

    def parts(self, archive: str) -> list[str]:
        """The files that make up an archive, in order: itself, or its parts from 001.

        Raises:
            ArchiveError: it is not listed, or a part is missing.
        """
        if archive in self.files:
            return [archive]
        found = sorted(name for name in self.files if name != archive_name(name) == archive)
        expected = [f"{archive}.{number:03}" for number in range(1, len(found) + 1)]
        if not found:
            known = brief_text(", ".join(self.archives())) or "none"
            raise ArchiveError(f"{SUMS_NAME} lists no archive {brief(archive)}; it lists {known}.")
        if found != expected:
            missing = brief_text(", ".join(sorted(set(expected) - set(found))))
            raise ArchiveError(
                f"{SUMS_NAME} lists parts of {brief_text(archive)} but not {missing}."
            )
        return found

    def choose(self, variant: str | None) -> str:
        """The archive of a variant, or the only one; :class:`ArchiveError` if that is not one."""
        known = self.archives()
        chosen = [n for n in known if variant is None or n.endswith(f"-{variant}{ARCHIVE_SUFFIX}")]
        if len(chosen) != 1:
            which = "several archives" if len(chosen) > 1 else f"no archive of {brief(variant)}"
            raise ArchiveError(
                f"found {which}; choose with --variant among "
                f"{brief_text(', '.join(known)) or 'none'}."
            )
        return chosen[0]

    def check(self, path: Path) -> None:
        """Compare a file's sha256 with the one listed under its name; :class:`ArchiveError`."""
        expected = self.files.get(path.name)
        if expected is None:
            raise ArchiveError(f"{path}: {SUMS_NAME} does not list it; it is of another release.")
        if not path.is_file():
            raise ArchiveError(f"{path} not found, though {SUMS_NAME} lists it. Get it as well.")
        found = hash_file(path)
        if found != expected:
            raise ArchiveError(
                f"{path}: has sha256 {found}, expected {expected}: truncated, damaged or replaced. "
                "Get it again."
            )


def archive_name(name: str) -> str:
    """``x.tar`` of ``x.tar`` and of its part ``x.tar.002``."""
    match = _PART.fullmatch(name)
    return match[1] if match else name


def _is_archive(name: str) -> bool:
    return archive_name(name).endswith(ARCHIVE_SUFFIX)
