"""Fetching from a real server that breaks off, forgets ranges, redirects, or lies."""

from __future__ import annotations

import hashlib
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chattts_onnx import cli
from chattts_onnx.archive.fetch import Fetch, _SafeRedirects, fetch
from chattts_onnx.errors import ArchiveError
from chattts_onnx.format.manifest import Manifest
from tests.chattts_onnx.archive.test_folder import member, pack, write_sums
from tools.drills.loopback import begin_file

OPTIONS = Fetch(attempts=4, pause_seconds=0)


class Server(ThreadingHTTPServer):
    """Files of a folder; what goes wrong is set by its attributes."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.ranges = True
        self.break_after: int | None = None
        self.redirect: str | None = None
        self.failures = 0
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/release"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, name = self.server, self.path.rpartition("/")[2]
        wanted = self.headers.get("Range")
        server.seen.append((name, wanted))
        if name.endswith(".tar") and server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            return
        path = server.folder / name
        if not path.is_file():
            self.send_error(404)
            return
        if name.endswith(".tar") and server.failures:
            server.failures -= 1
            self.send_error(503)
            return
        sent = begin_file(self, path, server.ranges)
        if server.break_after is not None and name.endswith(".tar"):
            sent = sent[: server.break_after]
        self.wfile.write(sent)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(bundle_path: Path, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "release").mkdir()
    pack(bundle_path, tmp_path / "release" / "x-int8.tar")
    with serving(tmp_path / "release") as running:
        yield running


def partial(server: Server, folder: Path) -> Path:
    digest = hashlib.sha256((server.folder / "x-int8.tar").read_bytes()).hexdigest()
    return folder / f".x-int8.tar.{digest[:16]}.partial"


@pytest.mark.parametrize("source", ["", "/", "/x-int8.tar"])
def test_an_archive_is_fetched_and_checked(server: Server, tmp_path: Path, source: str) -> None:
    out = tmp_path / "bundles" / "int8"
    folder, info = fetch(server.url + source, out, OPTIONS)
    assert folder == out
    assert info.manifest == Manifest.load(out)
    assert [path.name for path in out.parent.iterdir()] == ["int8"]


def test_parts_are_fetched_one_after_the_other(server: Server, tmp_path: Path) -> None:
    whole = server.folder / "x-int8.tar"
    data, names = whole.read_bytes(), ["x-int8.tar.001", "x-int8.tar.002"]
    whole.unlink()
    half = len(data) // 2 + 7
    for name, part in zip(names, (data[:half], data[half:]), strict=True):
        (server.folder / name).write_bytes(part)
    write_sums(*(server.folder / name for name in names))
    fetch(f"{server.url}/x-int8.tar", tmp_path / "out", OPTIONS)
    assert [name for name, _ in server.seen] == ["SHA256SUMS", *names]
    Manifest.load(tmp_path / "out")


def test_an_unsafe_archive_leaves_nothing(
    bundle_path: Path, server: Server, tmp_path: Path
) -> None:
    evil = member("x/../../evil", b"x")
    pack(bundle_path, server.folder / "x-int8.tar", lambda members: members.append(evil))
    with pytest.raises(ArchiveError, match="outside of its folder"):
        fetch(server.url, tmp_path / "out", OPTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release"]


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    size = (server.folder / "x-int8.tar").stat().st_size
    server.break_after = size // 3 + 1
    out = tmp_path / "out"
    fetch(server.url, out, OPTIONS)
    asked = [wanted for name, wanted in server.seen if name == "x-int8.tar"]
    assert asked == [None, f"bytes={size // 3 + 1}-", f"bytes={2 * (size // 3 + 1)}-"]
    Manifest.load(out)


def test_a_later_call_resumes_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "out"
    server.break_after = 1000
    with pytest.raises(ArchiveError, match="broken off 2 times"):
        fetch(server.url, out, Fetch(attempts=2, pause_seconds=0))
    assert partial(server, tmp_path).stat().st_size == 2000
    assert not out.exists()
    server.break_after = None
    fetch(server.url, out, OPTIONS)
    assert server.seen[-1] == ("x-int8.tar", "bytes=2000-")
    assert not partial(server, tmp_path).exists()


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("left", [b"of another release", b"x" * 10_000_000])
def test_leftovers_of_another_file_do_no_harm(
    server: Server, tmp_path: Path, ranges: bool, left: bytes
) -> None:
    server.ranges = ranges
    partial(server, tmp_path).write_bytes(left)
    fetch(server.url, tmp_path / "out", OPTIONS)
    Manifest.load(tmp_path / "out")


def test_a_replaced_archive_is_refused(server: Server, tmp_path: Path) -> None:
    with (server.folder / "x-int8.tar").open("r+b") as stream:
        stream.write(b"y")
    with pytest.raises(ArchiveError, match="SHA256SUMS says"):
        fetch(server.url, tmp_path / "out", OPTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release"]


def test_a_pin_catches_a_replaced_release(server: Server, tmp_path: Path) -> None:
    pin = hashlib.sha256((server.folder / "SHA256SUMS").read_bytes()).hexdigest()
    fetch(server.url, tmp_path / "one", Fetch(pin=pin))
    with (server.folder / "SHA256SUMS").open("a") as stream:
        stream.write("0" * 64 + "  more.tar\n")
    with pytest.raises(ArchiveError, match="--pin"):
        fetch(server.url + "/x-int8.tar", tmp_path / "two", Fetch(pin=pin))


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.failures = 2
    fetch(server.url, tmp_path / "out", OPTIONS)
    assert [name for name, _ in server.seen] == ["SHA256SUMS", *["x-int8.tar"] * 3]


def test_what_is_not_there_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    (server.folder / "x-int8.tar").unlink()
    with pytest.raises(ArchiveError, match="answered 404"):
        fetch(server.url, tmp_path / "out", OPTIONS)
    assert [name for name, _ in server.seen] == ["SHA256SUMS", "x-int8.tar"]


@pytest.mark.parametrize(
    "target", ["http://example.org/x-int8.tar", "file:///etc/passwd", "ftp://localhost/x"]
)
def test_redirects_stay_safe(server: Server, tmp_path: Path, target: str) -> None:
    server.redirect = target
    with pytest.raises(ArchiveError, match=r"expected an https URL|is not allowed"):
        fetch(server.url, tmp_path / "out", OPTIONS)


@pytest.mark.parametrize(
    ("target", "message"),
    [("http://localhost/a.tar", "redirects from https"), ("https://example.com/a.tar", None)],
)
def test_https_never_becomes_http(target: str, message: str | None) -> None:
    request = urllib.request.Request("https://example.org/a.tar")
    handler = _SafeRedirects()

    def follow() -> Any:
        return handler.redirect_request(request, None, 302, "Found", Message(), target)

    if message is None:
        assert follow().full_url == target
    else:
        with pytest.raises(ArchiveError, match=message):
            follow()


@pytest.mark.parametrize("url", ["http://example.org/a.tar", "file:///tmp/a.tar"])
def test_only_https_is_taken_from_elsewhere(tmp_path: Path, url: str) -> None:
    with pytest.raises(ArchiveError, match="expected an https URL"):
        fetch(url, tmp_path / "out", OPTIONS)


def test_an_endless_answer_is_cut_off(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chattts_onnx.archive.fetch.MAX_FILE_BYTES", 1000)
    with pytest.raises(ArchiveError, match="more than 1000 bytes"):
        fetch(server.url, tmp_path / "out", OPTIONS)


def test_the_command_fetches_from_a_folder(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.main(["fetch", str(server.folder), "--variant", "int8", "-o", str(out)]) == 0
    assert "checked" in capsys.readouterr().out
    Manifest.load(out)
    assert cli.main(["fetch", str(server.folder / "x-int8.tar"), "-o", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["fetch", server.url, "-o", str(tmp_path / "new"), "--keep", "--quiet"]) == 0
    assert (tmp_path / "x-int8.tar").is_file()


USERS = ["x-int8.tar", "SHA256SUMS", ".x-int8.tar.partial", ".out.partial", "out.partial"]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("name", USERS)
def test_a_user_s_file_is_neither_written_over_nor_removed(
    server: Server, tmp_path: Path, name: str, keep: bool
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / name).write_bytes(b"mine")
    options = Fetch(keep=keep, attempts=1, pause_seconds=0)
    in_the_way = name == ".out.partial" or (keep and name == "x-int8.tar")
    if in_the_way:
        with pytest.raises(ArchiveError, match=r"is there already and is another|is in the way"):
            fetch(server.url, place / "out", options)
    else:
        fetch(server.url, place / "out", options)
        Manifest.load(place / "out")
    assert (place / name).read_bytes() == b"mine"


def test_a_user_s_copy_of_the_archive_is_used_and_stays(server: Server, tmp_path: Path) -> None:
    data = (server.folder / "x-int8.tar").read_bytes()
    (tmp_path / "x-int8.tar").write_bytes(data)
    fetch(server.url, tmp_path / "out", OPTIONS)
    assert (tmp_path / "x-int8.tar").read_bytes() == data
    assert [name for name, _ in server.seen] == ["SHA256SUMS"]


@pytest.mark.parametrize("dangling", [False, True])
def test_links_in_the_place_of_a_download_are_not_followed(
    server: Server, tmp_path: Path, dangling: bool
) -> None:
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_bytes(b"precious")
    partial(server, tmp_path).symlink_to(victim)
    with pytest.raises(ArchiveError, match="is a link"):
        fetch(server.url, tmp_path / "out", Fetch(attempts=1))
    assert victim.read_bytes() == b"precious" if not dangling else not victim.exists()
    partial(server, tmp_path).unlink()
    (tmp_path / ".out.partial").symlink_to(tmp_path / "release")
    with pytest.raises(ArchiveError, match="in the way"):
        fetch(server.url, tmp_path / "out", OPTIONS)
    assert (server.folder / "SHA256SUMS").is_file()


def test_what_a_killed_run_left_is_cleared(server: Server, tmp_path: Path) -> None:
    scratch = tmp_path / ".out.partial"
    scratch.mkdir()
    (scratch / ".chattts-onnx").touch()
    (scratch / "half").write_bytes(b"x")
    fetch(server.url, tmp_path / "out", OPTIONS)
    assert not scratch.exists() and not list((tmp_path / "out").glob(".*"))


def test_a_kept_archive_has_its_name(server: Server, tmp_path: Path) -> None:
    fetch(server.url, tmp_path / "out", Fetch(keep=True))
    data = (server.folder / "x-int8.tar").read_bytes()
    assert (tmp_path / "x-int8.tar").read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "release", "x-int8.tar"]
