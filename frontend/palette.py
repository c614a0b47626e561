"""The colours of static/styles/base.css (its light scheme) as hexadecimal ones, for files that stand by themselves."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from frontend.formatting import BINS
from frontend.standalone import text

_COLOUR = re.compile(r"--(s\d): oklch\(([\d.]+) ([\d.]+) ([\d.]+)\);")


@lru_cache
def scale() -> list[str]:
    """The scale of scores from the pale end on, `#rrggbb`, as static/styles/base.css has it."""
    found: dict[str, str] = {}
    for name, *parts in _COLOUR.findall(text("styles/base.css")):
        found.setdefault(name, _hexadecimal(*map(float, parts)))  # the light scheme comes first
    return [found[f"s{n}"] for n in range(BINS)]


def _hexadecimal(lightness: float, chroma: float, hue: float) -> str:
    """OKLCH to sRGB (Ottosson, 2020: https://bottosson.github.io/posts/oklab/)."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long, medium, short = (
        (lightness + x * a + y * b) ** 3
        for x, y in (
            (0.3963377774, 0.2158037573),
            (-0.1055613458, -0.0638541728),
            (-0.0894841775, -1.2914855480),
        )
    )
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(min(1.0, max(0.0, each)))):02x}" for each in linear)


def _encoded(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
