"""How a grid is cut into chunks: contiguous blocks of points, for some seeds each. A chunk is computed, and stored, whole."""

import math
from typing import NamedTuple


class Layout(NamedTuple):
    """Blocks of ``block`` points along the axes of ``shape``, for ``seed_block`` of the seeds, the seeds outermost.

    Example:
        >>> layout = layout_of((3, 4), seeds=5, points=5, seeds_together=2)
        >>> layout.block, layout.chunks, layout.points(1), layout.region(4)
        ((1, 4), 9, range(4, 8), (slice(1, 2, None), slice(0, 4, None), slice(2, 4, None)))
    """

    shape: tuple[int, ...]
    seeds: int
    block: tuple[int, ...]
    seed_block: int

    @property
    def blocks(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(-(-size // part) for size, part in zip(self.shape, self.block, strict=True))

    @property
    def chunks(self) -> int:
        return math.prod(self.blocks) * -(-self.seeds // self.seed_block)

    def region(self, chunk: int) -> tuple[slice, ...]:
        """Slices of the axes, then of the seeds."""
        seed, position = divmod(chunk, math.prod(self.blocks))
        slices = [_slice(seed, self.seed_block, self.seeds)]
        for blocks, part, size in zip(self.blocks[::-1], self.block[::-1], self.shape[::-1], strict=True):
            position, at = divmod(position, blocks)
            slices.insert(0, _slice(at, part, size))
        return tuple(slices)

    def points(self, chunk: int) -> range:
        """Flat indices of the chunk's points: contiguous, in the order of the axes."""
        *slices, _ = self.region(chunk)
        start = 0
        for piece, size in zip(slices, self.shape, strict=True):
            start = start * size + piece.start
        return range(start, start + math.prod(piece.stop - piece.start for piece in slices))

    def seeds_of(self, chunk: int) -> range:
        seeds = self.region(chunk)[-1]
        return range(seeds.start, seeds.stop)


def layout_of(shape: tuple[int, ...], seeds: int, points: int, seeds_together: int) -> Layout:
    """The layout with blocks of at most ``points`` points, evenly cut, so that each is contiguous."""
    block, inner = [], 1
    for size in shape[::-1]:
        pieces = -(-size // max(1, points // inner))
        block.insert(0, -(-size // pieces))
        inner = inner * size if pieces == 1 else points
    return Layout(shape, seeds, tuple(block), min(seeds, seeds_together))


def _slice(index: int, part: int, size: int) -> slice:
    return slice(index * part, min(size, (index + 1) * part))
