"""What a metric is: its unit, which way is better, how people are shown it.

A metric is declared in the file that measures it; :mod:`pipeline.headline` knows all of them, and
every table of one line a variant is made from those that have a title.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.report.rows import Row, find_value, make_row, variants_of
from pipeline.report.write import markdown_table, words

GAP = "–"
"""In place of a value that was not measured."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure of reports.

    Attributes:
        name: in the rows.
        unit: of the rows.
        better: which way is better; '' where neither is.
        best: the value of an exact match, where there is one.
        conditions: columns of its rows that gates may choose by.
        title: heading of its column in tables of one line a variant; '' for none.
        where: conditions of the row that stands there.
        factor: from the rows' unit to ``shown``.
        shown: the unit that people are shown, chosen so that five decimals tell variants apart.
        digits: format of the number.
        headline: name among the few figures that runs are compared by, in the unit shown; ''
            where it is none of them.
    """

    name: str
    unit: str
    better: Literal["lower", "higher", ""] = ""
    best: float | None = None
    conditions: tuple[str, ...] = ()
    title: str = ""
    where: Mapping[str, Any] = field(default_factory=dict)
    factor: float = 1.0
    shown: str = ""
    digits: str = ".4g"
    headline: str = ""

    @property
    def heading(self) -> str:
        """Title, unit and an arrow to where it is better."""
        arrow = {"lower": " ↓", "higher": " ↑", "": ""}[self.better]
        return f"{self.title}{f', {self.shown}' if self.shown else ''}{arrow}"

    def row(self, variant: str, value: float, **conditions: Any) -> Row:
        """A row of it."""
        return make_row(variant, self.name, value, self.unit, **conditions)

    def cell(self, value: float | None) -> str:
        """A value of a row as people are shown it; ``–`` for none."""
        return GAP if value is None else f"{value * self.factor:,{self.digits}}"

    def cell_of(self, rows: Iterable[Mapping[str, Any]], variant: str) -> str:
        """The cell of a variant's line."""
        return self.cell(find_value(rows, variant, self.name, **self.where))


def by_name(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """Metrics by their names, in the same order."""
    return {metric.name: metric for metric in metrics}


def table_cells(
    rows: Sequence[Mapping[str, Any]], metrics: Sequence[Metric], variants: Sequence[str] = ()
) -> list[list[str]]:
    """A heading and one line for each of ``variants`` (all that are measured); ``–`` for gaps.

    A metric that none of them has, such as one of a language that is not spoken, has no column.
    """
    names = variants or variants_of(rows)
    cells = {metric.heading: [metric.cell_of(rows, name) for name in names] for metric in metrics}
    columns = {heading: column for heading, column in cells.items() if set(column) != {GAP}}
    lines = [[words(name), *line] for name, *line in zip(names, *columns.values(), strict=True)]
    return [["variant", *columns], *lines]


def metrics_table(
    rows: Sequence[Mapping[str, Any]], metrics: Sequence[Metric], variants: Sequence[str] = ()
) -> str:
    """:func:`table_cells` as Markdown."""
    header, *lines = table_cells(rows, metrics, variants)
    return markdown_table(header, lines)
