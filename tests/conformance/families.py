"""The architectures of the released pairs, in small: configurations as transformers 4 wrote them, random weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from tests.conformance.spoken import GEMMA, LLAMA, QWEN, Speech, tokenizer

D, BLOCKS, K = 32, 4, 2

State = dict[str, Tensor]


@dataclass(frozen=True)
class Family:
    """An architecture: its name, its speech, what its config.json says beside the sizes."""

    name: str
    speech: Speech
    architecture: str
    config: Mapping[str, Any] = field(hash=False)
    wrapped: bool = False

    @property
    def gemma(self) -> bool:
        return self.speech is GEMMA


SIZES = {
    "hidden_size": D,
    "intermediate_size": 64,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,
    "rms_norm_eps": 1e-6,
}
GEMMA3_CONFIG = {
    "model_type": "gemma3_text",
    "head_dim": 16,
    "sliding_window": 8,  # shorter than any prompt here
    "sliding_window_pattern": 2,
    "rope_theta": 1000000.0,
    "rope_local_base_freq": 10000.0,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    "query_pre_attn_scalar": 16,
    "final_logit_softcapping": 3.0,  # low, so that it is felt
}
QWEN2 = Family(
    "qwen2",
    QWEN,
    "Qwen2ForCausalLM",
    {
        "model_type": "qwen2",
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
    },
)
LLAMA3 = Family(
    "llama",
    LLAMA,
    "LlamaForCausalLM",
    {
        "model_type": "llama",
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "rope_scaling": {
            "factor": 8.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 64,
            "rope_type": "llama3",
        },
    },
)
GEMMA3_TEXT = Family("gemma3-text", GEMMA, "Gemma3ForCausalLM", GEMMA3_CONFIG)
GEMMA3 = Family("gemma3", GEMMA, "Gemma3ForConditionalGeneration", GEMMA3_CONFIG, wrapped=True)
FAMILIES = (QWEN2, LLAMA3, GEMMA3_TEXT, GEMMA3)


def text_config(family: Family, blocks: int = BLOCKS) -> dict[str, Any]:
    """The text model's configuration, as transformers 4 wrote it."""
    words = tokenizer(family.speech)
    special = words.convert_tokens_to_ids
    return {
        **SIZES,
        **family.config,
        "num_hidden_layers": blocks,
        "vocab_size": len(words) + 5,  # padded, as the released tables are
        "bos_token_id": special(family.speech.bos) if family.speech.bos else None,
        "eos_token_id": special(family.speech.stops[0]),
        "pad_token_id": None,
    }


def config(family: Family, blocks: int = BLOCKS, *, wrapped: bool | None = None) -> dict[str, Any]:
    """A config.json."""
    text = text_config(family, blocks)
    if not (family.wrapped if wrapped is None else wrapped):
        return {"architectures": [family.architecture], "torch_dtype": "float32", **text}
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 8,
        "patch_size": 4,
        "vision_use_head": False,
    }
    return {
        "architectures": [family.architecture],
        "model_type": "gemma3",
        "mm_tokens_per_image": 4,
        "image_token_index": 7,
        "boi_token_index": 8,
        "eoi_token_index": 9,
        "eos_token_id": [text["eos_token_id"]],
        "text_config": text,
        "vision_config": vision,
        "torch_dtype": "float32",
    }


def plain(family: Family, state: State, blocks: int = BLOCKS) -> Any:
    """The bare text model of a state, without any of the files."""
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(**text_config(family, blocks)))
    missing, unexpected = made.load_state_dict({runtime(n): t for n, t in state.items()}, strict=False)
    assert not unexpected and all(n in ("lm_head.weight", "model.norm.weight") for n in missing), missing
    return made.eval()


def runtime(name: str) -> str:
    """How a bare text model calls a tensor."""
    return name if name.startswith("lm_head.") else f"model.{name}"


@cache
def base(family: Family) -> tuple[State, State]:
    """A random target: its text tensors by bare names, and what a wrapper has beside them."""
    torch.manual_seed(sum(map(ord, family.name)))
    settings = config(family)
    whole = AutoModelForCausalLM.from_config(AutoConfig.for_model(**copy.deepcopy(settings)))
    state: State = {}
    others: State = {}
    for name, tensor in whole.state_dict().items():
        value = tensor + 0.1 * torch.randn_like(tensor) if tensor.ndim == 1 else tensor.clone()
        if "vision" in name or "projector" in name:
            others[name.removeprefix("model.")] = value
        else:
            state[name.replace("language_model.", "").removeprefix("model.")] = value
    if family.gemma:
        del state["lm_head.weight"]  # tied to the embedding
        for name in state:  # louder blocks, or the tied head repeats the last token whatever was injected
            state[name] = state[name] + {"post": 3.0, "q_no": 1.0, "k_no": 1.0}.get(
                name.split(".")[-2][:4], 0.0
            )
    stops = [tokenizer(family.speech).convert_tokens_to_ids(token) for token in family.speech.stops]
    state["embed_tokens.weight" if family.gemma else "lm_head.weight"][stops] = (
        0.0  # readings do not end at once
    )
    return state, others
