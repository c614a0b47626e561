"""The text with the patched reply in it, to be analysed as a text of its own."""

from __future__ import annotations

from server.analyses.schema import Analysis, AnalysisRequest, Message
from server.interventions.schema import Intervention


def continued(analysis: Analysis, made: Intervention) -> AnalysisRequest | None:
    """Return the request of the text up to where the edit goes on, and of its reply, which the model then reads
    without the patch. None where the edit goes on within the prompt, of which the rest cannot be left out, or says
    nothing.
    """
    last = max((token.position for token in analysis.tokens if token.kind == "prompt"), default=-1)
    if made.until < last:
        return None
    kept = "".join(token.text for token in analysis.tokens[last + 1 : made.until + 1])
    reply = kept + made.after.text
    if not reply.strip():
        return None
    asked = analysis.request
    changes: dict[str, object] = {
        "pair": analysis.pair,
        "generate": None,
        "also": [],
        "positions": "all",
    }
    if asked.messages is None:
        return asked.model_copy(update=changes | {"text": f"{asked.text}{reply}"})
    *turns, final = asked.messages
    if asked.continue_final_message:
        turns.append(Message(role=final.role, content=final.content + reply))
    else:
        turns += [final, Message(role="assistant", content=reply)]
    return asked.model_copy(update=changes | {"messages": turns, "continue_final_message": True})
