"""What plots are drawn from, as SVG text: axes with round values, lines and words (why no library:
docs/adr/0001-plots.md).

Colours come from the page's style sheet by class, so one drawing serves light, dark and print; there is no ``style``
attribute, no script and no id. Amounts stay integers: a coordinate is an integer number of tenths of a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from attest import money

#: Coordinates are tenths of a pixel.
TENTHS = 10
#: An upper estimate of a character's width at 12 px, and how far apart two labels stand at least; in pixels.
CHARACTER = 7
LABEL_HEIGHT = 15

_NAMED_SCALES = {3: "thousand ", 6: "million ", 9: "billion ", 12: "trillion "}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def ticks(low: int, high: int, most: int) -> list[int]:
    """At most ``most`` + 1 round values (1, 2 or 5 times a power of ten) within ``low`` .. ``high``, zero among them if
    it lies there."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            step = factor * power
            first, last = -(-low // step), high // step
            if last - first <= most:
                return [n * step for n in range(first, last + 1)]
        power *= 10


def scale(highest: int, decimals: int) -> tuple[int, str]:
    """The power of ten by which an axis up to ``highest`` base units is divided, and its word: ``(6, "million ")``."""
    digits = len(str(highest)) - decimals  # of the whole part; 0 and below: zeros after the point
    if 0 <= digits <= 4:
        return 0, ""
    power = max((digits - 1) // 3 * 3, -decimals)
    return power, _NAMED_SCALES.get(power, f"10{str(power).translate(_SUPERSCRIPT)} ")


def tick_text(value: int, decimals: int, power: int) -> str:
    """``value`` base units divided by ``10**power`` tokens, exact, grouped, a real minus sign."""
    text = money.Currency("", decimals + power).format(value)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return money.group(text).replace("-", "\N{MINUS SIGN}")


def px(tenths: int) -> str:
    """An integer number of tenths as SVG writes it: ``1234`` is ``123.4``."""
    sign, whole, rest = ("-" if tenths < 0 else ""), abs(tenths) // TENTHS, abs(tenths) % TENTHS
    return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"


def text(x: int, y: int, words: str, kind: str, anchor: str = "start") -> str:
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{px(x)}" y="{px(y)}" class="{kind}"{where}>{escape(words)}</text>'


def line(x1: int, y1: int, x2: int, y2: int, kind: str) -> str:
    return f'<path d="M{px(x1)} {px(y1)}L{px(x2)} {px(y2)}" class="{kind}"/>'


@dataclass(frozen=True)
class Axis:
    """A vertical axis: amounts ``low`` .. ``high`` onto pixels ``bottom`` .. ``top`` (tenths)."""

    low: int
    high: int
    top: int
    bottom: int

    def y(self, value: int) -> int:
        return self.bottom - (value - self.low) * (self.bottom - self.top) // (self.high - self.low)

    def drawn(
        self, left: int, right: int, *, title: str, unit: str, decimals: int, most: int, title_y: int
    ) -> Iterator[str]:
        """Its title with the unit, and at most ``most`` + 1 lines from ``left`` to ``right`` with their values."""
        power, word = scale(max(abs(self.low), self.high), decimals)
        yield text(0, title_y, f"{title}, {word}{unit}", "axis-title")
        for value in ticks(self.low, self.high, most):
            y = self.y(value)
            yield line(left, y, right, y, "zero" if value == 0 else "grid")
            yield text(left - 80, y + 40, tick_text(value, decimals, power), "tick", "end")
