"""Writes expected.json beside this file: losses, metrics and gradients that TRL and PyTorch compute.

    pip install torch trl        # recorded with the versions that expected.json names; a CPU is enough
    python swarm-node/crates/learn/tests/trl/record.py

`src/learn/grpo/tests.rs` compares our programs with it. TRL's own code runs as it is: `_generate_and_score_completions`
computes advantages and importance ratios, `_compute_loss` the loss. What is replaced is the model: its logits are a
tensor, so that the recorded gradient is that of the loss alone, and its completions and rewards are given. Everything is
computed in float64 from numbers that float32 holds exactly, so that a difference is the error of our float32 program.
"""

import json
import tempfile
from collections import defaultdict, deque
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import torch
from trl import GRPOConfig, GRPOTrainer

OUT = Path(__file__).with_name("expected.json")
LENGTHS = [5, 3, 4, 5]
REWARDS = [1.0, 0.0, 0.25, 0.5]
ROWS, LENGTH, VOCABULARY = len(LENGTHS), max(LENGTHS), 7
PROMPT, PAD = [1, 2], 0
# Distance between the log-probabilities of two policies, in both directions: enough to clip on both sides.
SPREAD = 0.6

torch.set_default_dtype(torch.float64)


def exact(x):
    """The nearest float32 numbers, as float64."""
    return x.float().double()


class Policy:
    """Gives the log-probabilities of fixed completions, from logits or as they were recorded."""

    training = True
    is_gradient_checkpointing = False

    def __init__(self, logits=None, logp=None):
        self.logits, self.recorded = logits, logp

    def log_probabilities(self, targets):
        """Log-probability of each target and entropy of each position."""
        if self.recorded is not None:
            return self.recorded, torch.zeros_like(self.recorded)
        everything = torch.log_softmax(self.logits, -1)
        picked = everything.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        return picked, -(everything.exp() * everything).sum(-1)


class OneProcess:
    """An accelerator of a single process."""

    device = torch.device("cpu")
    process_index, num_processes = 0, 1
    is_main_process = sync_gradients = True

    def gather(self, x):
        return x

    def reduce(self, x, reduction):
        return x


class Trainer(GRPOTrainer):
    """GRPOTrainer without a model to load: settings as `__init__` takes them over, and given rollouts."""

    def __init__(self, settings, rewards, completions=None, sampling=None, old=None, reference=None):
        self.args = GRPOConfig(
            output_dir=tempfile.gettempdir(),
            report_to="none",
            use_cpu=True,
            bf16=False,
            num_generations=len(rewards),
            per_device_train_batch_size=len(rewards),
            **settings,
        )
        for name in (
            "beta importance_sampling_level loss_type mask_truncated_completions multi_objective_aggregation "
            "num_generations num_iterations off_policy_mask_threshold pad_to_multiple_of scale_rewards "
            "top_entropy_quantile use_vllm vllm_importance_sampling_clip_max vllm_importance_sampling_clip_min "
            "vllm_importance_sampling_correction vllm_importance_sampling_mode"
        ).split():
            setattr(self, name, getattr(self.args, name))
        self.epsilon_low, self.epsilon_high = self.args.epsilon, self.args.epsilon_high
        self.accelerator, self.state = OneProcess(), SimpleNamespace(global_step=0)
        self._tokenizer = SimpleNamespace(pad_token_id=PAD)
        self.model, self.ref_model = old, reference
        self.tools = self.environments = self.environment_factories = None
        self.current_gradient_accumulation_steps = 1
        self.aux_loss_enabled = self._entropy_bonus_enabled = self.log_multimodal = False
        self.reward_weights = torch.ones(1)
        self.reward_func_names = ["given"]
        self._metrics = defaultdict(lambda: defaultdict(list))
        self._logs = defaultdict(lambda: deque())
        self._logs["rewards"] = self._logs["extra"] = defaultdict(deque)
        self._pending_extra_logs, self._pending_metrics = defaultdict(list), defaultdict(list)
        self.rewards = torch.tensor(rewards)
        self.completions = completions or [[1]] * len(rewards)
        self.sampling = sampling

    def _generate(self, prompts):
        prompts = [PROMPT] * len(self.completions)
        return prompts, self.completions, None, self.completions, self.sampling, {}, None, None

    def _calculate_rewards(self, *_):
        return self.rewards.unsqueeze(1)

    def _get_per_token_logps_and_entropies(self, model, input_ids, attention_mask, logits_to_keep, *_, **__):
        logp, entropy = model.log_probabilities(input_ids[:, -logits_to_keep:])
        return logp, entropy, None

    def score(self):
        """What TRL hands to its loss."""
        return self._generate_and_score_completions([{"prompt": PROMPT}] * len(self.completions))

    def metric(self, name):
        values = self._metrics["train"][name]
        return values[-1] if values else None


class Inputs:
    """The fixed numbers that all cases share."""

    def __init__(self):
        random = torch.Generator().manual_seed(20)
        self.logits = exact(torch.randn(ROWS, LENGTH, VOCABULARY, generator=random))
        self.targets = torch.randint(1, VOCABULARY, (ROWS, LENGTH), generator=random)
        self.mask = torch.tensor([[float(at < length) for at in range(LENGTH)] for length in LENGTHS])
        self.targets = torch.where(self.mask > 0, self.targets, PAD)
        own, _ = Policy(self.logits).log_probabilities(self.targets)

        def near():
            shift = SPREAD * (2 * torch.rand(ROWS, LENGTH, generator=random) - 1)
            return torch.where(self.mask > 0, exact(own - shift), 0.0)

        self.old, self.reference, self.sampling = near(), near(), near()
        # A writer far from the policy, so that caps matter, and one that told nothing about a token.
        self.sampling[0] = exact(self.sampling[0] - 1.0)
        self.untold = (1, 1)

    def completions(self):
        return [row[:length].tolist() for row, length in zip(self.targets, LENGTHS)]

    def told(self):
        """Log-probabilities under the sampling policy; None where it told nothing."""
        rows = [row[:length].tolist() for row, length in zip(self.sampling, LENGTHS)]
        rows[self.untold[0]][self.untold[1]] = None
        return rows


def case(inputs, off_policy=False, beta=0.0, cap=None, correct_divergence=False):
    """The loss of one combination of settings."""
    settings = dict(
        loss_type="dapo",
        epsilon=0.2,
        epsilon_high=0.28,
        beta=beta,
        use_bias_correction_kl=correct_divergence,
        # More than one iteration makes TRL compare with recorded log-probabilities.
        num_iterations=2 if off_policy else 1,
    )
    if cap is not None:
        settings |= dict(
            use_vllm=True,
            vllm_importance_sampling_correction=True,
            vllm_importance_sampling_mode="token_truncate",
            vllm_importance_sampling_clip_max=cap,
        )
    logits = inputs.logits.clone().requires_grad_()
    policy, recorded = Policy(logits), Policy(logp=inputs.old)
    trainer = Trainer(
        settings,
        REWARDS,
        completions=inputs.completions(),
        sampling=inputs.told() if cap is not None else None,
        old=recorded if off_policy else policy,
        reference=Policy(logp=inputs.reference),
    )
    scored = trainer.score()
    assert torch.equal(scored["completion_mask"].double(), inputs.mask)
    loss = trainer._compute_loss(policy, scored)
    loss.backward()
    return dict(
        off_policy=off_policy,
        divergence=beta or None,
        importance_cap=cap,
        loss=loss.item(),
        clip_low=trainer.metric("clip_ratio/low_mean"),
        clip_high=trainer.metric("clip_ratio/high_mean"),
        clip_fraction=trainer.metric("clip_ratio/region_mean"),
        entropy=trainer.metric("entropy"),
        kl=trainer.metric("kl"),
        gradient=logits.grad.flatten().tolist(),
    )


def advantages(rewards):
    return dict(rewards=rewards, advantages=Trainer(dict(beta=0.0), rewards, old=Policy()).score()["advantages"].tolist())


def optimizer_steps():
    """Three steps of clipping and AdamW on a matrix, which decays, and a vector, which does not."""
    random = torch.Generator().manual_seed(21)
    shapes = dict(matrix=[2, 3], vector=[4])
    parameters = {name: exact(torch.randn(shape, generator=random)) for name, shape in shapes.items()}
    start = {name: value.flatten().tolist() for name, value in parameters.items()}
    settings = dict(beta1=0.9, beta2=0.99, epsilon=1e-8, weight_decay=0.1, max_norm=1.0)
    groups = [
        dict(params=[parameters["matrix"]], weight_decay=settings["weight_decay"]),
        dict(params=[parameters["vector"]], weight_decay=0.0),
    ]
    betas = (settings["beta1"], settings["beta2"])
    optimizer = torch.optim.AdamW(groups, betas=betas, eps=settings["epsilon"])
    steps = []
    # The second gradient is small enough not to be clipped.
    for learning_rate, size in [(0.05, 2.0), (0.03, 0.05), (0.01, 1.0)]:
        gradients = {name: exact(size * torch.randn(shape, generator=random)) for name, shape in shapes.items()}
        for name, parameter in parameters.items():
            parameter.grad = gradients[name].clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), settings["max_norm"])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        steps.append(
            dict(
                learning_rate=learning_rate,
                gradients={name: value.flatten().tolist() for name, value in gradients.items()},
                norm=norm.item(),
                parameters={name: value.flatten().tolist() for name, value in parameters.items()},
            )
        )
    return dict(settings=settings, shapes=shapes, start=start, steps=steps)


def main():
    inputs = Inputs()
    cases = {
        "on_policy": case(inputs),
        "off_policy": case(inputs, off_policy=True),
        "divergence": case(inputs, beta=0.3),
        "cap_2": case(inputs, cap=2.0),
        "cap_1": case(inputs, cap=1.0),
        "all": case(inputs, off_policy=True, beta=0.3, cap=2.0),
        # TRL's default, which is not ours: the divergence times the policy ratio.
        "corrected_divergence": case(inputs, beta=0.3, correct_divergence=True),
    }
    assert cases["off_policy"]["clip_low"] > 0 and cases["off_policy"]["clip_high"] > 0
    expected = dict(
        versions={name: version(name) for name in ("torch", "transformers", "trl")},
        shape=[ROWS, LENGTH, VOCABULARY],
        rewards=REWARDS,
        logits=inputs.logits.flatten().tolist(),
        targets=inputs.targets.flatten().tolist(),
        mask=inputs.mask.flatten().tolist(),
        old_logp=inputs.old.flatten().tolist(),
        reference_logp=inputs.reference.flatten().tolist(),
        sampling_logp=[value for row in inputs.told() for value in row + [0.0] * (LENGTH - len(row))],
        cases=cases,
        groups=[
            advantages(rewards)
            for rewards in (
                REWARDS,
                [1.0, 0.0],
                [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
                [0.5, 0.5, 0.5, 0.5],
                [0.125, 0.25, 0.125, 1.5, -0.75, 0.0],
            )
        ],
        optimizer=optimizer_steps(),
    )
    OUT.write_text(render(expected))


def render(value, depth=0):
    """JSON with one line for each list or number."""
    if not isinstance(value, dict):
        return json.dumps(value)
    indent = "  " * (depth + 1)
    members = (f"{indent}{json.dumps(name)}: {render(member, depth + 1)}" for name, member in value.items())
    return "{\n" + ",\n".join(members) + "\n" + "  " * depth + "}" + ("" if depth else "\n")


if __name__ == "__main__":
    main()
