"""Language models: training, writing and answering beside PyTorch, and what the making of questions costs.

python benchmarks/language.py [--size smoke]

PyTorch is measured where it is installed: python -m pip install torch
"""

import time
from collections.abc import Callable
from itertools import repeat
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from measure import alternated, arguments, product_seconds, report

from collapse_jax.arithmetic_study.sizes import shape_of
from collapse_jax.data.arithmetic import Eigenvalues, Task, endless
from collapse_jax.networks.beam import beam
from collapse_jax.networks.gpt import GPT, Shape, parameters
from collapse_jax.networks.language import Schooling, school
from collapse_jax.networks.sampling import write

TAUGHT = 128  # questions of a step


class Case(NamedTuple):
    """A transformer, and how much it reads and writes."""

    shape: Shape
    batch: int
    length: int
    steps: int
    texts: int
    prompt: int
    written: int
    task: Task
    thinker: Shape
    questions: int
    beams: int


def once(function: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def ours(case: Case) -> dict[str, Callable[[], float]]:
    """Seconds of a step of training, and of a token written for all texts."""
    generator = np.random.default_rng(0)
    windows = generator.integers(0, case.shape.vocabulary, (case.batch, case.length + 1)).astype(np.int32)
    schooling = Schooling(steps=case.steps, evaluations=1)
    model = GPT(case.shape, rngs=nnx.Rngs(0))
    prompts = jnp.asarray(windows[:1, : case.prompt].repeat(case.texts, 0))

    def train() -> Any:
        return school(jax.random.key(0), case.shape, lambda start: repeat(windows), windows[:1], schooling).held_out

    def generate() -> Any:
        return write(model, jax.random.key(0), prompts, tokens=case.written).tokens

    task = case.task
    asked = jnp.asarray(task.ask(task.draw(generator, case.questions)))
    thinker = GPT(case.thinker, rngs=nnx.Rngs(0))
    lessons = next(endless(task, 0, TAUGHT)(0))

    def answer() -> Any:
        return write(
            thinker, jax.random.key(0), asked, tokens=task.answer, temperature=0.0, stop=task.end, prefix=True
        ).tokens

    def search() -> Any:
        return beam(thinker, asked, beams=case.beams, tokens=task.answer, stop=task.end, prefix=True).tokens

    def learn() -> Any:
        held_out = jax.tree.map(lambda part: part[:1], lessons)
        return school(jax.random.key(0), case.thinker, lambda start: repeat(lessons), held_out, schooling).held_out

    def data() -> None:
        for _, _ in zip(range(case.steps), endless(task, 0, TAUGHT)(0), strict=False):
            pass

    return {
        "train": lambda: once(train) / case.steps,
        "write": lambda: once(generate) / case.written,
        "answer": lambda: once(answer),
        "beam": lambda: once(search),
        "learn": lambda: once(learn) / case.steps,
        "data": lambda: once(data) / case.steps,
    }


def theirs(case: Case) -> dict[str, Callable[[], float]]:
    """The same in PyTorch: fused attention, AdamW, gradients clipped; writing with a cache."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch import nn  # pyright: ignore[reportMissingImports]
    from torch.nn import functional  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)

    class Layer(nn.Module):
        def __init__(self, shape: Shape) -> None:
            super().__init__()
            self.heads = shape.heads
            self.one, self.two = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
            self.split, self.join = nn.Linear(shape.width, 3 * shape.width), nn.Linear(shape.width, shape.width)
            self.inner, self.outer = nn.Linear(shape.width, 4 * shape.width), nn.Linear(4 * shape.width, shape.width)

        def forward(self, x: Any, past: Any = None, prefix: bool = False) -> Any:
            batch, count, _ = x.shape
            q, k, v = (
                part.view(batch, count, self.heads, -1).transpose(1, 2) for part in self.split(self.one(x)).chunk(3, -1)
            )
            if past is not None:
                keys, values, at = past
                keys[:, :, at : at + count], values[:, :, at : at + count] = k, v
                k, v = keys[:, :, : at + count], values[:, :, : at + count]
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=count > 1 and not prefix)
            x = x + self.join(seen.transpose(1, 2).reshape(batch, count, -1))
            return x + self.outer(functional.gelu(self.inner(self.two(x)), approximate="tanh"))

    class Model(nn.Module):
        def __init__(self, shape: Shape) -> None:
            super().__init__()
            self.tokens, self.places = (
                nn.Embedding(shape.vocabulary, shape.width),
                nn.Embedding(shape.context, shape.width),
            )
            self.layers = nn.ModuleList([Layer(shape) for _ in range(shape.layers)])
            self.last = nn.LayerNorm(shape.width)

        def forward(self, tokens: Any, at: int = 0, past: Any = None, prefix: bool = False) -> Any:
            x = self.tokens(tokens) + self.places(torch.arange(at, at + tokens.shape[1]))
            for i, layer in enumerate(self.layers):
                x = layer(x, None if past is None else (*past[i], at), prefix)
            return functional.linear(self.last(x), self.tokens.weight)

    shape, task = case.shape, case.task
    model, thinker = Model(shape), Model(case.thinker).eval()
    asked = torch.as_tensor(task.ask(task.draw(np.random.default_rng(0), case.questions)).astype(np.int64))
    windows = torch.randint(0, shape.vocabulary, (case.batch, case.length + 1))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def train() -> None:
        for _ in range(case.steps):
            logits = model(windows[:, :-1]).flatten(0, 1)
            loss = functional.cross_entropy(logits, windows[:, 1:].flatten())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()

    def room(shape: Shape, texts: int) -> Any:
        size = (texts, shape.heads, shape.context, shape.width // shape.heads)
        return [(torch.zeros(size), torch.zeros(size)) for _ in range(shape.layers)]

    @torch.no_grad()
    def generate() -> None:
        past = room(shape, case.texts)
        text, at = windows[:1, : case.prompt].repeat(case.texts, 1), 0
        for _ in range(case.written):
            logits = model(text, at, past)[:, -1]
            at += text.shape[1]
            text = torch.multinomial(logits.softmax(-1), 1)

    @torch.no_grad()
    def answer() -> None:
        past = room(case.thinker, len(asked))
        text = thinker(asked, 0, past, prefix=True)[:, -1].argmax(-1, keepdim=True)
        for step in range(1, task.answer):
            text = thinker(text, asked.shape[1] + step - 1, past)[:, -1].argmax(-1, keepdim=True)

    @torch.no_grad()
    def search() -> None:
        beams = case.beams
        past = room(case.thinker, len(asked))
        found = thinker(asked, 0, past, prefix=True)[:, -1].log_softmax(-1)
        scores, text = found.topk(beams, -1)
        past = [tuple(part.repeat_interleave(beams, 0) for part in layer) for layer in past]
        rows = torch.arange(len(asked))[:, None] * beams
        for step in range(1, task.answer):
            found = thinker(text.reshape(-1, 1), asked.shape[1] + step - 1, past)[:, -1].log_softmax(-1)
            total = (scores[..., None] + found.view(len(asked), beams, -1)).flatten(1)
            scores, chosen = total.topk(beams, -1)
            parents = (rows + chosen // found.shape[-1]).flatten()
            past = [tuple(part[parents] for part in layer) for layer in past]
            text = chosen % found.shape[-1]

    return {
        "torch_train": lambda: once(train) / case.steps,
        "torch_write": lambda: once(generate) / case.written,
        "torch_answer": lambda: once(answer),
        "torch_beam": lambda: once(search),
    }


def main() -> None:
    options = arguments(__doc__ or "")
    full = options.size == "full"
    jax.config.update("jax_enable_x64", False)  # networks train in float32
    dim = 2048 if full else 256
    rate = 2 * dim**3 / product_seconds(dim)
    # The study of eigenvalues: matrices of 2 x 2, two digits.
    task = Eigenvalues(size=2, digits=2)
    case = Case(Shape(1024, 128, 128, 4, 4), 16, 128, 32, 32, 17, 100, task, shape_of(task, 64, 2, 4), 2048, 5)
    if not full:
        case = Case(Shape(64, 16, 16, 1, 2), 2, 16, 2, 2, 3, 4, task, shape_of(task, 8, 1, 1), 4, 2)
    measured = ours(case)
    try:
        measured |= theirs(case)
    except ImportError:
        print("PyTorch is not installed, so it is not measured: python -m pip install torch")
    first = {name: function() for name, function in measured.items() if not name.startswith("torch")}
    times = {name: min(found) for name, found in alternated(5 if full else 1, **measured).items()}
    size, rows = parameters(case.shape), []
    results: dict[str, Any] = {"parameters": size, "product_gflops": rate / 1e9}
    for name, steps, tokens, operations in (
        ("train", case.steps, case.batch * case.length, 6),
        ("write", case.written, case.texts, 2),
    ):
        share = operations * size * tokens / times[name] / rate
        ratio = times[f"torch_{name}"] / times[name] if f"torch_{name}" in times else None
        compiling = (first[name] - times[name]) * steps
        rows.append([name, tokens / times[name], 1e3 * times[name], compiling, share, "" if ratio is None else ratio])
        results[name] = {"tokens_per_second": tokens / times[name], "of_product_rate": share, "torch_ratio": ratio}
    for name in ("answer", "beam"):
        ratio = times[f"torch_{name}"] / times[name] if f"torch_{name}" in times else None
        rate_of = case.questions / times[name]
        label = name if name == "answer" else f"answer, {case.beams} beams"
        rows.append([label, rate_of, 1e3 * times[name], first[name] - times[name], "", "" if ratio is None else ratio])
        results[name] = {"answers_per_second": rate_of, "torch_ratio": ratio}
    results["data_share_of_a_step"] = times["data"] / times["learn"]
    print(f"Making {TAUGHT} questions takes {100 * results['data_share_of_a_step']:.1f} % of a step that learns them.")
    columns = [
        f"{size:,} parameters, float32",
        "tokens or answers / s",
        "ms / step",
        "compile s",
        "of product rate",
        "PyTorch",
    ]
    report("language", columns, rows, results)


if __name__ == "__main__":
    main()
