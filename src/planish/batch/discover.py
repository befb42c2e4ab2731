"""`discover`: the slides in a folder of scanner exports, without opening any."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from planish.batch.entry import Found, shown
from planish.batch.grouping import Group, flat_in, groups_in, inner_folders, is_zarr, output_stem, results_in
from planish.batch.walk import Identity, Listing, Walk, below
from planish.errors import SlideError, SlideNotFound


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a folder holds.

    Attributes
    ----------
    found : tuple of Found
        The slides, sorted by their relative paths.
    notes : tuple of str
        What was passed over, why, and what to do; sorted by place.
    """

    found: tuple[Found, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    found: Found
    identity: tuple[Identity, ...]
    linked: bool


def discover(folder: Path, patterns: Sequence[str] = (), *, flat: bool = False) -> Discovery:
    """Find the slides in a folder and in those below it, also behind symbolic links; nothing is opened as a slide.

    Parameters
    ----------
    folder : Path
        Where to look; it may itself be a slide: one image per focal plane, a DICOM series, a Zarr.
    patterns : sequence of str
        Only slides are wanted whose path below `folder`, or whose name, fits one of these, as in a shell but with
        ``*`` for any characters, in either case. One that ends with the suffix, such as ``*.dat``, also finds files
        that are no slides by their suffix.
    flat : bool, optional
        Find the flat slides that planish wrote as well.

    Returns
    -------
    Discovery
        Empty where there are none.

    Raises
    ------
    SlideNotFound
        Where there is no such folder.
    SlideError
        Where it is a file, or cannot be listed.
    """
    _check(folder)
    wanted = _Patterns(tuple(pattern.lower() for pattern in patterns))
    if is_zarr(folder):
        return Discovery((_candidate(Listing(folder, Path(), False, {}, {}), Group("", (), ("",), True)).found,), ())
    walk = Walk(folder, inner_folders)
    candidates: list[_Candidate] = []
    notes = walk.notes
    results = 0
    try:
        for listing in walk:
            written = flat_in(listing) if flat else []
            results += len(results_in(listing)) - len(written)
            for group in (*groups_in(listing, partial(wanted.name_suffix, listing)), *written):
                if not wanted.want(listing, group):
                    continue
                if group.problem:
                    notes.append((listing.relative, group.problem))
                else:
                    candidates.append(_candidate(listing, group))
    except OSError as error:
        raise SlideError(f"{shown(folder)}: cannot be listed ({error.strerror}); allow reading it") from error
    if results:
        notes.append((Path(), f"{results} results of planish lie in it (such as *.flat.tif); they were passed over"))
    found = _once(candidates, notes)
    texts = [f"{shown(place if place.parts else folder)}: {text}" for place, text in sorted(notes, key=_by_place)]
    return Discovery(tuple(found), tuple(texts))


def clashes(found: Iterable[Found]) -> dict[Path, tuple[Found, ...]]:
    """Return the slides that share the name of their outputs, by that name."""
    named: dict[Path, list[Found]] = defaultdict(list)
    for each in found:
        named[each.stem].append(each)
    return {stem: tuple(group) for stem, group in named.items() if len(group) > 1}


@dataclass(frozen=True, slots=True)
class _Patterns:
    """What a person wants to be found; everything where nothing is said."""

    lower: tuple[str, ...]

    def want(self, listing: Listing, group: Group) -> bool:
        """Whether the slide, its folder where that is the slide, or one of its files fits."""
        named = [listing.relative / name for name in {group.name, *group.files}]
        return not self.lower or any(self._fits(path, pattern) for path in named for pattern in self.lower)

    def name_suffix(self, listing: Listing, name: str) -> bool:
        """Whether a pattern means a file of any suffix; ``scan1/*`` means slides and not the notes beside them."""
        suffix = Path(name).suffix.lower()
        tails = [(pattern, pattern.rpartition("/")[2]) for pattern in self.lower]
        return any(
            tail.endswith(suffix)
            and tail.strip("*?")
            and fnmatchcase(name.lower(), tail)
            and self._fits(listing.relative / name, pattern)
            for pattern, tail in tails
        )

    def _fits(self, path: Path, pattern: str) -> bool:
        return fnmatchcase(str(path).lower(), pattern) or fnmatchcase(path.name.lower(), pattern)


def _check(folder: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SlideNotFound(f"{shown(folder)}: no such folder; check the path") from error
    except OSError as error:
        raise SlideError(f"{shown(folder)}: cannot be looked at ({error.strerror}); check its permissions") from error
    if not is_folder:
        raise SlideError(f"{shown(folder)}: is a file; name a folder, or use planish flatten for a single slide")


def _candidate(listing: Listing, group: Group) -> _Candidate:
    files = [listing.files[name] for name in group.files]
    inner = [facts for name in group.folders for facts in below(listing.path / name)]
    path = listing.path / group.name
    files_of, folders_of = (
        tuple(str((listing.path / name).relative_to(path.parent)) for name in names)
        for names in (group.files, group.folders)
    )
    found = Found(
        path=path,
        relative=listing.relative / group.name,
        stem=_stem(listing, group),
        size=sum(file.size for file in files) + sum(facts.st_size for facts in inner),
        mtime_ns=max([*(file.mtime_ns for file in files), *(facts.st_mtime_ns for facts in inner)], default=0),
        flat=group.flat,
        files=files_of,
        folders=folders_of,
    )
    item = listing.files.get(group.name) or listing.folders.get(group.name)
    identity = tuple(file.identity for file in files) or ((item.identity,) if item else ())
    return _Candidate(found, identity, listing.linked or (item is not None and item.link))


def _stem(listing: Listing, group: Group) -> Path:
    if not group.whole:
        return listing.relative / output_stem(group.name)
    if listing.relative.parts:
        return listing.relative
    # The name of the folder that "." or ".." stands for, by the way it was reached.
    name = os.path.basename(os.path.abspath(listing.root)) or "slide"  # noqa: PTH100, PTH119
    return Path(output_stem(name) if is_zarr(listing.root) else name)


def _once(candidates: list[_Candidate], notes: list[tuple[Path, str]]) -> list[Found]:
    """Return each slide as it was reached without links, or else first, and note its other names."""
    kept: dict[tuple[Identity, ...], Found] = {}
    for each in sorted(candidates, key=lambda each: (each.linked, each.found.relative.parts)):
        first = kept.setdefault(each.identity, each.found)
        if first is not each.found:
            notes.append((each.found.relative, f"is the same as {shown(first.relative)}, under which it is kept"))
    return sorted(kept.values(), key=lambda found: found.relative.parts)


def _by_place(note: tuple[Path, str]) -> tuple[tuple[str, ...], str]:
    return note[0].parts, note[1]
