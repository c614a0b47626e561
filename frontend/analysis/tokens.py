"""The text token by token: turns become rows, tokens become coloured links, split glyphs stay together."""

from __future__ import annotations

from collections.abc import Sequence

from frontend import formatting
from frontend.analysis.flags import title
from frontend.analysis.text_contexts import RowContext, TokenContext
from frontend.analysis.view import View
from frontend.urls import urls
from server.analyses.schema import Reading, Token

LONG = 24  # characters: longer tokens may break inside
TEMPLATE, GENERATED = "template", "generated"
SILENT = frozenset({"template", "glyph-part"})  # flags that need no mark: how the token is drawn says it
LABELS = {"text": "prompt"}


def rows(view: View) -> list[RowContext]:
    """One row a turn; the template's tokens stand with the turn that they open or close."""
    tokens = view.analysis.tokens
    raw = any(t.role == "text" for t in tokens)
    found = []
    for first, last in _turns(tokens):
        inside = tokens[first : last + 1]
        spoken = [t for t in inside if _voice(t) != TEMPLATE]
        generated = any(t.kind == "generated" for t in inside)
        role = spoken[0].role if spoken else TEMPLATE
        notes = {GENERATED: "written by the model", TEMPLATE: "added by the model's chat template"}
        found.append(
            RowContext(
                role=role,
                label=speaker(role, raw and generated),
                note=notes.get(GENERATED if generated else role, ""),
                generated=generated,
                direction=formatting.direction("".join(t.text for t in spoken)),
                tokens=[token(view, t.position) for t in inside],
            )
        )
    return found


def speaker(role: str, reply: bool) -> str:
    """Name who speaks in a turn; `reply`: it is what the model wrote after a raw text."""
    return "reply" if reply else LABELS.get(role, role)


def _turns(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """First and last position of each row; one begins at each turn's header or where the speaker changes."""
    starts = {0} if tokens else set()
    p = 0
    while p < len(tokens):
        end = p
        while end < len(tokens) and _voice(tokens[end]) == TEMPLATE:
            end += 1
        if end > p:
            starts.add(_header(tokens, p, end))
        elif p and _voice(tokens[p - 1]) not in (_voice(tokens[p]), TEMPLATE):
            starts.add(p)
        p = max(end, p + 1)
    ordered = sorted(starts)
    return list(zip(ordered, [start - 1 for start in ordered[1:]] + [len(tokens) - 1], strict=False))


def _header(tokens: Sequence[Token], start: int, end: int) -> int:
    """Find where, in a run of template tokens, the header of the turn after it begins.

    It is the last control token that a word follows (`<|im_start|> user`, `<start_of_turn> model`, Llama's
    `<|start_header_id|> user`); where no word does, the second control token, since the first closes a turn.
    What stands before it closes the turn before, or is a turn that the template put there by itself.
    """
    controls = [i for i in range(start, end) if _is_control(tokens[i])]
    named = [i for i in controls if i + 1 < end and tokens[i + 1].text.strip() and i + 1 not in controls]
    if start == 0:
        words_before = named and any(tokens[i].text.strip() and i not in controls for i in range(named[-1]))
        return named[-1] if words_before else 0
    if named:
        return named[-1]
    if len(controls) > 1:
        return controls[1]
    return start if end < len(tokens) else 0


def _voice(token: Token) -> str:
    """Return the speaker: the model, whatever it writes, else the role."""
    return GENERATED if token.kind == "generated" else token.role


def _is_control(token: Token) -> bool:
    return token.special and token.text.startswith("<") and token.text.endswith(">")


def token(view: View, position: int) -> TokenContext:
    """One token's link: its text made visible, its colour and mark, and both in words."""
    t = view.analysis.tokens[position]
    bits = formatting.visible(t.text)
    span = view.glyphs.get(position)
    state, colour = token_state(view, position)
    flags = [f for f in t.flags if f not in SILENT]
    said = _said(view, view.by_position.get(position, []), state)
    classes = ["tok", state] + ([f"s{colour}"] if colour is not None else [])
    classes += ["special"] if t.special or _voice(t) == TEMPLATE else []
    classes += ["long"] if len(t.text) > LONG else []
    classes += ["has-edit"] if position in view.edited else []
    edits = ["its words were edited"] if position in view.edited else []
    shown = formatting.quoted(t.text) or (
        f"part {position - span[0] + 1} of a character" if span else "empty"
    )
    return TokenContext(
        position=position,
        bits=bits,
        classes=" ".join(classes),
        href=urls.analysis(view.analysis.id, view.view_state.replace(t=position)),
        panel=urls.panel(view.analysis.id, view.view_state.replace(t=position)),
        tip=" \u00b7 ".join([shown, f"position {position}", said, *edits, *(title(f) for f in flags)]),
        label=", ".join([shown, said, *edits]),
        marked=bool(flags) and not (t.special or _voice(t) == TEMPLATE),
        pinned=position == view.pinned,
        part=0 if span is None else position - span[0] + 1,
        opens_word=t.text[:1].isspace() or t.special or len(t.text) > LONG,
        opens_glyph=span is not None and position == span[0],
        closes_glyph=span is not None and position == span[1],
        breaks=bool(bits)
        and (bits[-1].kind == "newline" or (bits[-1].kind == "run" and t.text.endswith("\n"))),
    )


def token_score(view: View, position: int) -> float | None:
    """The score that colours a token: the mean over its scored samples."""
    scored = [r for r in view.by_position.get(position, []) if r.cos is not None]
    if view.by == "causal":
        return _mean([s for r in scored if (s := _causal(view, r)) is not None])
    fves = [r.fve for r in scored if r.fve is not None]
    return _mean(fves or [r.cos for r in scored if r.cos is not None])


def token_state(view: View, position: int) -> tuple[str, int | None]:
    """The class of a token's state, and its colour."""
    readings = view.by_position.get(position, [])
    scored = [(r.position, r.sample) for r in readings if r.cos is not None]
    if scored and view.by == "causal" and not view.causal_scores.keys() & scored:
        return "scoring", None
    if scored:
        score = token_score(view, position)
        return "scored", formatting.score_bin(score, score)
    if any(r.error for r in readings):
        return "failed", None
    if readings:
        return "scoring", None
    return ("waiting" if view.asked(position) else "skipped"), None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _causal(view: View, reading: Reading) -> float | None:
    found = view.causal_scores.get((reading.position, reading.sample))
    return None if found is None else found.score


def _said(view: View, readings: Sequence[Reading], state: str) -> str:
    """A token's score for its tooltip and for screen readers."""
    if state == "scored" and view.by == "causal":
        causal = [s for r in readings if (s := _causal(view, r)) is not None]
        return (
            "; ".join(f"undoes {formatting.percent(s)} in its place" for s in causal) or "hardly matters here"
        )
    if state == "scored":
        return "; ".join(formatting.headline(r.fve, r.cos) for r in readings if r.cos is not None)
    return {
        "failed": "its reading failed",
        "scoring": "read, not yet scored",
        "waiting": "not yet read",
        "skipped": "not asked for",
    }[state]
