"""`write`: a one-plane slide into the kind of file that the output's name asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from planish.errors import OptionError, WriteError
from planish.files import check_folder_output, check_output, replacing, replacing_folder
from planish.slide.base import Slide
from planish.threads import Progress
from planish.write.kinds import KINDS
from planish.write.options import WriteOptions, Written
from planish.write.tiles import TileSource

Place = tuple[Path, ...]
"""What an output is written to before it gets its name: a file, a folder, or one of each."""


@dataclass(frozen=True)
class Container:
    """A kind of output.

    Attributes
    ----------
    check_slide : callable
        Raise OptionError where a slide cannot be written so, with these options.
    fill : callable
        Write a slide to a place, and check it.
    ours : callable or None
        Whether a folder is an output of this kind, which another may replace; None where the output is a file.
    source : callable or None
        Where its tiles come from, to compare them; None where that says nothing.
    reader : callable or None
        What opens it; None where no reader does.
    """

    check_slide: Callable[[Slide, WriteOptions], None]
    fill: Callable[[Slide, Place, WriteOptions, Progress | None], Written]
    ours: Callable[[Path], bool] | None = None
    source: Callable[[Slide, WriteOptions], TileSource] | None = None
    reader: Callable[[Path], Slide] | None = None

    def places(self, path: Path) -> Place:
        """Return what is replaced, or made, when `path` is written."""
        return (path,)

    def check(self, path: Path, *, overwrite: bool) -> None:
        """Raise the error that writing to `path` would end in."""
        if self.ours:
            check_folder_output(path, overwrite=overwrite, ours=self.ours)
        else:
            check_output(path, overwrite=overwrite)

    @contextmanager
    def replacing(self, path: Path, *, overwrite: bool) -> Iterator[Place]:
        """Yield the place that becomes `path` when the block ends well."""
        own = replacing_folder(path, overwrite=overwrite, ours=self.ours) if self.ours else None
        with own or replacing(path, overwrite=overwrite) as temporary:
            yield (temporary,)


def find_container(path: Path) -> Container:
    """Return the kind of output that a name asks for.

    Raises
    ------
    OptionError
        Where it asks for none, or for one whose library is not installed.
    WriteError
        Where it is that of a folder.
    """
    entry = KINDS.get(path.suffix.lower())
    if entry is None and path.is_dir():
        raise WriteError(f"{path}: is a folder; name a file in it")
    if entry is None:
        raise OptionError(f"{path}: the name says what kind of output it is; it ends in {', '.join(KINDS)}")
    try:
        container: Container = import_module(entry.module).CONTAINER
    except ModuleNotFoundError as error:
        if not entry.extra or (error.name or "").partition(".")[0] == "planish":
            raise
        raise OptionError(
            f"{path}: {entry.name} is written with {error.name}, which is missing; install it: "
            f"pip install 'planish[{entry.extra}]'"
        ) from error
    return container


def write(
    slide: Slide, path: str | Path, options: WriteOptions | None = None, progress: Progress | None = None
) -> Written:
    """Write a one-plane slide: as a pyramidal TIFF, a DICOM series, an OME-Zarr, or Deep Zoom tiles.

    Parameters
    ----------
    slide : Slide
        A slide with one plane, such as a `FlatSlide`.
    path : path
        The output, whose suffix chooses: one of `KINDS`. It appears whole, or not at all.
    options : WriteOptions
        What to copy, quality, levels, overwriting, threads; what a kind of output has no meaning for is refused.
    progress : callable
        Called with (stage, done, total); an exception it raises cancels the writing.

    Memory, for TIFF: per thread about three rows of tiles of level 0 (each width × tile height pixels), and two rows of
    each level above; 16 bytes per tile of the output. Independent of the height but for these. The modules of the other
    kinds say theirs.

    Raises
    ------
    OptionError
        Where the slide has several planes, or an option or the name asks for what cannot be had.
    WriteError
        Where writing fails, or the output does not read back as what was meant.
    """
    options, path = options or WriteOptions(), Path(path)
    container = find_container(path)
    container.check_slide(slide, options)
    with container.replacing(path, overwrite=options.overwrite) as place:
        return replace(container.fill(slide, place, options, progress), path=path)


def check_one_plane(slide: Slide) -> None:
    """Raise OptionError where a slide has more than the one plane that outputs hold."""
    if len(slide.planes) != 1:
        raise OptionError(f"{slide.name}: has {len(slide.planes)} planes; flatten it before writing")
