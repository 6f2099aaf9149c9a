import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from builders import outcome, plan
from report_samples import sample_outcome

from core.errors import OutputFailed, UsageError
from core.model import RunId
from core.report import PreTrade, files, report_folder, report_html, write_page, write_pre_trade, write_reports
from core.report.history_html import history_html

ALL = ["post_trade.csv", "post_trade.md", "pre_trade.csv", "pre_trade.md", "report.html", "result.json"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_run_writes_all_its_reports_and_nothing_else(tmp_path):
    folder = tmp_path / "new" / "run"
    written = write_reports(sample_outcome(), folder)
    assert names(folder) == ALL
    assert sorted(path.name for path in written) == ALL
    assert written[-1].name == "result.json"
    assert json.loads((folder / "result.json").read_text())["exit_code"] == 50


def test_a_run_without_a_plan_has_no_pre_trade_report(tmp_path):
    write_reports(outcome(), tmp_path / "run")
    assert names(tmp_path / "run") == ["post_trade.csv", "post_trade.md", "report.html", "result.json"]


def test_the_plan_is_on_disk_before_it_is_approved(tmp_path):
    written = write_pre_trade(PreTrade(plan=plan(), warnings=("look at this",)), tmp_path / "run")
    assert [path.name for path in written] == ["pre_trade.csv", "pre_trade.md"]
    assert "look at this" in written[1].read_text()


def test_reports_are_readable_by_their_owner_only(tmp_path):
    folder = tmp_path / "run"
    write_reports(outcome(), folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_writing_again_replaces_what_was_there(tmp_path):
    write_reports(outcome(name="first"), tmp_path)
    write_reports(outcome(name="second"), tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["name"] == "second"


def test_a_link_in_place_of_a_report_is_refused_and_what_it_points_to_stays(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "post_trade.md").symlink_to(victim)
    with pytest.raises(OutputFailed, match=r"post_trade\.md: is a symbolic link"):
        write_reports(outcome(), folder)
    assert victim.read_text() == "mine"


def test_a_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputFailed, match="run: is a symbolic link"):
        write_reports(outcome(), tmp_path / "run")
    assert names(tmp_path / "elsewhere") == []


def opened_to_all(folder, mode=0o777):
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(mode)
    return folder


@pytest.mark.parametrize("which", ["reports", "reports/run"])
def test_a_folder_that_everybody_may_write_to_is_refused_with_what_to_do(tmp_path, which):
    folder = opened_to_all(tmp_path / which)
    with pytest.raises(OutputFailed) as caught:
        write_reports(outcome(), tmp_path / "reports" / "run")
    assert caught.value.message == f"everybody may write to {folder}: reports there could be replaced"
    assert caught.value.next_step == f"chmod o-w {folder}, or set another [io] report_dir"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("mode", [0o1777, 0o775])
def test_a_folder_where_only_its_owner_can_replace_a_report_is_used(tmp_path, mode):
    opened_to_all(tmp_path / "reports", mode)
    assert write_reports(outcome(), tmp_path / "reports" / "run")


def test_a_folder_that_was_made_without_a_umask_is_closed(tmp_path):
    before = os.umask(0)
    try:
        write_reports(outcome(), tmp_path / "reports" / "run")
    finally:
        os.umask(before)
    assert [f"{stat.S_IMODE((tmp_path / each).stat().st_mode):o}" for each in ("reports", "reports/run")] == [
        "755",
        "700",
    ]


def test_one_file_that_cannot_be_written_keeps_no_other_from_being_written(tmp_path):
    (tmp_path / "post_trade.csv" / "in the way").mkdir(parents=True)
    with pytest.raises(OutputFailed) as caught:
        write_reports(sample_outcome(), tmp_path)
    assert caught.value.faults == (f"{tmp_path}/post_trade.csv: Is a directory",)
    assert "free or repair that folder" in caught.value.next_step
    assert names(tmp_path) == ALL


def without(monkeypatch, *broken):
    """No file of these names can be made, because of a mistake in the program."""

    def render(_subject):
        raise KeyError("VTI")

    for listed in ("PRE_TRADE_FILES", "POST_TRADE_FILES"):
        made = [replace(each, render=render) if each.name in broken else each for each in getattr(files, listed)]
        monkeypatch.setattr(files, listed, tuple(made))


@pytest.mark.parametrize("name", ALL)
def test_a_file_that_cannot_be_made_keeps_no_other_from_being_written(tmp_path, monkeypatch, name):
    without(monkeypatch, name)
    with pytest.raises(OutputFailed) as caught:
        write_reports(sample_outcome(), tmp_path)
    (fault,) = caught.value.faults
    assert fault.startswith(f"{tmp_path}/{name}: unexpected: KeyError: 'VTI' (test_report_files.py:")
    assert str(caught.value) == f"cannot write {fault} - report it; no other file is affected"
    assert isinstance(caught.value.__cause__, KeyError)
    assert names(tmp_path) == [each for each in ALL if each != name]


def test_a_file_that_cannot_be_made_and_one_that_cannot_be_written_are_both_named_with_what_to_do(
    tmp_path, monkeypatch
):
    (tmp_path / "post_trade.csv" / "in the way").mkdir(parents=True)
    without(monkeypatch, "report.html")
    with pytest.raises(OutputFailed) as caught:
        write_reports(sample_outcome(), tmp_path)
    assert [fault.partition(": ")[0] for fault in caught.value.faults] == [
        f"{tmp_path}/post_trade.csv",
        f"{tmp_path}/report.html",
    ]
    assert caught.value.next_step.startswith("free or repair that folder; ")
    assert caught.value.next_step.endswith("; report it; no other file is affected")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match="file/run: Not a directory"):
        write_reports(outcome(), tmp_path / "file" / "run")


def test_a_full_disk_leaves_the_old_report_and_no_rubbish(tmp_path, monkeypatch):
    write_reports(outcome(name="old"), tmp_path)

    def full(handle):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputFailed, match="No space left on device"):
        write_reports(outcome(name="new"), tmp_path)
    assert names(tmp_path) == ["post_trade.csv", "post_trade.md", "report.html", "result.json"]
    assert json.loads((tmp_path / "result.json").read_text())["name"] == "old"


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path):
    write_reports(outcome(name="bro\udc80ken"), tmp_path)
    assert "bro" in (tmp_path / "result.json").read_text()


def test_the_folder_of_a_run_bears_its_id():
    assert report_folder(Path("reports"), RunId("ABCDEFGHIJ23")) == Path("reports/ABCDEFGHIJ23")


@pytest.mark.parametrize(
    "run_id", ["", "..", "../../ABCDEF", "ABCDEFGHIJ2", "ABCDEFGHIJ234", "ABCDEFGHIJ2\n", "ABCDEFGHIJ18"]
)
def test_a_run_id_that_is_none_makes_no_path(run_id):
    with pytest.raises(OutputFailed, match="is not 12 base32 characters"):
        report_folder(Path("reports"), RunId(run_id))


def test_a_page_is_written_again_over_an_older_one_and_into_an_empty_file(tmp_path):
    page = tmp_path / "history.html"
    page.touch()
    write_page(history_html([]), page)
    page.write_text(page.read_text().replace("No run is on record.", "an older one"))
    write_page(history_html([]), page)
    assert page.read_text() == history_html([])


@pytest.mark.parametrize(
    "text", ["[ibkr]\naccount_id = DU1234567\n", "<!DOCTYPE html>\n<html lang='en'>", report_html(sample_outcome())]
)
def test_a_page_replaces_no_file_that_is_not_one(tmp_path, text):
    page = tmp_path / "history.html"
    page.write_text(text)
    with pytest.raises(UsageError, match="exists and is no page of past runs - choose another name"):
        write_page(history_html([]), page)
    assert page.read_text() == text


def test_a_page_does_not_take_the_place_of_a_device(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="exists and is no page of past runs"):
        write_page(history_html([]), tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
