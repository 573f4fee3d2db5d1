"""Says how far PyTorch's log-probabilities of completions, token by token over a cache, are from those of one pass.

Usage: rollout_gap.py '{"threads": 1, "given": "FILE"}', where the file is JSON: {"model": {…}, "weights": "FILE",
"prompts": [[…]], "completions": [[…]]}. Prints one line, {"version": …, "largest": …, "differ": …}, and ends.
"""

import json

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from model import Decoder, options


def by_steps(model, rows, prompts):
    """Row by row as a server would: all rows of one length of prompt at once, with a cache."""
    found = [None] * len(rows)
    for length in sorted({len(prompt) for prompt in prompts}):
        chosen = [at for at, prompt in enumerate(prompts) if len(prompt) == length]
        tokens = torch.tensor([rows[at] for at in chosen])
        caches = model.caches(len(chosen), tokens.shape[1])
        logits, values = model(tokens[:, :1], caches, 0), []
        for position in range(1, tokens.shape[1]):
            if position >= length:
                logp = F.log_softmax(logits[:, -1], dim=-1)
                values.append(logp.gather(1, tokens[:, position : position + 1]))
            logits = model(tokens[:, position : position + 1], caches, position)
        for at, value in zip(chosen, torch.cat(values, dim=1)):
            found[at] = value
    return found


def by_pass(model, rows, prompts):
    """All completions at once, filled up to one length, as a trainer would."""
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    logp = F.log_softmax(model(tokens), dim=-1)
    chosen = logp[:, :-1].gather(2, tokens[:, 1:, None])[:, :, 0]
    return [values[len(prompt) - 1 : len(row) - 1] for values, prompt, row in zip(chosen, prompts, rows)]


def main():
    given = json.load(open(options()["given"]))
    model = Decoder(given["model"])
    weights = {name.removeprefix("model."): tensor for name, tensor in load_file(given["weights"]).items()}
    model.load_state_dict(weights)
    prompts = given["prompts"]
    rows = [prompt + completion for prompt, completion in zip(prompts, given["completions"])]
    with torch.inference_mode():
        pairs = list(zip(by_steps(model, rows, prompts), by_pass(model, rows, prompts)))
    largest = max((x - y).abs().max().item() for x, y in pairs)
    differ = sum((x != y).sum().item() for x, y in pairs)
    print(json.dumps({"version": torch.__version__, "largest": largest, "differ": differ}), flush=True)


main()
