"""Times one training step in PyTorch: forward, cross-entropy, backward, clipping, AdamW.

Usage: step.py '{"model": {…}, "threads": 1, "batch": 8, "context": 256, "compiled": false}', then one line on standard
input per step. Compiled, forward and backward go through `torch.compile`, and the optimizer is the fused one.
"""

import time

import torch
from torch.nn import functional as F

from model import Decoder, options, serve


def main():
    given = options()
    model = Decoder(given["model"])
    adamw = dict(lr=1e-4, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0, fused=given["compiled"])
    optimizer = torch.optim.AdamW(model.parameters(), **adamw)
    shape = (given["batch"], given["context"])
    vocabulary = given["model"]["vocab_size"]
    ids, targets = torch.randint(vocabulary, shape), torch.randint(vocabulary, shape)

    def loss_of(ids, targets):
        return F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())

    if given["compiled"]:
        loss_of = torch.compile(loss_of)

    def step():
        start = time.perf_counter()
        loss = loss_of(ids, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        return time.perf_counter() - start

    for _ in range(2):
        step()
    serve(given, step)


main()
