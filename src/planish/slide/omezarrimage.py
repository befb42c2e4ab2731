"""`ZarrImage`: what the metadata of an OME-Zarr says of one image: axes, levels, scale, channels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planish.errors import SlideError, UnsupportedSlide

_UM = {
    "angstrom": 1e-4, "picometer": 1e-6, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4,
    "decimeter": 1e5, "meter": 1e6, "inch": 25_400.0, "nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0,
    "mm": 1e3,
}  # fmt: skip
"""µm per unit: the specification's names of lengths, and signs that some writers put instead."""
_BEFORE_AXES = ("0.1", "0.2")
"""Versions whose arrays are always t, c, z, y, x."""
_RGB_NAMES = (("r", "g", "b"), ("red", "green", "blue"))
_RGB_COLOURS = ("FF0000", "00FF00", "0000FF")


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: one of ``t c z y x`` or another name, and µm per unit, None where the unit is no length."""

    name: str
    um: float | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A level: the path of its array, and per axis the step between pixels and the place of the first, in units."""

    path: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ZarrImage:
    """One image.

    Attributes
    ----------
    group : str
        Path of its group inside the Zarr, empty for the root.
    name : str
        As the file calls it; else its group.
    version : str
        Of OME-Zarr.
    axes : tuple of Axis
        In the order of the arrays.
    datasets : tuple of Dataset
        As the file lists them, or largest first.
    labels, colours : tuple of str
        Of the channels; empty where not told.
    model : str
        ``"color"`` or ``"greyscale"``; empty where not told.
    extra : Mapping
        What planish wrote beside.
    """

    group: str
    name: str
    version: str
    axes: tuple[Axis, ...]
    datasets: tuple[Dataset, ...]
    labels: tuple[str, ...]
    colours: tuple[str, ...]
    model: str
    extra: Mapping[str, Any]

    def axis(self, name: str) -> int | None:
        """Return the number of an axis, None where there is none such."""
        names = [axis.name for axis in self.axes]
        return names.index(name) if name in names else None

    def um_per_pixel(self, name: str) -> float | None:
        """Return the step along an axis at full size in µm, negative where it runs backwards; None where unknown."""
        place = self.axis(name)
        unit = None if place is None else self.axes[place].um
        if place is None or unit is None:
            return None
        step = self.datasets[0].scale[place] * unit
        return step if math.isfinite(step) and step else None

    def z_um(self, count: int) -> tuple[float | None, ...]:
        """Return the z of each plane, in the order of the array."""
        step, place = self.um_per_pixel("z"), self.axis("z")
        if step is None or place is None or not math.isfinite(self.datasets[0].translation[place]):
            return (None,) * count
        start = self.datasets[0].translation[place] * (self.axes[place].um or 0.0)
        return tuple(start + index * step for index in range(count))

    @property
    def runs_down(self) -> bool:
        """Whether planes are stored highest first."""
        place = self.axis("z")
        return place is not None and self.datasets[0].scale[place] < 0

    def rgb(self) -> tuple[tuple[int, ...] | None, str | None]:
        """Return where red, green and blue stand among three channels, None where they are others; and a note on that.

        Colours alone tell nothing: fluorescence is shown in red, green and blue, too.
        """
        named = tuple(label.lower() for label in self.labels)
        for names in _RGB_NAMES:
            if sorted(named) == sorted(names):
                order = tuple(named.index(name) for name in names)
                said = f"its channels are stored as {', '.join(self.labels)} and shown as red, green, blue"
                return order, None if order == (0, 1, 2) else said
        if any(_says_something(label) for label in self.labels):
            return None, None
        plain = not self.colours or tuple(colour.upper().lstrip("#") for colour in self.colours) == _RGB_COLOURS
        if self.model == "color" and plain:
            return (0, 1, 2), "its three channels have no names; they are taken for red, green and blue"
        return None, (
            "its three channels have no names and are kept apart; where they are red, green and blue, name them so in "
            "its 'omero' metadata: R, G, B"
        )


def _says_something(label: str) -> bool:
    """Whether a label is a name, and not a number such as ``Channel 1`` or ``C:0``."""
    letters = label.lower().replace("channel", "").replace("ch", "").strip("c:_-# 0123456789")
    return bool(letters)


def read_images(where: str, group: str, attributes: Mapping[str, Any]) -> list[ZarrImage]:
    """Return the images that the attributes of a group tell of; most tell of one.

    Parameters
    ----------
    where : str
        For errors.
    group : str
        Path of the group inside the Zarr.
    attributes : Mapping
        Those of the group, ``ome`` and all.

    Raises
    ------
    SlideError
        Where they are incomplete or contradict themselves.
    """
    inner = attributes.get("ome")
    told = inner if isinstance(inner, Mapping) else attributes
    multiscales = told.get("multiscales")
    if not isinstance(multiscales, Sequence) or not multiscales:
        raise SlideError(f"{where}: its 'multiscales' is empty or no list; export it again")
    extra = attributes.get("planish")
    omero = told.get("omero")
    omero = omero if isinstance(omero, Mapping) else {}
    labels, colours = _channels(omero)
    images = []
    for multiscale in multiscales:
        version = str(told.get("version") or multiscale.get("version") or "0.4")
        if "coordinateSystems" in multiscale:
            raise UnsupportedSlide(f"{where}: is OME-Zarr {version}; planish reads up to 0.5: export it as 0.5")
        axes = _axes(where, multiscale.get("axes"), version)
        name = str(multiscale.get("name") or "").strip("/") or group
        images.append(
            ZarrImage(group, name, version, axes, _datasets(where, multiscale, len(axes)), labels, colours,
                      _model(omero), extra if isinstance(extra, Mapping) else {})
        )  # fmt: skip
    return images


def _axes(where: str, listed: Any, version: str) -> tuple[Axis, ...]:
    if listed is None and version in _BEFORE_AXES:
        listed = list("tczyx")
    if not isinstance(listed, Sequence):
        raise SlideError(f"{where}: has no 'axes' in its metadata, so its planes cannot be told; export it again")
    axes = tuple(_axis(axis) for axis in listed)
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names) or not {"y", "x"} <= set(names):
        raise SlideError(f"{where}: has axes {', '.join(names)}; needed are y and x, each name once: export it again")
    return axes


def _axis(listed: Any) -> Axis:
    if isinstance(listed, str):
        return Axis(listed.lower())
    kind = str(listed.get("type") or "")
    name = {"time": "t", "channel": "c"}.get(kind) or str(listed["name"]).lower()
    return Axis(name, _UM.get(str(listed.get("unit") or "").lower()))


def _datasets(where: str, multiscale: Mapping[str, Any], count: int) -> tuple[Dataset, ...]:
    listed = multiscale.get("datasets")
    if not isinstance(listed, Sequence) or not listed:
        raise SlideError(f"{where}: names no arrays in its metadata ('datasets'); export it again")
    overall_scale, overall_place = _transform(where, multiscale, count)
    datasets = []
    for each in listed:
        scale, place = _transform(where, each, count)
        datasets.append(
            Dataset(
                str(each["path"]).strip("/"),
                tuple(a * b for a, b in zip(scale, overall_scale, strict=True)),
                tuple(a * b + c for a, b, c in zip(place, overall_scale, overall_place, strict=True)),
            )
        )
    return tuple(datasets)


def _transform(where: str, holder: Mapping[str, Any], count: int) -> tuple[list[float], list[float]]:
    """Return scale and translation along each axis: steps of 1 from 0 where nothing is told."""
    scale, place = [1.0] * count, [0.0] * count
    for each in holder.get("coordinateTransformations") or ():
        kind = each.get("type")
        if kind == "identity":
            continue
        values = each.get(kind)
        if kind not in ("scale", "translation") or not isinstance(values, Sequence) or len(values) != count:
            raise SlideError(
                f"{where}: its coordinate transformation {kind!r} is not a scale or translation with {count} numbers; "
                "export it again"
            )
        numbers = [float(value) for value in values]
        if kind == "scale":
            scale, place = [[a * b for a, b in zip(numbers, old, strict=True)] for old in (scale, place)]
        else:
            place = [a + b for a, b in zip(numbers, place, strict=True)]
    return scale, place


def _model(omero: Mapping[str, Any]) -> str:
    rendering = omero.get("rdefs")
    return str(rendering.get("model") or "") if isinstance(rendering, Mapping) else ""


def _channels(omero: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return labels and colours, each only where all channels have one."""
    channels = [each for each in omero.get("channels") or () if isinstance(each, Mapping)]
    labels, colours = (
        tuple(str(each.get(key) or "") for each in channels) for key in ("label", "color")
    )  # fmt: skip
    return labels if all(labels) else (), colours if all(colours) else ()
