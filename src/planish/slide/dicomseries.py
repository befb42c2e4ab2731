"""Which files of a folder are one whole-slide series of DICOM, and which images they hold."""

from __future__ import annotations

import threading
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import VLWholeSlideMicroscopyImageStorage
from upath import UPath
from wsidicom.file.io import WsiDicomReader, WsiDicomReadIO

from planish.errors import SlideError, UnsupportedSlide
from planish.model import Missing
from planish.slide.dicomimage import DicomImage, open_image
from planish.slide.foreign import reason

_UIDS_END, _FRAMES_START = 0x00209200, 0x52009230
_MAGIC_PLACE = 128
_RESAMPLED = "RESAMPLED"
"""Last word of the kind of an image that was made smaller."""
_ONE_AT_A_TIME = threading.RLock()
_ASSOCIATED = {"LABEL": "label", "OVERVIEW": "macro", "THUMBNAIL": "thumbnail"}
"""DICOM's names, and those that planish and OpenSlide use."""


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A file, and what its first attributes say.

    Attributes
    ----------
    path : Path
        Its place.
    study, series : str
        UIDs.
    kind : str
        ``"VOLUME"``, ``"LABEL"``, ``"OVERVIEW"``, ``"THUMBNAIL"``, or whatever stands there.
    parts : int
        Files of the same image, as it says itself.
    instance : str
        UID of its own.
    """

    path: Path
    study: str
    series: str
    kind: str
    parts: int
    instance: str


@dataclass(frozen=True, slots=True)
class Series:
    """The images of a series.

    Attributes
    ----------
    images : tuple of DicomImage
        Those of the slide itself, the largest first.
    header : Dataset
        Attributes of the largest, up to its frames.
    associated : dict of str to Path
        Label, macro, thumbnail.
    notes : tuple of str
        What was left out.
    files : tuple of Path
        All of the series.
    """

    images: tuple[DicomImage, ...]
    header: Dataset
    associated: dict[str, Path]
    notes: tuple[str, ...]
    files: tuple[Path, ...]


def open_series(source: Path) -> Series:
    """Open the series that a file belongs to, or that a folder holds.

    Raises
    ------
    UnsupportedSlide
        Where there is no whole-slide image, or more than one series.
    SlideError
        Where a file is damaged, or one is missing.
    """
    folder = source if source.is_dir() else source.parent
    paths = sorted(path for path in folder.iterdir() if path.is_file() and _says_dicom(path))
    with lenient():
        found = [file for path in paths if (file := read_uids(path)) is not None]
        own = [file for file in found if file.path == source]
        if not own and not source.is_dir():
            raise UnsupportedSlide(f"{source}: is DICOM, but no whole-slide image; give a file of one")
        names = Counter((file.study, file.series) for file in own or found)
        if len(names) != 1:
            raise UnsupportedSlide(_many(source, list(names)))
        ((study, series),) = names
        files = [file for file in found if (file.study, file.series) == (study, series)]
        return _open_files(source, files, len(paths) - len(found) if source.is_dir() else 0)


def _many(source: Path, names: Sequence[tuple[str, str]]) -> str:
    if not names:
        return f"{source}: holds DICOM files, but no whole-slide image; give the folder of one"
    shown = "; ".join(f"study {study}, series {series}" for study, series in names[:2])
    return f"{source}: holds {len(names)} series of whole-slide images ({shown}); give a file of the one to open"


def _open_files(source: Path, files: Sequence[DicomFile], others: int) -> Series:
    _refuse_copies(files)
    notes = [f"{others} DICOM files of the folder are no whole-slide images, and left out"] if others else []
    unknown = Counter(file.kind for file in files if file.kind not in ("VOLUME", *_ASSOCIATED))
    notes += [f"{count} images of kind {kind or 'unknown'} are left out" for kind, count in unknown.items()]
    volumes = [file for file in files if file.kind == "VOLUME"]
    if not volumes:
        kinds = ", ".join(sorted({file.kind or "none" for file in files}))
        raise UnsupportedSlide(
            f"{source}: is DICOM, but holds no whole slide: its kind of image is {kinds} where VOLUME is needed"
        )
    images = open_images(volumes)
    images.sort(key=lambda image: -image.width * image.height)
    associated = {_ASSOCIATED[file.kind]: file.path for file in files if file.kind in _ASSOCIATED}
    header = _read(images[0].path, _FRAMES_START)
    if _RESAMPLED in (header.get("ImageType") or ()):
        notes.append("its largest image says that it was resampled from another, so the full size may be missing")
    paths = tuple(file.path for file in files)
    return Series(tuple(images), header, associated, tuple(map(Missing, notes)), paths)


def _refuse_copies(files: Sequence[DicomFile]) -> None:
    """Raise where two files are the same image, as a download that was repeated leaves them."""
    first: dict[str, Path] = {}
    for file in files:
        other = first.setdefault(file.instance or str(file.path), file.path)
        if other != file.path:
            raise SlideError(f"{file.path}: is a copy of {other.name}, both say that they are the same; remove one")


def open_images(files: Sequence[DicomFile]) -> list[DicomImage]:
    """Open the images that files hold, one of several files where they belong together."""
    readers: list[WsiDicomReader] = []
    try:
        parts = defaultdict(list)
        for file in files:
            reader = _open_reader(file.path)
            readers.append(reader)
            parts[str(reader.uids.identifier)].append((reader, file))
        for together in parts.values():
            expected = max(file.parts for _, file in together)
            if len(together) != expected and expected > 1:
                raise SlideError(
                    f"{together[0][1].path}: is one of {expected} files of an image, of which {len(together)} are "
                    "there; add the others"
                )
        return [open_image([reader for reader, _ in together]) for together in parts.values()]
    except BaseException:
        for reader in readers:
            reader.close()
        raise


def _open_reader(path: Path) -> WsiDicomReader:
    stream = path.open("rb")
    try:
        reader = WsiDicomReader(WsiDicomReadIO(stream, UPath(path)))
        assert reader.uids  # read when asked for, and to fail here
        return reader
    except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
        stream.close()
        why = reason(error).replace("WsiDicomReadIO", "").strip()
        raise UnsupportedSlide(
            f"{path}: is no whole-slide image that wsidicom reads ({why}); export it again, or as OME-TIFF"
        ) from error


def read_uids(path: Path) -> DicomFile | None:
    """Read what tells files apart; None where a file is no whole-slide image."""
    header = _read(path, _UIDS_END)
    try:
        if header.get("SOPClassUID") != VLWholeSlideMicroscopyImageStorage:
            return None
        study, series = str(header.get("StudyInstanceUID") or ""), str(header.get("SeriesInstanceUID") or "")
        kinds = list(header.get("ImageType") or [])
        parts = int(header.get("InConcatenationTotalNumber") or 1)
        instance = str(header.get("SOPInstanceUID") or "")
    except Exception as error:  # as in _read, for values are parsed when they are asked for
        raise SlideError(f"{path}: is damaged DICOM ({reason(error)}); copy or export it again") from error
    if not (study and series):
        raise SlideError(f"{path}: is damaged DICOM (it names no study or series); copy or export it again")
    return DicomFile(path, study, series, str(kinds[2]) if len(kinds) > 2 else "", parts, instance)


def _read(path: Path, stop: int) -> Dataset:
    def beyond(tag: BaseTag, vr: str | None, length: int) -> bool:
        return int(tag) >= stop

    try:
        with path.open("rb") as file:
            return read_partial(file, stop_when=beyond)
    except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
        raise SlideError(f"{path}: is damaged DICOM ({reason(error)}); copy or export it again") from error


@contextmanager
def lenient() -> Iterator[None]:
    """Take values that break a rule of DICOM as they are, and in silence: real files hold many."""
    # What it sets holds for the whole process, so one thread at a time sets it and puts it back.
    with _ONE_AT_A_TIME, pydicom.config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _says_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_MAGIC_PLACE)
        return file.read(4) == b"DICM"
