"""Writes tests/data/gradients.json: random programs with losses and gradients computed by PyTorch.

    python reproducible-ops/tests/pytorch/gradients.py

Made with PyTorch 2.15 (CPU). A program is a list of inputs and a list of steps; values are numbered inputs first. Each
step is [operator, operand numbers, attributes]; `tests/pytorch_gradients.rs` builds the same program from it. Gradients
are computed in float64, so that a difference is the error of the float32 program alone.
"""

import json
import math
import pathlib
import random

import torch

PROGRAMS = 60
STEPS = 14
MAX_ELEMENTS = 150
OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "gradients.json"


def transpose(x):
    return x.transpose(-1, -2)


def gather_rows(table, ids):
    return table[ids]


def update_rows(base, rows, at):
    """Rows `at..at+r` of every batch replaced; `at` keeps them inside."""
    result = []
    for whole, part, start in zip(base, rows, at.tolist()):
        result.append(torch.cat([whole[:start], part, whole[start + part.shape[0]:]]))
    return torch.stack(result)


# name -> function of operands and attributes; all of them on float64 and int64 tensors
OPERATORS = {
    "neg": lambda x: -x,
    "abs": torch.abs,
    "sqrt": torch.sqrt,
    "exp": torch.exp,
    "log": torch.log,
    "tanh": torch.tanh,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "max": torch.maximum,
    "min": torch.minimum,
    "select_less": lambda a, b, x, y: torch.where(a < b, x, y),
    "matmul_nt": lambda a, b: a @ transpose(b),
    "sum": lambda x: x.sum(-1, keepdim=True),
    "reduce_max": lambda x: x.max(-1, keepdim=True).values,
    "softmax": lambda x: torch.softmax(x, -1),
    "log_softmax": lambda x: torch.log_softmax(x, -1),
    "silu": torch.nn.functional.silu,
    "reshape": lambda x, shape: x.reshape(shape),
    "permute": lambda x, axes: x.permute(axes),
    "expand": lambda x, shape: x.expand(shape),
    "slice": lambda x, starts, ends: x[tuple(slice(a, b) for a, b in zip(starts, ends))],
    "concat": lambda *x, axis: torch.cat(x, axis),
    "pad": lambda x, before, after: torch.nn.functional.pad(
        x, [n for pair in zip(reversed(before), reversed(after)) for n in pair]),
    "gather_rows": gather_rows,
    "take_along_last": lambda x, ids: torch.gather(x, -1, ids),
    "update_rows": update_rows,
}


class Growth:
    """A program under construction, evaluated as it grows."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.torch = torch.Generator().manual_seed(seed)
        self.inputs, self.steps, self.values = [], [], []
        self.used = set()

    def float_input(self, shape):
        data = torch.rand(shape, generator=self.torch, dtype=torch.float32) * 2 - 1
        return self.add_input(data, data.double().requires_grad_(), "f32")

    def int_input(self, shape, bound):
        data = torch.randint(0, bound, shape, generator=self.torch)
        return self.add_input(data, data, "i32")

    def add_input(self, data, value, dtype):
        # Inputs come first in a program: they are numbered below zero until the end.
        number = -1 - len(self.inputs)
        self.inputs.append({"dtype": dtype, "shape": list(data.shape), "data": data.flatten().tolist(), "value": value})
        return number

    def value(self, number):
        return self.inputs[-1 - number]["value"] if number < 0 else self.values[number]

    def step(self, operator, *operands, **attributes):
        value = OPERATORS[operator](*(self.value(n) for n in operands), **attributes)
        self.used.update(operands)
        self.steps.append([operator, list(operands), attributes])
        self.values.append(value)
        return len(self.values) - 1

    def floats(self):
        numbers = [-1 - i for i, entry in enumerate(self.inputs) if entry["dtype"] == "f32"]
        return numbers + list(range(len(self.values)))

    def pick(self):
        return self.random.choice(self.floats())

    def like(self, number):
        shape = self.value(number).shape
        return self.random.choice([n for n in self.floats() if self.value(n).shape == shape])


def positive(g, x):
    """A value between 1/e and e."""
    return g.step("exp", g.step("tanh", x))


def grow(g):
    """Appends one random step or a few."""
    x = g.pick()
    shape = list(g.value(x).shape)
    rank, last = len(shape), shape[-1]
    kind = g.random.choice(list(OPERATORS))
    if kind in ("sqrt", "log"):
        g.step(kind, positive(g, x))
    elif kind == "exp":
        positive(g, x)
    elif kind == "div":
        g.step(kind, x, positive(g, g.like(x)))
    elif kind in ("add", "sub", "max", "min"):
        g.step(kind, x, g.like(x))
    elif kind == "mul":
        g.step(kind, x, g.step("tanh", g.like(x)))
    elif kind == "select_less":
        g.step(kind, x, g.like(x), g.like(x), x)
    elif kind == "matmul_nt" and rank >= 2:
        g.step("tanh", g.step(kind, x, g.like(x)))
    elif kind == "reshape":
        g.step(kind, x, shape=[math.prod(shape[:-1]), last] if rank != 2 else [last, shape[0]])
    elif kind == "permute":
        g.step(kind, x, axes=g.random.sample(range(rank), rank))
    elif kind == "expand" and math.prod(shape) * 3 <= MAX_ELEMENTS and rank < 5:
        at = g.random.randrange(rank + 1)
        inserted = g.step("reshape", x, shape=shape[:at] + [1] + shape[at:])
        g.step(kind, inserted, shape=shape[:at] + [3] + shape[at:])
    elif kind == "slice":
        starts = [g.random.randrange(n) for n in shape]
        g.step(kind, x, starts=starts, ends=[g.random.randint(a + 1, n) for a, n in zip(starts, shape)])
    elif kind == "concat" and math.prod(shape) * 2 <= MAX_ELEMENTS:
        g.step(kind, x, g.like(x), axis=g.random.randrange(rank))
    elif kind == "pad" and math.prod(n + 2 for n in shape) <= MAX_ELEMENTS:
        g.step(kind, x, before=[g.random.randrange(2) for _ in shape], after=[g.random.randrange(2) for _ in shape])
    elif kind == "gather_rows" and rank == 2:
        g.step(kind, x, g.int_input([2, 4], shape[0]))
    elif kind == "take_along_last":
        g.step(kind, x, g.int_input(shape[:-1] + [g.random.randint(1, 3)], last))
    elif kind == "update_rows" and rank == 3 and shape[1] >= 2:
        rows = g.step("slice", x, starts=[0, 0, 0], ends=[shape[0], 2, last])
        g.step(kind, x, g.step("neg", rows), g.int_input([shape[0]], shape[1] - 1))
    elif kind in ("neg", "abs", "tanh", "sum", "reduce_max", "softmax", "log_softmax", "silu"):
        g.step(kind, x)


def program(seed):
    g = Growth(seed)
    for shape in ([3, 4], [2, 3, 4], [4, 2]):
        g.float_input(shape)
    while len(g.steps) < STEPS:
        grow(g)
    ends = [n for n in g.floats() if n not in g.used]
    loss = sum(torch.tanh(g.value(n)).sum() for n in ends)
    floats = [entry for entry in g.inputs if entry["dtype"] == "f32"]
    gradients = torch.autograd.grad(loss, [entry["value"] for entry in floats], allow_unused=True)
    rename = lambda n: -1 - n if n < 0 else n + len(g.inputs)
    return {
        "inputs": [{key: entry[key] for key in ("dtype", "shape", "data")} for entry in g.inputs],
        "steps": [[operator, [rename(n) for n in operands], attributes] for operator, operands, attributes in g.steps],
        "ends": [rename(n) for n in ends],
        "loss": loss.item(),
        "gradients": [None if d is None else d.flatten().tolist() for d in gradients],
    }


def rounded(value):
    """Nine significant digits: exact for float32 inputs, far below the tolerance for the rest."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value


def main():
    programs = [rounded(program(seed)) for seed in range(PROGRAMS)]
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in programs)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(f"[\n{lines}\n]\n")
    used = {step[0] for entry in programs for step in entry["steps"]}
    print(f"{OUT}: {len(programs)} programs, {OUT.stat().st_size} bytes, unused operators: {set(OPERATORS) - used}")


if __name__ == "__main__":
    main()
