"""Report of the pair on texts and topics that training never saw, as in a model card."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from server.nla.checkpoints import demo
from server.nla.checkpoints.card import Certainty, ClaimShare, Interval, KindScore, PairCard
from server.nla.checkpoints.card import Measured as CardMeasurements
from server.nla.checkpoints.pairs import PairEntry
from server.nla.models.loaded_pair import LoadedPair, load
from server.nla.scores import units
from server.nla.types import Floats
from server.nla.verbalisers.base import Finished, ReadingRequest
from training import prompts as apart
from training.claims import RIGHT, Claims, by_certainty, judged, parsed
from training.describe import name_token
from training.export import variance
from training.positions import Positions

POSITIONS = 400
CROWD = 100
KINDS = {
    "code": ("code", "C++ code", "JavaScript code"),
    "French, German, Spanish": ("French text", "German text", "Spanish text"),
    "documentation": ("documentation",),
    "questions as people type them": ("prompt",),
    "tables, lists, facts": ("table", "list", "list of facts"),
    "multiplication and sums": ("multiplication", "sum"),
    "stories, poems, jokes, dialogues": ("story", "poem", "joke", "dialogue", "diary entry"),
    "articles, news, explanations": (
        "article",
        "news report",
        "explanation",
        "question",
        "instructions",
        "speech",
    ),
    "letters, emails, posts, reviews": ("letter", "email", "forum post", "review", "advertisement"),
}
"""The genres of texts, in groups large enough for an interval."""


@dataclass(frozen=True)
class Measured:
    """Round trips of readings, of training descriptions, and what they are to be held against."""

    texts: list[int]
    """The text of each position."""
    variance: float
    reading_cos: Floats
    description_cos: Floats
    shuffled_cos: float
    mean_cos: float
    nearest: float
    named: float
    tokens: float
    cut_short: float
    plain: float
    genres: list[str]
    """The genre of each position's text."""
    said: list[Claims]
    true: list[Claims]
    """Of the readings in plain sentences: their claims, and the description's."""
    kept: list[int]
    """The positions of those readings, of 0 to n - 1."""
    adds: dict[str, float]
    """What each claim adds to the mean cosine of those readings."""
    examples: list[tuple[str, str]]
    prompts: Trips


@dataclass(frozen=True)
class Trips:
    """Readings of positions, and how near each comes to its activation."""

    data: Positions
    readings: list[str]
    cos: Floats


def measure(data: Positions, prompts: Positions, adapters: Path, target: Path, work: Path) -> Measured:
    """Load the pair as the explorer does and read held-out positions greedily, and all those of `prompts`."""
    held = [i for i, out in enumerate(data.held_out.tolist()) if out]
    chosen = random.Random(7).sample(held, min(POSITIONS, len(held)))
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        folders = {}
        for role in ("av", "ar"):
            folders[role] = Path(scratch) / role
            folders[role].mkdir()
            demo.merge(
                target, adapters / role, folders[role], blocks=demo.AR_BLOCKS if role == "ar" else None
            )
        v = variance(data.activations[data.training()])
        entry = PairEntry("trained", str(target), str(folders["av"]), str(folders["ar"]), None, v)
        return asyncio.run(_measure(data, chosen, prompts, entry, v))


async def _read(pair: LoadedPair, activations: Floats) -> list[Finished]:
    """Greedy readings of `activations` [n, d]."""
    finished: dict[int, Finished] = {}
    orders = [ReadingRequest(n, row) for n, row in enumerate(activations)]
    async for outcome in pair.verbaliser.stream(orders, temperature=0.0, max_new_tokens=128, seed=0):
        if isinstance(outcome, Finished):
            finished[int(str(outcome.key))] = outcome
    return [finished[n] for n in range(len(orders))]


async def _measure(
    data: Positions, chosen: list[int], prompts: Positions, entry: PairEntry, v: float
) -> Measured:
    pair = await load(entry, cache_dir=Path("unused"))
    h = data.activations[chosen].float().numpy()
    finished = await _read(pair, h)
    readings = [each.text for each in finished]
    own = units(h)
    made = units(await pair.reconstructor.reconstruct(readings))
    described = units(await pair.reconstructor.reconstruct([data.descriptions[i] for i in chosen]))
    cosines = made @ own.T
    rng = np.random.default_rng(3)
    nearest = []
    for n in range(len(chosen)):
        others = rng.choice(np.delete(np.arange(len(chosen)), n), CROWD - 1, replace=False)
        nearest.append(bool((cosines[n, n] > cosines[n, others]).all()))
    named = [
        text.startswith(f"The final token is {name_token(data.tokens[i])}")
        for text, i in zip(readings, chosen, strict=True)
    ]
    mean = units(data.activations[data.training()].float().numpy()).mean(0)
    off = ~np.eye(len(chosen), dtype=bool)
    pairs = [(parsed(text), parsed(data.descriptions[i])) for text, i in zip(readings, chosen, strict=True)]
    kept = [n for n, (said, true) in enumerate(pairs) if said is not None and true is not None]
    said = [claims for claims, _ in (pairs[n] for n in kept) if claims is not None]
    true = [claims for _, claims in (pairs[n] for n in kept) if claims is not None]
    adds = {}
    for claim in RIGHT if said else ():
        less = units(await pair.reconstructor.reconstruct([claims.without(claim) for claims in said]))
        adds[claim] = float(((made[kept] - less) * own[kept]).sum(-1).mean())
    theirs = prompts.activations.float().numpy()
    of_prompts = [each.text for each in await _read(pair, theirs)]
    near = (units(await pair.reconstructor.reconstruct(of_prompts)) * units(theirs)).sum(-1)
    await pair.close()
    return Measured(
        prompts=Trips(prompts, of_prompts, near),
        genres=[data.genres[i] for i in chosen],
        said=said,
        true=true,
        kept=kept,
        adds=adds,
        texts=[data.texts[i] for i in chosen],
        variance=v,
        reading_cos=np.diag(cosines),
        description_cos=(described * own).sum(-1),
        shuffled_cos=float(cosines[off].mean()),
        mean_cos=float((own @ mean / np.linalg.norm(mean)).mean()),
        nearest=float(np.mean(nearest)),
        named=float(np.mean(named)),
        tokens=float(np.mean([each.tokens for each in finished])),
        cut_short=float(np.mean([each.truncated for each in finished])),
        plain=len(said) / len(chosen),
        examples=[(data.descriptions[i], text) for i, text in list(zip(chosen, readings, strict=True))[:8]],
    )


def rise(trips: str) -> str:
    """The round trip after each stage, as rows of a Markdown table."""
    lines = [json.loads(line) for line in trips.splitlines()]
    rows = [f"| {line['stage']} | {line['readings']:.3f} | {line['descriptions']:.3f} |" for line in lines]
    head = f"| after ({lines[0]['positions']} held-out positions) | FVE, AV → AR | FVE, descriptions |"
    return "\n".join([head, "| --- | --- | --- |", *rows])


def interval(values: Floats, texts: list[int], seed: int = 5) -> tuple[float, float]:
    """95 % bootstrap interval of the mean. Whole texts are drawn: the positions of one text are not independent."""
    _, owners = np.unique(texts, return_inverse=True)
    sums, counts = np.bincount(owners, values), np.bincount(owners)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (2000, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def fve(cos: Floats, baseline: float) -> float:
    """FVE of positions whose readings come this near, against a variance."""
    return 1 - 2 * (1 - float(np.mean(cos))) / baseline


def fve_interval(cos: Floats, texts: list[int], baseline: float) -> Interval:
    """95 % bootstrap interval of that over texts."""
    low, high = interval(cos, texts)
    return 1 - 2 * (1 - low) / baseline, 1 - 2 * (1 - high) / baseline


def measurements(m: Measured, how: str) -> CardMeasurements:
    """The report as the pair's card holds it; `how` says with what it was made."""

    def texts_of(those: Sequence[int]) -> list[int]:
        return [m.texts[n] for n in those]

    kinds = []
    for kind, genres in KINDS.items():
        those = [n for n, genre in enumerate(m.genres) if genre in genres]
        if those:
            cos = m.reading_cos[those]
            texts = texts_of(those)
            span = fve_interval(cos, texts, m.variance)
            kinds.append(
                KindScore(
                    kind=kind,
                    positions=len(those),
                    texts=len(set(texts)),
                    fve=fve(cos, m.variance),
                    interval=span,
                )
            )
    texts = texts_of(m.kept)
    shared = len(set(texts)) < len(texts)  # or there is no other position to hold a claim against
    claims = [
        ClaimShare(
            claim=claim,
            right=float(own.mean()),
            interval=interval(own, texts),
            control=float(np.nanmean(other)),
            adds_fve=2 * m.adds[claim] / m.variance,
        )
        for claim, (own, other) in (judged(m.said, m.true, texts) if shared else {}).items()
    ]
    certainty = [
        Certainty(
            word=word,
            readings=len(those),
            right=float(hits.mean()),
            interval=interval(hits, [texts[n] for n in those]),
        )
        for word, (those, hits) in by_certainty(m.said, m.true).items()
        if those
    ]
    return CardMeasurements(
        how=how,
        positions=len(m.texts),
        texts=len(set(m.texts)),
        variance=m.variance,
        fve=fve(m.reading_cos, m.variance),
        fve_interval=fve_interval(m.reading_cos, m.texts, m.variance),
        nearest=m.nearest,
        kinds=tuple(kinds),
        claims=tuple(claims),
        certainty=tuple(certainty),
    )


def write_card(path: Path, measured: CardMeasurements) -> None:
    """Put measurements into a card, whose sentences stay as they are. Raises ValueError for what is no card."""
    known = json.loads(path.read_text()) if path.exists() else {}
    rounded = json.loads(measured.model_dump_json(), parse_float=lambda text: round(float(text), 4))
    known["measured"] = rounded
    PairCard.model_validate_json(json.dumps(known))
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def table(m: Measured, found: CardMeasurements) -> str:
    """The report, as rows of a Markdown table and some examples."""

    def against(cos: Floats, baseline: float = m.variance) -> str:
        low, high = fve_interval(cos, m.texts, baseline)
        return f"{fve(cos, baseline):.3f} [{low:.3f}, {high:.3f}]"

    constant = 2 * (1 - m.mean_cos)
    rows = [
        ("positions, held-out texts and topics", f"{len(m.texts)} of {len(set(m.texts))} texts"),
        ("V, variance of the normalised training activations", f"{m.variance:.4f}"),
        ("FVE, AV → AR (against V)", against(m.reading_cos)),
        (
            f"FVE, AV → AR (against the best constant unit prediction, {constant:.3f})",
            against(m.reading_cos, constant),
        ),
        ("FVE, AR on the training descriptions (against V)", against(m.description_cos)),
        ("cosine, AV → AR", f"{float(np.mean(m.reading_cos)):.3f}"),
        ("cosine, AR on the training descriptions", f"{float(np.mean(m.description_cos)):.3f}"),
        ("cosine, another position's reading (shuffled)", f"{m.shuffled_cos:.3f}"),
        ("cosine, the training mean", f"{m.mean_cos:.3f}"),
        (f"own activation is the nearest of {CROWD}", f"{m.nearest:.1%}"),
        ("the reading names the final token", f"{m.named:.1%}"),
        ("length of a reading, tokens", f"{m.tokens:.1f}"),
        ("cut short", f"{m.cut_short:.1%}"),
        ("in the plain sentences that were taught", f"{m.plain:.1%}"),
    ]
    lines = ["| what | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows), ""]
    lines += ["| kind of text | positions | FVE, AV → AR (against V) |", "| --- | --- | --- |"]
    for kind in found.kinds:
        low, high = kind.interval
        what = f"{kind.positions} of {kind.texts} texts"
        lines.append(f"| {kind.kind} | {what} | {kind.fve:.3f} [{low:.3f}, {high:.3f}] |")
    lines += ["", *claims_table(m, found), "", *prompts_table(m.prompts, m.variance), ""]
    for description, reading in m.examples:
        lines += [f"- described: {description}", f"  read: {reading}"]
    return "\n".join(lines)


def prompts_table(m: Trips, baseline: float) -> list[str]:
    """The round trip of the twelve prompts, each and together; and before the digits of products, with the share of
    first candidates that are the target's own digit beside that of other texts' at the same place.
    """

    def row(name: str, those: list[int], interval: bool = True) -> str:
        owners = [m.data.texts[n] for n in those]
        low, high = fve_interval(m.cos[those], owners, baseline)
        span = f" [{low:.3f}, {high:.3f}]" if interval else ""
        return f"| {name} | {len(those)} | {fve(m.cos[those], baseline):.3f}{span} |"

    lines = ["| prompt | positions | FVE, AV → AR (against V) |", "| --- | --- | --- |"]
    together: list[int] = []
    for kind in apart.TWELVE:
        those = [n for n, genre in enumerate(m.data.genres) if genre == kind]
        together += those
        lines.append(row(kind, those, interval=False))
    lines.append(row("**all twelve**", together))
    pairs = [
        (n, parsed(m.readings[n]), parsed(m.data.descriptions[n]))
        for n, genre in enumerate(m.data.genres)
        if genre == "multiplication"
    ]
    kept = [(n, said, true) for n, said, true in pairs if said is not None and true is not None]
    those = [n for n, _, _ in kept]
    before, hits, shuffled = apart.digits(
        [said for _, said, _ in kept], [true for _, _, true in kept], [m.data.texts[n] for n in those]
    )
    if not before:
        return lines
    before = [those[n] for n in before]
    owners = [m.data.texts[n] for n in before]
    low, high = interval(hits - shuffled, owners)
    more = f"{float((hits - shuffled).mean()):.1%} [{100 * low:.1f}, {100 * high:.1f}]"
    return [
        *lines,
        row("before a digit of a product", before),
        "",
        f"Before a digit of a product the first candidate is the target's own in {hits.mean():.1%} of "
        f"{len(before)} readings ({len(set(owners))} texts), another text's at the same place in "
        f"{shuffled.mean():.1%}: more often by {more}.",
    ]


def claims_table(m: Measured, found: CardMeasurements) -> list[str]:
    """Each claim with its accuracy, that against another position's truth, and what it adds; and how sure the AV is."""
    if not m.said:
        return []

    def shares(right: float, span: tuple[float, float]) -> str:
        return f"{right:.1%} [{100 * span[0]:.1f}, {100 * span[1]:.1f}]"

    lines = [
        "| claim | right | of another position of the text | adds to FVE |",
        "| --- | --- | --- | --- |",
    ]
    for c in found.claims:
        lines.append(f"| {c.claim} | {shares(c.right, c.interval)} | {c.control:.1%} | {c.adds_fve:.3f} |")
    lines += [
        "",
        "| the first is … | readings | the first candidate is the target's first choice |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {c.word} | {c.readings} | {shares(c.right, c.interval)} |" for c in found.certainty]
    repeats = float(np.mean([claims.repeats for claims in m.said]))
    return [*lines, "", f"A candidate is named twice in {repeats:.1%} of the readings."]
