"""Made-up analyses at every stage, for the tests of the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from server.analyses.lens_table import LensTable
from server.analyses.schema import Analysis, AnalysisRequest, Baselines, Generate, Message, Reading, Token
from server.jobs.progress import Progress

LAYERS = 30
CHAT: list[tuple[str, str, str, bool]] = [
    ("<|im_start|>", "template", "prompt", True),
    ("user", "template", "prompt", True),
    ("\n", "template", "prompt", True),
    *[
        (t, "user", "prompt", False)
        for t in ("Why", " do", " cats", " p", "urr", " when", " they", " sleep", "?")
    ],
    ("<|im_end|>", "template", "prompt", True),
    ("\n", "template", "prompt", True),
    ("<|im_start|>", "template", "prompt", True),
    ("assistant", "template", "prompt", True),
    ("\n", "template", "prompt", True),
    *[
        (t, "assistant", "generated", False)
        for t in ("C", "ats", " purr", " for", " several", " reasons", ".", "\n\n")
    ],
    *[
        (t, "assistant", "generated", False)
        for t in ("\U0001f431", "", "", " It", " calms", " them", "\t", "<b>", ".")
    ],
]
GLYPH = (25, 27)
READING = (
    "The final token is \u201csleep\u201d, and a question mark or \u201con\u201d is expected next.\n"
    "The recent words ask why cats purr, and when.\n"
    "An everyday question to an assistant about animals; a short, friendly explanation is likely to follow."
)


def tokens(rows: list[tuple[str, str, str, bool]] | None = None) -> list[Token]:
    """The chat above as tokens, or other rows of (text, role, kind, special)."""
    found = []
    for p, (text, role, kind, special) in enumerate(CHAT if rows is None else rows):
        flags = (["template"] if role == "template" else []) + (["early"] if p < 10 else [])
        fields: dict[str, Any] = {"position": p, "id": 100 + p, "text": text, "role": role, "kind": kind}
        if rows is None and GLYPH[0] <= p <= GLYPH[1]:
            fields["glyph"] = GLYPH
            flags.append("glyph-part")
        found.append(Token(**fields, special=special, norm=200.0 + p, flags=flags))
    return found


def lens(count: int) -> LensTable:
    """A lens that grows surer with the layers."""
    layer = np.arange(LAYERS)[:, None] / (LAYERS - 1)
    wobble = 0.12 * np.sin(np.arange(LAYERS)[:, None] * 1.7 + np.arange(count)[None])
    prob = np.clip(layer**3 * (0.55 + 0.4 * np.cos(np.arange(count)))[None] + wobble * layer, 0, 1).astype(
        np.float32
    )
    rank = np.where(prob > 0.5, 0, (100 * (1 - prob)).astype(int)).astype(np.int32)
    ids = np.tile(np.arange(5, dtype=np.int32), (LAYERS, count, 1))
    shares = np.full(ids.shape, 0.1, dtype=np.float32)
    texts = {0: " sleep", 1: "\n", 2: "<script>alert(1)</script>", 3: " the", 4: "?"}
    return LensTable(list(range(LAYERS)), prob, rank, 1 - prob, 1 - prob, ids, shares, texts)


def reading(position: int, **fields: Any) -> Reading:
    """A scored reading; a higher position holds more."""
    fve = fields.pop("fve", min(0.93, -0.1 + position * 0.033))
    return Reading(
        **{
            "position": position,
            "text": READING,
            "cos": 0.7 + 0.3 * max(0, fve or 0),
            "mse": 0.3,
            "fve": fve,
            "rank": 1 if position % 5 else 3,
            **fields,
        }
    )


def analysis(**fields: Any) -> Analysis:
    """A finished analysis of the chat above; any field can be given."""
    made = tokens()
    chat = AnalysisRequest(
        messages=[Message(role="user", content="Why do cats purr when they sleep?")],
        generate=Generate(max_new_tokens=48),
    )
    return Analysis(
        **{
            "id": "abc123",
            "url": "/a/abc123",
            "status": "done",
            "request": chat,
            "pair": "smollm2-135m-l20",
            "layer": 20,
            "fve_variance": 0.7,
            "focus": 10,
            "tokens": made,
            "readings": [reading(t.position) for t in made],
            "lens": lens(len(made)),
            "baselines": Baselines(
                shuffled_cos=0.5,
                shuffled_fve=-0.42,
                mean_cos=0.6,
                mean_fve=0.04,
                n=26,
                over="content",
                nearest=0.81,
                nearest_of=26,
            ),
            "progress": Progress(stage="done", done=len(made), total=len(made)),
            "created": datetime(2026, 11, 3, 12, tzinfo=UTC),
            **fields,
        }
    )
