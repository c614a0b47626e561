"""Small tokenizers in the manner of each family: its kind of BPE, its special tokens, its chat template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

TEXT = [
    "Read the activation between the tags and say in plain words what it holds. What is it about?",
    "Why do cats purr when they sleep? Cats purr for several reasons, and one of them is that they are content.",
    "Summarise: <text>the final token is a comma, next perhaps a name</text> <summary> user model assistant system",
    "You are a helpful assistant, created by nobody. <concept>thing</concept> <explanation> words </explanation>",
] * 4

CHATML = (
    "{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}{%- if message.role != 'system' or not loop.first %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
TURNS = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}"
    "{%- set first = messages[0]['content'] + '\\n\\n' -%}{%- set said = messages[1:] -%}{%- else -%}"
    "{%- set first = '' -%}{%- set said = messages -%}{%- endif -%}"
    "{%- for message in said -%}{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}"
    "{{ '<start_of_turn>' + role + '\\n' + (first if loop.first else '') }}{{ message['content'] | trim }}"
    "{{ '<end_of_turn>\\n' }}{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"
)
HEADERS = (
    "{{- bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] | trim %}"
    "{%- set said = messages[1:] %}{%- else %}{%- set system = '' %}{%- set said = messages %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n\\n' + system + '<|eot_id|>' }}"  # noqa: E501
    "{%- for message in said %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' "
    "+ message['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
QWEN_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"  # noqa: E501


@dataclass(frozen=True)
class Speech:
    """How one family speaks. `stops` end a reply; `bos` is put before any text, `marker` is one token."""

    special: tuple[str, ...]
    template: str
    marker: str
    stops: tuple[str, ...]
    bos: str | None
    kind: str  # tokenizer_class in the released tokenizer_config.json
    sentences: bool  # SentencePiece's manner of BPE, else GPT's


QWEN = Speech(
    ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    CHATML,
    "㈎",
    ("<|im_end|>", "<|endoftext|>"),
    None,
    "Qwen2Tokenizer",
    False,
)
GEMMA = Speech(
    ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
    TURNS,
    "㈜",
    ("<eos>", "<end_of_turn>"),
    "<bos>",
    "GemmaTokenizer",
    True,
)
LLAMA = Speech(
    ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    HEADERS,
    "㎡",
    ("<|end_of_text|>", "<|eot_id|>"),
    "<|begin_of_text|>",
    "PreTrainedTokenizerFast",
    False,
)


@cache
def tokenizer(speech: Speech) -> Any:
    """The tokenizer of a family; its vocabulary is a few hundred tokens."""
    inner = _sentences(speech) if speech.sentences else _bytes(speech)
    if speech.bos is not None:
        inner.post_processor = processors.TemplateProcessing(
            single=f"{speech.bos} $A",
            pair=f"{speech.bos} $A {speech.bos}:1 $B:1",
            special_tokens=[(speech.bos, inner.token_to_id(speech.bos))],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=speech.bos,
        eos_token=speech.stops[0],
        pad_token=speech.special[0],
        chat_template=speech.template,
        clean_up_tokenization_spaces=False,
    )


def _trained(model: Tokenizer, speech: Speech, alphabet: Sequence[str], size: int) -> Tokenizer:
    trainer = BpeTrainer(
        vocab_size=size, initial_alphabet=list(alphabet), special_tokens=[], show_progress=False
    )
    # A line of its own makes the marker whole, and nothing that stands beside it part of it.
    model.train_from_iterator([*TEXT, *[speech.marker] * 200], trainer)
    return model


def _bytes(speech: Speech) -> Tokenizer:
    inner = Tokenizer(BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    _trained(inner, speech, pre_tokenizers.ByteLevel.alphabet(), 420)
    inner.add_special_tokens(list(speech.special))
    return inner


def _sentences(speech: Speech) -> Tokenizer:
    plain = Tokenizer(BPE())
    plain.normalizer = normalizers.Replace(" ", "▁")
    plain.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    _trained(plain, speech, ["\n", "▁"], 250)
    learnt = plain.get_vocab()
    words = sorted(learnt, key=lambda word: learnt[word])
    whole = [*speech.special, *(f"<0x{n:02X}>" for n in range(256)), *words]
    merges = [
        tuple(m) if isinstance(m, list) else tuple(m.split(" "))
        for m in json.loads(plain.to_str())["model"]["merges"]
    ]
    inner = Tokenizer(
        BPE(
            vocab={word: n for n, word in enumerate(whole)},
            merges=merges,
            byte_fallback=True,
            unk_token="<unk>",
            fuse_unk=True,
        )
    )
    inner.normalizer = normalizers.Replace(" ", "▁")
    inner.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    inner.add_special_tokens(list(speech.special))
    return inner
