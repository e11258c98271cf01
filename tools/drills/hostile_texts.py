"""Texts made to be slow: ``python -m tools.drills.hostile_texts [--characters 50000]``.

Each family repeats one short string, which every pattern of the normaliser must refuse or read in
time that grows with the length only.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator

from chattts_onnx.text import split_pieces

# Characters and strings at which rules begin, go on or fail.
_SINGLE = (
    "1 a 的 . , - – — ~ / : ; % $ ￥ + ( ) （ ） [ ] { } < > = * # ' \" ` ^ _ \\ | & @ ! ? 。 "
    "， 、 ： 🔟 ① ¾ ½  "
    "² ⁻ ₂ ㎡ ℃ ° ′ ″ № μ Ω π ∑ → 年 月 点 万 第 周 儿 两 é １ 😀 \u200b \u0301 x w k e E v m "
    "A I V"
)
_STARTS = (
    "1 1. 1, 1,000, 0 00 01 12 2024 20241001 1.5 .5 -1 +1 ±1 1- 1-1- 1~ 1: 12: 12:30 12:30: "
    "1/ 1/2 1/2/ 1% 1%- 1° 1°2′  "
    "1' 5'11\" 1x 1x1 1* 1** 1^ 10^ 10^- 1×10^ 1e 1e- 1e5 1kg 1kg/ 1kg· kg· kg/ 1m^ 1mmol/L "
    "5·m /m /年 $1 $1- $1.5 ￥ US$  "
    "1k 1w 1w- 1w+ 15k- 20# # #1 #a No. No.1 v1 v1. 1.1.1. 192.168. a1 a1- a-1 AB-1 歼-20 "
    "东风- 碳-1 周1- 第1 第1(1)  "
    "(1) (1)班 高一( 1) 1、 985、 996、 110、119、 80、90、 80后 98年 24年 2点 2分 京A 京A· "
    "京A1 1·1 3/15 3·15晚 2023- 2023-24  "
    "1s '90s 90s 1st 49ers May May1 Oct. I IV Chapter ChapterI HenryVIII Dr. St. U.S. a.b. "
    "ABC AI A.B e.g. C++ C# i-- a<b a<= a-b  "
    "138 13800138000 010- (010) 400- 212- +86 +1 555-1234 打1 转1 a@ a@b a@b. http://a "
    "http://a/ www. a.com a.com/ .py  "
    "比1: 用了1: 1:1 101-99 3-0 7-11 747- 波音 4-4- Llama-3. Ca^2+ ^2 ^2+ x^ H2 A+ A- 花儿 这儿"
)
_MARKUP = (
    "<a <b> </b> <a> <br> <br/ <p> </p> <!-- --> <!---> <![CDATA[ ]]> <? <!DOCTYPE <think> "
    "</think> <script> <speak> <break  "
    "<sub <say-as> <sup>2</sup> <td> <li> &amp; &lt; &#1; &#x &a; ``` ```a ~~~ ` `a ` ** **a "
    "*a* *a __ _a ~~ ==  "
    "[ [a [a] [a]( [a](b [a](b) [a][b] [^1] ![ ![a](b) [[a] ]( <http://a > >>a # ## - * + 1. "
    "| |a |- |a|b| --- === - [x]  "
    "$ $$ $a $a$ $1 $a=b$ \\ \\( \\) \\[ \\] \\frac \\frac{ \\frac{1}{2} \\sqrt \\sqrt[ "
    "\\sqrt{ { } ^{ _{ \\sum_ \\begin{equation}  "
    "\\alpha \\left( \\text{ <| |> <|a|> <|im_start|> [INST] <<SYS>> 【1†a】 【1† "
    "<|channel|>analysis<|message|> [laugh] [Stts] [S"
)
_JOINTS = ("", " ", "\n", ",", "a", "1", "的")


def families(most: int = 500) -> Iterator[str]:
    """``most`` strings to repeat: every start alone, then joined with others."""
    units = [
        *_SINGLE.split(),
        *_STARTS.split(),
        *_MARKUP.split(" "),
        " ",
        "\t",
        "\n",
        " \n",
        "\u3000",
    ]
    alone = list(dict.fromkeys(filter(None, units)))
    joined = (unit + joint for joint in _JOINTS[1:] for unit in alone)
    yield from itertools.islice(dict.fromkeys([*alone, *joined]), most)


def seconds(unit: str, characters: int) -> float:
    """CPU seconds that the pieces of a text of one family take."""
    text = (unit * (characters // len(unit) + 1))[:characters]
    started = time.process_time()
    for _ in split_pieces(text, len, 96):
        pass
    return time.process_time() - started


def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 1 when a family takes longer."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.drills.hostile_texts", description=__doc__
    )
    parser.add_argument("--characters", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="of CPU, for each family")
    parser.add_argument("--families", type=int, default=500)
    parser.add_argument("--skip", type=int, default=0, help="families tried in another run")
    options = parser.parse_args(arguments)
    next(iter(split_pieces("一次 1 kg。", len, 96)))  # the tables are read once
    tried = itertools.islice(families(options.skip + options.families), options.skip, None)
    spent = sorted(
        ((seconds(unit, options.characters), unit) for unit in tried),
        reverse=True,
    )
    for taken, unit in spent[:10]:
        print(f"{taken:6.2f} s  {unit!r}")
    slow = sum(taken > options.seconds for taken, _ in spent)
    total = sum(taken for taken, _ in spent)
    print(
        f"{len(spent)} families of {options.characters} characters: {total:.0f} s, {slow} too slow"
    )
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
