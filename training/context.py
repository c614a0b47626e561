"""`python -m training.context`: how near the target comes to an activation when it is given only the last
tokens.

Tells how many words a description should quote: an AR that reads them can hardly know more. The first token
stays, since attention rests on it. FVE is against the variance of these activations.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import AutoTokenizer

from training import models, texts
from training.positions import choose, lay_out

LENGTHS = (1, 2, 4, 7, 10, 14, 20, 32)


@torch.inference_mode()
def curve(work: Path, count: int = 20) -> dict[int, float]:
    """FVE by the number of last tokens, over reply positions of `count` texts in `work`."""
    tokenizer = AutoTokenizer.from_pretrained(work / "target")
    model = models.ar(work / "target").model  # blocks 0 to K without the norm; its adapters are still zero
    written = [text for text in texts.read(work / "texts.jsonl") if text.turns[-1][0] == "assistant"]
    rng = random.Random(0)
    cut: list[tuple[list[int], int]] = []
    whole = []
    for text in written[:: max(1, len(written) // count)]:
        layout = lay_out(tokenizer, text, "chat")
        residual = model(input_ids=torch.tensor([layout.ids])).last_hidden_state[0].float()
        replies = [p for p in choose(layout, rng) if layout.roles[p] == "assistant" and not layout.marks[p]]
        cut += [(layout.ids, p) for p in replies]
        whole += [residual[p] for p in replies]
    h = F.normalize(torch.stack(whole), dim=-1)
    variance = 1 - h.mean(0).square().sum()
    found = {}
    for length in LENGTHS:
        rows = [[ids[0], *ids[max(1, p - length + 1) : p + 1]] for ids, p in cut]
        near = torch.stack([model(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in rows])
        cos = F.cosine_similarity(near.float(), h, dim=-1).mean()
        found[length] = float(1 - 2 * (1 - cos) / variance)
    print(f"{len(cut)} positions of {count} texts")
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.context", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="where `python -m training` works")
    found = curve(parser.parse_args().work)
    print(f"| tokens | {' | '.join(map(str, found))} |\n{'| --- ' * (len(found) + 1)}|")
    print(f"| FVE | {' | '.join(f'{value:.2f}' for value in found.values())} |")


if __name__ == "__main__":
    main()
