"""The query of a word's page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args

from fastapi import Depends

from frontend.lens.typed_words import typed_word
from server.analyses.word_curves import LONGEST, Variant, WhichLens
from server.errors import BadInput
from server.measurements.schema import MeasurementRequest, TrackedWord, WordTrack

Metric = Literal["log", "prob", "rank"]


@dataclass(frozen=True)
class Asked:
    """A word as it was typed, empty where none was yet, the lens, and what of it is shown: `variant` says with or
    without the space before it, empty for the one that the output finds likelier somewhere.
    """

    word: str = ""
    lens: WhichLens = "plain"
    variant: Variant | Literal[""] = ""
    metric: Metric = "log"

    def fields(self) -> dict[str, str]:
        """List the fields that differ from their defaults, for an address."""
        return {name: value for name, value in vars(self).items() if value != getattr(Asked, name)}

    def replace(self, **changes: Any) -> Asked:
        """A copy with something changed."""
        return replace(self, **changes)

    def request(self) -> MeasurementRequest:
        """The measurement of the word. Both variants are measured, so the space before it makes no other."""
        return MeasurementRequest(kind="word", word=self.word.removeprefix(" ") or self.word, lens=self.lens)

    def shown(self, track: WordTrack) -> TrackedWord:
        """The variant that is shown: the one that is asked for, else that which was typed with its space, else the one
        whose probability in the output is higher somewhere.
        """
        wanted = self.variant or ("space" if self.word.startswith(" ") else "")
        named = [variant for variant in track.variants if variant.variant == wanted]
        return (named or sorted(track.variants, key=lambda variant: -max(variant.whole)))[0]


async def asked(
    word: str = "",
    lens: str = "plain",
    variant: str = "",
    metric: str = "log",
) -> Asked:
    """Parse the address. Raises BadInput with the name of what is wrong."""
    for name, value, allowed in (
        ("lens", lens, get_args(WhichLens)),
        ("variant", variant, ("", *get_args(Variant))),
        ("metric", metric, get_args(Metric)),
    ):
        if value not in allowed:
            raise BadInput(
                name, f"There is no {name} {value[:40]!r}: use {', '.join(filter(None, allowed))}."
            )
    typed = typed_word(word)
    if typed and len(typed.text.removeprefix(" ")) > LONGEST:
        raise BadInput("word", f"A word has up to {LONGEST} characters.")
    return Asked(typed.text if typed else "", lens, variant, metric)  # type: ignore[arg-type]  # looked at above


Requested = Annotated[Asked, Depends(asked)]
