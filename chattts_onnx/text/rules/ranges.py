"""What a dash between or before numbers means: a range, a score, or the name of a model."""

from __future__ import annotations

import re

from ..core import english
from ..core.chinese import is_measure
from ..core.context import Place, Reader
from ..core.language import is_cjk
from .base import NUMBER, SIGN, TO, Rule, rule

_N = f"(?:{NUMBER})"
_SCORE_BEFORE = re.compile(
    r"(?:比分[^0-9]{0,5}|总分|以|胜|赢|输|负|平|[局盘节场]|半场|队|战|领先|落后|won|lost|win|lead|leads|led|beat|tied|drew|"
    r"score(?: was| is)?)\s?$",
    re.IGNORECASE,
)
_SCORE_AFTER = re.compile(
    r"(?:[、,，]\s?[0-9]{1,3}[-–][0-9]{1,3}(?![0-9])){0,6}\s?(?:连胜|连败|连赢|险胜|横扫|战胜|击败|击溃|大胜|力克|淘汰|取胜|获胜|小胜|完胜|胜出|胜|领先|落后|战平|逼平|逆转|惜败|"
    r"负于|不敌|输给|告负|绝杀|晋级|夺冠|轻取|赢|拿下|打平|平局|完败|惨败|告捷|得手|先声夺人|扳回)"
)


@rule(
    "score",
    r"(?<![0-9A-Za-z.,:-])(?P<a>[0-9]{1,3})\s?[-–—](?:\s?)(?P<b>[0-9]{1,3})(?![0-9]|[.:-][0-9]|[%A-Za-z])",
)
def score(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """101-99险胜, 首局11-3, 国安1-1申花, They won 3-2."""
    before, after = place.before(match.start()), place.after(match.end())
    if _LABEL_BEFORE.search(before):
        return None
    if not (
        _falls(match, before, after) or _SCORE_BEFORE.search(before) or _SCORE_AFTER.match(after)
    ):
        return None
    if re.match(r"\s?(?:日(?!本)|[点分秒年月岁天个米元人次号万亿]|小时|分钟|公里|\w+s\b)", after):
        return None  # 第三场3-5分钟, won 3-5 games
    return reader.say("比", " to ").join(reader.number(match[n]) for n in "ab")


_LABEL_BEFORE = re.compile(
    "(?:[图表式题例楼栋幢座室号章节课第条款页]|附[件录]|Fig(?:ure|\\.)|Table)\\s?$"
)


def _falls(match: re.Match[str], before: str, after: str) -> bool:
    """Between two Chinese names, what doesn't rise from a to b is no range: 国安1-1申花."""
    low, high = int(match["a"]), int(match["b"])
    sides = before[-1:] + after[:1]
    named = len(sides) == 2 and all(map(is_cjk, sides)) and not _VALUE_BEFORE.search(before)
    return named and (low >= high or not low) and not is_measure(after)


@rule("label", r"(?P<a>[0-9]{1,3})[-–](?P<b>[0-9]{1,3})(?![0-9.-])")
def label(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """图3-1, 表2-4: the numbers of a chapter and of what stands in it; 第3-5章 is a range."""
    before = place.before(match.start())
    if not re.search("(?:(?<![地试力企意])[图表式题例]|附[图表件录])\\s?$", before):
        return None
    if not reader.zh:
        return None
    return f"{reader.integer(match['a'])}杠{reader.integer(match['b'])}"


@rule(
    "range",
    f"(?P<sign>{SIGN})?(?<![0-9.])(?P<a>{_N}){TO}(?P<b>{_N})(?![0-9])(?!\\.[0-9])(?![-–][0-9])",
)
def range_(match: re.Match[str], place: Place, reader: Reader) -> str:
    """3-5天, 20~30."""
    following = place.after(match.end())
    if _DIFFERENCE_AFTER.match(following) and re.search("[-–]", match.group()):
        parts = (reader.number(match["a"]), reader.number(match["b"]))
        return reader.sign(match["sign"] or "") + reader.say("减", " minus ").join(parts)
    ordinal = place.before(match.start()).rstrip().endswith("第")
    speak = reader.integer if ordinal else lambda n: reader.number(n, following)
    sign = reader.sign(match["sign"] or "")
    return f"{sign}{speak(match['a'])}{reader.say('到', ' to ')}{speak(match['b'])}"


_DIFFERENCE_AFTER = re.compile(r"\s?(?:等于|是多少|得多少|equals\b|is equal to)")
_QUANTITY_BEFORE = re.compile(
    r"[0-9一二三四五六七八九十百千万亿半](?:[日号月年时点分秒天岁元块度周万亿千百名人个米倍]|[万亿千百][元人块]"
    r"|个?小时|分钟|个?月|公里|公斤|厘米|毫米|摄氏度)$"
)
_WEEKDAY_BEFORE = re.compile(r"(?:周|星期|礼拜)[一二三四五六日天1-7]$")


@rule("range", r"[-–—~～](?=[0-9])")
def between(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """5月1日-5月3日, 10分钟-15分钟: the dash after a quantity; 今天-5℃ is no range."""
    before = place.before(match.start())
    if _WEEKDAY_BEFORE.search(before):
        return "到"
    return "到" if _QUANTITY_BEFORE.search(before) else None


@rule("range", r"[-–—~～](?=(?:周|星期|礼拜)[一二三四五六日天1-7])")
def weekdays(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """周一-周五, 周1-周5."""
    return "到" if _WEEKDAY_BEFORE.search(place.before(match.start())) else None


# Names of series before the number of a model, by what they name.
_SERIES = (
    # Aircraft, missiles, rockets, spacecraft, satellites.
    "歼|歼轰|轰|运|直|强|教|初教|空警|空客|波音|米格|苏|图|伊尔|安|雅克|卡|(?<![0-9一二三四五六七八九十百千万几半])米|鹰击|红旗|东风|巨浪|霹雳|长剑|翼龙|彩虹|"
    "攻击|无侦|鹘鹰|枭龙|猎鹰|长征|嫦娥|神舟|天宫|天问|天舟|天和|问天|梦天|玉兔|祝融|北斗|风云|高分|资源|海洋|实践|遥感|"
    "快舟|力箭|朱雀|引力|谷神星|双曲线|联盟|阿波罗|鹊桥|羲和|夸父|悟空|墨子|风暴|爱国者|萨姆|飞毛腿|海马斯|侏儒|白杨|"
    "民兵|三叉戟|烈火|火星|大浦洞|潜龙|蛟龙|雪龙|和平|礼炮|旅行者|先驱者|水手|月球|探测器|织女星|阿丽亚娜|土星|质子|安加拉|"
    "麦道|塞斯纳|新舟|鲲龙|捷豹|台风|响尾蛇|标枪|毒刺"
    # Isotopes and other things of science.
    "|[氢氦锂铍硼碳氮氧氟氖钠镁铝硅磷硫氯氩钾钙钴镍锌镓锗砷硒溴氪铷锶钇锆钼锝镉铟锡锑碲碘氙铯钡钐汞铊铅铋钋氡镭钍铀镎钚镅]"
    "|欧米伽|奥米伽|白介素|白细胞介素|干扰素|维生素|胰高血糖素样肽|新冠|柯萨奇|(?:因子|受体|抗体|病毒|蛋白)|[素肽酶弹星舰]"
)
_NAMED_BEFORE = re.compile(rf"(?:{_SERIES})$")
_NAMED_AFTER = re.compile(
    r"[A-Z]?(?:型|号|系列|战斗机|战机|运输机|轰炸机|直升机|无人机|客机|飞机|导弹|火箭|卫星|飞船|探测器|坦克|航母|潜艇|"
    r"鱼雷|雷达|疫苗|反应堆|系(?!统|列|数)|皮卡|轿车|步枪|手枪|机枪|返回器|着陆器|轨道器|月球车|火星车|空间站|实验舱|发射|首飞|升空|服役|列装)"
)
_MEASURED_AFTER = re.compile(r"(?:\.[0-9]|\s?(?:[%‰℃°度元块]|摄氏|华氏|个|分(?!弹)|[a-zA-Z]+/))")


def _name(reader: Reader, written: str) -> str:
    """A model's number: as a number to two digits, else digit by digit."""
    return reader.code(written) if len(written) > 2 or written[0] == "0" else reader.number(written)


@rule(
    "model",
    r"(?<=[\u4e00-\u9fff])[-‐‑–](?P<n>[0-9]{1,4})(?P<rest>-[0-9]{1,4})?(?![0-9]|[.,:][0-9])",
)
def model(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """歼-20, 东风-41, 碳-14: the dash of a name, silent; 温度是-3 keeps its sign."""
    before, after = place.before(match.start(), 8), place.after(match.end())
    if _MEASURED_AFTER.match(after) or not (
        _NAMED_BEFORE.search(before)
        or (_NAMED_AFTER.match(after) and not _VALUE_BEFORE.search(before))
    ):
        return None
    rest = f"，{_name(reader, match['rest'][1:])}" if match["rest"] else ""
    return _name(reader, match["n"]) + rest


_VALUE_BEFORE = re.compile(r"[是为到至在约降跌升涨减加等于了从比值温度差第零]$")
_AIRLINERS = re.compile(r"(?:波音|空客|麦道|Boeing|Airbus)\s?A?$", re.IGNORECASE)


@rule("model", r"(?P<n>[0-9]{3})[-–](?P<v>[0-9]{1,4})(?![0-9])")
def airliner(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """波音747-400, Boeing 737-800."""
    named = _AIRLINERS.search(place.before(match.start()))
    plane = re.fullmatch("7[0-9]7", match["n"]) and re.match(
        r"[A-Z]{0,3}\s?(?:客机|飞机|机型|货机|梦想|jet|aircraft|airliner|plane)",
        place.after(match.end()),
    )
    if not (named or plane):
        return None
    variant = match["v"]
    round_ = variant.endswith("00")
    spoken = reader.integer(variant) if round_ else reader.code(variant)
    plane_ = reader.say(reader.digit_by_digit(match["n"]), english.in_parts(match["n"]))
    return plane_ + reader.say("杠", " ") + spoken


@rule(
    "model",
    r"(?<![0-9A-Za-z.-])7[-–](?:11|Eleven|eleven|ELEVEN)(?![0-9A-Za-z%])(?!\s?[点:：月日号天个年岁人次元])",
)
def seven_eleven(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """7-11便利店: a shop; 7-11岁 is a range."""
    if "11" in match.group() and not re.match(
        r"\s?(?:便利|超市|商店|门店|买|店|store|shop|for\b)", place.after(match.end())
    ):
        return None
    return reader.say("七，十一", "seven eleven")


@rule(
    "model",
    r"(?<=[A-Za-z])[-–](?P<n>[0-9]+(?:\.[0-9]+)?)[-–](?P<v>[0-9]+(?:\.[0-9]+)?)(?=[A-Za-z])",
)
def versioned(match: re.Match[str], place: Place, reader: Reader) -> str:
    """Llama-3.1-8B: a name in parts; no range, no sign."""
    return f" {reader.number(match['n'])} {_sized(match, place, reader)}"


@rule("model", r"(?<=[A-Za-z])(?P<n>[0-9]+(?:\.[0-9]+)?)[-–](?P<v>[0-9]+(?:\.[0-9]+)?)(?=[A-Za-z])")
def sized(match: re.Match[str], place: Place, reader: Reader) -> str:
    """Qwen2.5-7B."""
    return f"{reader.number(match['n'])} {_sized(match, place, reader)}"


def _sized(match: re.Match[str], place: Place, reader: Reader) -> str:
    """7B and 671B are sizes; the 9700 of i7-9700K is a code."""
    if len(match["v"]) < 4 or place.after(match.end(), 1) in "BM":
        return reader.number(match["v"])
    return reader.code(match["v"])


@rule("model", r"(?<=[A-Za-z]-)(?P<n>[0-9]{1,3})s(?![A-Za-z0-9])")
def models(match: re.Match[str], place: Place, reader: Reader) -> str:
    """F-16s, AK-47s: more than one, and no seconds."""
    spoken = english.cardinal(match["n"])
    return (
        spoken[:-1] + "ies"
        if spoken.endswith("y")
        else spoken + ("es" if spoken[-1] == "x" else "s")
    )


@rule(
    "formation",
    r"(?<![0-9A-Za-z.-])(?P<n>[1-6](?:-[1-6]){2,3})(?=\s?(?:阵型|阵容|战术|变阵|formation|diamond))",
)
def formation(match: re.Match[str], place: Place, reader: Reader) -> str:
    """4-4-2阵型."""
    return reader.digit_by_digit(match["n"].replace("-", ""))


MODELS: tuple[Rule, ...] = (
    *(label, formation, models, seven_eleven, airliner, versioned, sized, model),
)
RANGES: tuple[Rule, ...] = (range_, between, weekdays)
