"""URLs, e-mail addresses and @names as something that can be spoken."""

from __future__ import annotations

import re
from collections.abc import Callable

from .core import chinese, english
from .core.language import Spoken
from .core.report import Report

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+"
_TOP = (
    r"(?:com|cn|org|net|edu|gov|io|ai|co|info|app|dev|tv|me|uk|de|jp|hk|tw|fr|eu|xyz|top|cc|"
    r"ru|au|ca|ch|nl|kr|site|online|tech|shop)"
)
_PATH = r"(?:[/?#][A-Za-z0-9_./~%+&=#?:@!$*,;-]*[A-Za-z0-9_/=#-]|/)?"
EMAIL = re.compile(rf"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@{_HOST}[A-Za-z]{{2,}}(?![A-Za-z0-9])")
URL = re.compile(
    rf"(?:(?:https?|ftp)://(?:[A-Za-z0-9.-]+)(?::[0-9]{{2,5}})?{_PATH}"
    rf"|(?<![A-Za-z0-9@.])www\.{_HOST}[A-Za-z]{{2,}}{_PATH}"
    rf"|(?<![A-Za-z0-9@._-]){_HOST}{_TOP}(?![A-Za-z0-9-]|\.[A-Za-z0-9]){_PATH})"
)
_PATH_OF_FILE = re.compile(
    r"(?<![A-Za-z0-9_./~])(?:~|\.{1,2})?/(?:[A-Za-z0-9_.+-]{1,64}/){1,12}[A-Za-z0-9_.+-]{0,64}"
    r"|(?<![A-Za-z0-9])[A-Z]:\\(?:[A-Za-z0-9_.-]{1,64}(?: [A-Za-z0-9_.-]{1,64})?\\){0,12}"
    r"[A-Za-z0-9_-]{0,64}"
)
_HANDLE = re.compile(r"(?<![A-Za-z0-9@])@(?=[A-Za-z0-9_\u4e00-\u9fff])")
_FILE = re.compile(
    r"(?<=[A-Za-z0-9_\u4e00-\u9fff])\.(?=(?:pdf|txt|docx?|xlsx?|pptx?|csv|json|ya?ml|xml|html?|md|py|"
    r"jpe?g|png|gif|svg|mp[34]|wav|flac|zip|tar|gz|7z|exe|apk|dmg|iso|onnx)(?![A-Za-z0-9]))"
)
_PIECES = re.compile(r"[A-Za-z]+|[0-9]+|.")
# Longer addresses are read up to the host's end; nobody listens to a tracking parameter.
_MAX_SPOKEN = 80

_NAMES = {
    ".": ("点", "dot"),
    "/": ("斜杠", "slash"),
    "-": ("杠", "dash"),
    "_": ("下划线", "underscore"),
    "@": ("艾特", "at"),
    ":": ("冒号", "colon"),
    "?": ("问号", "question mark"),
    "=": ("等于", "equals"),
    "&": ("和", "and"),
    "#": ("井号", "hash"),
    "%": ("百分号", "percent"),
    "+": ("加", "plus"),
    "~": ("波浪号", "tilde"),
    "\\": ("反斜杠", "backslash"),
}


def speak_addresses(text: str, language: Spoken, report: Report) -> str:
    """``text`` with its addresses in words of ``language``."""

    def say(kind: str, speak: Callable[[str, Spoken], str], pattern: re.Pattern[str]) -> str:
        return pattern.sub(
            lambda m: report.add(kind, m.group(), f" {speak(m.group(), language)} "), text
        )

    if "/" in text or ":\\" in text:
        text = say("file name", _speak, _PATH_OF_FILE)
    if "." not in text and "@" not in text:
        return text
    text = say("e-mail", _speak, EMAIL)
    text = say("url", _url, URL)
    dot, at = ("点", "艾特") if language == "zh" else (" dot ", "at ")
    text = _FILE.sub(lambda m: report.add("file name", m.group(), dot), text)
    return _HANDLE.sub(lambda m: report.add("symbol", m.group(), at), text)


def _url(found: str, language: Spoken) -> str:
    body = re.sub(r"^[a-z]+://", "", found).rstrip("/")
    if len(body) > _MAX_SPOKEN:
        body = re.split(r"[/?#]", body)[0]
    return _speak(body, language)


def _speak(address: str, language: Spoken) -> str:
    zh = language == "zh"
    digits = chinese.digits if zh else english.digits
    words = []
    for piece in _PIECES.findall(address):
        if piece.isdecimal():
            words.append(digits(piece))
        elif piece.lower() == "www":
            words.append("W W W")
        elif piece in _NAMES:
            words.append(_NAMES[piece][0 if zh else 1])
        elif piece.isalpha():
            words.append(piece)
    return " ".join(words)
