"""Formatting for the page: scores in plain words, flags as sentences, and text made visible.

Everything here turns numbers and raw token text into strings; escaping is the template's business.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

NARROW = "\u202f"  # narrow no-break space, between a figure and its unit
MINUS = "\u2212"
LONG_RUN = 4  # this many blanks and more are counted, not drawn
CONTROL_PICTURES = 0x2400
BINS = 10
ENDLESS = 1000
"""Letters of a word from which it is set without kerning: to break kerned ones into lines, a browser shapes the rest of
the word again for each line, which takes it minutes where there are 100,000.
"""


@dataclass(frozen=True)
class Bit:
    """A stretch of token text: `kind` is text, space, newline, tab, run or control."""

    kind: str
    text: str


STAGES = {
    "queued": "Waiting for its turn",
    "loading": "The models are loading",
    "waiting": "Waiting for another analysis to finish its turn",
    "reply": "The model writes its reply",
    "lens": "Reading the layers",
    "readings": "Writing readings",
    "tuned_lens": "Tuning the lens",
}


def number(value: float | None, digits: int = 2) -> str:
    """With a true minus sign and `digits` decimals; a missing figure is a dash."""
    if value is None:
        return "\u2013"
    text = f"{value:,.{digits}f}" if abs(value) < 1e6 else f"{value:.2e}"
    return text.replace("-", MINUS)


def percent(value: float | None) -> str:
    """`0.623` -> `62 %`, with a narrow no-break space."""
    return (
        "\u2013"
        if value is None
        else f"{number(value * 100, 0)}{NARROW}%".replace(f"{MINUS}0{NARROW}", f"0{NARROW}")
    )


def points(value: float) -> str:
    """A difference of shares: `+3.1 points`."""
    return f"{'+' if value > 0 else ''}{number(value * 100, 1)} points"


def small(value: float) -> str:
    """A probability in percent: `62 %`, `3.1 %`, `0.04 %`, and `2 × 10⁻⁷` when percents would be all zeros."""
    if value >= 0.0995 or value == 0:
        return percent(value)
    if value >= 0.00095:
        return f"{number(value * 100, 1)}{NARROW}%"
    if value >= 0.00005:
        return f"{number(value * 100, 2)}{NARROW}%"
    digit, exponent = f"{value:.0e}".split("e")
    return f"{digit} × 10{str(int(exponent)).translate(_RAISED)}"


def nats(value: float) -> str:
    """A KL divergence: `1.40`, and `under 0.01` when two decimals would be zeros."""
    return number(value) if value >= 0.005 or value == 0 else "under 0.01"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def headline(fve: float | None, cos: float | None) -> str:
    """One reading's score in words. `fve` is None when the pair's variance is unknown."""
    if fve is None:
        return "" if cos is None else f"has cosine {number(cos)} with the activation"
    if fve < 0.005:
        return "holds none of the activation"
    return f"holds {percent(fve)} of the activation"


def rank_sentence(rank: int | None, of: int | None, tokens: int) -> str:
    """Say the rank of the position's own activation among those of `of` content tokens; 1 is nearest. Without an
    `of`, among those of all `tokens` of the text.
    """
    if rank is None:
        return ""
    among = f"{tokens} tokens (the template's included)" if of is None else f"{of} content tokens"
    if rank == 1:
        return f"Nearest of {among}: no other activation is closer to what the words say."
    others = "one other activation is" if rank == 2 else f"{rank - 1} other activations are"
    return f"Rank {rank} of {among}: {others} closer to what the words say."


def precision_sentence(precision: str) -> str:
    """Say what was quantised, from `versions.precision` (`av=fp8,target=4bit`); nothing where nothing was."""
    parts = [part.partition("=") for part in precision.split(",") if "=" in part]
    if not parts:
        return ""
    held = ", ".join(f"{_MODELS.get(role, role)} in {_KINDS.get(kind, kind)}" for role, _, kind in parts)
    return f"Quantised: {held}. The score is of these, not of the released weights."


_MODELS = {"av": "the AV", "ar": "the AR", "target": "the target"}
_KINDS = {"fp8": "FP8", "8bit": "8 bits", "4bit": "4 bits"}


def baseline_sentence(name: str, fve: float | None, cos: float | None) -> str:
    """A control beside the score: the same measure with something else in the reading's place."""
    measure = (
        f"cosine {number(cos)}" if fve is None else (percent(fve) if fve > 0 else f"none ({percent(fve)})")
    )
    return f"{name}: {measure}"


def score_bin(fve: float | None, cos: float | None) -> int | None:
    """0 to 9, the colour of a score on the page's scale; negative scores share the lowest colour."""
    value = fve if fve is not None else cos
    return None if value is None else min(BINS - 1, max(0, int(value * BINS)))


def stage(name: str) -> str:
    """Return the status line: what the server is doing."""
    return STAGES.get(name) or name.replace("_", " ").capitalize()


def counted(count: int, unit: str) -> str:
    """A number of things: `1 token`, `1,500 tokens`."""
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """`about 40 s`, `about 3 min`: rounded on purpose, it is an estimate. Empty when unknown."""
    if seconds is None or seconds <= 0:
        return ""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds / 5) * 5}{NARROW}s"
    return f"about {round(seconds / 60)}{NARROW}min"


def plain(text: str) -> str:
    r"""Text that is safe to look at: control characters become their pictures, line ends become `\n`."""
    text = text.replace("\r\n", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return "".join(_picture(c) if _is_control(c) and c not in "\n\t" else c for c in text)


def is_endless(text: str) -> bool:
    """Return whether a text has a word that must be set without kerning."""
    return any(len(word) > ENDLESS for word in text.split())


def visible(text: str) -> list[Bit]:
    """A token's text with its whitespace named, so that the page can draw it.

    Runs of four and more blanks are counted (`·x24`), control characters get their Unicode pictures.
    """
    bits: list[Bit] = []
    start = 0
    while start < len(text):
        kind = _kind(text[start])
        end = start + 1
        while end < len(text) and _kind(text[end]) == kind:
            end += 1
        bits += _bits(kind, text[start:end])
        start = end
    return bits


def _bits(kind: str, run: str) -> Iterable[Bit]:
    if kind == "control":
        return [Bit("control", "".join(map(_picture, run)))]
    if kind == "text":
        return [Bit("text", run)]
    if len(run) >= LONG_RUN:
        return [Bit("run", f"{_MARKS[kind]}\u00d7{len(run)}")]
    return [Bit(kind, run)] if kind == "space" else [Bit(kind, c) for c in run]


_MARKS = {"space": "\u00b7", "newline": "\u23ce", "tab": "\u21e5"}


def _kind(char: str) -> str:
    if char in "\n\u2028\u2029":
        return "newline"
    if char == "\t":
        return "tab"
    if char in " \u00a0":
        return "space"
    return "control" if _is_control(char) else "text"


def _is_control(char: str) -> bool:
    """C0, C1 and the bidirectional overrides that could reorder the page around them."""
    return (
        unicodedata.category(char) == "Cc" or char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def _picture(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(CONTROL_PICTURES + code)
    return "\u2421" if code == 0x7F else f"\u27e8U+{code:04X}\u27e9"


def direction(text: str, otherwise: str = "ltr") -> str:
    """`rtl` when the first letter that has a direction runs right to left, `ltr` when left to right,
    `otherwise` without one.
    """
    for char in text:
        kind = unicodedata.bidirectional(char)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return otherwise


def quoted(text: str, limit: int = 40) -> str:
    """A token as named in a heading or tooltip: blanks drawn where nobody would see them, cut to `limit`."""
    shown = "".join(
        _MARKS[b.kind] * len(b.text) if b.kind in ("newline", "tab") else b.text for b in visible(text)
    )
    inner = shown.strip(" ")
    ends = len(shown) - len(shown.lstrip(" ")), len(shown) - len(shown.rstrip(" "))
    shown = _MARKS["space"] * ends[0] + inner + (_MARKS["space"] * ends[1] if inner else "")
    return shown if len(shown) <= limit else shown[: limit - 1] + "\u2026"


VARIANTS = {"space": "with a space", "plain": "without the space"}
"""The variants of a word, beside the other one."""


def first_of(count: int) -> str:
    """Say which token of a word is measured: `first of 4 tokens`; empty for a word of one."""
    return f"first of {count} tokens" if count > 1 else ""


def word(text: str, count: int) -> str:
    """A word whose probability is shown: `\u00b7168, first of 4 tokens`."""
    return ", ".join(filter(None, [quoted(text), first_of(count)]))
