"""The listening page: one HTML file with a player and a spectrogram for every utterance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from chattts_onnx.hearing.scoring import canonical_words, score
from pipeline.report.figure import three
from pipeline.report.write import heading, words
from pipeline.speech.config import PageConfig
from pipeline.speech.drawing import number
from pipeline.speech.figures import MEASURES, Judgement, overall
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
        part = _sentence(cells, variants)
        room -= len(part.encode())
        if room < 0:
            break
        parts.append(part)
    count = f"{len(parts)} of {len(lines)} utterances of each variant."
    return template.substitute(values, sentences="\n".join(parts), count=count)


def _figures(rows: Sequence[Mapping[str, Any]], variants: Sequence[str]) -> str:
    """A table of all metrics, three digits, each interval below its value."""
    cells = {(row["variant"], row["metric"]): row for row in overall(rows)}
    chosen = [m for m in MEASURES if any((v, m.name) in cells for v in variants)]
    head = "".join(f'<th scope="col">{escape(heading(m.name, m.unit))}</th>' for m in chosen)
    body = "".join(
        f'<tr><th scope="row">{escape(words(variant))}</th>'
        + "".join(_figure(cells[variant, m.name]) for m in chosen)
        + "</tr>"
        for variant in variants
    )
    head = f'<th scope="col">variant</th>{head}'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(row: Mapping[str, Any]) -> str:
    value, low, high = (number(row.get(key)) for key in ("value", "low", "high"))
    interval = f"<small>{three(low)} … {three(high)}</small>" if low < high else ""
    return f"<td>{three(value) or '–'}{interval}</td>"


def _toggle(index: int, variant: str) -> str:
    return (
        f'<label><input type="checkbox" id="t{index}" checked autocomplete="off"> '
        f"{escape(words(variant))}</label>"
    )


def _sentence(cells: Sequence[Judgement], variants: Sequence[str]) -> str:
    line = cells[0].utterance.line
    body = "".join(_take(index, name, cells[index]) for index, name in enumerate(variants))
    return (
        f'<article><h2 lang="{LANG[line.language]}">{escape(line.text)}</h2>'
        f"<small>{escape(f'voice {line.voice}, seed {line.seed}')}</small>"
        f'<div class="takes">{body}</div></article>'
    )


def _take(index: int, variant: str, judgement: Judgement) -> str:
    utterance, errors = judgement.utterance, judgement.errors
    name = escape(words(variant))
    head = f'<div class="v{index}"><h3>{name}</h3>'
    if utterance.empty:
        return f'{head}<p class="bad">nothing to hear</p></div>'
    wrong, total = errors.word_errors + errors.syllable_errors, errors.words + errors.syllables
    state = "" if utterance.finished else ' <span class="bad">ran to the limit</span>'
    line = utterance.line
    lang, heard = LANG[line.language], heard_html(line.text, judgement.heard, line.language)
    return (
        f'{head}<img src="{spectrogram_uri(utterance)}" alt="spectrogram of {name}">'
        f'<audio controls preload="none" aria-label="{name}: {escape(line.text)}" '
        f'data-variant="{index}" src="{audio_uri(utterance)}">'
        f'</audio><p lang="{lang}">{heard}</p>'
        f"<small>{wrong} of {total} wrong, "
        f"P.808 {judgement.p808:.1f}, {utterance.seconds:.1f} s{state}</small></div>"
    )


def heard_html(wanted: str, heard: str, language: str = "en") -> str:
    """What was heard: words that differ from ``wanted`` are marked, missing ones struck out.

    Words are compared as they are scored (numbers in one form); a text without errors has no mark,
    however it is written.
    """
    errors = score(wanted, heard, language)
    if not errors.word_errors + errors.syllable_errors:
        return escape(heard) or "–"
    reference, found = canonical_words(wanted), canonical_words(heard)
    parts: list[str] = []
    for kind, a, b, c, d in SequenceMatcher(None, reference, found, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(_joined(found[c:d]))
            continue
        if c < d:
            parts.append(f"<mark>{_joined(found[c:d])}</mark>")
        if a < b and kind == "delete":
            parts.append(f"<del>{_joined(reference[a:b])}</del>")
    return " ".join(parts)


def _joined(words: Sequence[str]) -> str:
    """Words with spaces between, Chinese characters without."""
    return escape(re.sub(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])", "", " ".join(words)))
