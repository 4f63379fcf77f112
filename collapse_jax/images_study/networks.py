"""Two-layer networks trained on images: the error against n for several fractions, widths and teachers."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from collapse_jax.images_study.results import Result, dataset
from collapse_jax.images_study.sizes import Size
from collapse_jax.images_study.task import NOISE, Task, measured, mixed_labels, taught
from collapse_jax.networks.memory import free_memory
from collapse_jax.networks.teachers import Taught
from collapse_jax.networks.training import Lessons, memory_needed, predictions, train
from collapse_jax.parts import Arrays, Parts

ALL_SYNTHETIC = 1.0


def trained(task: Task, size: Size, parts: Parts, announce: Callable[[str], object] = print) -> Result:
    """Train all networks of the study; finished ones come from ``parts``."""
    announce("the teacher of each seed")
    teacher = taught(task, size.teacher)
    more = samples(task, size, teacher, parts, announce)
    wider = widths(task, size, teacher, parts, announce)
    announce(f"{len(size.teachers)} teachers of graded quality")
    return Result(more, wider, teachers(task, size, teacher, parts), {})


def samples(
    task: Task, size: Size, teacher: Taught, parts: Parts, announce: Callable[[str], object] = print
) -> xr.Dataset:
    """Errors against n for each synthetic fraction."""
    lessons, found = _lessons(task, [teacher], size.fractions), []
    for n in size.counts:
        announce(f"n = {n:,}: {len(size.fractions)} synthetic fractions, width {size.width:,}")
        found.append(_errors(task, lessons, n, size.width, size, parts, f"samples_{n}"))
    return dataset(
        {name: np.stack([point[name].T for point in found]) for name in found[0]},
        _attributes(task, size, teacher) | {"width": size.width},
        n=size.counts,
        synthetic_fraction=size.fractions,
        seed=np.arange(size.seeds),
    )


def widths(
    task: Task, size: Size, teacher: Taught, parts: Parts, announce: Callable[[str], object] = print
) -> xr.Dataset:
    """Errors against n for each width, all labels synthetic."""
    lessons, curves = _lessons(task, [teacher], [ALL_SYNTHETIC]), []
    for width in size.widths:
        announce(f"width {width:,}: all labels synthetic, {len(size.counts)} numbers of images")
        curve = [_errors(task, lessons, n, width, size, parts, f"width_{width}_{n}") for n in size.counts]
        curves.append({name: np.stack([point[name][:, 0] for point in curve]) for name in curve[0]})
    return dataset(
        {name: np.stack([curve[name] for curve in curves], 1) for name in curves[0]},
        _attributes(task, size, teacher) | {"synthetic_fraction": ALL_SYNTHETIC},
        n=size.counts,
        width=size.widths,
        seed=np.arange(size.seeds),
    )


def teachers(task: Task, size: Size, teacher: Taught, parts: Parts) -> xr.Dataset:
    """Errors against the quality of the teacher, for several synthetic fractions: all of them are labels of one training."""
    graded = [taught(task, one) for one in size.teachers]
    lessons = _lessons(task, graded, size.graded_fractions)
    found = _errors(task, lessons, size.graded_n, size.width, size, parts, "teachers")
    attrs = _attributes(task, size, teacher) | {"width": size.width, "n": size.graded_n}
    return by_quality(found, graded, size, attrs)


def _attributes(task: Task, size: Size, teacher: Taught) -> dict[str, Any]:
    return {
        "setting": f"two-layer networks on {task.name}, trained by SGD on the mean squared error: batch {size.recipe.batch}, "
        f"learning rate {size.recipe.learning_rate:g}, {size.recipe.epochs:g} epochs, "
        f"best weights by {size.validation} validation images",
        "teacher": str(size.teacher._asdict()),
        "quality": float(teacher.quality.mean()),
        "noise": NOISE,
    }


def by_quality(found: Arrays, graded: Sequence[Taught], size: Size, attrs: dict[str, Any]) -> xr.Dataset:
    """Errors (G, teachers * fractions) by the teachers' mean quality, the best first."""
    quality = np.stack([np.asarray(teacher.quality) for teacher in graded])  # (teachers, G)
    order = quality.mean(1).argsort()
    shape = (size.seeds, len(graded), len(size.graded_fractions))
    arrays = {name: array.reshape(shape).transpose(1, 2, 0)[order] for name, array in found.items()}
    axes = {
        "quality": quality.mean(1)[order],
        "synthetic_fraction": size.graded_fractions,
        "seed": np.arange(size.seeds),
    }
    names = [str({k: v for k, v in size.teachers[i]._asdict().items() if v is not None}) for i in order]
    result = dataset(arrays, attrs | {"teachers": "; ".join(names)}, **axes)
    return result.assign(quality_by_seed=(("quality", "seed"), quality[order]))


def _lessons(task: Task, teachers: Sequence[Taught], fractions: Sequence[float]) -> Lessons:
    labels = [mixed_labels(task, rows, teachers, fractions) for rows in (task.train, task.validation)]
    return Lessons(task.images, task.train, labels[0], task.validation, labels[1])


def _errors(task: Task, lessons: Lessons, n: int, width: int, size: Size, parts: Parts, name: str) -> Arrays:
    """(G, F) errors of trained networks; NaN where training diverged."""

    def compute() -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        together = _seeds_that_fit(lessons, width, size)
        for start in range(0, size.seeds, together):
            seeds = slice(start, start + together)
            own = Lessons(lessons.images, *(array[seeds] for array in lessons[1:]))
            folder = parts.checkpoint(name, start)
            result = train(
                task.keys[seeds], own, n, width=width, recipe=size.recipe, mesh=_mesh(own), checkpoint=folder
            )
            # One device again: what follows is little work.
            weights = jax.device_put(result.weights, jax.devices()[0])
            errors = measured(task.of_seeds(seeds), predictions(weights, task.images, task.test[seeds]))
            found.append({key: jnp.where(result.diverged > 0, jnp.nan, value) for key, value in errors.items()})
        return {key: jnp.concatenate([one[key] for one in found]) for key in found[0]}

    return parts.get(name, compute)


def _seeds_that_fit(lessons: Lessons, width: int, size: Size) -> int:
    """All seeds, or as many as the memory takes; at least one, of which ``train`` then complains."""
    one = Lessons(lessons.images, *(array[:1] for array in lessons[1:]))
    each = memory_needed(one, width, size.recipe) - lessons.images.nbytes
    fit = int(min((0.9 * free_memory() - lessons.images.nbytes) / each, size.seeds))
    if 1 <= fit < size.seeds:
        warnings.warn(f"memory for {fit} of {size.seeds} seeds at width {width:,}; they take turns", RuntimeWarning, 2)
    return max(fit, 1)


def _mesh(lessons: Lessons) -> jax.sharding.Mesh | None:
    """All devices, where they divide the seeds or the networks of each; one otherwise."""
    devices = jax.device_count()
    groups, _, networks, _ = lessons.outputs.shape
    if devices == 1 or (groups % devices and networks % devices):
        return None
    return jax.make_mesh((devices,), ("networks",), axis_types=(jax.sharding.AxisType.Auto,))
