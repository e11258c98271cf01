"""Changes to WAV, npy and tar files that keep lengths and checksums right."""

from __future__ import annotations

import io
import struct
import tarfile
import warnings
import zipfile
from random import Random

from tools.drills.fuzz.json_mutations import mutate_json
from tools.drills.fuzz.mutations import MAX_BYTES, TEXT, mutate_bytes

_TAR_NAMES = ("", ".", "/", "a/../b", "a//b", "a/.", "./a/b", "A/B", "bundle/VOCOS.onnx")
_WAV_FIELDS = (
    0, 1, 2, 3, 8, 16, 24, 32, 33, 64, 255, 8000, 48_000, 65_534, 65_535, 2**31, 2**32 - 1,
)  # fmt: skip
_NPY_TYPES = ("<f4", "<f8", ">f2", "|b1", "<i8", "|O", "<U9", "|V0", "|V7", "<M8[s]", "<c16", "f0")
_NPY_SHAPES = ("()", "(0,)", "(8,)", "(8, 1)", "(-1,)", "(10**12,)", "(2**62, 4)", "(True,)", "8",
               "(1,) * 99", "(9999999999999,)", "(8.0,)", "((((", "[8]")  # fmt: skip


def mutate_wav(data: bytes, random: Random) -> bytes:
    """Fields of the format chunk set to odd numbers, chunks cut, repeated or reordered."""
    chunks = _chunks(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        if not chunks:
            break
        at = random.randrange(len(chunks))
        name, body = chunks[at]
        kind = random.randrange(5)
        if kind < 2 and len(body) >= 16:
            layout = "<HHIIHH"
            fields = list(struct.unpack_from(layout, body))
            place = random.randrange(len(fields))
            mask = 0xFFFF if layout[1 + place] == "H" else 0xFFFFFFFF
            fields[place] = random.choice(_WAV_FIELDS) & mask
            chunks[at] = (name, struct.pack(layout, *fields) + body[16:])
        elif kind == 2:
            chunks[at] = (name, mutate_bytes(body, random))
        elif kind == 3:
            chunks.insert(random.randrange(len(chunks) + 1), chunks.pop(at))
        else:
            chunks[at : at + 1] = [chunks[at]] * random.choice((0, 2))
    body = b"".join(name + struct.pack("<I", len(part)) + part for name, part in chunks)
    return (data[:4] + struct.pack("<I", len(body) + 4) + b"WAVE" + body)[:MAX_BYTES]


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 12
    while place + 8 <= len(data):
        size = struct.unpack_from("<I", data, place + 4)[0]
        found.append((data[place : place + 4], data[place + 8 : place + 8 + size]))
        place += 8 + size + size % 2
    return found


def mutate_npy(data: bytes, random: Random) -> bytes:
    """The header's type and shape replaced, its length set anew."""
    if random.random() < 0.3:
        return mutate_bytes(data, random)
    order = random.choice(("False", "False", "True", "None", "1"))
    kind = random.choice((f"'{random.choice(_NPY_TYPES)}'", "[('a', '<f4')]", "[]", "'<f4', 3"))
    shape = random.choice(_NPY_SHAPES)
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    if random.random() < 0.3:
        header = mutate_bytes(header, random)
    version = random.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\xff\xff"))
    width = "<H" if version == b"\1\0" else "<I"
    return b"\x93NUMPY" + version + struct.pack(width, len(header)) + header + data[-32:]


def mutate_tar(data: bytes, random: Random) -> bytes:
    """Names, types and sizes of members changed, with checksums that are right."""
    members = _members(data)
    for _ in range(random.choice((1, 1, 2))):
        if not members:
            break
        at = random.randrange(len(members))
        info, body = members[at]
        kind = random.randrange(8)
        if kind < 2:
            info.name = random.choice((*TEXT, *_TAR_NAMES))
        elif kind == 2:
            info.type = random.choice("0123456789xgLKVS\0a").encode()
            info.linkname = random.choice(("../../etc/passwd", "/", "manifest.json"))
        elif kind == 3:
            info.size = random.choice((0, 1, 511, 513, len(body) + 1, 2**33 - 1, 2**63))
        elif kind == 4:
            members.append((info, body))
        elif kind == 5:
            members.insert(0, members.pop(at))
        elif kind == 6:
            body = mutate_json(body, random)
            info.size = len(body)
        else:
            body = mutate_bytes(body, random)
        if at < len(members):
            members[at] = (info, body)
    sink = io.BytesIO()
    for info, body in members:
        sink.write(_header(info))
        sink.write(body + bytes(-len(body) % tarfile.BLOCKSIZE))
    sink.write(bytes(2 * tarfile.BLOCKSIZE))
    return sink.getvalue()[:MAX_BYTES]


def _members(data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    found, place = [], 0
    while place + tarfile.BLOCKSIZE <= len(data):
        try:
            info = tarfile.TarInfo.frombuf(
                data[place : place + tarfile.BLOCKSIZE], "utf-8", "strict"
            )
        except (tarfile.HeaderError, UnicodeError):
            break
        place += tarfile.BLOCKSIZE
        found.append((info, data[place : place + max(0, info.size)]))
        place += max(0, info.size) + -max(0, info.size) % tarfile.BLOCKSIZE
    return found


def _header(info: tarfile.TarInfo) -> bytes:
    try:
        return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogatepass")[-tarfile.BLOCKSIZE :]
    except ValueError:
        return bytes(tarfile.BLOCKSIZE)


_PICKLED = (
    b"cos\nsystem\n", b"c__builtin__\neval\n", b"ctorch\nload\n", b"\x8c\x02os\x8c\x06system\x93",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"K\x00", b"J\xff\xff\xff\x7f", b"J\x00\x00\x00\x80",
    b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00@", b"N", b"]", b"}", b")", b"t", b"R", b"Q", b"b", b".",
    b"X\xff\xff\xff\xff", b"q\x00", b"h\x00", b"h\xff", b"(", b"0", b"2",
)  # fmt: skip


def mutate_pickle(data: bytes, random: Random) -> bytes:
    """What torch.save writes, in either form: opcodes exchanged, members changed or gone."""
    if not data.startswith(b"PK"):
        return _mutate_opcodes(data, random)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError):
        members = []
    if not members:
        return mutate_bytes(data, random)
    at = random.randrange(len(members))
    name, body = members[at]
    kind = random.randrange(8)
    if kind < 5:
        at = next((i for i, (name, _) in enumerate(members) if name.endswith("data.pkl")), at)
        members[at] = (members[at][0], _mutate_opcodes(members[at][1], random))
    elif kind == 5:
        members[at] = (name, mutate_bytes(body, random))
    elif kind == 6:
        members[at] = (random.choice((*TEXT, *_TAR_NAMES, name + "0")), body)
    else:
        members[at : at + 1] = [members[at]] * random.choice((0, 2))
    target = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, body in members:
            archive.writestr(name.replace("\0", "").encode(errors="replace").decode() or "a", body)
    return target.getvalue()[:MAX_BYTES]


def _mutate_opcodes(data: bytes, random: Random) -> bytes:
    if random.random() < 0.4:
        return mutate_bytes(data, random)
    at = random.randrange(len(data) + 1)
    changed = data[:at] + random.choice(_PICKLED) + data[at + random.choice((0, 1, 2, 5)) :]
    return changed[:MAX_BYTES]
