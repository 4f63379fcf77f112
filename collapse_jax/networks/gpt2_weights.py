"""The published weights of GPT-2, read from a folder that holds them."""

import json
import os
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from collapse_jax.networks.gpt import GPT, Shape

WEIGHTS, CONFIG = "model.safetensors", "config.json"
ROWS = {
    "ln_1.weight": "before_attention.scale",
    "ln_1.bias": "before_attention.bias",
    "attn.c_attn.weight": "queries_keys_values.kernel",
    "attn.c_attn.bias": "queries_keys_values.bias",
    "attn.c_proj.weight": "attended.kernel",
    "attn.c_proj.bias": "attended.bias",
    "ln_2.weight": "before_perceptron.scale",
    "ln_2.bias": "before_perceptron.bias",
    "mlp.c_fc.weight": "inner.kernel",
    "mlp.c_fc.bias": "inner.bias",
    "mlp.c_proj.weight": "outer.kernel",
    "mlp.c_proj.bias": "outer.bias",
}
ENDS = {"wte.weight": "tokens", "wpe.weight": "positions", "ln_f.weight": "last.scale", "ln_f.bias": "last.bias"}


def gpt2(folder: str | os.PathLike[str], *, dtype: Any = jnp.float32, dropout: float = 0.0) -> GPT:
    """GPT-2, of any published size, from ``config.json`` and ``model.safetensors`` as Hugging Face lays them out.

    Args:
        folder: where both files are.
        dtype: of the computation.
        dropout: for training on.

    Raises:
        FileNotFoundError: where a file is missing.
        ValueError: for weights that are not those of the configuration, with the first that is wrong.

    Example:
        >>> gpt2("/nowhere")
        Traceback (most recent call last):
        FileNotFoundError: config.json is not in /nowhere; it must have config.json and model.safetensors of a GPT-2
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{name} is not in {folder}; it must have {CONFIG} and {WEIGHTS} of a GPT-2")
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise ImportError("reading GPT-2 needs safetensors: python -m pip install 'collapse-jax[gpt2]'") from error
    sizes = json.loads((folder / CONFIG).read_text())
    shape = Shape(
        sizes["vocab_size"],
        sizes["n_positions"],
        sizes["n_embd"],
        sizes["n_layer"],
        sizes["n_head"],
        dropout=dropout,
        dtype=dtype,
    )
    arrays = {name.removeprefix("transformer."): array for name, array in load_file(folder / WEIGHTS).items()}
    graph, weights = nnx.split(nnx.eval_shape(lambda: GPT(shape, rngs=nnx.Rngs(0))))
    flat = {".".join(map(str, path)): (path, leaf) for path, leaf in nnx.to_flat_state(weights)}
    read = []
    for published, own in _names(shape.layers).items():
        path, leaf = flat[own]
        read.append((path, leaf.replace(jnp.asarray(_checked(folder, published, arrays, leaf.shape), jnp.float32))))
    return nnx.merge(graph, nnx.from_flat_state(read))


def _names(layers: int) -> dict[str, str]:
    blocks = {f"h.{i}.{published}": f"blocks.{i}.{own}" for i in range(layers) for published, own in ROWS.items()}
    return blocks | ENDS


def _checked(folder: Path, name: str, arrays: dict[str, np.ndarray], expected: tuple[int, ...]) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"{folder / WEIGHTS} has no {name}; it must be a GPT-2 with the layers that {CONFIG} says")
    if arrays[name].shape != expected:
        raise ValueError(f"{name} in {folder / WEIGHTS} has shape {arrays[name].shape}; {CONFIG} says {expected}")
    return arrays[name]
