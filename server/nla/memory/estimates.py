"""Estimates, in bytes, of what models and engines hold on a device.

Weights are counted; the rest is estimated from shapes, for the longest text and reading that the settings allow.
RESERVE and GRAPHS are allowances for what shapes do not tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server.nla.memory.precision import Role

GIB = 2**30
RESERVE = 1 * GIB
"""For a process on a GPU: CUDA's context (0.3–0.6 GiB by driver and GPU), cuBLAS's workspaces, and the
allocator's gaps.
"""
GRAPHS = 3 * GIB // 2
"""For vLLM on a GPU: its captured graphs (0.5–1 GiB), NCCL's buffers, and what compiling leaves."""
BATCHED = 2048
"""Prompt tokens that vLLM works on at once, unless told otherwise (`DEFAULT_MAX_NUM_BATCHED_TOKENS`)."""
SEQUENCES = 256
"""Readings that vLLM writes at once at most; it tries its sampler on as many before it starts."""
CPU_SEQUENCES = 64
"""The same on a CPU: it is busy with fewer, and the words of a watched reading come the later the more are
beside it.
"""
LEAST_SEQUENCES = 16
"""With fewer at once a GPU is idle most of the time: that much room for keys and values is demanded."""
COHORT = 64 + 8
"""Readings at once where transformers writes them: a cohort, and what is left of the one before
(verbalisers/transformers.py)."""
CHUNK = 64 * 2**20
"""Bytes of one vocabulary-sized float32 tensor of the lens (lens.py)."""
CHUNKS = 6
"""The number of those that live at once: logits as they come and in float32, the output's and the layer's
probabilities, two for a measure."""
GLUE = 64
"""Tokens of the AR's template around a reading, and slack."""

MATRIX_BYTES = {"float32": 4.0, "bf16": 2.0, "fp8": 1.0, "8bit": 1.0, "4bit": 0.5 + 4 / 64}
"""A number of a block's matrix. In 4 bits (NF4) each 64 share a float32; the scales a row or a matrix of the
8-bit kinds are left out (one float32 for thousands).
"""


@dataclass(frozen=True)
class Shape:
    """A text model, as its config.json says it. `beside`: the numbers that a wrapper holds for pictures."""

    family: str
    layers: int
    d: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    tied: bool = False
    beside: int = 0

    @property
    def block(self) -> int:
        """The numbers of one block's matrices: q and o, k and v, and the three of a gated feed-forward layer."""
        return self.d * (2 * self.head_dim * (self.heads + self.kv_heads) + 3 * self.ffn)

    @property
    def table(self) -> int:
        """The numbers of the embedding table."""
        return self.vocabulary * self.d

    def token_bytes(self, size: int, shards: int = 1) -> int:
        """Keys and values of one token on each of `shards` GPUs: 2 · layers · heads · width. A head is never cut: with
        more GPUs than heads of keys, each holds one (vLLM's rule).
        """
        return 2 * self.layers * max(1, self.kv_heads // shards) * self.head_dim * size

    def work(self, tokens: int, size: int, shards: int = 1) -> int:
        """One block at work on so many tokens: gate, up and their product, and four as wide as the residual stream."""
        return tokens * size * (3 * self.ffn // shards + 4 * self.d)

    def scores(self, rows: int, tokens: int) -> int:
        """Plain attention's weights and their softmax in float32, which only the CPU's eager attention makes."""
        return 2 * 4 * rows * self.heads * tokens * tokens

    def tensor_parallel(self, gpus: int) -> bool:
        """Return whether vLLM can cut it so: heads are divided evenly, heads of keys are divided or repeated evenly."""
        keys = max(self.kv_heads, gpus) % min(self.kv_heads, gpus) == 0
        return self.heads % gpus == 0 and keys and self.ffn % gpus == 0


@dataclass(frozen=True)
class Model:
    """The numbers of one model: `matrices` are those of its blocks, which a quantised kind makes small, `others` stay.

    `fixed`: bytes that are float32 whatever the kind (the AR's value head).
    """

    shape: Shape
    matrices: int
    others: int
    fixed: int = 0

    def weights(self, kind: str) -> int:
        """Bytes in a kind of MATRIX_BYTES; embeddings, head and norms are never quantised."""
        return round(self.matrices * MATRIX_BYTES[kind]) + self.others * number_bytes(kind) + self.fixed

    def piece(self, kind: str) -> int:
        """Bytes of the largest thing that is not cut when it is spread over GPUs: a block, or the embedding table."""
        block = round(self.matrices / self.shape.layers * MATRIX_BYTES[kind])
        return max(block, self.shape.table * number_bytes(kind))


@dataclass(frozen=True)
class Requirements:
    """The models of a pair that are to be held, by role; no AV where others hold it. `tuned`: bytes of its tuned lens;
    `exact`: counted in the files, not estimated from the catalogue.
    """

    name: str
    models: Mapping[Role, Model]
    tuned: int = 0
    exact: bool = True


@dataclass(frozen=True)
class MaxLengths:
    """Bounds by the settings: tokens of a text and of a reading, and readings that the AR takes at a time.

    `prompt` is the AV's own; released templates have about 100 tokens.
    """

    text: int = 2000 + 512
    reading: int = 400
    batch: int = 32
    prompt: int = 128


def number_bytes(kind: str) -> int:
    """A number that is not quantised, keys and values among them."""
    return 4 if kind == "float32" else 2


def target_overhead(shape: Shape, kind: str, lengths: MaxLengths, tuned: int = 0, eager: bool = False) -> int:
    """Return the bytes of the target beside its weights: the residual of every block, a block at work, the keys and
    values of a reply, and the lens, which looks at a chunk of positions at a time. `tuned`: bytes of a tuned lens;
    `eager`: attention as a CPU does it.
    """
    size, tokens = number_bytes(kind), lengths.text
    residuals = shape.layers * tokens * shape.d * size
    reply = tokens * shape.token_bytes(size)
    scores = shape.scores(1, tokens) if eager else 0
    return residuals + shape.work(tokens, size) + reply + CHUNKS * CHUNK + scores + tuned


def ar_overhead(shape: Shape, kind: str, lengths: MaxLengths, eager: bool = False) -> int:
    """Return the bytes of the AR beside its weights: a block at work on a batch of the longest readings."""
    size, tokens = number_bytes(kind), lengths.reading + GLUE
    scores = shape.scores(lengths.batch, tokens) if eager else 0
    return shape.work(lengths.batch * tokens, size) + scores


def cache_row(shape: Shape, kind: str, lengths: MaxLengths, shards: int = 1) -> int:
    """Return the bytes of keys and values of one reading on each GPU, with a few blocks of slack."""
    return (lengths.prompt + lengths.reading + GLUE) * shape.token_bytes(number_bytes(kind), shards)


def transformers_overhead(shape: Shape, kind: str, lengths: MaxLengths) -> int:
    """Return the bytes of the AV in transformers beside its weights: a cohort's keys and values, its prompts at work,
    and its logits as they come, in float32 and as probabilities.
    """
    size = number_bytes(kind)
    prompts = shape.work(COHORT * lengths.prompt, size)
    return COHORT * cache_row(shape, kind, lengths) + prompts + 3 * COHORT * shape.vocabulary * 4


def vllm_overhead(shape: Shape, kind: str, shards: int, cpu: bool = False) -> int:
    """Return the bytes of vLLM on each GPU beside weights, keys and values: a batch of prompts at work, its sampler's
    logits, probabilities and their order in float32, and GRAPHS.
    """
    size = number_bytes(kind)
    sampler = 3 * SEQUENCES * shape.vocabulary * 4
    return shape.work(BATCHED, size, shards) + sampler + (0 if cpu else GRAPHS)
