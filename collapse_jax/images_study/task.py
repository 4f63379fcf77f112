"""Images divided among teachers and students, and the labels that both kinds of author give them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from collapse_jax.data import digits, mnist
from collapse_jax.data.images import check_fraction, normalised, synthetic_rows
from collapse_jax.data.mnist import PUBLISHED_TEST
from collapse_jax.images_study.sizes import Size
from collapse_jax.networks.teachers import Taught, Teacher, noisy, teach

NOISE = 0.1  # standard deviation in each output of a teacher's labels


class Task(NamedTuple):
    """Images, who uses which, and random keys; leading axes (G,) are seeds.

    Attributes:
        name: of the images.
        images: (T, d) normalised, float32; ``outputs`` (T, c) one-hot labels less ``prior`` (c,); ``labels`` (T,).
        keys: (G,) of all that is random in a seed.
        teaching: (G, m) images that teachers may see, in random order.
        train: (G, N), ``validation`` (G, V) and ``test`` (G, t): images of the students.
    """

    name: str
    images: jax.Array
    outputs: jax.Array
    labels: jax.Array
    prior: jax.Array
    keys: jax.Array
    teaching: jax.Array
    train: jax.Array
    validation: jax.Array
    test: jax.Array

    def of_seeds(self, seeds: slice) -> "Task":
        """The task as some of its seeds see it."""
        own = {name: getattr(self, name)[seeds] for name in ("keys", "teaching", "train", "validation", "test")}
        return self._replace(**own)

    @property
    def pool(self) -> jax.Array:
        """Images that students train on or are tested on, the same for all seeds."""
        return jnp.sort(jnp.concatenate([self.train[0], self.validation[0], self.test[0]]))


def task(name: str, size: Size, seed: int) -> Task:
    """Divide the images "digits" or "mnist".

    Raises:
        FileNotFoundError: where MNIST is not on this disk.
        ValueError: where the images are too few, or a fraction leaves no image of one kind.

    Example:
        >>> from collapse_jax.images_study import size
        >>> problem = task("digits", size("digits", "mlp", "smoke"), seed=0)
        >>> problem.train.shape, problem.test.shape
        ((2, 260), (2, 100))
    """
    images = digits() if name == "digits" else mnist(dtype=jnp.float32)
    total, key = len(images.labels), jax.random.key(seed)
    fixed = np.arange(PUBLISHED_TEST.start, PUBLISHED_TEST.stop) if size.test is None else np.arange(0)
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 0), total))
    order = order[~np.isin(order, fixed)]
    teaching, pool = order[: size.teaching], order[size.teaching :][: size.pool]
    tested = size.test or 0
    left, most = len(pool) - tested - size.validation, max(*size.counts, size.graded_n)
    if left < most:
        raise ValueError(f"n is {most}; it must be at most {max(left, 0)}, the {name} that are left to train on")
    for fraction in (*size.fractions, *size.graded_fractions):
        check_fraction(max(size.counts), fraction)
    keys = jax.random.split(jax.random.fold_in(key, 1), size.seeds)
    pools = jax.vmap(lambda one: jax.random.permutation(jax.random.fold_in(one, 0), jnp.asarray(pool)))(keys)
    own = jax.vmap(lambda one: jax.random.permutation(jax.random.fold_in(one, 1), jnp.asarray(teaching)))(keys)
    test = pools[:, :tested] if tested else jnp.broadcast_to(jnp.asarray(fixed), (size.seeds, len(fixed)))
    known = normalised(images)
    return Task(
        name,
        known.inputs.astype(jnp.float32),
        known.outputs.astype(jnp.float32),
        known.labels,
        known.prior.astype(jnp.float32),
        keys,
        own,
        pools[:, tested + size.validation :],
        pools[:, tested : tested + size.validation],
        test,
    )


def taught(task: Task, teacher: Teacher) -> Taught:
    """What a teacher of each seed says of all images."""
    keys = jax.vmap(lambda key: jax.random.fold_in(key, 2))(task.keys)
    return teach(keys, task.images, task.outputs, task.teaching, task.prior, teacher)


def mixed_labels(task: Task, rows: jax.Array, teachers: Sequence[Taught], fractions: Sequence[float]) -> jax.Array:
    """(G, N, teachers * fractions, c) labels of images (G, N): of the first n, a share bears the teacher's noisy labels."""
    taught_rows = jnp.stack([jnp.asarray(synthetic_rows(rows.shape[1], fraction)) for fraction in fractions], 1)

    def of_seed(key: jax.Array, rows: jax.Array, *written: jax.Array) -> jax.Array:
        noise_key = jax.random.fold_in(key, 3)
        columns = [noisy(noise_key, outputs, NOISE)[rows] for outputs in written]
        mixed = [jnp.where(taught_rows[:, :, None], one[:, None], task.outputs[rows][:, None]) for one in columns]
        return jnp.concatenate(mixed, 1)

    return jax.vmap(of_seed)(task.keys, rows, *(teacher.outputs for teacher in teachers))


def measured(task: Task, predicted: jax.Array) -> dict[str, jax.Array]:
    """Of (G, t, F, c) predictions for the test images: (G, F) squared error on clean labels, and share misread."""
    truth = task.outputs[task.test][:, :, None]
    wrong = (predicted + task.prior[None, None, None]).argmax(-1) != task.labels[task.test][:, :, None]
    return {"total": ((predicted - truth) ** 2).sum(-1).mean(1), "misread": wrong.mean(1)}
