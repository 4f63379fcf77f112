"""Where chunks of results are kept: in memory, or in a zarr store that a killed sweep goes on from.

A store is one array a variable, cut into the chunks that the sweep computes, so that each file is written once, whole and
atomically. Beside them, in the group ``progress``, stands a checksum for each finished chunk, written after its files. Stores
of shares computed on separate machines become one by copying their files together.
"""

import shutil
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from collapse_jax import names
from collapse_jax.sweep.identity import differences
from collapse_jax.sweep.layout import Layout

Coordinates = Mapping[str, tuple[str, np.ndarray]]
PROGRESS = "progress"
CHECKSUM = f"{PROGRESS}/checksum"
UNREADABLE = 2**64 - 1  # no checksum is as large


class Variable(NamedTuple):
    """One array of results: the axes' dimensions, then the seeds if it has them, then its own."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: Any

    def region(self, layout: Layout, chunk: int) -> tuple[slice, ...]:
        region = layout.region(chunk)
        return region if "seed" in self.dims else region[:-1]

    def part(self, region: tuple[slice, ...]) -> tuple[int, ...]:
        """Shape of the array there."""
        return (*(piece.stop - piece.start for piece in region), *self.shape[len(region) :])


class Memory:
    """Results in memory."""

    def __init__(self, layout: Layout, variables: Mapping[str, Variable], coordinates: Coordinates) -> None:
        self.layout, self.variables, self.coordinates = layout, variables, coordinates
        self.arrays = {name: np.empty(like.shape, like.dtype) for name, like in variables.items()}

    def write(self, chunk: int, arrays: dict[str, np.ndarray]) -> None:
        for name, like in self.variables.items():
            region = like.region(self.layout, chunk)
            self.arrays[name][region] = arrays[name].reshape(like.part(region))

    def dataset(self) -> xr.Dataset:
        data = {name: (like.dims, self.arrays[name], names.attributes(name)) for name, like in self.variables.items()}
        coords = {name: (dim, values, names.attributes(name)) for name, (dim, values) in self.coordinates.items()}
        return xr.Dataset(data, coords)


class Store:
    """Results in a zarr store on disk, made if it is not there."""

    def __init__(
        self,
        path: Path,
        layout: Layout,
        variables: Mapping[str, Variable],
        coordinates: Coordinates,
        identity: dict[str, Any],
    ) -> None:
        import zarr

        self.path, self.layout, self.variables = path, layout, variables
        self.done = 0
        if not (path / "zarr.json").exists():
            with self._disk_errors("created"):
                _create(path, layout, variables, coordinates, identity)
        group = _open(path)
        differing = differences(identity, group.attrs.asdict())
        if differing:
            raise ValueError(
                f"store {path} was made by another sweep:\n"
                + "\n".join(f"  - {line}" for line in differing)
                + "\nChoose another path for this sweep, or remove the store to start again."
            )
        try:
            # NaN, too, is written as it is: its sign and the checksum with it would change if it were filled in.
            with zarr.config.set({"array.write_empty_chunks": True}):
                self.arrays: dict[str, Any] = {name: group[name] for name in variables}
                self.checksums: Any = group[CHECKSUM]
            self.dataset()  # its coordinates can be read
        except Exception as error:
            raise _damaged(path, error) from error

    def finished(self) -> list[int]:
        """Chunks that are there and whole; a damaged one is warned of and counts as missing."""
        checksums = self._checksums()
        whole = []
        for chunk in np.flatnonzero(checksums).tolist():
            try:
                fits = _checksum(self.read(chunk)) == checksums[chunk]
                reason = "its content does not match its checksum"
            except Exception as error:
                fits, reason = False, str(error) or type(error).__name__
            if fits:
                whole.append(chunk)
            else:
                warnings.warn(
                    f"chunk {chunk} of store {self.path} is damaged ({reason}): it is computed again, the others are kept",
                    RuntimeWarning,
                    stacklevel=5,
                )
        self.done = len(whole)
        return whole

    def read(self, chunk: int) -> dict[str, np.ndarray]:
        """Arrays (points, seeds, ...) of one chunk, with one seed where the variable has none."""
        points, arrays = len(self.layout.points(chunk)), {}
        for name, like in self.variables.items():
            region = like.region(self.layout, chunk)
            seeds = len(self.layout.seeds_of(chunk)) if "seed" in like.dims else 1
            arrays[name] = np.asarray(self.arrays[name][region]).reshape(points, seeds, *like.shape[len(region) :])
        return arrays

    def write(self, chunk: int, arrays: dict[str, np.ndarray]) -> None:
        with self._disk_errors("written"):
            for name, like in self.variables.items():
                region = like.region(self.layout, chunk)
                self.arrays[name][region] = arrays[name].reshape(like.part(region))
            self.checksums[chunk : chunk + 1] = np.array([_checksum(arrays)], np.uint64)
        self.done += 1

    def completeness(self) -> str:
        """How many chunks are finished, by all processes together."""
        return f"{np.count_nonzero(self._checksums())} of {self.layout.chunks} finished"

    def dataset(self) -> xr.Dataset:
        """The dataset, its arrays read from disk when they are used."""
        return xr.open_zarr(self.path, chunks=None, consolidated=False)

    def _checksums(self) -> np.ndarray:
        """Checksums of the chunks: 0 where one is not finished, and one that fits nothing where its file is damaged."""
        try:
            return np.asarray(self.checksums[:])
        except Exception:
            return np.array([self._checksum(chunk) for chunk in range(self.layout.chunks)], np.uint64)

    def _checksum(self, chunk: int) -> int:
        try:
            return int(self.checksums[chunk])
        except Exception:
            return UNREADABLE

    @contextmanager
    def _disk_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                error.errno,
                f"store {self.path} could not be {what} ({error.strerror or error}). {self.done} of {self.layout.chunks} "
                "chunks are finished and kept: make room, or allow writing, and call again",
            ) from error


def stored(path: Path) -> dict[str, Any]:
    """What the store at this path was made of; nothing where there is no store."""
    return _open(path).attrs.asdict() if (path / "zarr.json").exists() else {}


def _open(path: Path) -> Any:
    import zarr

    try:
        return zarr.open_group(str(path), mode="r+", zarr_format=3, use_consolidated=False)
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"store {path} is not a sweep's store, or is damaged ({error}); choose another path, or remove it"
    )


def _create(
    path: Path,
    layout: Layout,
    variables: Mapping[str, Variable],
    coordinates: Coordinates,
    identity: dict[str, Any],
) -> None:
    """A new store, made aside and moved into place, so that no process sees half of one."""
    import zarr

    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        if (path / "zarr.json").exists():  # another process was faster
            return
        raise ValueError(f"store {path} exists and is not a sweep's store; choose another path, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        group = zarr.open_group(str(aside), mode="w", zarr_format=3, attributes=identity)
        for name, like in variables.items():
            parts = (*layout.block, layout.seed_block) if "seed" in like.dims else layout.block
            group.create_array(
                name,
                shape=like.shape,
                chunks=(*parts, *like.shape[len(parts) :]),
                dtype=like.dtype,
                fill_value=np.nan if np.issubdtype(like.dtype, np.inexact) else 0,
                dimension_names=like.dims,
                attributes={**names.attributes(name)},
            )
        for name, (dim, values) in coordinates.items():
            group.create_array(name, data=values, dimension_names=(dim,), attributes={**names.attributes(name)})
        group.create_array(CHECKSUM, shape=(layout.chunks,), chunks=(1,), dtype=np.uint64, fill_value=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that other libraries pass it over; xarray warns where it is not there
            zarr.consolidate_metadata(str(aside), zarr_format=3)
        aside.chmod(0o755)
        try:
            aside.rename(path)
        except OSError:
            if not (path / "zarr.json").exists():  # else another process was faster, and its store serves
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _checksum(arrays: Mapping[str, np.ndarray]) -> int:
    """Positive checksum of a chunk's content."""
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), total)
    return total + 1
