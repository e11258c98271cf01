"""Chinese shorthand: 3w粉丝, 10w+, 2k元, 15k-20k, 20#楼, 高一(3)班, 第3(1)条."""

from __future__ import annotations

import re

from ..core import chinese
from ..core.context import Place, Reader
from .base import NUMBER, TO, Rule, rule

_N = f"(?:{NUMBER})"
_SCALES = {"w": 4, "W": 4, "k": 3, "K": 3}
_THINGS = (
    r"\s?(?:多|余|左右|以上|以下|以内|\+|＋|名|个|位|人|粉|用户|会员|观众|读者|网友|学生|员工|播放|点赞|赞|阅读|浏览|关注|"
    r"收藏|转发|评论|订阅|观看|下载|弹幕|票|元|块|美元|美金|刀|人民币|块钱|的?(?:工资|薪水|月薪|年薪|预算|收入|价格|存款|"
    r"彩礼|首付|房租|月租|奖金|罚款|营业额|销量|流水|负债|贷款|销售额|利润|订单|流量)|单|套|册|字|条|件|台|辆|亿|"
    r"股|平|次|年薪|月薪|公里|步|彩礼|押金|一个月|一年|每月|每年|/月|/年|月|年)"
)
_THINGS_AFTER = re.compile(_THINGS)
_THINGS_BEFORE = re.compile(
    r"(?:年薪|月薪|薪资|薪水|工资|底薪|收入|预算|粉丝|播放量?|点赞|阅读量?|销量|存款|价格|报价|售价|起价|成本|花了?|赚了?|"
    r"挣了?|亏了?|罚款?|欠|借了?|首付|贷款|奖金|补贴|突破|破|超过?|近|约|总共|一共|差不多|涨到|降到|卖|买|转账|红包|"
    r"用户|会员|流水|营业额|人数|销售额|利润|订单|关注|浏览|彩礼|押金|房租|月租)"
    r"(?:是|为|了|达|有|过|到|在|大概|大约)*\s?$"
)
_POWER_AFTER = re.compile(
    r"\s?(?:快充|闪充|充电|超充|适配|灯|功率|电源|电机|电|音箱|功放|发电|风扇|加热|热|射灯|显卡|氮化镓|的?(?:功率|灯)|输出|太阳能|"
    r"无线充|有线|反充|喇叭|激光|马达|水泵|吸尘|微波|吹风)"
)
_POWER_BEFORE = re.compile(
    r"(?:功率|功耗|快充|充电|额定|输出|最高支持|支持|TDP|瓦数|耗电)[^0-9]{0,4}$"
)
# What is called 2K, 4k, 24K by its letter.
_LETTER_AFTER = re.compile(
    r"\s?(?:屏|分辨率|视频|画质|显示|电视|高清|超清|电影|蓝光|投影|直播|录|拍|HDR|金|黄金|跑|彩金|镀金|项链|戒指|纯|色温|路由|"
    r"内存|缓存|字体|超高清|像素|摄|画面|片源|播放器|[A-Za-z])"
)


def _value(written: str, scale: str) -> str:
    """1.5w is 15000."""
    whole, _, part = written.replace(",", "").partition(".")
    places = _SCALES[scale]
    if len(part) > places:
        return ""
    return (whole + part.ljust(places, "0")).lstrip("0") or "0"


def _scaled(reader: Reader, written: str, scale: str) -> str:
    """In words with 万 and 千: 1.5w is 一点五万, 15k 一万五千."""
    if _SCALES[scale] == 4:
        return reader.number(written, "万") + "万"
    value = _value(written, scale)
    return reader.number(value) if value else reader.number(written, "千") + "千"


def _is_count(scale: str, before: str, after: str) -> bool:
    """Whether the letter is 万 or 千 here, and no watt and no 4K."""
    counted = bool(_THINGS_AFTER.match(after) or _THINGS_BEFORE.search(before))
    if scale in "wW":
        if _POWER_AFTER.match(after) or _POWER_BEFORE.search(before):
            return False
        return counted or scale == "w"
    if _LETTER_AFTER.match(after):
        return False
    return counted or (scale == "k" and not after.strip("。，,.!！?？、；; "))


@rule(
    "shorthand",
    rf"(?<![0-9A-Za-z.,-])(?P<a>{_N})(?P<s>[wWkK])?{TO}(?P<b>{_N})(?P<t>[wWkK])(?![A-Za-z0-9])",
)
def scaled_range(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """15k-20k, 3-5w: both ends in 千 or 万."""
    after = place.after(match.end())
    same = (match["s"] or match["t"]).lower() == match["t"].lower()
    if not (reader.zh and same) or _LETTER_AFTER.match(after):
        return None
    if not (match["s"] or _is_count(match["t"], place.before(match.start()), after)):
        return None
    if match["t"] in "wW" and _POWER_AFTER.match(after):
        return None
    scale = match["t"]
    return f"{_scaled(reader, match['a'], scale)}到{_scaled(reader, match['b'], scale)}"


@rule("shorthand", rf"(?<![0-9A-Za-z.,])(?P<a>{_N})(?P<s>[wWkK])(?P<plus>[+＋])?(?![A-Za-z0-9+])")
def scaled(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """3w粉丝, 10w+, 2k元; 65w快充 stays watts and 4k视频 its letter."""
    before = place.before(match.start())
    after = (match["plus"] or "") + place.after(match.end())
    if not reader.zh or not _is_count(match["s"], before, after):
        return None
    return _scaled(reader, match["a"], match["s"]) + ("加" if match["plus"] else "")


@rule("unit", rf"(?<![0-9A-Za-z.,])(?P<a>{_N})w(?![A-Za-z0-9])")
def small_watts(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """65w快充: the words say that these are watts."""
    if not reader.zh:
        return None
    return reader.number(match["a"], "瓦") + "瓦"


@rule("number sign", r"(?<![0-9A-Za-z.])(?P<n>[0-9]{1,4})[#＃](?![0-9#])")
def sharp_after(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """20#楼, 3#车间, 92#汽油."""
    if not reader.zh:
        return None
    after = place.after(match.end(), 1)
    return reader.integer(match["n"]) + ("" if after == "号" else "号")


_CLASS_BEFORE = re.compile(
    r"(?:[一二三四五六七八九初高大小][一二三四五六]|年级|[初高大]|班|级|系|届|专业|第)\s?$"
)
_LABEL_BEFORE = re.compile(
    r"(?:公式|[图表式例]|方程|定理|附件|方案|问题|步骤|条件|选项|小题|[Ee]q(?:uation|s)?\.?|[Ff]ig(?:ure)?\.?|[Tt]able|[Ss]tep)\s?$"
)


@rule("bracket", r"[(（](?P<n>[0-9]{1,2})[)）](?P<kind>班|[条款项目题节组排连]|中队|支部)?")
def bracketed(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """高一(3)班, 第3(1)条, 三年级（2）班: the brackets are only writing."""
    before = place.before(match.start(), 8)
    if match["kind"] in ("班", "中队", "支部", "组", "排", "连") and (
        _CLASS_BEFORE.search(before) or not before.strip()
    ):
        return f"{chinese.cardinal(match['n'])}{match['kind']}"
    if _LABEL_BEFORE.search(before):
        return reader.say("", " ") + reader.integer(match["n"]) + (match["kind"] or "")
    if before.endswith("第"):
        return chinese.cardinal(match["n"]) + (match["kind"] or "")
    if match["kind"] and re.search(r"第?[0-9一二三四五六七八九十百]+\s?[条款项]?$", before):
        return f"{chinese.cardinal(match['n'])}{match['kind']}"
    if re.search(r"第[0-9一二三四五六七八九十百]+[条款项]$", before):
        return f"{chinese.cardinal(match['n'])}项"
    return None


SHORTHAND: tuple[Rule, ...] = (scaled_range, scaled, small_watts, sharp_after, bracketed)
