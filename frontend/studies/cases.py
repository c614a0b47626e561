"""The cases of a study: the table with what narrows it, the most striking ones, and some at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from frontend import formatting
from frontend.studies.contexts import Card, CaseRow, CasesContext, Edited, Filter, Mark, ShownReading
from frontend.urls import urls
from server.studies.schema import ALIGNMENTS, Alignment, Case, DigitResult, ReadingResult, Study, WordEdit

Show = Literal["all", "right", "wrong", "named", "number", "carried", "failed"]
LISTED = 100
"""Cases on one page of the table."""
CARDS, CARD_READINGS = 4, 4
EXCERPT = 220


def _states(case: Case) -> bool:
    return any(reading.stated is not None for _, _, reading in _readings(case))


def _names_wrong(case: Case) -> bool:
    return any(_names(digit, reading) for digit, _, reading in _readings(case) if not digit.right)


def _replaced(case: Case) -> list[WordEdit]:
    """The edits in the activation's place."""
    return [edit for edit in case.edits if edit.alpha is None]


FILTERS: dict[Show, tuple[str, Callable[[Case], bool]]] = {
    "all": ("all", lambda case: True),
    "right": ("right", lambda case: case.exact is True),
    "wrong": ("wrong", lambda case: case.exact is False),
    "named": ("names a wrong digit that the model writes", _names_wrong),
    "number": ("states a number", _states),
    "carried": (
        "another country brings its capital",
        lambda case: any(edit.outcome == "other" for edit in _replaced(case)),
    ),
    "failed": ("failed", lambda case: case.error is not None),
}
OFFERED: Mapping[str, tuple[Show, ...]] = {
    "multiplication": ("all", "right", "wrong", "named", "number"),
    "capitals": ("all", "right", "wrong", "carried"),
}
"""What narrows the table of each kind; of the others nothing does."""


def cases(study: Study, show: Show = "all", start: int = 0) -> CasesContext:
    """One page of the table, from the case `start` of those that are shown."""
    counts = {name: sum(map(fits, study.cases)) for name, (_, fits) in FILTERS.items()}
    fitting = OFFERED.get(study.kind, ("all",))
    offered = [
        name for name in FILTERS if name in fitting or name == show or (name == "failed" and counts["failed"])
    ]
    shown = [case for case in study.cases if FILTERS[show][1](case)]
    end = start + LISTED
    return CasesContext(
        multiplication=study.kind == "multiplication",
        capitals=study.kind == "capitals",
        filters=[
            Filter(f"{FILTERS[name][0]} ({counts[name]:,})", urls.study(study.id, show=name), name == show)
            for name in offered
        ],
        rows=[row(case) for case in shown[start:end]],
        found=f"{start + 1:,} to {min(end, len(shown)):,} of {len(shown):,}" if len(shown) > LISTED else "",
        previous=urls.study(study.id, show=show, start=max(0, start - LISTED)) if start else "",
        following=urls.study(study.id, show=show, start=end) if end < len(shown) else "",
    )


def row(case: Case) -> CaseRow:
    """One line of the table."""
    at, before = ([r for _, where, r in _readings(case) if where == each] for each in ALIGNMENTS)
    everything = [r for _, _, r in _readings(case)] or case.readings
    scores = [r.fve if r.fve is not None else r.cos for r in everything]
    known = [score for score in scores if score is not None]
    verdict = "" if case.exact is None else "right" if case.exact else "wrong"
    return CaseRow(
        label=formatting.quoted(" ".join(formatting.plain(case.label).split()), 120) or "(blank)",
        href=_href(case),
        answer=[
            Mark(formatting.plain(digit.digit), "right" if digit.right else "wrong") for digit in case.digits
        ],
        said=formatting.quoted(" ".join(formatting.plain(case.reply).split()), 80),
        product="" if case.product is None else str(case.product),
        verdict=verdict,
        stated_at=_stated(at),
        stated_before=_stated(before),
        hinted_at=_hinted(at),
        hinted_before=_hinted(before),
        edited=[
            Edited(
                formatting.plain(edit.other),
                formatting.quoted(edit.first, 20),
                edit.outcome == "other",
                edit.url if _local(edit.url) else "",
            )
            for edit in _replaced(case)
        ],
        score=formatting.percent(sum(known) / len(known)) if known else formatting.number(None),
        error=formatting.plain(case.error or ""),
    )


def striking(study: Study) -> list[Card]:
    """The cases in which most readings name the digit that the model writes; a wrong digit counts twice. Those in which
    none does are not among them.
    """
    weights = [(sum(_names(digit, r) for digit, _, r in _readings(case)), case) for case in study.cases]
    best = sorted((each for each in weights if each[0] > 0), key=lambda each: (-each[0], each[1].number))
    return [_card(case) for _, case in best[:CARDS]]


def at_random(study: Study) -> list[Card]:
    """Some of those that have readings, the same ones for the same seed."""
    there = [case for case in study.cases if case.error is None and (case.digits or case.readings)]
    chosen = random.Random(study.request.seed).sample(there, min(CARDS, len(there)))
    return [_card(case) for case in sorted(chosen, key=lambda case: case.number)]


def words(case: Case) -> list[tuple[str, str, str]]:
    """(where, words, link) of all readings of a case."""
    found = [(_at(digit, where), r) for digit, where, r in _readings(case)]
    found += [(f"at “{formatting.quoted(r.token, 20)}”", r) for r in case.readings]
    return [
        (where, formatting.plain(r.text or r.error or ""), r.url if _local(r.url) else "")
        for where, r in found
    ]


def _names(digit: DigitResult, reading: ReadingResult) -> int:
    stated = "" if reading.stated is None else str(reading.stated)
    named = digit.digit in reading.hinted or stated[digit.place : digit.place + 1] == digit.digit
    return named * (1 if digit.right else 2)


def _card(case: Case) -> Card:
    """A case with the readings that name most, in the order of the text."""
    pairs = [(_at(digit, where), _names(digit, r), r) for digit, where, r in _readings(case)]
    pairs += [(f"at “{formatting.quoted(r.token, 20)}”", 0, r) for r in case.readings]
    chosen = sorted(sorted(range(len(pairs)), key=lambda n: -pairs[n][1])[:CARD_READINGS])
    shown = [
        ShownReading(pairs[n][0], _excerpt(pairs[n][2]), pairs[n][2].url if _local(pairs[n][2].url) else "")
        for n in chosen
    ]
    return Card(row(case), shown)


def _readings(case: Case) -> list[tuple[DigitResult, Alignment, ReadingResult]]:
    found: list[tuple[DigitResult, Alignment, ReadingResult]] = []
    for digit in case.digits:
        for alignment in ALIGNMENTS:
            reading = digit.at if alignment == "at" else digit.before
            if reading is not None:
                found.append((digit, alignment, reading))
    return found


def _at(digit: DigitResult, where: Alignment) -> str:
    return f"{where} “{formatting.quoted(digit.digit, 20)}”"


def _excerpt(reading: ReadingResult) -> str:
    text = formatting.plain(reading.text or reading.error or "")
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1].rstrip() + "…"


def _stated(readings: Sequence[ReadingResult]) -> str:
    return ", ".join(dict.fromkeys(str(r.stated) for r in readings if r.stated is not None))


def _hinted(readings: Sequence[ReadingResult]) -> str:
    return " ".join("/".join(r.hinted) or "·" for r in readings) if any(r.hinted for r in readings) else ""


def _href(case: Case) -> str:
    first = next((r.url for _, _, r in _readings(case)), case.url or "")
    return first if _local(first) else ""


def _local(url: str) -> bool:
    """Return whether an address is a path of this server."""
    return url.startswith("/") and not url.startswith("//")
