from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline.core.errors import ConfigError
from pipeline.core.strict import parse_strictly, read_yaml


@dataclass(frozen=True)
class Inner:
    rate: float
    names: list[str]

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ConfigError(f"rate: found {self.rate}, expected 0 or more")


@dataclass(frozen=True)
class Worded:
    word: str

    def __post_init__(self) -> None:
        if self.word:
            raise ConfigError(f"word: found {self.word}, expected none")


@dataclass(frozen=True)
class Outer:
    count: int
    on: bool
    inner: Inner
    table: dict[str, Inner] = field(default_factory=dict)
    note: str | None = None
    pair: tuple[int, str] = (1, "a")
    mode: Literal["a", "b"] = "a"
    either: int | str = 0
    worded: Worded = Worded("")


def outer(**changes: Any) -> dict[str, Any]:
    return {"count": 1, "on": True, "inner": {"rate": 0.5, "names": ["x"]}, **changes}


def test_values_keep_their_types_and_defaults() -> None:
    table = {"t": {"rate": 2, "names": []}}
    parsed = parse_strictly(outer(table=table, pair=[3, "c"], mode="b", either="x"), Outer)
    expected = Outer(
        count=1,
        on=True,
        inner=Inner(0.5, ["x"]),
        table={"t": Inner(2.0, [])},
        pair=(3, "c"),
        mode="b",
        either="x",
    )
    assert parsed == expected
    assert isinstance(parsed.table["t"].rate, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cuont": 1}, r"cuont: found an unknown key, expected one of count, on"),
        ({"inner": {"rate": 1.0}}, r"inner\.names: found nothing, expected list\[str\]"),
        ({"inner": 3}, r"inner: found 3 \(int\), expected a mapping \(Inner\)"),
        ({"inner": {"rate": -1, "names": []}}, r"inner: rate: found -1.0, expected 0 or more"),
        ({"inner": {"rate": 10**2000, "names": []}}, r"inner\.rate: found 10.*that a float holds"),
        ({"worded": {"word": "x" * 9000}}, r"^worded: word: found x{,1000}\.\.\.; edit conf/"),
        ({"count": "1"}, r"count: found '1' \(str\), expected int"),
        ({"count": 1.0}, r"count: found 1.0 \(float\), expected int"),
        ({"count": True}, r"count: found True \(bool\), expected int"),
        ({"count": None}, r"count: found None \(NoneType\), expected int"),
        ({"on": 1}, r"on: found 1 \(int\), expected bool"),
        ({"inner": {"rate": True, "names": []}}, r"inner\.rate: found True \(bool\)"),
        ({"inner": {"rate": 1, "names": "x"}}, r"inner\.names: found 'x' \(str\), expected a list"),
        ({"inner": {"rate": 1, "names": [1]}}, r"inner\.names\[0\]: found 1 \(int\), expected str"),
        ({"table": {"t": {"rate": 1}}}, r"table\.t\.names: found nothing"),
        ({"table": []}, r"table: found \[\] \(list\), expected a mapping"),
        ({"pair": [1]}, r"pair: found \[1\] \(list\), expected a list of 2"),
        ({"mode": "c"}, r"mode: found 'c' \(str\), expected 'a' or 'b'"),
        ({"either": 1.5}, r"either: found 1.5 \(float\), expected int or str"),
        ({"note": 1}, r"note: found 1 \(int\), expected str"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(changes: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_strictly(outer(**changes), Outer)


def test_yaml_is_read_as_dvc_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("eps: 1e-6\nversion: 1.2.3\non: yes\n", encoding="utf-8")
    assert read_yaml(path)["eps"] == 1e-6
    assert read_yaml(path)["version"] == "1.2.3"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "no such file"),
        ("a: [", "no valid YAML"),
        ("[" * 700, "no valid YAML"),
        ('a: "\\UFFFFFFFF"', "no valid YAML"),
        ("a: ${b}", "no valid YAML"),
        ("? [1, 2]\n: 3", "no valid YAML"),
        ("a: &a [x]\nb: *a", r"no valid YAML \(an alias"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, text: str | None, found: str) -> None:
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"params\.yaml: found {found}"):
        read_yaml(path)
