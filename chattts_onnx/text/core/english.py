"""Numbers in English words, without hyphens or "and"."""

from __future__ import annotations

ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
    "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
MAX_DIGITS = 3 * len(SCALES)


def digits(number: str, one: str = "one") -> str:
    """Digit by digit: 2024 -> two zero two four; anything but a digit is left out."""
    return " ".join(one if d == "1" else ONES[int(d)] for d in number if d.isdecimal())


def cardinal(number: str) -> str:
    """An integer: 1234 -> one thousand two hundred thirty four; digits where no name is left."""
    number = number.lstrip("0") or "0"
    if len(number) > MAX_DIGITS:
        return digits(number)
    value = int(number)
    if value == 0:
        return "zero"
    parts: list[str] = []
    scale = 0
    while value:
        value, group = divmod(value, 1000)
        if group:
            parts.insert(0, f"{_hundreds(group)} {SCALES[scale]}".strip())
        scale += 1
    return " ".join(parts)


def _hundreds(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    words = [f"{ONES[hundreds]} hundred"] if hundreds else []
    if rest:
        words.append(two_digits(rest))
    return " ".join(words)


def two_digits(value: int) -> str:
    """0 to 99."""
    if value < 20:
        return ONES[value]
    tens, ones = divmod(value, 10)
    return TENS[tens - 2] + (f" {ONES[ones]}" if ones else "")


def number(text: str) -> str:
    """An integer or decimal without sign or separators: 3.14 -> three point one four."""
    whole, _, fraction = text.partition(".")
    spoken = cardinal(whole or "0")
    return f"{spoken} point {digits(fraction)}" if fraction else spoken


def in_parts(number: str) -> str:
    """A name's number of three or four digits: 747 -> seven forty seven, 1080 -> ten eighty."""
    head, tail = number[:-2], int(number[-2:])
    if not tail:
        return cardinal(number)
    return f"{cardinal(head)} {two_digits(tail) if tail > 9 else 'oh ' + cardinal(str(tail))}"


def ordinal(number: str) -> str:
    """23 -> twenty third."""
    *head, last = cardinal(number).split(" ")
    if last in _ORDINALS:
        last = _ORDINALS[last]
    elif last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last += "th"
    return " ".join([*head, last])


def year(text: str) -> str:
    """1999 -> nineteen ninety nine, 2005 -> two thousand five, 1905 -> nineteen oh five."""
    value = int(text)
    high, low = divmod(value, 100)
    if len(text) != 4 or (high % 10 == 0 and low < 10):
        return cardinal(text)
    if low == 0:
        return f"{two_digits(high)} hundred"
    return f"{two_digits(high)} {'oh ' if low < 10 else ''}{two_digits(low)}"


def decade(text: str) -> str:
    """1990 -> nineteen nineties, 90 -> nineties, 2000 -> two thousands."""
    words = (year(text) if len(text) == 4 else two_digits(int(text))).split(" ")
    last = words[-1]
    words[-1] = last[:-1] + "ies" if last.endswith("y") else last + "s"
    return " ".join(words)


def fraction(numerator: str, denominator: str) -> str:
    """1/2 -> one half, 3/4 -> three quarters, 5/8 -> five eighths; from 1/21 on "over"."""
    top, bottom = int(numerator), int(denominator)
    if bottom == 2 and top == 1:
        return "one half"
    if bottom == 2:
        return f"{cardinal(numerator)} halves"
    if not 2 < bottom <= 20 and bottom != 100:
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    name = "quarter" if bottom == 4 else ordinal(denominator)
    return f"{cardinal(numerator)} {name}{'' if top == 1 else 's'}"


def clock(hour: int, minute: int, second: int | None, half: str = "") -> str:
    """3:05 -> three oh five, 8:00 -> eight o'clock; ``half`` is "A M" or "P M"."""
    if hour == 0 and not half:
        spoken = "midnight" if not minute and not second else "zero"
    else:
        spoken = two_digits(hour)
    if minute or second:
        spoken += f" {'oh ' if 0 < minute < 10 else ''}{two_digits(minute)}"
    elif not half and 0 < hour <= 12:
        spoken += " o'clock"
    elif not half and hour > 12:
        spoken += " hundred"
    if second is not None:
        spoken += f" and {two_digits(second)} second{'' if second == 1 else 's'}"
    return f"{spoken} {half}".strip()


def date(year_: str | None, month: int | None, day: int | None) -> str:
    """Parts of a date that are given: October first, twenty twenty four."""
    spoken = MONTHS[month - 1] if month else ""
    if day:
        spoken = f"{spoken} {ordinal(str(day))}".strip()
    if year_:
        spoken = f"{spoken}{',' if day else ''} {year(year_)}".strip()
    return spoken
