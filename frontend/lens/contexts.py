"""The lens: the layers at one token, and the map of the whole text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frontend.layout import ModelsContext
from frontend.lens.charts import Curve
from frontend.lens.drawing import Drawing
from frontend.links import Choice, Field


@dataclass(frozen=True)
class KeyContext:
    """A line of the curve in the key beneath it: how it ends, and the link that takes it away. `note` says
    which of a word's tokens it follows; `other` leads to the word with a space before it or without, as
    `other_where` says, whose probability is `other_value`.
    """

    name: str
    note: str
    where: str
    value: str
    rank: str
    remove: Choice | None
    other: Choice | None = None
    other_where: str = ""
    other_value: str = ""


@dataclass(frozen=True)
class Guess:
    """One of a layer's first guesses; `width` is its probability in whole percent."""

    text: str
    share: str
    width: int


@dataclass(frozen=True)
class CellContext:
    """One layer at one position."""

    position: int
    row: int
    name: str
    token: str
    following: str
    guesses: list[Guess]
    figures: list[tuple[str, str]]
    above: Choice | None
    below: Choice | None


@dataclass(frozen=True)
class LayersContext:
    """The layers at the pinned token. `ask` is where the form for one more word goes, empty when there are enough;
    `likeliest` are the model's likeliest next tokens, each to be compared by one click.
    """

    position: int
    curve: Curve | None
    drawing: Drawing | None
    label: str
    note: str
    following: str
    is_last: bool
    scales: list[Choice]
    lenses: list[Choice]
    about: str
    keys: list[KeyContext]
    pin: Choice | None
    likeliest: list[Choice]
    ask: str
    ask_panel: str
    fields: list[Field]
    said: list[str]
    cell: CellContext | None


@dataclass(frozen=True)
class MapContext:
    """The lens of the whole text as a map; `source` is where its numbers are, empty until there are any.

    `name` is the lens's, `about` says what its rows are; `word` is where a word is followed, of `longest` characters at
    most.
    """

    source: str
    cell: str
    word: str
    longest: int
    name: str
    lenses: list[Choice]
    about: str
    metric: str
    metrics: list[Choice]
    title: str
    low: str
    high: str
    bins: int
    position: int | None
    row: int | None
    table: str
    note: str


@dataclass(frozen=True)
class MapRow:
    """One layer of the map as a table; `read` marks layer K."""

    name: str
    read: bool
    values: list[str]


@dataclass(frozen=True)
class MapTable:
    """lens/table.html: the map around one token as a table. `tokens` are (position, name, pinned); `name` is
    the lens's.
    """

    name: str
    about: str
    title: str
    back: str
    note: str
    tokens: Sequence[tuple[int, str, bool]] = ()
    rows: Sequence[MapRow] = ()
    earlier: str | None = None
    later: str | None = None
    models: ModelsContext | None = None
    here: str = ""
