"""Random features of images: measured, and predicted from the images alone."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import collapse_jax as cj
from collapse_jax.images_study.networks import by_quality
from collapse_jax.images_study.results import Result, dataset
from collapse_jax.images_study.sizes import Size
from collapse_jax.images_study.task import NOISE, Task, measured, mixed_labels, taught
from collapse_jax.names import attributes
from collapse_jax.networks import Pool, feature_predictions, pool_risk
from collapse_jax.networks.pool import pools_of
from collapse_jax.networks.teachers import Taught
from collapse_jax.parts import Arrays, Parts


def features(task: Task, size: Size, parts: Parts, announce: Callable[[str], object] = print) -> Result:
    """Measure all random features of the study and predict their errors; finished ones come from ``parts``."""
    announce("the teacher of each seed")
    teacher, graded = taught(task, size.teacher), [taught(task, one) for one in size.teachers]
    announce(f"width {size.width:,}: {len(size.fractions)} fractions, {len(size.counts)} numbers of images")
    more = samples(task, size, teacher, parts)
    announce(f"{len(size.widths)} widths, n = {size.graded_n:,}")
    wider = widths(task, size, teacher, parts)
    announce(f"{len(graded)} teachers of graded quality")
    better = teachers(task, size, teacher, graded, parts)
    announce(f"theory of a pool of {len(task.pool):,} images")
    return Result(more, wider, better, theory(task, size, teacher, graded, parts))


def samples(task: Task, size: Size, teacher: Taught, parts: Parts) -> xr.Dataset:
    """Errors against n for each synthetic fraction."""
    found = _errors(task, [teacher], size.fractions, size.counts, size.width, size.ridge_per_feature, parts, "samples")
    return dataset(
        {name: array.transpose(1, 2, 0) for name, array in found.items()},
        _attributes(task, size, teacher) | {"width": size.width},
        n=size.counts,
        synthetic_fraction=size.fractions,
        seed=np.arange(size.seeds),
    )


def widths(task: Task, size: Size, teacher: Taught, parts: Parts) -> xr.Dataset:
    """Errors against the width for each synthetic fraction."""
    n = [size.graded_n]
    ridge = size.ridge_per_feature
    found = [
        _errors(task, [teacher], size.fractions, n, width, ridge, parts, f"width_{width}") for width in size.widths
    ]
    return dataset(
        {name: np.stack([curve[name][:, 0].T for curve in found]) for name in found[0]},
        _attributes(task, size, teacher) | {"n": size.graded_n},
        width=size.widths,
        synthetic_fraction=size.fractions,
        seed=np.arange(size.seeds),
    )


def teachers(task: Task, size: Size, teacher: Taught, graded: Sequence[Taught], parts: Parts) -> xr.Dataset:
    """Errors against the quality of the teacher, for several synthetic fractions."""
    found = _errors(
        task, graded, size.graded_fractions, [size.graded_n], size.width, size.ridge_per_feature, parts, "teachers"
    )
    attrs = _attributes(task, size, teacher) | {"width": size.width, "n": size.graded_n}
    return by_quality({name: array[:, 0] for name, array in found.items()}, graded, size, attrs)


def _attributes(task: Task, size: Size, teacher: Taught) -> dict[str, Any]:
    return {
        "setting": f"ridge regression on random ReLU features of {task.name}, ridge {size.ridge_per_feature:g} times the width",
        "teacher": str(size.teacher._asdict()),
        "quality": float(teacher.quality.mean()),
        "noise": NOISE,
    }


def _errors(
    task: Task,
    teachers: Sequence[Taught],
    fractions: Sequence[float],
    counts: Sequence[int],
    width: int,
    ridge_per_feature: float,
    parts: Parts,
    name: str,
) -> Arrays:
    """(G, counts, teachers * fractions) errors."""

    def of_seed(seed: int) -> dict[str, Any]:
        alone = slice(seed, seed + 1)
        one = task.of_seeds(alone)
        rows = one.train[:, : max(counts)]
        own = [Taught(teacher.outputs[alone], teacher.quality[alone]) for teacher in teachers]
        predicted = feature_predictions(
            jax.random.fold_in(task.keys[seed], 4),
            task.images[rows[0]],
            mixed_labels(one, rows, own, fractions)[0],
            task.images[task.test[seed]],
            width=width,
            ridge=ridge_per_feature * width,
            counts=counts,
        )
        found = [measured(one, predictions[None]) for predictions in predicted]
        return {key: jnp.concatenate([errors[key] for errors in found]) for key in found[0]}

    seeds = [parts.get(f"{name}_{seed}", lambda seed=seed: of_seed(seed)) for seed in range(len(task.keys))]
    return {key: np.stack([one[key] for one in seeds]) for key in seeds[0]}


def theory(task: Task, size: Size, teacher: Taught, graded: Sequence[Taught], parts: Parts) -> dict[str, xr.Dataset]:
    """Predicted errors of "samples", "widths" and, of graded ones, "teachers"; averaged over the seeds' teachers."""
    pools = _pools(task, [teacher, *graded], parts)
    axes = {"n": (size.counts, size.graded_n), "width": (size.widths, size.width)}

    def sweep(pool: Pool, along: str | None, fractions: Sequence[float]) -> xr.Dataset:
        lines: dict[str, Any] = {
            name: np.union1d(np.geomspace(v[0], v[-1], 60), v) for name, (v, _) in axes.items() if name == along
        }
        fixed = {name: value for name, (_, value) in axes.items() if name != along}

        def point(synthetic_fraction: Any, **swept: Any) -> cj.Risk:
            at = fixed | swept
            return pool_risk(pool, at["n"], synthetic_fraction, size.ridge_per_feature * at["width"], at["width"])

        return cj.sweep(point, **lines, synthetic_fraction=fractions, progress=False)

    found = {"samples": sweep(pools[0], "n", size.fractions), "widths": sweep(pools[0], "width", size.fractions)}
    if graded:
        quality = np.array([float(one.quality.mean()) for one in graded])
        index = xr.Variable("quality", quality, attributes("quality"))
        by_teacher = [sweep(pool, None, size.graded_fractions) for pool in pools[1:]]
        found["teachers"] = xr.concat(by_teacher, index, coords="minimal", compat="override").sortby("quality")
    return found


def _pools(task: Task, teachers: Sequence[Taught], parts: Parts) -> list[Pool]:
    """What theory knows of the students' images, for each teacher."""

    def compute() -> dict[str, Any]:
        inputs = task.images[task.pool].astype(float)
        pools = pools_of(inputs, task.outputs[task.pool], [one.outputs[:, task.pool] for one in teachers], NOISE)
        return {f"{i}_{name}": array for i, pool in enumerate(pools) for name, array in pool._asdict().items()}

    arrays = parts.get("theory", compute)
    return [Pool(*(jnp.asarray(arrays[f"{i}_{name}"]) for name in Pool._fields)) for i in range(len(teachers))]
