r"""One formula in words: \frac{1}{2} is 二分之一 or one half, x^2 x的平方 or x squared.

Numbers stay digits, which the number rules read afterwards, except where a sign or power is theirs.
"""

from __future__ import annotations

import re

from ..core import chinese, english
from ..core.language import Spoken
from ..core.units import UNIT_AFTER_POWER
from ..rules.base import NUMBER
from .formula_words import ACCENTS, BOUNDED, FUNCTIONS, NAMES, OPERATORS, PLAIN, SILENT

_TOKEN = re.compile(r"\\[a-zA-Z]+\*?|\\.|[0-9]+(?:[.,][0-9]+)*|[A-Za-z]|<=|>=|!=|==|->|=>|\S|\s+")
_DEEPEST = 40
_SUM = re.compile(r"(?<!正)加|(?<!^)减|\b(?:plus|(?<!^)minus)\b")
_SMALL = re.compile(r"[0-9]{1,4}")


# What a quantity is written with in a formula, and what a text has instead of it.
_PLAIN = (
    (re.compile(r"\\(?:mathrm|text|rm|operatorname|mbox)\s*\{([^{}\\]{0,40})\}"), r"\1"),
    (re.compile(r"\\times|\\cdot"), "×"),
    (re.compile(r"\\pm"), "±"),
    (re.compile(r"\^\{?\\circ\}?|\\degree"), "°"),
    (re.compile(r"\^\{([-+]?[0-9]{1,4})\}"), r"^\1"),
    (re.compile(r"\\([%$#&])"), r"\1"),
    (re.compile(r"\\[,;: !]|~|\\quad"), " "),
)
_QUANTITY = re.compile(
    rf"\s*[-+±]?(?:{NUMBER})\s?(?:×\s?10\^[-+]?[0-9]+)?\s*(?:%|{UNIT_AFTER_POWER})?\s*|10\^[-+]?[0-9]+"
)


def read_formula(text: str, language: Spoken) -> str:
    """``text`` in words of ``language``; a quantity is left to the number rules: 3×10^8 m/s."""
    plain = text
    for pattern, replacement in _PLAIN:
        plain = pattern.sub(replacement, plain)
    if _QUANTITY.fullmatch(plain):
        return re.sub(r"\s*([×^])\s*", r"\1", " ".join(plain.split()))
    return _Reader(text, language == "zh").all()


class _Reader:
    """Walks over the tokens once; arguments are read by recursion, at most ``_DEEPEST`` deep."""

    def __init__(self, text: str, zh: bool) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0
        self._zh = zh
        self._depth = 0

    def all(self) -> str:
        parts: list[str] = []
        while self._at < len(self._tokens):
            part = self._sequence(stop="")
            parts.append(part)
            if self._at < len(self._tokens):  # a brace that closes nothing
                self._at += 1
        return self._join(parts)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _skip(self) -> None:
        while self._peek().isspace():
            self._at += 1

    def _sequence(self, stop: str) -> str:
        """Everything up to ``stop``, which is left."""
        parts: list[str] = []
        while self._at < len(self._tokens) and (token := self._peek()) != stop:
            if token == "}":
                break
            self._at += 1
            spoken = self._one(token, bool(parts))
            if spoken:
                parts.append(spoken)
        return self._join(parts)

    def _argument(self) -> str:
        """What a command is applied to: a group or one token."""
        self._skip()
        token = self._next()
        if self._depth >= _DEEPEST:
            return token if token.isalnum() else ""
        self._depth += 1
        try:
            return self._applied(token)
        finally:
            self._depth -= 1

    def _applied(self, token: str) -> str:
        if token == "{":
            spoken = self._sequence("}")
            self._at += 1
            return spoken
        if token in ("-", "+"):
            return (
                self._say("负", "minus") + self._gap() + self._argument()
                if token == "-"
                else self._argument()
            )
        return self._one(token, True) if token and token != "}" else ""

    def _one(self, token: str, inside: bool) -> str:
        if token.isspace() or token in SILENT:
            return ""
        if token == "{":
            self._at -= 1
            return self._argument()
        if token == "^":
            return self._power()
        if token == "_":
            return self._say("", "sub ") + self._argument()
        if token.startswith("\\"):
            return self._command(token[1:].rstrip("*"), inside)
        if token == "-" and not inside:
            return self._say("负", "minus")
        if token in OPERATORS:
            return self._say(*OPERATORS[token])
        if token == "'":
            return self._say("撇", "prime")
        if token == "(" and self._is_argument():
            inner = self._next()
            self._at += 1
            return self._say(inner, f"of {inner}")
        if token in "()[]|":
            return "，" if self._zh else ","
        if token == "!":
            return self._say("的阶乘", "factorial")
        return token

    def _command(self, name: str, inside: bool) -> str:
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            return self._fraction()
        if name == "sqrt":
            return self._root()
        if name in ("binom", "dbinom"):
            top, bottom = self._argument(), self._argument()
            return self._say(
                f"{top}中取{bottom}" if not top else f"{top}选{bottom}", f"{top} choose {bottom}"
            )
        if name in PLAIN:
            return self._plain()
        if name in ACCENTS:
            return self._accent(name)
        if name in ("begin", "end"):
            self._argument()
            return ""
        if name in ("left", "right", "big", "Big", "bigg", "Bigg"):
            self._skip()
            token = self._peek()
            if token in ("(", ")", "[", "]", ".", "|", "\\{", "\\}"):
                self._at += 1
            return "" if token == "." else self._say("，", ",")
        if name in FUNCTIONS:
            return self._function(name)
        if name in NAMES:
            return self._say(*NAMES[name])
        if name in OPERATORS:
            return self._say(*OPERATORS[name])
        if len(name) == 1 and not name.isalpha():
            return {"%": "%", "$": "$", "&": " & ", "\\": self._say("，", ",")}.get(name, "")
        return name if name.isalpha() and len(name) > 1 and name not in SILENT else ""

    def _is_argument(self) -> bool:
        """Whether the bracket just read is that of f(x)."""
        before, after = self._tokens[: self._at - 1], self._tokens[self._at : self._at + 2]
        called = bool(before) and before[-1].isalpha() and len(before[-1]) == 1
        return called and len(after) == 2 and after[0].isalnum() and after[1] == ")"

    def _fraction(self) -> str:
        top, bottom = self._argument(), self._argument()
        if _SMALL.fullmatch(top) and _SMALL.fullmatch(bottom):
            if self._zh:
                return chinese.fraction(top, bottom)
            return english.fraction(top, bottom)
        # What a sum or difference is all of is said: a plus b, all over two is no a plus half b.
        over = self._whole(bottom)
        if self._zh:
            return f"{over}分之{self._whole(top)}"
        return f"{top}, all over {over}" if _SUM.search(top) else f"{top} over {over}"

    def _whole(self, part: str) -> str:
        """The numerator or denominator as one thing."""
        last = _SUM.findall(part)[-1:]
        if not last:
            return part
        return f"{part}的{'和' if last == ['加'] else '差'}" if self._zh else f"the quantity {part}"

    def _root(self) -> str:
        self._skip()
        degree = ""
        if self._peek() == "[":
            self._at += 1
            degree = self._sequence("]")
            self._at += 1
        inner = self._argument()
        if self._zh:
            return f"{degree}次根号{inner}" if degree and degree != "2" else f"根号{inner}"
        if degree in ("", "2"):
            return f"the square root of {inner}"
        named = (
            "cube"
            if degree == "3"
            else english.ordinal(degree)
            if degree.isdigit()
            else f"{degree}-th"
        )
        return f"the {named} root of {inner}"

    def _power(self) -> str:
        self._skip()
        raw = self._peek()
        spoken = self._argument()
        if raw in ("'", "\\prime"):
            return self._say("撇", "prime")
        if spoken in ("2", "3"):
            zh, en = {"2": ("的平方", "squared"), "3": ("的立方", "cubed")}[spoken]
            return self._say(zh, en)
        if spoken in (self._say("度", "degrees"), "∘"):
            return self._say("度", "degrees")
        return self._say(f"的{spoken}次方", f"to the power of {spoken}")

    def _function(self, name: str) -> str:
        """sin, log_2, \\sum_{i=1}^{n}: bounds are said after the name."""
        (zh, en), bounded = FUNCTIONS[name], name in BOUNDED
        low = high = ""
        for _ in range(2):
            self._skip()
            if self._peek() == "_" and not low:
                self._at += 1
                low = self._argument()
            elif self._peek() == "^" and bounded and not high:
                self._at += 1
                high = self._argument()
        if name in ("log", "lg") and low:
            return self._say(f"以{low}为底的对数", f"log base {low} of")
        if name == "lim" and low:
            return self._say(f"当{low}时的极限", f"the limit as {low} of")
        if low and high:
            return self._say(f"从{low}到{high}{zh}", f"{en} from {low} to {high} of")
        if low:
            return self._say(
                f"{low}上{zh}" if bounded else f"{zh}{low}",
                f"{en} over {low} of" if bounded else f"{en} {low}",
            )
        return self._say(zh, f"{en} of" if bounded else en)

    def _plain(self) -> str:
        """The words of \\text{…} as they stand."""
        self._skip()
        if self._peek() != "{":
            return self._argument()
        self._at += 1
        words, depth = [], 1
        while self._at < len(self._tokens):
            token = self._next()
            depth += {"{": 1, "}": -1}.get(token, 0)
            if depth == 0:
                break
            if token in ("_", "^"):
                words.append(token if token == "^" else "")
            elif token not in "{}":
                words.append(token)
        return "".join(words)

    def _accent(self, name: str) -> str:
        zh, en = ACCENTS[name]
        inner = self._argument()
        if name in ("vec", "overrightarrow"):
            return self._say(f"{zh}{inner}", f"{en} {inner}")
        return self._say(f"{inner}{zh}", f"{inner} {en}")

    def _say(self, zh: str, en: str) -> str:
        return zh if self._zh else en

    def _gap(self) -> str:
        return "" if self._zh else " "

    def _join(self, parts: list[str]) -> str:
        """Words with the spaces that keep letters and numbers apart."""
        text = ""
        for part in parts:
            if not part:
                continue
            latin = text[-1:].isascii() and part[:1].isascii() and text
            number = text[-1:].isdigit() and part[:1].isalpha() and len(part) == 1
            gap = " " if latin and not (part[:1] in ",." or number) else ""
            text += gap + part
        return re.sub(r"，{2,}|(?:, ?){2,}", "，" if self._zh else ", ", text.strip(" ，,"))
