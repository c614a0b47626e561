"""What each template may use: one dataclass a page, and one for every fragment inside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup

from frontend.agreement import Span
from frontend.charts import Curve
from frontend.examples import Example
from frontend.forms import Form
from frontend.wording import Bit, Flag


@dataclass(frozen=True)
class ModelsContext:
    """The head line's right end: which pair, and whether it is `loading`, `ready` or `failed`."""

    pair: str
    state: str
    message: str


@dataclass(frozen=True)
class TokenContext:
    """One token as a link. `part` counts the tokens of a glyph that spans several (0: it does not)."""

    position: int
    bits: list[Bit]
    classes: str
    href: str
    panel: str
    tip: str
    label: str
    marked: bool
    pinned: bool
    part: int
    opens_word: bool
    opens_glyph: bool
    closes_glyph: bool
    breaks: bool


@dataclass(frozen=True)
class RowContext:
    """One turn of the chat (or the prompt and the reply of a raw text) with its tokens."""

    role: str
    label: str
    note: str
    generated: bool
    direction: str
    tokens: list[TokenContext]


@dataclass(frozen=True)
class TurnContext:
    """A turn as it was typed, shown until the tokens are known."""

    role: str
    text: str


@dataclass(frozen=True)
class LegendContext:
    """What the colours mean."""

    measure: str
    low: str
    high: str
    description: str
    bins: int
    waiting: bool
    failed: bool


@dataclass(frozen=True)
class StatusContext:
    """How far the work is, why it stopped, and what can be done about it."""

    state: str
    stage: str
    done: int
    total: int | None
    left: str
    reason: str
    cancel: str
    resume: str


@dataclass(frozen=True)
class Figure:
    """A score as a figure, with what it is."""

    name: str
    value: str
    explained: str


@dataclass(frozen=True)
class ReadingContext:
    """One reading: `state` is waiting, writing, scoring, done, failed or skipped. `precision` says what was quantised."""

    sample: int
    state: str
    text: str
    paragraphs: list[list[Span]]
    truncated: bool
    note: str
    error: str
    headline: str
    bin: int
    rank: str
    figures: list[Figure]
    precision: str = ""


@dataclass(frozen=True)
class NeighbourContext:
    """The reading of a token nearby, with the words marked that the pinned one's reading has too."""

    name: str
    choice: Choice
    words: list[Span]
    swatch: str
    score: str


@dataclass(frozen=True)
class StepContext:
    """A link to the token before or after."""

    href: str
    panel: str
    rel: str
    label: str
    sign: str


@dataclass(frozen=True)
class Choice:
    """A link to another look at the same analysis: `href` for the whole page, `panel` for the part that changes."""

    href: str
    panel: str
    label: str
    current: bool


@dataclass(frozen=True)
class Field:
    """A hidden field of a form."""

    name: str
    value: str


@dataclass(frozen=True)
class KeyContext:
    """A line of the curve in the key beneath it: how it ends, and the link that takes it away."""

    name: str
    where: str
    value: str
    rank: str
    remove: Choice | None


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
    """The layers at the pinned token. `ask` is where the form for one more word goes, empty when there are enough."""

    position: int
    title: str
    curve: Curve | None
    label: str
    note: str
    following: str
    is_last: bool
    scales: list[Choice]
    lenses: list[Choice]
    about: str
    keys: list[KeyContext]
    pin: Choice | None
    ask: str
    ask_panel: str
    fields: list[Field]
    said: list[str]
    cell: CellContext | None


@dataclass(frozen=True)
class MapContext:
    """The lens of the whole text as a map; `source` is where its numbers are, empty until there are any.

    `name` is the lens's, `about` says what its rows are.
    """

    source: str
    cell: str
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
    """lens.html: the map around one token as a table. `tokens` are (position, name, pinned); `name` is the lens's."""

    name: str
    about: str
    title: str
    tokens: list[tuple[int, str, bool]]
    rows: list[MapRow]
    earlier: str | None
    later: str | None
    back: str
    note: str
    models: ModelsContext | None = None
    here: str = ""


@dataclass(frozen=True)
class PanelContext:
    """The pinned token: its readings, its scores, its layers."""

    position: int
    title: str
    where: str
    steps: list[StepContext]
    readings: list[ReadingContext]
    agreed: bool
    """Whether words are marked that several samples share."""
    neighbours: list[NeighbourContext]
    baselines: list[str]
    flags: list[Flag]
    layers: LayersContext


@dataclass(frozen=True)
class RowOfAll:
    """One line of the table of all readings."""

    position: int
    sample: int
    token: str
    href: str
    text: str
    swatch: str
    score: str


@dataclass(frozen=True)
class ExportLink:
    """A file to take along."""

    name: str
    holds: str
    href: str


@dataclass(frozen=True)
class AnalysisContext:
    """The page of one analysis, at any stage; the template knows it as `a`."""

    title: str
    facts: list[str]
    status: StatusContext
    rows: list[RowContext]
    turns: list[TurnContext]
    legend: LegendContext
    panel: PanelContext | None
    map: MapContext
    waiting: str
    all: list[RowOfAll]
    again: str
    compare: str
    exports: list[ExportLink]
    delete: str
    stream: str | None


@dataclass(frozen=True)
class SideContext:
    """One of two compared analyses; `name` is a or b."""

    name: str
    title: str
    href: str
    facts: list[str]
    rows: list[RowContext]
    token: str
    position: int | None
    reading: ReadingContext | None
    state: str


@dataclass(frozen=True)
class CompareContext:
    """Two analyses beside each other; `difference` is empty where too little is scored."""

    sides: list[SideContext]
    alike: str
    difference: str
    marked: bool
    swap: str


@dataclass(frozen=True)
class ChooseSide:
    """What can stand on one side: the `options` name analyses and hold their ids."""

    name: str
    options: list[Field]
    chosen: str
    sample: int


@dataclass(frozen=True)
class ComparePage:
    """compare.html"""

    c: CompareContext | None
    sides: list[ChooseSide]
    models: ModelsContext
    here: str = ""


@dataclass(frozen=True)
class ListedContext:
    """One analysis in a list. Without an address to delete it at there is no button for that."""

    href: str
    title: str
    pair: str
    status: str
    state: str
    size: str
    created: str
    created_iso: str
    deleted: bool
    delete: str
    restore: str


@dataclass(frozen=True)
class Home:
    """home.html"""

    form: Form
    examples: list[Example]
    recent: list[ListedContext]
    models: ModelsContext
    here: str = "new"


@dataclass(frozen=True)
class AnalysisPage:
    """analysis.html"""

    a: AnalysisContext
    models: ModelsContext
    here: str = ""


@dataclass(frozen=True)
class ExportedPage:
    """export.html: a file that stands alone. `first` is the position whose panel is open."""

    title: str
    said: list[str]
    notice: str
    rows: list[RowContext]
    turns: list[TurnContext]
    colours: LegendContext
    panels: list[PanelContext]
    first: int | None
    all: list[RowOfAll]
    permalink: str
    source: list[tuple[str, str]]
    exported: str
    policy: str
    icon: str
    style: Markup
    script: Markup


@dataclass(frozen=True)
class Option:
    """One choice of a filter."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Library:
    """library.html: `found` says how many there are; `gone` is what was deleted just now."""

    q: str
    found: str
    empty: str
    models: ModelsContext
    items: list[ListedContext] = field(default_factory=list)
    pairs: list[Option] = field(default_factory=list)
    states: list[Option] = field(default_factory=list)
    older: str = ""
    newest: str = ""
    gone: ListedContext | None = None
    here: str = "library"


@dataclass(frozen=True)
class Login:
    """login.html: `next` is where to go afterwards, a path on this server."""

    error: str = ""
    next: str = "/"


@dataclass(frozen=True)
class ErrorPage:
    """error.html"""

    title: str
    status: int
    detail: str
