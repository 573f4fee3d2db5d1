"""Times greedy decoding in PyTorch eager with a preallocated key-value cache.

Usage: decode.py '{"model": {…}, "threads": 1, "batch": 1, "slots": 256, "start": 64, "tokens": 64}', then one line on
standard input per run of `tokens` tokens from position `start` on.
"""

import time

import torch

from model import Decoder, options, serve


def main():
    given = options()
    model = Decoder(given["model"]).eval()
    caches = model.caches(given["batch"], given["slots"])

    @torch.inference_mode()
    def run():
        ids = torch.ones(given["batch"], 1, dtype=torch.long)
        start = time.perf_counter()
        for position in range(given["start"], given["start"] + given["tokens"]):
            ids = model(ids, caches, position)[:, -1].argmax(-1, keepdim=True)
            ids[0].item()
        return time.perf_counter() - start

    run()
    serve(given, run)


main()
