"""Readers of text and of parameters."""

from __future__ import annotations

import io
from pathlib import Path

import yaml

from chattts_onnx.bulk.corpus import Corpus, scan
from chattts_onnx.bulk.line import Defaults, parse_line
from chattts_onnx.charset import decode, require_text
from chattts_onnx.errors import InputError
from chattts_onnx.serve.requests import SpeechRequest
from chattts_onnx.serve.upload import receive
from chattts_onnx.text.core.lexicon import Lexicon
from chattts_onnx.text.core.report import Report
from pipeline.checkpoint.config import CheckpointConfig
from pipeline.core.sentences import load_sentences
from pipeline.core.strict import parse_strictly, read_yaml
from pipeline.params import compose_values
from tools.drills.fuzz.json_mutations import dump, mutate_json, mutate_json_lines
from tools.drills.fuzz.mutations import either, mutate_bytes, mutate_text
from tools.drills.fuzz.reader import Prepared, Reader

_CSV = b'id,text,voice,seed,speed\n1,hello,3,5,\n2,"a ""b"",\n c",anna,,9\n3,x,,,\n'
_LINES = (
    b'{"text": "hello", "id": "a", "voice": "3", "seed": 5, "speed": 4}\n'
    b'\n{"text": "\\u4f60\\u597d", "seed": null}\n'
)


def _corpus(folder: Path, name: str, seeds: tuple[bytes, ...]) -> Prepared:
    path = folder / name

    def read(data: bytes) -> None:
        path.write_bytes(data)
        corpus = Corpus((path,))
        numbered = enumerate(corpus.records())
        for number, record in numbered:
            try:
                parse_line(number, corpus.fields(record), Defaults())
            except InputError:
                # A line's own error: it is recorded, and the next one follows.
                continue
        places = scan(corpus, 2).starts
        for place in places:
            next(iter(corpus.records(place)))

    return Prepared(seeds, read, path)


def _parquet(folder: Path) -> Prepared:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"text": ["hello", "b", None], "seed": [1, None, 3], "x": [0.5, 1, 2]})
    seeds = []
    for options in ({"compression": "none"}, {"compression": "zstd", "row_group_size": 2}):
        sink = io.BytesIO()
        pyarrow.parquet.write_table(table, sink, **options)
        seeds.append(sink.getvalue())
    return _corpus(folder, "corpus.parquet", tuple(seeds))


def _job_lines(folder: Path, name: str, seed: bytes) -> Prepared:
    def read(data: bytes) -> None:
        given = SpeechRequest("")
        upload = receive(io.BytesIO(data), name, folder, given, most=1000, longest=5000)
        for line in upload.lines():
            file = line.file_name("wav")
            assert "/" not in file
            assert ".." not in file

    return Prepared((seed,), read)


def _charsets() -> Prepared:
    """Text of standard input, files and bodies; the first byte chooses what it says it is."""
    names = (None, "utf-8", "gb18030", "gb2312", "big5", "shift_jis", "utf-16", "utf-32", "cp1252",
             "iso-2022-jp", "hz", "euc-kr", "utf-16-be")  # fmt: skip

    def read(data: bytes) -> None:
        name = names[data[0] % len(names)] if data else None
        text = decode(data[1:], "the text", name)
        assert text == require_text(text, "the text") and "\0" not in text

    texts = ("hello 你好", "\ufeff世界", "plain")
    seeds = [b"\0" + text.encode() for text in texts]
    seeds += [b"\x02" + "世界，今天".encode("gb18030"), b"\0" + "世界".encode("utf-16")]
    return Prepared(tuple(seeds), read)


def _lexicon(folder: Path) -> Prepared:
    path = folder / "lexicon.yaml"
    plain = "AI: 人工智能\nSQL: S Q L\n'C++': see plus plus\n"
    sections = "words:\n  AI: a\nerhua_merge: [花儿, 玩儿]\nerhua_keep:\n  - 女儿\n"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        Lexicon.load(path).apply("AI and SQL 花儿", Report())

    return Prepared((plain.encode(), sections.encode()), read, path)


def _lexicon_json(folder: Path) -> Prepared:
    path = folder / "lexicon.json"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        Lexicon.load(path).apply("AI and SQL 花儿", Report())

    return Prepared((dump({"words": {"AI": "a"}, "erhua_keep": ["女儿"]}),), read, path)


def _parameters(folder: Path) -> Prepared:
    """The group of ``params.yaml`` with the most kinds of values; all take long to parse."""
    path = folder / "params.yaml"
    values = compose_values(["checkpoint=seeded_small"])["checkpoint"]
    hub = compose_values(["checkpoint=chattts"])["checkpoint"]
    hub["files"] = dict(list(hub["files"].items())[:1])

    def read(data: bytes) -> None:
        path.write_bytes(data)
        parse_strictly(read_yaml(path), CheckpointConfig)

    return Prepared(tuple(yaml.safe_dump(group).encode() for group in (values, hub)), read, path)


def _overrides(folder: Path) -> Prepared:
    """Overrides of a configuration in one file, since ``conf/`` takes half a second to compose."""
    conf = folder / "conf"
    conf.mkdir()
    (conf / "config.yaml").write_text("seed: 1\ncheckpoint: {path: null, kind: hub}\na: [1, 2]\n")

    def read(data: bytes) -> None:
        compose_values(data.decode("utf-8", "surrogateescape").split("\n"), conf)

    seeds = ("seed=2", "checkpoint.path=empty", "+b.c=[1,{d: 'e'}]", "~a", "a=[${seed}]\nseed=3")
    return Prepared(tuple(seed.encode() for seed in seeds), read)


def _sentences(folder: Path) -> Prepared:
    path = folder / "sentences.jsonl"
    line = {
        "text": "hello [uv_break]", "language": "en", "voice_seed": 3, "tags": ["uv_break"],
        "origin": "written", "licence": "CC0-1.0",
    }  # fmt: skip

    def read(data: bytes) -> None:
        path.write_bytes(data)
        load_sentences(path)

    return Prepared((dump(line), dump(line) + b"\n\n" + dump({**line, "text": "b"})), read, path)


READERS = (
    Reader(
        "charset", "text in any encoding", lambda folder: _charsets(),
        either(mutate_bytes, mutate_text),
    ),
    Reader(
        "corpus-jsonl", "corpora in JSONL",
        lambda folder: _corpus(folder, "corpus.jsonl", (_LINES,)), mutate_json_lines,
    ),
    Reader(
        "corpus-csv", "corpora in CSV",
        lambda folder: _corpus(folder, "corpus.csv", (_CSV,)),
        either(mutate_text, mutate_text, mutate_bytes),
    ),
    Reader("corpus-parquet", "corpora in Parquet", _parquet, mutate_bytes),
    Reader(
        "job-csv", "files of `/v1/batch` in CSV",
        lambda folder: _job_lines(folder, "a.csv", b'text,id,speed\nhello,1,3\n"a ""b"",",,\n'),
        either(mutate_text, mutate_text, mutate_bytes),
    ),
    Reader(
        "job-jsonl", "files of `/v1/batch` in JSONL",
        lambda folder: _job_lines(folder, "a.jsonl", _LINES), mutate_json_lines,
    ),
    Reader(
        "lexicon-yaml", "lexicons in YAML", _lexicon, mutate_text,
    ),
    Reader(
        "lexicon-json", "lexicons in JSON", _lexicon_json,
        mutate_json,
    ),
    Reader(
        "parameters", "groups of `params.yaml`", _parameters, mutate_text,
    ),
    Reader(
        "overrides", "overrides of `python -m pipeline.compose`",
        _overrides, mutate_text,
    ),
    Reader(
        "sentences", "sentences to calibrate on and to judge by", _sentences, mutate_json_lines,
    ),
)  # fmt: skip
