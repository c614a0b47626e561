"""Problems, results and digits in the words of a reading.

A reading of a multiplication often names another problem than the one that the model works on, with a result of its
own, and hints the digit that ends the text or that comes next. The parser is tolerant of how they are put and strict
about figures that belong to dates, chapters, fractions or measures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from server.analyses.numbers import FIGURES, WORDS, value


@dataclass(frozen=True)
class Problem:
    """A product in a reading: its factors, its result, or both."""

    factors: tuple[int, int] | None
    result: int | None


Span = tuple[int, int]
_MARKS = "\"'“”‘’«»`"
_OPEN, _CLOSE = "[\"'“‘«`]?", "[\"'”’»`]?"


def _number(name: str, or_words: str = f"|{WORDS}") -> str:
    return rf"{_OPEN}(?P<{name}>{FIGURES}{or_words}){_CLOSE}"


_TIMES = r"(?:\s*[×✕∗⋅·*]\s*|\s?x\s?|\s+(?:times|multiplied\s+(?:by|with))\s+)"
_INFIX = re.compile(_number("a") + _TIMES + _number("b"), re.IGNORECASE)
_PREFIX = re.compile(
    r"\b(?:multipl(?:y|ying|ied|ication\s+of)|products?\s+of)\s+(?:the\s+)?(?:(?:numbers?|factors?|digits?)\s+)?"
    rf"{_number('a')}\s+(?:and|by|with)\s+{_number('b')}",
    re.IGNORECASE,
)
_BARE = re.compile(rf"{_number('a', '')}\s+and\s+{_number('b', '')}", re.IGNORECASE)
_LEAD = re.compile(rf"[\s:({_MARKS}]*")
_CALCULATION = re.compile(
    r"multipl|\bproducts?\b|\btimes\b|arithmetic|\bmaths?\b|mathemat|calculat|equation|\bfactors?\b|×|\d\s*\*\s*\d",
    re.IGNORECASE,
)
"""Words of a text that is about a calculation."""
_NOT_FACTORS = re.compile(
    r"(?:\b(?:between|from|chapters?|pages?|lines?|verses?|ages?|aged|wars?|parts?|volumes?|numbered|steps?|grades?|"
    r"levels?|sums?\s+of|difference\s+of|in|on|jan\w*|feb\w*|mar\w*|apr\w*|may|june?|july?|aug\w*|sep\w*|oct\w*|"
    r"nov\w*|dec\w*)|[+\-−/])\s*$",
    re.IGNORECASE,
)
_MEASURE = re.compile(
    r"\s*(?:px|pixels?|mm|cm|km|kg|met(?:re|er)s?|inch(?:es)?|feet|ft|miles?|grid|matrix|board|drive|percent|per\s+cent|"
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december)\b)",
    re.IGNORECASE,
)

_OF_FACTORS = re.compile(
    r"[\s,;:]*(?:(?:which|that|it|and|to)\s+)?(?:(?:would|will|should)\s+)?"
    r"(?:=|→|≈|equal(?:s|ling|ing)?(?:\s+to)?|(?:is|are|being|as|was|be)(?:\s+equal\s+to)?|results?\s+in|"
    r"resulting\s+in|results?|gives?|giving|makes?|making|yields?|yielding|produc(?:es?|ing)|comes?\s+to|totals?|"
    rf"totalling|answer(?:\s+is)?)\s*:?\s*{_number('result')}",
    re.IGNORECASE,
)
"""The result right behind a product."""
_RESULTS = (
    re.compile(rf"(?:(?<![\w)\]<>!=+\s])|(?<=[\d?{_MARKS}])|^)\s*=\s*{_number('result')}"),
    re.compile(rf"\b(?:equals|equal\s+to|equall?ing)\s+{_number('result')}", re.IGNORECASE),
    re.compile(
        r"\b(?:result(?:s|ing|ed)?\s+in|giv(?:es|ing)|yield(?:s|ing)|com(?:es|ing)\s+to|total(?:s|ling|ing)|"
        rf"produc(?:es|ing))\s+{_number('result')}",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:answer|result|product|solution|total)(?:\s*[:=]\s*|,?\s+(?:is|was|being|as|would\s+be|must\s+be)\s+"
        rf"|\s+(?=[{_MARKS}])){_number('result')}",
        re.IGNORECASE,
    ),
    re.compile(rf"\b(?:answer|result|solution)\s+of\s+{_number('result')}", re.IGNORECASE),
    re.compile(rf"\b(?:product|result)\s+{_number('result')}", re.IGNORECASE),
)
_AS_THE_ANSWER = re.compile(
    rf"{_number('result')},?\s+(?:as|is|being|for|was)\s+(?:the|its|an?|their)\s+(?:\w+\s+)?"
    r"(?:answer|result|product|solution|total)\b",
    re.IGNORECASE,
)
_COUNTS = re.compile(
    r"\s+(?!(?:as|and|which|for|with|but|or|the|in|is|because|when|so|after|not|then|at|by|next|to|that|from|if|since|"
    r"on|follow\w*|[a-z]+ing)\b)[a-z]{2,}"
)
"""A noun behind a figure, which then counts things."""
_GOES_ON = re.compile(rf"{_CLOSE}(?:{_TIMES}|\s*[+−-]\s*){_OPEN}(?:\d|{WORDS})", re.IGNORECASE)
"""Another number to be calculated with behind a figure, which then is one itself."""
_STOP = re.compile(r"[.;!?](?=\s|$)|\n")
_YEARS = range(1500, 2100)


def problems(text: str) -> list[Problem]:
    """The problems in the order in which a text names them. A result in the same sentence belongs to the product
    before it; one without a product stands by itself.
    """
    found: list[tuple[Span, Problem]] = []
    for (start, end), factors in _products(text):
        stated = _OF_FACTORS.match(text, end)
        if stated is None or _no_result(text, stated.end("result")):
            found.append(((start, end), Problem(factors, None)))
        else:
            found.append(((start, stated.end()), Problem(factors, value(stated["result"]))))
    for span, result in _results(text):
        if any(_overlap(span, taken) for taken, _ in found):
            continue
        before = max((n for n, ((_, end), _) in enumerate(found) if end <= span[0]), default=None)
        if before is not None:
            (start, end), problem = found[before]
            if problem.result is None and not _STOP.search(text[end : span[0]]):
                found[before] = (start, span[1]), Problem(problem.factors, result)
                continue
        found = sorted([*found, (span, Problem(None, result))], key=lambda each: each[0])
    return [problem for _, problem in found]


def stated_result(text: str) -> int | None:
    """The result that a text states; of several the last, which is nearest to where the text ends."""
    results = [problem.result for problem in problems(text) if problem.result is not None]
    return results[-1] if results else None


def _products(text: str) -> list[tuple[Span, tuple[int, int]]]:
    """Spans and factors, in order."""
    found: list[tuple[Span, tuple[int, int]]] = []
    lead = _LEAD.match(text)
    calculates = _CALCULATION.search(text) is not None
    for pattern in (_INFIX, _PREFIX, _BARE):
        for match in pattern.finditer(text):
            factors = value(match["a"]), value(match["b"])
            if any(_overlap(match.span(), span) for span, _ in found) or _MEASURE.match(text, match.end()):
                continue
            if pattern is _BARE:
                alone = lead is not None and match.start() <= lead.end()
                named = _NOT_FACTORS.search(text[max(0, match.start() - 40) : match.start()])
                if (
                    not (calculates or alone)
                    or named
                    or max(factors) >= 1000
                    or _COUNTS.match(text, match.end())
                ):
                    continue
            found.append((match.span(), factors))
    return sorted(found)


def _results(text: str) -> Iterator[tuple[Span, int]]:
    """Spans and results of the phrases that state one, in order."""
    calculates = _CALCULATION.search(text) is not None
    matches = [match for pattern in (*_RESULTS, _AS_THE_ANSWER) for match in pattern.finditer(text)]
    ended = 0
    for match in sorted(matches, key=lambda match: (match.start(), -match.end())):
        result, year = value(match["result"]), match["result"].isdigit()
        elsewhere = match.re is not _AS_THE_ANSWER and _no_result(text, match.end("result"))
        if (
            match.start() < ended
            or elsewhere
            or (year and result in _YEARS and not calculates and "=" not in match[0])
        ):
            continue
        ended = match.end()
        yield match.span(), result


def _no_result(text: str, end: int) -> bool:
    """Return whether the figure that ends there is calculated with, or counts things."""
    return bool(_GOES_ON.match(text, end) or _COUNTS.match(text, end))


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


_ANCHOR = re.compile(
    r"\b(?:(?P<last>final|last|ends?|ending)"
    r"|next|followed|expect\w*|continu\w*|predict\w*|probably|likely|perhaps|upcoming)\b",
    re.IGNORECASE,
)
_QUOTED_DIGITS = re.compile(rf"[{_MARKS}]\s*(?P<digits>\d{{1,12}})\s*[{_MARKS}]")
_DIRECTLY = re.compile(r"(?:[\s:,(]+(?!or\b)[a-z]+){0,4}[\s:,(]*", re.IGNORECASE)
_LISTED = re.compile(r"(?:,|/|\bor|\band)\s*$", re.IGNORECASE)
_OR = re.compile(r"(?:^|\s)or\s+$", re.IGNORECASE)
_BEHIND = re.compile(
    r",?(?:\s+(?:is|as|being|comes?|was|may|might|should|will|be|the|a|most|follow\w*))*\s+"
    r"(?:(?P<last>final|last)|next|expected|predicted|likely|probable|upcoming)\b|\s+follows\b",
    re.IGNORECASE,
)
_UNQUOTED = re.compile(
    r"\b(?:(?P<last>final|last)|next)\s+(?:token|digit|number|character|figure)"
    r"(?:\s+(?:is|being|would\s+be|will\s+be))?[\s:,]+(?P<digits>\d{1,3})(?![\w%]|[.,]\d)",
    re.IGNORECASE,
)
_QUOTATION = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|«[^»\n]*»")


def hinted_digits(text: str) -> list[str]:
    """The digits that a text hints as its final token or as what comes next, in the order of their first mention: of a
    number of several digits its last one where it is the final token, else its first.
    """
    hints: list[tuple[int, str]] = []
    quotations = [match.span() for match in _QUOTATION.finditer(text)]
    stops = [
        m.end() for m in _STOP.finditer(text) if not any(_overlap(m.span(), span) for span in quotations)
    ]
    for match in _QUOTED_DIGITS.finditer(text):
        start = max((stop for stop in stops if stop <= match.start()), default=0)
        anchor = _anchor(text, start, match)
        if anchor is not None:
            hints.append((match.start(), match["digits"][-1 if anchor == "last" else 0]))
    hints += [(m.start(), m["digits"][-1 if m["last"] else 0]) for m in _UNQUOTED.finditer(text)]
    return list(dict.fromkeys(digit for _, digit in sorted(hints)))


def _anchor(text: str, start: int, match: re.Match[str]) -> str | None:
    """Return `last` or `next` where quoted digits, in a clause that starts at `start`, are hinted as that."""
    clause = text[start : match.start()]
    anchors = list(_ANCHOR.finditer(clause))
    if anchors and (_DIRECTLY.fullmatch(clause, anchors[-1].end()) or _LISTED.search(clause)):
        return "last" if anchors[-1]["last"] else "next"
    if _OR.search(clause):
        return "next"
    behind = _BEHIND.match(text, match.end())
    return None if behind is None else "last" if behind["last"] else "next"
