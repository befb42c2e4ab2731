"""`ZarrFile`: an OME-Zarr folder that is open: its images, and their arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numcodecs.errors
import zarr
import zarr.errors

from planish.errors import PlanishError, SlideError, TileError, UnsupportedSlide
from planish.slide.bytefile import ChunkCache
from planish.slide.foreign import reason
from planish.slide.omezarrimage import ZarrImage, read_images
from planish.slide.omezarrlevel import METADATA, ZarrLevel

_MEMORY_BYTES, _DISK_BYTES = 32 << 20, 4 << 30
"""Of decoded chunks that several tiles or planes lie in. An eighth of the first is where temporary files begin: chunks
of a whole camera frame are 10 MB, and a look at one place takes one of every plane."""


class ZarrFile:
    """An OME-Zarr folder; shared by the slides of its images.

    Attributes
    ----------
    path : Path
        The folder.
    images : tuple of ZarrImage
        All that it holds, at least one.
    closed : bool
        Whether reading has ended.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.closed = path, False
        self._cache = ChunkCache(_MEMORY_BYTES, _DISK_BYTES)
        self._levels: dict[tuple[str, str], ZarrLevel] = {}
        try:
            self.images = tuple(self._find())
        except PlanishError:
            raise
        except Exception as error:  # metadata of any shape throws its readers off in any way
            raise SlideError(f"{path}: its OME-Zarr metadata is damaged ({reason(error)}); export it again") from error

    def close(self) -> None:
        """End reading."""
        self.closed = True

    def _find(self) -> list[ZarrImage]:
        attributes = self._attributes("")
        told = _told(attributes)
        if "multiscales" in told:
            return read_images(str(self.path), "", attributes)
        for kind, example in (("plate", "A/1/0"), ("well", "0")):
            if kind in told:
                raise UnsupportedSlide(
                    f"{self.path}: is a {kind} with many images; name one of its fields, such as {self.path / example}"
                )
        if "bioformats2raw.layout" not in told:
            raise SlideError(
                f"{self.path}: its metadata tells of no image ('multiscales' is missing); name the folder of an image "
                "inside it, or export it again as OME-Zarr"
            )
        return [image for group in self._series() for image in self._images_of(group)]

    def _series(self) -> list[str]:
        """Return the groups of the images, as the file lists them or in the order of their numbers."""
        if (self.path / "OME").is_dir():
            listed = _told(self._attributes("OME")).get("series")
            if listed:
                return [str(group) for group in listed]
        numbers = sorted(int(each.name) for each in self.path.iterdir() if each.name.isdecimal() and each.is_dir())
        if not numbers:
            raise SlideError(f"{self.path}: its images ('0', '1' …) are missing; copy or export it again")
        return [str(number) for number in numbers]

    def _images_of(self, group: str) -> list[ZarrImage]:
        attributes = self._attributes(group)
        if "multiscales" not in _told(attributes):
            raise SlideError(f"{self.path / group}: its metadata has no 'multiscales'; export it again")
        return read_images(str(self.path / group), group, attributes)

    def _attributes(self, group: str) -> Mapping[str, Any]:
        place = self.path / group
        node = self._node(place)
        if isinstance(node, zarr.Array):
            raise UnsupportedSlide(
                f"{place}: is a single Zarr array, which does not say what its axes are; name the folder of the "
                "OME-Zarr image around it"
            )
        return node.attrs.asdict()

    def _node(self, place: Path) -> zarr.Array[Any] | zarr.Group:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of codecs without a specification, and the like
                return zarr.open(str(place), mode="r", use_consolidated=False)
        except (zarr.errors.UnknownCodecError, numcodecs.errors.UnknownCodecError) as error:
            raise UnsupportedSlide(
                f"{place}: its chunks are compressed by a codec that is not installed ({reason(error)}); install the "
                "package of that codec, or export it again with Zstd or Blosc"
            ) from error
        except (FileNotFoundError, zarr.errors.NodeNotFoundError) as error:
            raise SlideError(
                f"{place}: is no whole Zarr, its metadata (zarr.json, .zgroup) is missing; copy or export it again"
            ) from error
        except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
            raise SlideError(f"{place}: its Zarr metadata is damaged ({reason(error)}); export it again") from error

    def level(self, number: int, path: str) -> ZarrLevel:
        """Return a level of the image of that number.

        Raises
        ------
        SlideError
            Where it is missing or damaged.
        UnsupportedSlide
            Where it is compressed by a codec that is not installed.
        """
        image = self.images[number]
        key = (image.group, path)
        if key not in self._levels:
            # Kept, so that all time points share the chunks that were decoded.
            self._levels[key] = self._open(image, path)
        return self._levels[key]

    def _open(self, image: ZarrImage, path: str) -> ZarrLevel:
        place = self.path / image.group / path
        if not any((place / name).is_file() for name in METADATA):
            raise SlideError(f"{self.path}: its metadata names the array {path}, which is missing; copy it again")
        node = self._node(place)
        if not isinstance(node, zarr.Array):
            raise SlideError(f"{self.path}: its metadata names the array {path}, which is a group; export it again")
        names = [axis.name for axis in image.axes]
        if node.ndim != len(names):
            raise SlideError(
                f"{self.path}: its metadata names {len(names)} axes ({', '.join(names)}), but array {path} has "
                f"{node.ndim}; export it again"
            )
        if min(*node.shape, *node.chunks) < 1:
            raise SlideError(f"{self.path}: array {path} is empty, an axis has no length; export it again")
        return ZarrLevel(node, names, place, self._cache)

    def check_there(self, place: Path) -> None:
        """Raise where reading has ended, or the folder has gone: its chunks would pass for empty ones."""
        if self.closed:
            raise SlideError(f"{self.path}: read after closing; open it again")
        if not place.exists():
            raise TileError(f"{self.path}: vanished while it was read; check the disk or network")


def _told(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what OME-Zarr says in a group's attributes: in ``ome`` since 0.5."""
    inner = attributes.get("ome")
    return inner if isinstance(inner, Mapping) else attributes
