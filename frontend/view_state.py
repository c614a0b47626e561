"""View state: all of it stands in the address, so that a colleague opens exactly this view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args
from urllib.parse import parse_qsl, urlencode

from frontend.lens.charts import Scale
from frontend.lens.heatmap import METRICS
from server.analyses.word_curves import LONGEST, MOST, WhichLens
from server.errors import BadInput
from server.urls import split

COLOURED_BY = ("score", "causal")
RIBBON = ("off", "on")
PINS = 5
"""Further tokens whose curves are drawn beside the pinned one's."""


@dataclass(frozen=True)
class ViewState:
    """`t` is the pinned position, `pins` further ones, `layer` the selected one; `words` are compared in the
    curve, exactly as they stand, and so is `typed`, once it is known which of its variants is the likelier;
    `edit` is the id of an intervention at the pinned position.

    `lens` is the one that is asked for; not every analysis has a tuned one. `by` is the score that colours the text;
    `ribbon` says whether a line of each reading stands below it.
    """

    t: int | None = None
    pins: tuple[int, ...] = ()
    layer: int | None = None
    metric: str = "prob"
    scale: str = "linear"
    lens: str = "plain"
    by: str = "score"
    ribbon: str = "off"
    words: tuple[str, ...] = ()
    typed: str = ""
    edit: str | None = None
    faults: tuple[str, ...] = field(default=(), compare=False)
    """Errors of the address, whose parts were left out."""

    def query(self, *, whole: bool = False) -> str:
        """`?t=17&…` with what differs from the default, empty when nothing does; the `whole` names all there is."""
        fields: list[tuple[str, Any]] = [("t", self.t), ("p", ",".join(map(str, self.pins)) or None)]
        fields += [("layer", self.layer)]
        fields += [
            (name, getattr(self, name))
            for name in ("metric", "scale", "lens", "by", "ribbon")
            if whole or getattr(self, name) != getattr(ViewState, name)
        ]
        fields += [("w", word) for word in self.words or ([""] if whole else [])]
        fields += [("typed", self.typed or None), ("edit", self.edit)]
        given = [
            (name, "" if value is None else value) for name, value in fields if whole or value is not None
        ]
        return "?" + urlencode(given) if given else ""

    def replace(self, **changes: Any) -> ViewState:
        """A copy with something changed."""
        return replace(self, **changes)

    @classmethod
    def of(cls, query: Iterable[tuple[str, str]]) -> ViewState:
        """The look of a query's pairs; others than its own are left alone. Raises BadInput with the
        parameter's name.
        """
        given: dict[str, list[str]] = {}
        for name, value in query:
            given.setdefault(name, []).append(value)
        last = {name: values[-1] for name, values in given.items()}
        return cls(
            t=_number("t", last.get("t")),
            pins=_pins(last.get("p", "")),
            layer=_number("layer", last.get("layer")),
            metric=_one_of("metric", last.get("metric", "prob"), list(METRICS)),
            scale=_one_of("scale", last.get("scale", "linear"), get_args(Scale)),
            lens=_one_of("lens", last.get("lens", "plain"), get_args(WhichLens)),
            by=_one_of("by", last.get("by", "score"), COLOURED_BY),
            ribbon=_one_of("ribbon", last.get("ribbon", "off"), RIBBON),
            words=_words(given.get("w", [])),
            typed=_word("typed", last.get("typed", "")),
            edit=last.get("edit") or None,
        )

    @classmethod
    def lenient(cls, query: Iterable[tuple[str, str]]) -> ViewState:
        """The look of an address, whose `faults` are told instead of raised: the rest of it is shown."""
        left, faults = list(query), list[str]()
        while True:
            try:
                return replace(cls.of(left), faults=tuple(faults))
            except BadInput as error:
                faults.append(error.detail)
                left = [pair for pair in left if pair[0] != error.field]

    @classmethod
    def meant(cls, query: Sequence[tuple[str, str]], current: str) -> ViewState:
        """The look that a part of the page asks for: what `query` names, the rest as in the address `current`; so is
        whether there is a ribbon, which comes and goes while the other parts stay.
        """
        address = split(current)
        whole = parse_qsl(address.query, keep_blank_values=True) if address else []
        query = [pair for pair in query if pair[0] != "ribbon" or address is None]
        named = {name for name, _ in query}
        kept = [pair for pair in whole if pair[0] not in named]
        try:
            return cls.of([*kept, *query])
        except BadInput:
            return cls.of(query)  # the fault is in the address, and was said when that was opened


def _number(name: str, text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise BadInput(name, f"{name} is a number that counts from 0, not {text[:40]!r}.")
    return int(text)


def _pins(text: str) -> tuple[int, ...]:
    found = [_number("p", part) for part in text.split(",") if part]
    distinct = tuple(dict.fromkeys(pin for pin in found if pin is not None))
    if len(distinct) > PINS:
        raise BadInput("p", f"{len(distinct)} pins; up to {PINS} are drawn beside the pinned token.")
    return distinct


def _words(texts: Sequence[str]) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text for text in texts if text))
    if len(words) > MOST:
        raise BadInput("w", f"{len(words)} words; up to {MOST} can be compared at once.")
    return tuple(_word("w", word) for word in words)


def _word(name: str, text: str) -> str:
    if len(text) > LONGEST:
        raise BadInput(name, f"A word has up to {LONGEST} characters.")
    return text


def _one_of(name: str, text: str, allowed: Sequence[str]) -> str:
    if text not in allowed:
        raise BadInput(name, f"There is no {name} {text[:40]!r}: use {', '.join(allowed)}.")
    return text


PLAIN = ViewState()
"""The look of an address that asks for nothing."""
