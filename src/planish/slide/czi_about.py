"""`About`: what the XML of a CZI says of its pixels: size, z, magnification, names."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from planish.slide.layout import number, positive

_M_TO_UM = 1e6


@dataclass(frozen=True)
class About:
    """The metadata of a CZI.

    Attributes
    ----------
    root : Element
        ``ImageDocument``; one without children where there is none that can be read.
    """

    root: ElementTree.Element

    @classmethod
    def of(cls, text: str) -> About:
        """Parse the metadata; what is damaged says nothing."""
        try:
            return cls(ElementTree.fromstring(text.encode()))
        except ElementTree.ParseError:
            return cls(ElementTree.Element("ImageDocument"))

    @property
    def missing(self) -> bool:
        """Whether there is nothing."""
        return self.root.find("Metadata") is None

    def scaling_um(self, axis: str) -> float | None:
        """Return µm per pixel or plane along ``X``, ``Y`` or ``Z``."""
        value = positive(self.root.findtext(f"Metadata/Scaling/Items/Distance[@Id='{axis}']/Value"))
        return value and value * _M_TO_UM

    def z_um(self, indices: list[int]) -> list[float | None]:
        """Return the z of planes given by their numbers in the file: their positions, else their distance."""
        places = self._positions(len(indices))
        if len(places) > max(len(indices), indices[-1]):
            places = [places[index] for index in indices]  # planes were taken out of a longer stack
        if len(places) == len(indices) == len(set(places)):
            return [*places]
        step = self.scaling_um("Z")
        return [None if step is None else (index - indices[0]) * step for index in indices]

    def _positions(self, count: int) -> list[float]:
        """Return positions in µm as far as the file lists any."""
        z = self.root.find("Metadata/Information/Image/Dimensions/Z")
        if z is None:
            return []
        origin = number(z.findtext("StartPosition")) or 0.0
        offsets = [number(text) for text in (z.findtext("Positions/List/Offsets") or "").split()]
        start, increment = (number(z.findtext(f"Positions/Interval/{name}")) for name in ("Start", "Increment"))
        if not offsets and increment:
            offsets = [(start or 0.0) + index * increment for index in range(count)]
            # Start repeats the origin in files of some versions.
            origin = 0.0 if start else origin
        return [float(np.round(origin + offset, 9)) for offset in offsets if offset is not None]

    @property
    def objective_power(self) -> float | None:
        """Magnification of the objective that the image refers to, or of the only one."""
        objectives = self.root.findall("Metadata/Information/Instrument/Objectives/Objective")
        chosen = self.root.find("Metadata/Information/Image/ObjectiveSettings/ObjectiveRef")
        if chosen is not None:
            objectives = [each for each in objectives if each.get("Id") == chosen.get("Id")]
        return positive(objectives[0].findtext("NominalMagnification")) if len(objectives) == 1 else None

    def channel_names(self, indices: list[int]) -> list[str]:
        """Return names of channels given by their numbers in the file."""
        channels = self.root.findall("Metadata/Information/Image/Dimensions/Channels/Channel")
        settings = self.root.findall("Metadata/DisplaySetting/Channels/Channel")
        shown = {each.get("Id"): each.get("Name") for each in settings}
        named = {index: channel.get("Name") or shown.get(channel.get("Id")) for index, channel in enumerate(channels)}
        return [named.get(index) or str(index) for index in indices]

    def scene_names(self, indices: list[int]) -> list[str]:
        """Return names of scenes given by their numbers in the file."""
        scenes = self.root.findall("Metadata/Information/Image/Dimensions/S/Scenes/Scene")
        names = {each.get("Index"): each.get("Name") for each in scenes}
        return [names.get(str(index)) or str(index) for index in indices]
