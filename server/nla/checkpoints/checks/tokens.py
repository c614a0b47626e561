"""Tokenizers and templates: what each model reads must be, to the id, what it was trained on."""

from __future__ import annotations

from typing import Any

from server.nla.checkpoints.checks.pair_files import PairFiles
from server.nla.checkpoints.specs import check_marker
from server.nla.checkpoints.specs import check_suffix as suffix_holds
from server.nla.verbalisers.prompt import prepends_bos, prompt_ids

SAMPLE = "The cat’s  naïve 42 numbers,\n\tand a 猫 purred — “déjà vu”."
"""Text on which tokenizers that have drifted apart tend to differ."""
WORDS = 4000
"""Tokens of the vocabulary, for the same purpose."""
MARK = "\U000f0000"
"""Stands for what a person says while a chat template is looked at."""


def check_tokenizer(pair: PairFiles) -> str:
    """AV and AR were made from the target, with its tokenizer: the same text must be the same ids."""
    target = pair.tokenizers["target"]
    vocabulary = target.get_vocab()
    sample = _sample(target)
    expected = target(sample, add_special_tokens=False)["input_ids"]
    for role in ("av", "ar"):
        own = pair.tokenizers[role]
        there = own.get_vocab()
        moved = [token for token, id in vocabulary.items() if there.get(token) != id]
        if moved or own(sample, add_special_tokens=False)["input_ids"] != expected:
            what = f"{len(moved)} tokens have other ids" if moved else "a sample text becomes other ids"
            raise pair.fail(
                "tokenizer",
                f"the tokenizer in {pair.places[role]} is not the target's: {what}. It drifted, or is "
                f"another model's.",
            )
    return f"{len(vocabulary)} tokens, the same for all three"


def _sample(tokenizer: Any) -> str:
    """SAMPLE, and words from all over the vocabulary: a merge that is lost or another shows on the word it makes."""
    step = max(1, len(tokenizer) // WORDS)
    return SAMPLE + " ".join(tokenizer.decode([id]) for id in range(0, len(tokenizer), step))


def check_bos(pair: PairFiles) -> str:
    """Exactly one BOS before what each model reads, where the target's family has one; none elsewhere."""
    target = pair.tokenizers["target"]
    bos = target.bos_token_id
    adds = prepends_bos(target)
    chat = _frame(target) if target.chat_template else None
    templated = chat is not None and bos is not None and chat.count(bos) == 1 and chat[0] == bos
    if chat is not None and adds != templated:
        more = "its tokenizer adds a BOS to plain text, its chat template writes none (or several)"
        less = "its chat template writes a BOS, its tokenizer adds none to plain text"
        raise pair.fail("bos", f"the target contradicts itself: {more if adds else less}.")
    ar = pair.tokenizers["ar"](pair.ar.template.replace("{explanation}", "a"))["input_ids"]
    for role, ids in (("av", prompt_ids(pair.tokenizers["av"], pair.av)), ("ar", ar)):
        count = ids.count(bos) if adds else 0
        if count != int(adds) or (adds and ids[0] != bos):
            raise pair.fail(
                "bos",
                f"the {role.upper()}'s prompt has {count} BOS (id {bos}), exactly one must open it. See "
                f"bos_token and the "
                f"post-processor of the tokenizer, and the chat template, in {pair.places[role]}.",
            )
    plain = [pair.tokenizers[role]("a")["input_ids"] for role in ("target", "ar")]
    if plain[0] != plain[1]:
        raise pair.fail(
            "bos",
            f"the AR's tokenizer makes {plain[1]} of “a”, the target's {plain[0]}: it adds other tokens.",
        )
    return f"one (id {bos}) before each prompt" if adds else "none, as the target"


def check_neighbours(pair: PairFiles) -> str:
    ids = prompt_ids(pair.tokenizers["av"], pair.av)
    slot = check_marker(pair.av, ids)
    return (
        f"{pair.av.marker} (id {pair.av.marker_id}) at {slot} of {len(ids)}, between "
        f"{ids[slot - 1]} and {ids[slot + 1]}"
    )


def check_suffix(pair: PairFiles) -> str:
    prompt = pair.ar.template.replace("{explanation}", "A reading.")
    suffix_holds(pair.ar, pair.tokenizers["ar"](prompt)["input_ids"])
    return f"the AR's prompt ends with {list(pair.ar.suffix_ids)}"


def check_template(pair: PairFiles) -> str:
    """The AV's turn is the target's, to the token; a default system turn before it may be left out."""
    target, av = pair.tokenizers["target"], pair.tokenizers["av"]
    chat = pair.entry.profile.chat
    if chat == "none":
        return "none is used"
    if not av.chat_template:
        raise pair.fail(
            "template",
            f'{pair.places["av"]} has no chat template; if the AV reads plain text, say `chat = "none"` '
            f"in its profile.",
        )
    if chat == "own" or not target.chat_template:
        return "the AV's own"
    ours, theirs = _frame(av), _frame(target)
    if ours == theirs:
        return "the target's"
    turns = [ours, ours[1:]] if ours[0] == target.bos_token_id else [ours]
    if any(turn[0] in _special(target) and theirs[-len(turn) :] == turn for turn in turns):
        return "the target's, without its system turn"
    raise pair.fail(
        "template",
        f"the chat template in {pair.places['av']} does not open and close a turn as the target's does: the AV was "
        'trained with another one, or it was swapped. If it is meant, say `chat = "own"` in the pair\'s profile.',
    )


def _frame(tokenizer: Any) -> list[int]:
    """The ids of one user turn and what opens the reply; what the user says is MARK."""
    chat = [{"role": "user", "content": MARK}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _special(tokenizer: Any) -> set[int]:
    """The ids of marks between turns and the like."""
    added = tokenizer.added_tokens_decoder.items()
    return {*tokenizer.all_special_ids, *(id for id, token in added if token.special)}
