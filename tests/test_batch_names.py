"""Names of slides: kept out of all outputs where that is wanted, and whatever bytes they are made of."""

from __future__ import annotations

import csv
import json
import os
import stat
from pathlib import Path

import pytest

import nights
from nights import Lab, mtimes
from planish.batch import hiding
from planish.batch.entry import Found
from planish.batch.hiding import LEFT_OUT, hidden, message_without_names, warning_without_names
from planish.batch.ledger import NAME, Ledger, LedgerError
from planish.batch.lock import Occupied
from planish.batch.names import NameTable
from planish.batch.process import Limits, Outcome, Task
from planish.batch.reasons import Failure, failure
from planish.errors import OptionError, PlanishError
from planish.report import warnings

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
    assert any(entry.message.startswith("RuntimeError") for entry in failed)


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


def test_a_table_is_that_of_one_ledger_though_others_have_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    lab, table, other = Lab(tmp_path, monkeypatch, model), tmp_path / "names.csv", tmp_path / "other.csv"
    lab.scan("a.svs", b"a")
    lab.night(names=table)
    lab.output = tmp_path / "second"
    (lab.source / "a.svs").rename(lab.source / "b.svs")
    lab.night(names=other)
    assert read_table(table).keys() == read_table(other).keys()
    with pytest.raises(LedgerError, match="is the table of another folder"):
        lab.night(names=table)
    other.write_text("slide,source\n1,b.svs\n", encoding="utf-8")
    with pytest.raises(LedgerError, match="is not the table of"):
        lab.night(names=other)


def test_a_table_is_used_by_one_night_at_a_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    table, early = (NameTable(tmp_path / "names.csv", tmp_path / name) for name in ("one", "two"))
    with Ledger(tmp_path / "one" / NAME, table) as ledger:
        with pytest.raises(Occupied, match=r"names\.csv: another planish batch uses it"):
            Ledger(tmp_path / "two" / NAME, early)
        ledger.add(Found(Path("/in/a"), Path("a"), Path("a"), 1, 1), "[]")
    with pytest.raises(LedgerError, match="belongs to another output folder"):
        Ledger(tmp_path / "two" / NAME, early)


def test_outputs_of_another_ledger_stay_where_only_numbers_name_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    lab, table = Lab(tmp_path, monkeypatch, model), tmp_path / "names.csv"
    lab.scan("a.svs", b"a")
    lab.night(names=table)
    table.unlink()
    (lab.output / NAME).unlink()
    before = mtimes(lab.output)
    lab.scan("b.svs", b"b")
    ending = lab.night(names=table)
    assert (ending.counts, ending.failures) == ({"done": 1, "failed": 1}, {"in the way": 1})
    assert mtimes(lab.output).items() > before.items()
    assert lab.night(names=table, overwrite=True).counts == {"done": 2}
    assert lab.told("started") == ["slide 000001"]


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
    "/in/\\x1b/Erika/x: of Erika",
])  # fmt: skip
def test_names_are_hidden_in_messages(text: str) -> None:
    shown = hidden(text, Path("/in"), Path("Erika/Mueller.svs"), 7)
    assert "slide 000007" in shown
    assert "Erika" not in shown
    assert "Mueller" not in shown


def test_names_of_two_signs_are_hidden() -> None:
    assert hidden("李明: broken", Path("/in"), Path("李明.svs"), 7) == "slide 000007: broken"


TASK = Task(("planish",), Limits(60, 1 << 30))


def ended(code: int, kind: str = "", *, number: int | None = None, complained: str = "") -> Failure:
    said = json.dumps({"error": {"kind": kind, "message": "Mueller", "errno": number}}) if kind else ""
    why = failure(TASK, Outcome(code, "itself", 1.0, 0, said, complained))
    assert why
    return why


@pytest.mark.parametrize(("why", "words"), [
    (ended(-9), "ended from outside by SIGKILL; the system may have been short of memory"),
    (ended(-11), "ended by SIGSEGV; it said nothing"),
    (ended(-11, complained="Mueller"), f"ended by SIGSEGV; {LEFT_OUT}"),
    (ended(3, complained="Mueller"), f"ended with exit code 3; {LEFT_OUT}"),
    (ended(1, "MemoryError"), "needed more than 1,024 MiB, its limit (--memory-limit)"),
    (ended(1, "TileError"), LEFT_OUT),
    (ended(75, "TileError", number=5), f"Input/output error; {LEFT_OUT}"),
    (ended(1, "KeyError"), f"KeyError; {LEFT_OUT}"),
    (ended(1, "Erika Mueller"), LEFT_OUT),
    (Failure("worker unfit", "does not see /in/Mueller.svs"), LEFT_OUT),
])  # fmt: skip
def test_only_planishs_own_words_are_told_where_names_are_apart(why: Failure, words: str) -> None:
    assert message_without_names(why) == words


@pytest.mark.parametrize(("warning", "words"), [
    ("one plane only: there was nothing to choose", "one plane only: there was nothing to choose"),
    ("not all that the file may hold was read: Mueller", f"not all that the file may hold was read; {LEFT_OUT}"),
    ("Mueller is blurred", LEFT_OUT), ("in Mueller", LEFT_OUT), ("in 9 of 9 specimen", "in 9 of 9 specimen"),
])  # fmt: skip
def test_only_sentences_of_planish_are_kept_of_warnings(warning: str, words: str) -> None:
    assert warning_without_names(warning) == words


def test_the_sentences_that_are_kept_are_those_of_warnings() -> None:
    source = Path(warnings.__file__).read_text(encoding="utf-8")
    for beginning in (hiding.ONE_PLANE, *hiding.FIGURES, *hiding.BEGUN):
        assert f'"{beginning}' in source


def test_what_a_process_says_turns_no_terminal_around() -> None:
    said = json.dumps({"error": {"kind": "TileError", "message": "a\x1b[2J\u202eb\nc \udce9"}})
    for why in (
        failure(TASK, Outcome(1, "itself", 1.0, 0, said, "")),
        failure(TASK, Outcome(1, "itself", 1.0, 0, "", "x\n\x1b]0;\x07\u202e")),
        Failure("error", "planish itself failed: \x1b"),
    ):
        assert why
        assert why.message.isprintable()
    assert failure(TASK, Outcome(1, "itself", 1.0, 0, said, "")) == Failure("damaged", r"a\x1b[2J\u202eb\nc \udce9")
