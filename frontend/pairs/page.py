"""Builders of the pages of pairs."""

from __future__ import annotations

from collections.abc import Sequence

from frontend import formatting
from frontend.bars import Bar, at, both
from frontend.layout import ModelsContext
from frontend.pairs.contexts import Figure, ListedPair, PairPage, PairsPage, Part
from frontend.urls import urls
from server.nla.checkpoints.card import Interval, Measured
from server.pairs.about import AboutPair

PARTS = {
    "target": ("Target", "the model whose activations are read"),
    "av": ("AV", "writes the reading of an activation"),
    "ar": ("AR", "turns a reading back into an activation"),
}
PERCENT = ("0", "50", f"100{formatting.NARROW}%")


def pairs_page(known: Sequence[AboutPair], models: ModelsContext) -> PairsPage:
    """Every pair of the catalogue: those that this server offers first."""
    offered = sorted(known, key=lambda pair: (not pair.resident, not pair.configured))
    return PairsPage([_listed(pair) for pair in offered], models)


def _listed(pair: AboutPair) -> ListedPair:
    measured = pair.card.measured if pair.card else None
    words, status = _standing(pair)
    return ListedPair(
        href=urls.pair(pair.name),
        name=pair.name,
        facts=_facts(pair),
        score=""
        if measured is None
        else f"FVE {_score(measured.fve, measured.fve_interval)} on unseen texts",
        state=words,
        status=status,
    )


def _shape(pair: AboutPair) -> list[str]:
    facts = [] if pair.layer is None else [f"layer {pair.layer}"]
    return facts + ([] if pair.d_model is None else [f"d = {pair.d_model:,}"])


def _facts(pair: AboutPair) -> list[str]:
    facts = _shape(pair)
    size = sum(pair.gigabytes.values()) if pair.gigabytes else None
    facts += [] if size is None else [f"{size} GB in bfloat16"]
    return facts + ([] if pair.licence is None else [pair.licence])


def _standing(pair: AboutPair) -> tuple[str, str]:
    """(in words, as the class of its mark)."""
    if pair.resident:
        states = {"ready": ("resident", "done"), "failed": ("could not be loaded", "failed")}
        return states.get(pair.state or "", ("loading", "running"))
    return ("loaded when it is asked for", "queued") if pair.configured else ("", "")


def pair_page(pair: AboutPair, models: ModelsContext) -> PairPage:
    """All that is known of a pair."""
    card = pair.card
    measured = card.measured if card else None
    words, _ = _standing(pair)
    return PairPage(
        name=pair.name,
        facts=[*_shape(pair), words or "not offered by this server"],
        has_card=card is not None,
        trust=card.readings if card else "",
        measured="" if measured is None else _in_words(measured),
        figures=[] if measured is None else _figures(measured),
        how="" if measured is None else measured.how.replace("`", ""),
        fails=card.fails if card else (),
        made=card.made if card else (),
        parts=[_part(pair, role) for role in PARTS if role in pair.sources],
        variance="" if pair.fve_variance is None else f"{pair.fve_variance:.4f}",
        licence="" if pair.licence is None else pair.licence + (", gated" if pair.gated else ""),
        json=urls.pair_json(pair.name),
        models=models,
    )


def _part(pair: AboutPair, role: str) -> Part:
    name, what = PARTS[role]
    path = getattr(pair, f"{role}_path")
    size = pair.gigabytes and pair.gigabytes.get(role)
    source = pair.sources[role]
    if source.startswith(("/", "~", ".")):  # a folder of this machine: its name says enough
        source = source.rstrip("/").rpartition("/")[2]
    return Part(name, what, source, f"{size} GB" if size else "", "on disk" if path else "not here yet")


def _in_words(found: Measured) -> str:
    return (
        f"On {found.positions:,} positions of {formatting.counted(found.texts, 'text')} that it was not trained on, "
        f"its readings come to FVE {_score(found.fve, found.fve_interval)}, against V = {found.variance:.4f}: 0 is "
        "what the mean activation gives for every position, 1 the activation itself. An activation is nearer to its "
        f"own reading’s vector than 99 others are in {formatting.percent(found.nearest)} of the cases."
    )


def _figures(found: Measured) -> list[Figure]:
    figures = [
        Figure(
            "claims",
            "What is right, and how often",
            "Each part of a reading, held against what is true at its position. What a part adds is the FVE that is "
            "lost when readings are scored without it.",
            [
                _share(c.claim, c.right, c.interval, f"adds {_signed(c.adds_fve)} to FVE", c.control)
                for c in found.claims
            ],
            PERCENT,
            "right of another position of the same text",
        ),
        Figure(
            "certainty",
            "How sure it is, and how right",
            "How often the token that a reading names first as the next one is the model’s own first choice, by the "
            "word with which it says so.",
            [
                _share(f"“{c.word}”", c.right, c.interval, formatting.counted(c.readings, "reading"))
                for c in found.certainty
            ],
            PERCENT,
        ),
        Figure(
            "kinds",
            "Where it reads well",
            "FVE of the readings, by kind of text.",
            [
                Bar(
                    label=kind.kind,
                    colour="c1",
                    value=_signed(kind.fve),
                    words=_span(kind.interval),
                    n=f"{kind.positions:,} positions of {formatting.counted(kind.texts, 'text')}",
                    width=at(kind.fve),
                    interval=both(kind.interval),
                )
                for kind in found.kinds
            ],
            ("0", "0.5", "1"),
        ),
    ]
    return [figure for figure in figures if figure.bars]


def _share(label: str, right: float, interval: Interval, n: str, control: float | None = None) -> Bar:
    low, high = (formatting.percent(end) for end in interval)
    words = f"{low.removesuffix(f'{formatting.NARROW}%')} to {high}"
    if control is not None:
        words += f"; of another position {formatting.small(control)}"
    return Bar(
        label=label,
        colour="c1",
        value=formatting.percent(right),
        words=words,
        n=n,
        width=at(right),
        interval=both(interval),
        null_at=None if control is None else at(control),
    )


def _score(value: float, interval: Interval) -> str:
    return f"{_signed(value)} ({_span(interval)})"


def _span(interval: Interval) -> str:
    return f"{_signed(interval[0])} to {_signed(interval[1])}"


def _signed(value: float) -> str:
    """Two decimals; what rounds to nothing has no sign."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
