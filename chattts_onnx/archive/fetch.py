"""Get a release archive over HTTPS or from a folder, check it, unpack it.

Only the standard library is used.  What was loaded is kept as ``.<name>.<hash>.partial``, named
after the sha256 that it shall have, so a later call goes on where an earlier one stopped, and
nothing that this program did not make is written over, followed or removed.
"""

from __future__ import annotations

import errno
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..atomic_files import commit
from ..errors import ArchiveError
from ..format.files import hash_file
from .folder import ArchiveInfo, check_archive, checked_parts, extract_archive
from .sums import ARCHIVE_SUFFIX, MAX_SUMS_BYTES, SUMS_NAME, Sums, archive_name

# Files of a release are split below this size; a longer answer is not one of them.
MAX_FILE_BYTES = 2 << 30
_BLOCK = 1 << 18
_TIMEOUT_SECONDS = 30.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

Progress = Callable[[str, int, int | None], object]
"""Called with a file's name, the bytes that are there, and its size where the server says it."""


@dataclass(frozen=True)
class Fetch:
    """How to fetch.

    Attributes:
        variant: which archive of a release, where the source is a folder.
        pin: sha256 of the release's ``SHA256SUMS``, from somewhere else than the source.
        keep: leave the downloaded archive beside the unpacked folder.
        attempts: how often a broken download is resumed before it is given up.
        pause_seconds: wait before the second attempt; doubled each time.
        progress: told about every block.
    """

    variant: str | None = None
    pin: str | None = None
    keep: bool = False
    attempts: int = 5
    pause_seconds: float = 1.0
    progress: Progress = lambda name, done, total: None


def fetch(source: str, destination: Path | None, options: Fetch) -> tuple[Path, ArchiveInfo]:
    """Unpack an archive into ``destination`` (None: the archive's own name, here).

    ``source`` is the URL or path of an archive with ``SHA256SUMS`` beside it, or of the folder
    that holds both (then ``options.variant`` chooses).

    Raises:
        ArchiveError: nothing usable is there, or what is there is damaged or unsafe.
    """
    if "://" not in source:
        return _from_folder(Path(source), destination, options)
    folder_url, name = _split(source)
    data = _read_small(urllib.parse.urljoin(folder_url, SUMS_NAME))
    sums = Sums.parse(data, folder_url + SUMS_NAME, options.pin)
    archive = archive_name(name) if name else sums.choose(options.variant)
    names = sums.parts(archive)
    target = _target(destination, archive)
    target.parent.mkdir(parents=True, exist_ok=True)
    if options.keep:
        _require_free([target.parent / part for part in names], sums)
    parts, own = [], {}
    for part in names:
        path = target.parent / part
        if not _has(path, sums.files[part]):
            url = urllib.parse.urljoin(folder_url, part)
            own[path] = path = _download(url, path, sums.files[part], options)
        parts.append(path)
    try:
        info = extract_archive(parts, target)
        for path, partial in own.items():
            if options.keep and not (path.exists() or path.is_symlink()):
                commit(partial, path)
        return target, info
    finally:
        for partial in own.values():
            partial.unlink(missing_ok=True)


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and hash_file(path) == sha256


def _require_free(paths: list[Path], sums: Sums) -> None:
    for path in paths:
        if (path.exists() or path.is_symlink()) and not _has(path, sums.files[path.name]):
            raise ArchiveError(
                f"{path} is there already and is another file; move it, or name another folder "
                "with -o."
            )


def _from_folder(
    source: Path, destination: Path | None, options: Fetch
) -> tuple[Path, ArchiveInfo]:
    if source.is_dir():
        source /= Sums.load(source, options.pin).choose(options.variant)
    parts = checked_parts(source, options.pin)
    target = _target(destination, archive_name(source.name))
    # Read first: a bad archive writes nothing.
    check_archive(parts)
    return target, extract_archive(parts, target)


def _target(destination: Path | None, archive: str) -> Path:
    target = destination or Path(archive.removesuffix(ARCHIVE_SUFFIX))
    if target.exists() or target.is_symlink():
        raise ArchiveError(f"{target} is there already; remove it or name another folder with -o.")
    return target


def _split(url: str) -> tuple[str, str]:
    """The folder of a URL, with its slash, and the archive's name in it ('' for a folder)."""
    parsed = urllib.parse.urlsplit(url)
    _require_safe(url)
    if parsed.query or parsed.fragment:
        raise ArchiveError(f"{url}: expected a URL without query and fragment.")
    folder, _, name = parsed.path.rpartition("/")
    if not archive_name(name).endswith(ARCHIVE_SUFFIX):
        folder, name = parsed.path.rstrip("/"), ""
    return parsed._replace(path=folder + "/").geturl(), name


def _require_safe(url: str) -> None:
    parsed = urllib.parse.urlsplit(url)
    loopback = parsed.hostname in _LOOPBACK
    if parsed.scheme != "https" and not (parsed.scheme == "http" and loopback):
        raise ArchiveError(f"{url}: expected an https URL; others can be changed on their way.")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, url: Any
    ) -> Any:
        _require_safe(url)
        if req.full_url.startswith("https:") and not url.startswith("https:"):
            raise ArchiveError(f"{req.full_url}: redirects from https to {url}; refused.")
        return super().redirect_request(req, fp, code, msg, headers, url)


_OPENER = urllib.request.build_opener(_SafeRedirects)


def _open(url: str, start: int = 0) -> Any:
    headers = {"User-Agent": "chattts-onnx", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    return _OPENER.open(request, timeout=_TIMEOUT_SECONDS)


def _read_small(url: str) -> bytes:
    try:
        with _open(url) as answer:
            data: bytes = answer.read(MAX_SUMS_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise ArchiveError(f"{url}: {error}; it has to be beside the archive.") from error
    if len(data) > MAX_SUMS_BYTES:
        raise ArchiveError(f"{url}: more than {MAX_SUMS_BYTES} bytes; refused.")
    return data


def _download(url: str, path: Path, sha256: str, options: Fetch) -> Path:
    """Load ``url`` beside ``path``, resuming; returns the file, which has the hash."""
    partial = path.with_name(f".{path.name}.{sha256[:16]}.partial")
    resumed = partial.exists()
    try:
        _load(url, partial, options)
        if (found := hash_file(partial)) != sha256 and resumed:
            # What was left was damaged: once more, from the start.
            partial.unlink()
            _load(url, partial, options)
            found = hash_file(partial)
        if found != sha256:
            partial.unlink()
            raise ArchiveError(
                f"{url}: has sha256 {found}, {SUMS_NAME} says {sha256}: damaged or replaced."
            )
    except BaseException:
        if partial.is_file() and not partial.stat().st_size:
            partial.unlink()
        raise
    return partial


def _open_partial(partial: Path, more: bool) -> BinaryIO:
    """A file of this name that is no link, to append to or from the start."""
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(partial, flags | (os.O_APPEND if more else os.O_TRUNC), 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ArchiveError(f"{partial} is a link; remove it.") from error
        raise
    return os.fdopen(handle, "wb")


def _load(url: str, partial: Path, options: Fetch) -> None:
    for attempt in range(options.attempts):
        if attempt:
            time.sleep(options.pause_seconds * 2 ** (attempt - 1))
        try:
            _load_once(url, partial, options.progress)
            return
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise ArchiveError(
                    f"{url}: the server answered {error.code} {error.reason}."
                ) from error
            problem: Exception = error
        except (OSError, http.client.HTTPException) as error:
            problem = error
    raise ArchiveError(
        f"{url}: broken off {options.attempts} times, last by {problem!r}; run it again to go on."
    ) from problem


def _load_once(url: str, partial: Path, progress: Progress) -> None:
    if partial.is_symlink() or (partial.exists() and not partial.is_file()):
        raise ArchiveError(f"{partial} is a link or no file; remove it.")
    have = partial.stat().st_size if partial.exists() else 0
    try:
        answer = _open(url, have)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing lies behind what is here: it is whole, or of another file (the hash tells).
        return
    with answer:
        if answer.status != 206 or not _starts_at(answer, have):
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        _require_size(url, total or 0)
        with _open_partial(partial, more=bool(have)) as sink:
            while block := answer.read(_BLOCK):
                have += len(block)
                _require_size(url, have)
                sink.write(block)
                progress(partial.name[1:].rsplit(".", 2)[0], have, total)
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")


def _starts_at(answer: Any, have: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _require_size(url: str, size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ArchiveError(
            f"{url}: more than {MAX_FILE_BYTES} bytes; files of a release have less."
        )
