"""Verdict of an edit, in sentences: whether the watched words change the model's mind, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from frontend import formatting
from frontend.analysis.token_names import token_name
from frontend.analysis.view import View
from frontend.edits.contexts import Bit
from server.interventions.schema import Control, Intervention, Verdict
from server.interventions.verdict import SMALL_DELTA


def verdict(view: View, made: Intervention) -> list[Bit]:
    """Say the model's first choice now; with a watched word, also whether that is a change of its mind."""
    (was_id, was, p), (now_id, now, q) = made.before.top[0], made.after.top[0]
    where = Bit(token_name(view, made.until), token=True)
    said = Bit(formatting.quoted(now), token=True)
    if was_id == now_id:
        mind = "The model keeps its mind. After " if made.verdict else "After "
        rest = f": {formatting.small(q)}, where it was {formatting.small(p)}."
        return [
            Bit(mind),
            where,
            Bit(" the model still says " if not made.verdict else " it still says "),
            said,
            Bit(rest),
        ]
    before = Bit(formatting.quoted(was), token=True)
    opening, says = _opening(made.verdict)
    return [
        *(Bit(opening), where, Bit(says), said),
        *(Bit(f" ({formatting.small(q)}) instead of "), before, Bit(f" ({formatting.small(p)}).")),
    ]


def _opening(found: Verdict | None) -> tuple[str, str]:
    if found is None:
        return "After ", " the model says "
    if found.changed:
        return "The model changes its mind. After ", " it says "
    if found.first and found.stretched:
        return "The model says a watched word, but the edit is nearly nothing, stretched. After ", " it says "
    if found.first:
        return "The model says a watched word, but other readings have it said as well. After ", " it says "
    return "The model does not change its mind to a watched word. After ", " it says "


def compared(made: Intervention) -> list[Bit]:
    """Compare the edit with the other readings and the floor."""
    others, random = (_control(made, kind) for kind in ("other", "random"))
    bits = _of_the_word(made) if made.verdict else [Bit(_why_none(made))]
    if others is not None:
        bits.append(
            Bit(f" {_count(others.above, others.n)} other readings {_verb(others.above, 'move')} it as far.")
        )
    if random is not None:
        does = _verb(random.above, "move")
        bits.append(
            Bit(f" The floor: {_count(random.above, random.n).lower()} random directions {does} it as far.")
        )
    return bits


def _of_the_word(made: Intervention) -> list[Bit]:
    found = made.verdict
    assert found is not None
    was, now = made.before.targets[found.word], made.after.targets[found.word]
    bits = [
        Bit(formatting.word(now.text, now.count), token=True),
        Bit(f" goes from {formatting.small(was.prob)} to {formatting.small(now.prob)}."),
    ]
    if found.others:
        chance = f"p ≈ {formatting.number((found.above + 1) / (found.others + 1))}"
        least = f", the least that {found.others} can show" if found.above == 0 else ""
        does = _verb(found.above, "make")
        count = _count(found.above, found.others)
        bits.append(
            Bit(f" {count} other readings, turned to the same angle, {does} it as likely ({chance}{least}).")
        )
    if found.unedited:
        bits.append(Bit(" The reading as it is makes it as likely."))
    return bits


def _why_none(made: Intervention) -> str:
    """Say why there is no verdict on the model's mind."""
    said = made.before.top[0][0]
    if all(target.id == said for target in made.before.targets):
        return (
            "No word is watched but what the model says anyway, so this is no verdict on its mind, only a "
            "measure of how "
            "far it moves."
        )
    if any(control.each_probs for control in made.controls) or not _control(made, "other"):
        return "There is no other reading to compare the watched words with, so there is no verdict."
    return (
        "This was kept by an earlier version, without what each control says of the watched words: patch "
        "again for a verdict."
    )


def warning(made: Intervention) -> str:
    """Warn of a step that was stretched from nearly nothing."""
    ratio = made.delta_ratio
    if ratio is None or ratio >= SMALL_DELTA:
        return ""
    return (
        f"The edit changes what the reconstructor makes of the words by {formatting.small(ratio)} only; "
        f"steering stretches "
        f"even so little to the whole step. What the model says then need not be what the words say."
    )


def tried(made: Intervention, here: Sequence[Intervention]) -> str:
    """Say the number of edits that this token has had: the best of many is no longer what it would be alone."""
    ids = [each.id for each in here]
    if len(ids) < 2 or made.id not in ids:
        return ""
    which = ids.index(made.id) + 1
    return (
        f"The {ordinal(which)} of {len(ids)} edits at this token: the more are tried, the likelier it is "
        f"that one of them "
        "succeeds by chance."
    )


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def _control(made: Intervention, kind: str) -> Control | None:
    return next((control for control in made.controls if control.kind == kind), None)


def _count(some: int, of: int) -> str:
    return f"{some or 'None'} of {of}"


def _verb(some: int, verb: str) -> str:
    return verb if some > 1 else f"{verb}s"
