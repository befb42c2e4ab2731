"""Names of slides: kept out of all outputs where that is wanted, and whatever bytes they are made of."""

from __future__ import annotations

import csv
import os
import stat
from pathlib import Path

import pytest

import nights
from nights import Lab
from planish.batch.hiding import hidden
from planish.batch.ledger import LedgerError
from planish.batch.names import NameTable
from planish.errors import OptionError, PlanishError

SECRETS = (b"Mueller", b"Erika", b"M\xc3\xbcller", b"1999-12-31", b"caf\xe9", b"Schmidt")
ODD = ("line\nbreak.svs", "quo\"te'.svs", "two  spaces.svs", "é%2e#?.svs", os.fsdecode(b"caf\xe9.svs"), "=SUM(1).svs")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nights.model(tmp_path_factory.mktemp("model"))


def read_table(path: Path) -> dict[int, str]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return {int(number): name for number, name in list(csv.reader(file))[1:]}


def leaks(lab: Lab) -> list[tuple[str, bytes]]:
    """Return which secret stands where in the outputs: in a file or in its name."""
    found = []
    for path in lab.output.rglob("*"):
        content = os.fsencode(path) + (path.read_bytes() if path.is_file() else b"")
        found += [(path.name, secret) for secret in SECRETS if secret.lower() in content.lower()]
    return found


def test_no_name_of_a_source_is_anywhere_but_in_the_table(tmp_path: Path) -> None:
    lab, table = Lab(tmp_path), tmp_path / "names.csv"
    (lab.source / "Erika").mkdir()
    slide = nights.tiny(tmp_path / "slide.svs")
    lab.copy_scan(slide, "Erika/exception-Mueller 1999-12-31.svs")
    lab.copy_scan(slide, os.fsdecode(b"caf\xe9.svs"))
    lab.scan("Erika/Müller.svs", slide.read_bytes()[:3000])
    lab.scan("Schmidt.svs", b"no slide")
    lab.copy_scan(slide, "Schmidt.ndpi")
    (lab.source / "Schmidt-link.svs").symlink_to("nowhere")
    night = lab.batch("--fuse=select", f"--deid-names={table}")
    assert night.returncode == 1
    assert not leaks(lab)
    said = (night.stdout + night.stderr).encode("utf-8", "surrogateescape").replace(os.fsencode(tmp_path), b"")
    assert not [secret for secret in SECRETS if secret in said]
    assert "FAILED   slide 00000" in night.stderr
    names = read_table(table)
    assert sorted(names) == [1, 2, 3, 4, 5]
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    number = next(number for number, name in names.items() if name == os.fsdecode(b"caf\xe9.svs"))
    assert (lab.output / f"{number:06d}.flat.tif").exists()
    again = lab.batch("--fuse=select", f"--deid-names={table}")
    assert again.returncode == 1
    assert read_table(table) == names
    assert len(lab.logged("started")) == 5
    assert not leaks(lab)
    failed = [entry for entry in lab.entries(table).values() if entry.state == "failed"]
    assert {entry.relative for entry in failed} == {None}
    assert any("a fault of the program in slide 00000" in entry.message for entry in failed)


def test_a_night_with_names_apart_needs_its_own_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    lab, table = Lab(tmp_path, monkeypatch, model), tmp_path / "names.csv"
    lab.scan("a.svs", b"a")
    assert lab.night(names=table).counts == {"done": 1}
    kept = table.read_bytes()
    with pytest.raises(LedgerError, match="names are kept apart; say where"):
        lab.night()
    with pytest.raises(LedgerError, match="is not the table of"):
        lab.night(names=tmp_path / "other.csv")
    with pytest.raises(OptionError, match="keep it elsewhere"):
        lab.night(names=lab.output / "names.csv")
    lab.scan("b.svs", b"b")
    assert lab.night(names=table).counts == {"done": 2}
    assert table.read_bytes().startswith(kept)
    lab.output = tmp_path / "second"
    with pytest.raises(LedgerError, match="belongs to another output folder"):
        lab.night(names=table)
    assert lab.night().counts == {"done": 2}
    with pytest.raises(LedgerError, match="holds names already"):
        lab.night(names=tmp_path / "third.csv")


def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    for content in (b"", b"slide,source\nx,y\n", b"name\n", b'slide,source\n1,"a', b"\0"):
        table.write_bytes(content)
        with pytest.raises(PlanishError, match="name the right file"):
            NameTable(table, tmp_path / "out")
    with pytest.raises(OptionError, match="no such folder"):
        NameTable(tmp_path / "none/table.csv", tmp_path / "out")


def test_a_table_holds_names_of_any_bytes(tmp_path: Path) -> None:
    table = NameTable(tmp_path / "table.csv", tmp_path / "out")
    for number, name in enumerate(ODD, 1):
        table.add(number, Path(name))
    table.save()
    assert NameTable(tmp_path / "table.csv", tmp_path / "out").all() == table.all()


def test_odd_names_go_through_a_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    lab = Lab(tmp_path, monkeypatch, model)
    for name in ODD:
        lab.scan(name, b"x")
        lab.scan(f"-{name}", {"error": {"kind": "TileError", "message": name.encode("utf-8", "replace").decode()}})
    assert lab.night().counts == {"done": len(ODD), "failed": len(ODD)}
    assert set(lab.states()) == {*ODD, *(f"-{name}" for name in ODD)}
    for name in ODD:
        assert (lab.output / Path(name).with_suffix(".flat.tif")).exists()
    assert len(nights.lines_of_log(lab.output)) == 2 + 4 * len(ODD)
    lab.night()
    assert not lab.told("started")


@pytest.mark.parametrize("text", [
    "/in/Erika/Mueller.svs: broken", "Mueller.svs", "in Erika, Mueller", "'/in/Erika/Mueller.svs'", "Mueller_label.tif",
])  # fmt: skip
def test_names_are_hidden_in_messages(text: str) -> None:
    shown = hidden(text, Path("/in"), Path("Erika/Mueller.svs"), 7)
    assert "slide 000007" in shown
    assert "Erika" not in shown
    assert "Mueller" not in shown
