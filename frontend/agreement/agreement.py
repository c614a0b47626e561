"""Agreement of a token's readings on the page."""

from __future__ import annotations

from collections.abc import Iterator

from frontend import formatting
from frontend.agreement.contexts import AgreementContext, ClaimRow
from server.measurements.agreement_schema import PositionAgreement


def agreement_context(found: PositionAgreement, *, fve: bool) -> AgreementContext:
    """Say how far the readings of one token agree; `fve`: scores are shares of the variance, else cosines."""
    claims = [
        ClaimRow(
            text=formatting.plain(claim.text),
            made_by=f"{len(claim.samples)} of {found.samples}",
            which=", ".join(str(sample + 1) for sample in claim.samples),
            share=len(claim.samples) / found.samples,
        )
        for claim in found.claims
    ]
    return AgreementContext(f"agreement-{found.position}", list(_sentences(found, fve=fve)), claims)


def refused(position: int, note: str) -> AgreementContext:
    """Say why they cannot be compared."""
    return AgreementContext(f"agreement-{position}", [], [], formatting.plain(note))


def _sentences(found: PositionAgreement, *, fve: bool) -> Iterator[str]:
    said = f"Their reconstructions have a cosine of {formatting.number(found.cos)} with each other"
    if found.cos_other is not None:
        said += f", and of {formatting.number(found.cos_other)} with those of other tokens' readings"
    yield f"{said}."
    if found.recurring is not None:
        said = f"A claim of one reading is made by {formatting.percent(found.recurring)} of the others"
        if found.recurring_other is not None:
            said += f", and by {formatting.percent(found.recurring_other)} of other tokens' readings"
        yield f"{said}."
    held = formatting.percent if fve else formatting.number
    yield (
        f"By round trip they score {held(found.score)} on average, the mean of their reconstructions "
        f"{held(found.averaged)}. The best, reading {found.best.sample + 1}, scores {held(found.best.score)}; "
        "it was chosen by that score, and the best of many is better than any of them by itself."
    )
