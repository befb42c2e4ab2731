"""Which files of a folder make one slide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from planish.batch.entry import shown
from planish.batch.heads import dicom_series, index_files, is_dicom, ome_elsewhere, ome_files
from planish.batch.planes import PICTURES, Stack, stacks_in
from planish.batch.walk import Listing
from planish.slide.images import SUFFIXES

TIFFS = (".tif", ".tiff", ".btf", ".tf2", ".tf8")
SLIDES = (
    *(".svs", ".ndpi", ".scn", ".bif", ".mrxs", ".vms", ".vmu", ".svslide", ".qptiff", ".npy"),
    *(".czi", ".vsi", ".isyntax", ".i2syntax", ".lif", ".nd2", ".lsm", ".stk", ".oir", ".kfb", ".sdpc"),
)
"""Slides whatever lies beside them. The second line holds what planish cannot read, or not yet: such a file fails by
name, where it would be missed otherwise."""
_OME_TIFFS = tuple(f".ome{suffix}" for suffix in TIFFS)
_DICOM = (".dcm", ".dicom")
_RESULTS = (".flat.tif", ".flat.tiff", ".heatmap.png", ".map.json", ".record.json")


@dataclass(frozen=True, slots=True)
class Group:
    """The files of one slide, all in one folder.

    Attributes
    ----------
    name : str
        What is opened: a file or a folder; empty for the folder itself.
    files : tuple of str
        The slide's files.
    folders : tuple of str
        Folders whose files are the slide's as well.
    whole : bool
        Whether the folder gives the slide its name.
    problem : str
        Why these files are no slide that can be opened; mostly empty.
    flat : bool
        Whether planish wrote it.
    """

    name: str
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    whole: bool = False
    problem: str = ""
    flat: bool = False


def inner_folders(listing: Listing) -> set[str]:
    """Return the folders that are, or belong to, slides of the folder they lie in."""
    zarrs = {name for name in listing.folders if is_zarr(Path(name))}
    return zarrs.union(*(_companion_folders(listing, name) for name in listing.files))


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr by its name."""
    return path.suffix.lower() == ".zarr"


def results_in(listing: Listing) -> set[str]:
    """Return the files that planish wrote itself: by their names, or by the record beside them."""
    return {
        name
        for name in listing.files
        if name.lower().endswith(_RESULTS)
        or (Path(name).suffix.lower() in TIFFS and f"{Path(name).stem}.record.json" in listing.files)
    }


def flat_in(listing: Listing) -> list[Group]:
    """Return the slides among the files that planish wrote."""
    return [
        Group(name, (name,), flat=True) for name in sorted(results_in(listing)) if Path(name).suffix.lower() in TIFFS
    ]


def output_stem(name: str) -> str:
    """Return the name of a slide's outputs: without its suffix, and without the ``.ome`` before it."""
    path = Path(name)
    if path.suffix[1:].isdigit():  # as in files that are named by their DICOM identifier
        return name
    stem = Path(path.stem)
    return stem.stem if stem.suffix.lower() == ".ome" else path.stem


def groups_in(listing: Listing, asked: Callable[[str], bool]) -> list[Group]:
    """Return the slides of a folder, and the images of which none can be made.

    Parameters
    ----------
    listing : Listing
        The folder.
    asked : callable
        Name -> whether a file is taken for a slide whatever its suffix.
    """
    results = results_in(listing)
    left = [name for name in listing.files if name not in results]
    slides = [Group(name, folders=(name,)) for name in listing.folders if is_zarr(Path(name))]
    for find in (_indexed, _series, _ome_sets):
        slides += find(listing, left)
        taken = {name for slide in slides for name in slide.files}
        left = [name for name in left if name not in taken]
    images = stacks_in([name for name in left if Path(name).suffix.lower() in (*TIFFS, *PICTURES)])
    planes = {name for stack in images for name in stack.names}
    slides += [
        Group(name, (name,), tuple(_companion_folders(listing, name)))
        for name in left
        if name not in planes and Path(name).suffix.lower() in (*SLIDES, *TIFFS)
    ]
    slides += _stack(listing, images, [slide.name for slide in slides if slide.files])
    taken = {name for slide in slides for name in slide.files}
    return [*slides, *(Group(name, (name,)) for name in left if name not in taken and asked(name))]


def _companion_folders(listing: Listing, name: str) -> set[str]:
    path = Path(name)
    match path.suffix.lower():
        case ".mrxs" if path.stem in listing.folders and _is_mirax(listing.path / path.stem):
            found = {path.stem}
        case ".vsi":
            found = {f"_{path.stem}_"}
        case _:
            found = set()
    return found & set(listing.folders)


def _is_mirax(folder: Path) -> bool:
    try:
        return (folder / "Slidedat.ini").exists()
    except OSError:  # where the folder may not be entered
        return True


def _indexed(listing: Listing, names: Iterable[str]) -> Iterator[Group]:
    """Yield Hamamatsu's slides of many JPEGs."""
    for name in names:
        if Path(name).suffix.lower() in (".vms", ".vmu"):
            named = index_files(listing.path / name)
            yield Group(name, (name, *(other for other in listing.files if other in named and other != name)))


def _series(listing: Listing, names: Iterable[str]) -> Iterator[Group]:
    """Yield the DICOM series, by their first files: whichever OpenSlide is given, it finds the others."""
    series: dict[bytes, list[str]] = defaultdict(list)
    for name in names:
        suffix = Path(name).suffix.lower()
        bare = (not suffix or suffix[1:].isdigit()) and name.upper() != "DICOMDIR"
        if suffix in _DICOM or (bare and is_dicom(listing.path / name)):
            series[dicom_series(listing.path / name)].append(name)
    for files in series.values():
        yield Group(files[0], tuple(files), whole=len(series) == 1)


def _ome_sets(listing: Listing, names: Iterable[str]) -> Iterator[Group]:
    """Yield the OME-TIFFs of several files: those that name the same files, so that none can claim another's."""
    paths = {name: listing.path / name for name in names if name.lower().endswith(_OME_TIFFS)}
    named = {name: ome_files(path) for name, path in paths.items()}
    sets: dict[frozenset[str], list[str]] = defaultdict(list)
    for name, files in named.items():
        sets[files].append(name)
    for name in sets.pop(frozenset(), []):
        files = named.get(ome_elsewhere(paths[name]), frozenset())
        if name in files:
            sets[files].append(name)
    for members in sets.values():
        if len(members) > 1:
            yield Group(members[0], tuple(members))


def _stack(listing: Listing, stacks: list[Stack], others: list[str]) -> Iterator[Group]:
    """Yield the folder as one stack, or what keeps it from being one."""
    firm = any(Path(name).suffix.lower() not in TIFFS for name in others)
    if firm:  # pictures beside slides show or belong to them
        stacks = [stack for stack in stacks if Path(stack.names[0]).suffix.lower() in TIFFS]
    if not stacks:
        return
    files = tuple(name for stack in stacks for name in stack.names)
    odd = [name for name in listing.files if Path(name).suffix.lower() in SUFFIXES and name not in files]
    if len(stacks) == 1 and stacks[0].clear and not odd and not firm:
        yield Group("", files, whole=True)
        return
    some = f"{len(files)} images such as {shown(Path(files[0]))}"
    if not all(stack.clear for stack in stacks):
        problem = f"{some} differ in several numbers, so that nobody can tell which are planes of one slide"
    elif len(stacks) > 1:
        problem = f"{some} are planes of {len(stacks)} stacks"
    else:
        beside = shown(Path([*odd, *others][0]))
        problem = f"{some} are planes of a stack, but other images lie beside them, such as {beside}"
    yield Group("", files, problem=f"{problem}; passed over: put each stack into a folder of its own")
