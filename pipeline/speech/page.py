"""The listening page: one HTML file with a player and a spectrogram for every utterance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from pipeline.report.write import with_interval
from pipeline.speech.config import PageConfig
from pipeline.speech.figures import MEASURES, Judgement
from pipeline.speech.sound import audio_uri, spectrogram_uri

TEMPLATE = Path(__file__).with_name("page_template.html")
RANDOM = (
    "The checkpoint has random weights: nothing here is speech, and no figure says anything of "
    "quality."
)
LANG = {"en": "en", "zh": "zh", "mixed": "zh"}


def render_page(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    judged: Mapping[str, Sequence[Judgement]],
    bounds: PageConfig,
    random_weights: bool,
) -> str:
    """The page as text; it refers to nothing outside itself.

    Sentences are added while they fit ``bounds``; the page says how many were left out.

    Args:
        title: its heading.
        rows: rows of the speech report.
        judged: judgements by variant, in the same order of lines.
        bounds: most sentences, most bytes.
        random_weights: whether to warn that nothing is to be understood.
    """
    variants = list(judged)
    values = {
        "title": escape(title),
        "warning": f'<p class="warning">{RANDOM}</p>' if random_weights else "",
        "figures": _figures(rows, variants),
        "toggles": "".join(_toggle(index, name) for index, name in enumerate(variants)),
        "heads": "".join(f'<th class="v{i}">{escape(v)}</th>' for i, v in enumerate(variants)),
        "hide": "".join(
            f"body:has(#t{i}:not(:checked)) .v{i} {{ display: none; }}\n"
            for i in range(len(variants))
        ),
    }
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    room = bounds.max_bytes - len(template.safe_substitute(values).encode()) - 200
    lines = list(zip(*judged.values(), strict=True))
    parts: list[str] = []
    for cells in lines[: bounds.sentences]:
        part = _sentence(cells)
        room -= len(part.encode())
        if room < 0:
            break
        parts.append(part)
    count = f"{len(parts)} of {len(lines)} utterances of each variant."
    return template.substitute(values, sentences="\n".join(parts), count=count)


def _figures(rows: Sequence[Mapping[str, Any]], variants: Sequence[str]) -> str:
    """A table of all metrics; intervals in brackets."""
    cells = {(row["variant"], row["metric"]): row for row in rows}
    head = "".join(
        f"<th>{escape(m.name.replace('_', ' '))} ({escape(m.unit)})</th>" for m in MEASURES
    )
    body = "".join(
        f"<tr><th>{escape(variant)}</th>"
        + "".join(f"<td>{escape(with_interval(cells[variant, m.name]))}</td>" for m in MEASURES)
        + "</tr>"
        for variant in variants
    )
    return f"<table><thead><tr><th>variant</th>{head}</tr></thead><tbody>{body}</tbody></table>"


def _toggle(index: int, variant: str) -> str:
    return (
        f'<label><input type="checkbox" id="t{index}" checked autocomplete="off"> '
        f"{escape(variant)}</label>"
    )


def _sentence(cells: Sequence[Judgement]) -> str:
    line = cells[0].utterance.line
    lang = LANG[line.language]
    who = f"voice {line.voice}, seed {line.seed}"
    body = "".join(_cell(index, judgement) for index, judgement in enumerate(cells))
    return (
        f'<tr><th scope="row"><span lang="{lang}">{escape(line.text)}</span>'
        f"<small>{escape(who)}</small></th>{body}</tr>"
    )


def _cell(index: int, judgement: Judgement) -> str:
    utterance, errors = judgement.utterance, judgement.errors
    open_cell = f'<td class="v{index}">'
    if utterance.empty:
        return f'{open_cell}<p class="bad">nothing to hear</p></td>'
    wrong = "" if not errors.word_errors else ' class="bad"'
    state = "" if utterance.finished else ' <span class="bad">ran to the limit</span>'
    lang = LANG[utterance.line.language]
    return (
        f'{open_cell}<img src="{spectrogram_uri(utterance)}" alt="spectrogram">'
        f'<audio controls preload="none" src="{audio_uri(utterance)}"></audio>'
        f'<p lang="{lang}"{wrong}>{escape(judgement.heard) or "–"}</p>'
        f"<small>{errors.word_errors}/{errors.words} wrong, "
        f"P.808 {judgement.p808:.2f}, {utterance.seconds:.1f} s{state}</small></td>"
    )
