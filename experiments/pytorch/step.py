"""Times one training step in PyTorch eager: forward, cross-entropy, backward, clipping, AdamW.

Usage: step.py '{"model": {…}, "threads": 1, "batch": 8, "context": 256}', then one line on standard input per step.
"""

import time

import torch
from torch.nn import functional as F

from model import Decoder, options, serve


def main():
    given = options()
    model = Decoder(given["model"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)
    shape = (given["batch"], given["context"])
    ids, targets = torch.randint(256, shape), torch.randint(256, shape)

    def step():
        start = time.perf_counter()
        loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        return time.perf_counter() - start

    step()
    serve(given, step)


main()
