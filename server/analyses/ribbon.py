"""The ribbon: one short line a token along the text, spans of tokens whose readings agree, and mean scores a turn."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from server.analyses.reading_words import LONGEST, Phrase, Word, best_phrase, counts, words_of
from server.analyses.ribbon_schema import Held, Ribbon, RibbonLine, RibbonSpan, RibbonTurn
from server.analyses.schema import Analysis, Reading, Token
from server.analyses.spans import Span, by_chance, spans
from server.analyses.vocabulary import COMMON, ENOUGH


@dataclass(frozen=True)
class _Read:
    """The readings of one token with their words. `shares`: of each word that may say something, the share of the
    readings that have it; `own`: the words of the token itself.
    """

    position: int
    readings: Sequence[tuple[str, Sequence[Word]]]
    shares: Mapping[str, float]
    own: frozenset[str]


def ribbon(analysis: Analysis) -> Ribbon:
    """The ribbon of an analysis at any stage.

    A line is the run of words of the token's reading that weighs most. A word weighs the share of the token's samples
    that have it × ln((N + 1) / the number of the text's N readings that have it) × the share of the two neighbours'
    readings that do not. Nothing: the token's own word, which stands beside the line; a word that more than half of the
    readings have; one of one or two letters. Where nothing is left, what the neighbours say counts, then any word.
    Template tokens have lines, but are in no count and in no span.
    """
    made = _Made(analysis)
    chosen = spans(made.stretches, made.frequency, made.n)
    merged = sum(span.last - span.first + 1 for span in chosen)
    return Ribbon(
        analysis=analysis.id,
        url=analysis.url,
        pair=analysis.pair,
        layer=analysis.layer,
        lines=[made.line(token) for token in analysis.tokens],
        spans=[made.span(span) for span in chosen],
        turns=made.turns,
        merged=merged,
        merged_by_chance=by_chance(made.stretches, made.frequency, made.n),
    )


def is_template(token: Token) -> bool:
    """Return whether a token is the chat template's or a special one: the same in every text."""
    return token.special or token.role == "template"


class _Made:
    """Words and counts from which the parts of one ribbon are made."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.by_position: dict[int, list[Reading]] = defaultdict(list)
        for reading in sorted(analysis.readings, key=lambda r: (r.position, r.sample)):
            self.by_position[reading.position].append(reading)
        self.read = {
            token.position: read for token in analysis.tokens if (read := self._read(token)) is not None
        }
        counted = [
            self.read[t.position] for t in analysis.tokens if t.position in self.read and not is_template(t)
        ]
        self.n = len(counted)
        self.frequency = Counter(word for read in counted for word in read.shares)
        most = COMMON * self.n if self.n >= ENOUGH else self.n
        self.usual = frozenset(word for word, count in self.frequency.items() if count > most)
        self.turns = [self._turn(tokens) for tokens in _turns(analysis.tokens)]
        self.stretches = list(self._stretches())

    def _read(self, token: Token) -> _Read | None:
        texts = [r.text for r in self.by_position[token.position] if r.error is None and r.text.strip()]
        if not texts:
            return None
        readings = [(text, words_of(text)) for text in texts]
        having = Counter(word for _, words in readings for word in {w.text for w in words} if counts(word))
        shares = {word: count / len(readings) for word, count in having.items()}
        return _Read(token.position, readings, shares, frozenset(word.text for word in words_of(token.text)))

    def _stretches(self) -> Iterable[list[tuple[int, frozenset[str]]]]:
        """Neighbouring tokens of one turn that have all been read, with the words that may join them."""
        for turn in self.turns:
            stretch: list[tuple[int, frozenset[str]]] = []
            for position in range(turn.first, turn.last + 1):
                read = self.read.get(position)
                if read is not None and not is_template(self.analysis.tokens[position]):
                    stretch.append((position, frozenset(read.shares.keys() - self.usual)))
                    continue
                yield stretch
                stretch = []
            yield stretch

    def line(self, token: Token) -> RibbonLine:
        """The line of a token."""
        read = self.read.get(token.position)
        failed = any(r.error is not None for r in self.by_position[token.position])
        return RibbonLine(
            position=token.position,
            token=token.text,
            text="" if read is None else self._distinctive(read),
            template=is_template(token),
            state="read" if read is not None else "failed" if failed else "unread",
            held=self._held([token.position]),
        )

    def _distinctive(self, read: _Read) -> str:
        around = [self.read[p].shares for p in (read.position - 1, read.position + 1) if p in self.read]
        rarities = {word: self._rarity(word) for word in read.shares}
        in_text = {
            word: share * rarities[word]
            for word, share in read.shares.items()
            if word not in read.own and word not in self.usual
        }
        among_neighbours = {
            word: weight * (1 - sum(word in other for other in around) / max(1, len(around)))
            for word, weight in in_text.items()
        }
        for weights in (among_neighbours, in_text, rarities):
            if found := _phrase(read, weights).text:
                return cut(found)
        return cut(" ".join(read.readings[0][0].split()))

    def _rarity(self, word: str) -> float:
        return math.log((self.n + 1) / max(1, self.frequency[word]))

    def span(self, span: Span) -> RibbonSpan:
        """A span, in the words that its readings share."""
        shared = {word: self._rarity(word) for word in span.words}
        inside = range(span.first, span.last + 1)
        found = [_phrase(self.read[position], shared) for position in inside]
        return RibbonSpan(
            first=span.first,
            last=span.last,
            text=cut(max(found, key=lambda phrase: phrase.weight).text),
            words=sorted(span.words),
            weight=span.weight,
            held=self._held(inside),
        )

    def _turn(self, tokens: Sequence[Token]) -> RibbonTurn:
        positions = [token.position for token in tokens if not is_template(token)]
        return RibbonTurn(
            first=positions[0],
            last=positions[-1],
            role=tokens[0].role,
            kind=tokens[0].kind,
            held=self._held(token.position for token in tokens if token.content),
        )

    def _held(self, positions: Iterable[int]) -> Held:
        """Mean scores of some tokens, each the mean of its scored readings."""
        scored = [[r for r in self.by_position[p] if r.cos is not None] for p in positions]
        each = [readings for readings in scored if readings]
        fves = [_mean([r.fve for r in readings if r.fve is not None]) for readings in each]
        cosines = [_mean([r.cos for r in readings if r.cos is not None]) for readings in each]
        return Held(
            n=len(each),
            fve=_mean([fve for fve in fves if fve is not None]),
            cos=_mean([cos for cos in cosines if cos is not None]),
        )


def _phrase(read: _Read, weights: Mapping[str, float]) -> Phrase:
    """The phrase of its readings that weighs most; of equals that of the first sample."""
    found = [best_phrase(text, words, weights) for text, words in read.readings]
    return max(found, key=lambda phrase: phrase.weight)


def _turns(tokens: Sequence[Token]) -> list[list[Token]]:
    """The tokens of each turn without the template's: one ends where the template or another speaker comes."""
    found: list[list[Token]] = []
    before: tuple[str, str] | None = None
    for token in tokens:
        if is_template(token):
            before = None
            continue
        if before != (token.role, token.kind):
            found.append([])
        found[-1].append(token)
        before = (token.role, token.kind)
    return found


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def cut(text: str) -> str:
    """The text up to LONGEST characters; of a longer one the beginning, with an ellipsis."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
