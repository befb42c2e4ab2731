"""What the first bytes of a file tell of the files it belongs with; whatever is damaged tells nothing."""

from __future__ import annotations

import html
import os
import re
import struct
from pathlib import Path

_DICOM_HEAD = 65_536
"""Bytes in which the identifier of the series must stand; it is found within 1,000 in what scanners write."""
_XML = 262_144
"""Bytes of OME-XML that are looked at."""
_INDEX = 65_536
"""Bytes of a VMS file that are looked at."""
_TAGS = 4096
"""Entries of a page directory that are looked at."""
_UID = rb"\x20\x00\x0e\x00(?:UI..|..\x00\x00)([0-9.]{1,64})"
# The study's identifier stands before the series's only where this is the file's own, and not one that it refers to.
_OWN_SERIES = re.compile(rb"\x20\x00\x0d\x00(?:UI..|..\x00\x00)[0-9. \x00]{0,64}?" + _UID, re.DOTALL)
_ANY_SERIES = re.compile(_UID, re.DOTALL)
_FILE_NAME = re.compile(rb"""\bFileName\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_OTHER_FILE = re.compile(rb"""<(?:\w+:)?BinaryOnly\b[^<>]{0,500}?\bMetadataFile\s*=\s*["']([^"']*)["']""")
_IMAGE_DESCRIPTION = 270


def is_dicom(path: Path) -> bool:
    """Whether the file says that it is DICOM."""
    return _read(path, 132)[128:] == b"DICM"


def dicom_series(path: Path) -> bytes:
    """Return the identifier of the series, tag (0020,000E); empty where it is not found."""
    head = _read(path, _DICOM_HEAD)
    found = _OWN_SERIES.search(head) or _ANY_SERIES.search(head)
    return found[1] if found else b""


def ome_files(path: Path) -> frozenset[str]:
    """Return the names of the files among which an OME-TIFF says its planes lie; empty where it names none."""
    found = _FILE_NAME.findall(_description(path))
    return frozenset(_name(double or single) for double, single in found)


def ome_elsewhere(path: Path) -> str:
    """Return the name of the file in which an OME-TIFF says its XML stands; empty where that is in itself."""
    found = _OTHER_FILE.search(_description(path))
    return _name(found[1]) if found else ""


def index_files(path: Path) -> frozenset[str]:
    """Return the names of the files that a Hamamatsu VMS or VMU names."""
    lines = _read(path, _INDEX).splitlines()
    return frozenset(os.fsdecode(line.partition(b"=")[2].strip()) for line in lines)


def _name(quoted: bytes) -> str:
    return html.unescape(os.fsdecode(quoted))


def _read(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError:
        return b""


def _description(path: Path) -> bytes:
    """Return the beginning of a TIFF's first description."""
    try:
        return _first_description(path)
    except (OSError, struct.error, KeyError, OverflowError, ValueError):
        return b""


def _first_description(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}[head[:2]]
        big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
        entry = struct.Struct(f"{order}HHQ8s" if big else f"{order}HHI4s")
        number = struct.Struct(f"{order}Q" if big else f"{order}I")
        counter = struct.Struct(f"{order}Q" if big else f"{order}H")
        file.seek(number.unpack_from(head, 8 if big else 4)[0])
        entries = min(counter.unpack(file.read(counter.size))[0], _TAGS)
        tags = file.read(entries * entry.size)
        for tag, _, count, value in entry.iter_unpack(tags[: len(tags) // entry.size * entry.size]):
            if tag == _IMAGE_DESCRIPTION:
                file.seek(number.unpack(value)[0])
                return file.read(min(count, _XML))
    return b""
