from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from chattts_onnx.bulk import Corpus, CorpusError, Defaults, scan
from chattts_onnx.bulk import corpus as corpus_module
from chattts_onnx.bulk.line import Line
from chattts_onnx.bulk.run import lines
from tests.chattts_onnx.bulk.corpora import rows, write_jsonl


def write_csv(path: Path, bom: bool = False) -> Path:
    head = "\ufeffid,text,voice,seed,speed\r\n" if bom else "id,text,voice,seed,speed\n"
    body = 'a,hello,1,,\nb,"two\nlines, quoted",2,5,\n\nc,你好,,,3\nd,world,anna,,\n'
    path.write_text(head + body, "utf-8", newline="")
    return path


def write_parquet(path: Path, count: int, group: int) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = rows(count)
    names = ("id", "text", "voice", "seed", "speed")
    table = pa.table({name: [row.get(name) for row in values] for name in names})
    pq.write_table(table.append_column("other", [[0.5] * count]), path, row_group_size=group)
    return path


def texts(corpus: Corpus) -> list[str]:
    return [x.text if isinstance(x, Line) else x["error"] for x in lines(corpus, Defaults())]


def test_csv_with_quoted_line_breaks(tmp_path: Path) -> None:
    for bom in (False, True):
        corpus = Corpus((write_csv(tmp_path / "c.csv", bom),))
        assert texts(corpus) == ["hello", "two\nlines, quoted", "你好", "world"]
        found = list(lines(corpus, Defaults()))
        assert [line.id for line in found if isinstance(line, Line)] == ["a", "b", "c", "d"]


def all_kinds(folder: Path) -> list[Corpus]:
    first = write_jsonl(folder / "a.jsonl", rows(7))
    second = write_jsonl(folder / "b.jsonl", rows(5))
    parquet = write_parquet(folder / "p.parquet", 700, 300)
    return [Corpus((first, second)), Corpus((write_csv(folder / "c.csv"),)), Corpus((parquet,))]


def test_a_shard_is_read_from_where_it_begins(tmp_path: Path) -> None:
    for corpus in all_kinds(tmp_path):
        whole = [corpus.fields(record) for record in corpus.records()]
        for size in (1, 3, 1000):
            found = scan(corpus, size)
            assert found.lines == len(whole)
            assert len(found.starts) == -(-len(whole) // size)
            for shard in {0, 1 % len(found.starts), len(found.starts) - 1}:
                record = next(corpus.records(found.starts[shard]))
                assert corpus.fields(record) == whole[found.numbers(shard)[0]]


def test_damage_costs_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "MAX_LINE_BYTES", 100)
    good = b'{"text": "hello"}\n'
    long = b'{"text": "' + b"x" * 500 + b'"}\n'
    bad = [b"not json\n", b'["text"]\n', b'{"text": "\xff"}\n', long, b'{"text": "\\ud800"}\n']
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"\n".join([good, *bad, b"  ", good.rstrip()]))
    found = texts(Corpus((path,)))
    assert found[0] == found[-1] == "hello"
    expected = ["no JSON", "a list", "not UTF-8", "more than 100 bytes", "not Unicode"]
    assert len(found) == 7
    assert all(part in text for part, text in zip(expected, found[1:-1], strict=True))


def test_damaged_csv_rows_cost_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "MAX_LINE_BYTES", 100)
    path = tmp_path / "c.csv"
    path.write_bytes(b"id,text\na,hello\nb,x,y\n" + b"c," + b"x" * 300 + b"\nd,\xff\ne\nf,world\n")
    found = texts(Corpus((path,)))
    assert (found[0], found[-1], len(found)) == ("hello", "world", 6)
    expected = ["3 fields", "no CSV", "not UTF-8", "nothing in the column text"]
    assert all(part in text for part, text in zip(expected, found[1:-1], strict=True))


def test_columns_by_other_names(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "c.jsonl", [{"sentence": "hello", "key": 5}])
    line = next(lines(Corpus((path,), (("text", "sentence"), ("id", "key"))), Defaults()))
    assert isinstance(line, Line)
    assert (line.text, line.id) == ("hello", "5")


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("c.docx", "x", "convert it"),
        ("c.jsonl", "\n\n", "found no line"),
        ("c.csv", "", "has no header"),
        ("c.csv", "id,words\n1,x\n", "columns .'id', 'words'.; expected 'text'"),
        ("c.parquet", "no parquet", "cannot be read"),
    ],
)
def test_what_is_no_corpus_is_refused(tmp_path: Path, name: str, content: str, found: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CorpusError, match=found):
        scan(Corpus((tmp_path / name,)), 10)


def test_missing_mixed_and_unknown_are_refused(tmp_path: Path) -> None:
    csv, jsonl = write_csv(tmp_path / "c.csv"), write_jsonl(tmp_path / "c.jsonl", rows(1))
    with pytest.raises(CorpusError, match="not found"):
        Corpus((tmp_path / "nothing.jsonl",))
    with pytest.raises(CorpusError, match="mixes formats"):
        Corpus((csv, jsonl))
    with pytest.raises(CorpusError, match="no column 'words'"):
        Corpus((csv,), (("words", "text"),))


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = tmp_path / f"{count}.jsonl"
        with path.open("w") as stream:
            for i in range(count):
                stream.write(json.dumps({"id": i, "text": "x" * 200}) + "\n")
        corpus = Corpus((path,))
        tracemalloc.start()
        assert scan(corpus, 1000).lines == count
        assert sum(1 for _ in lines(corpus, Defaults())) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)
    # Twenty times the lines (4 MB of text) for the same few blocks.
    assert peak(20_000) < 2 * peak(1_000) + 100_000
