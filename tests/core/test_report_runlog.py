import asyncio
import json
import os
import stat
from decimal import Decimal

import pytest
from loguru import logger

from core.errors import OutputFailed
from core.model import RunId
from core.report.runlog import LogRules, open_run_log

RUN = RunId("ABCDEFGHIJ23")
SECRET = 'https://hooks.example/"x"\n?token=s3cr3t'  # noqa: S105 - a canary
RULES = LogRules(
    settings={"ibkr": {"account_id": "DU1234567"}, "notify": {"webhook_url": SECRET}},
    accounts=("DU1234567", "PAPER-ONE"),
    secrets=(SECRET, ""),
)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "run.log"


def test_the_first_line_names_versions_platform_and_settings(path):
    with open_run_log(path, RUN, RULES):
        pass
    [first] = lines(path)
    assert {"python", "ibkr-rebalancer", "prefect", "ib_async", "pandas", "pydantic", "great-expectations"} == set(
        first["versions"]
    )
    assert first["versions"]["pandas"].startswith("3.")
    assert first["platform"].startswith(os.uname().sysname)
    assert first["settings"]["ibkr"] == {"account_id": "******567"}
    assert (first["run_id"], first["level"]) == (RUN, "INFO")


def test_every_line_says_when_how_grave_which_run_and_what(path):
    with open_run_log(path, RUN, RULES) as log:
        log.logger.warning("stale quote", symbol="SPY", bid=Decimal("1.10"), ages=[1, None, True])
    line = lines(path)[1]
    assert line["time"].endswith("+00:00")
    assert (line["level"], line["run_id"], line["message"]) == ("WARNING", RUN, "stale quote")
    assert line["extra"] == {"symbol": "SPY", "bid": "1.10", "ages": [1, None, True]}
    assert "test_report_runlog:" in line["where"]
    assert "traceback" not in line


def test_no_account_and_no_secret_reaches_the_file_by_any_way(path):
    with open_run_log(path, RUN, RULES) as log:
        log.logger.info("account DU1234567, hook {hook}, other U7654321, PAPER-ONE", hook=SECRET)
        log.logger.info("as JSON: {}".format(json.dumps({"url": SECRET})))
        log.logger.bind(DU1234567={"deep": [SECRET, ("DU1234567",)]}).info("bound")
        with logger.catch(message="failed"):
            {}[f"{SECRET} of DU1234567"]
    text = path.read_text()
    for canary in ("DU1234567", "U7654321", "PAPER-ONE", "s3cr3t", "hooks.example"):
        assert canary not in text
    assert text.count("******567") >= 5
    assert "KeyError" in lines(path)[4]["traceback"]


def test_lines_of_runs_beside_each_other_do_not_mix(tmp_path):
    async def run(run_id):
        with open_run_log(tmp_path / run_id, run_id, RULES):
            for number in range(5):
                logger.info("line {} of {}", number, run_id)
                await asyncio.sleep(0)

    async def both():
        await asyncio.gather(run("AAAAAAAAAAAA"), run("BBBBBBBBBBBB"))

    asyncio.run(both())
    for run_id in ("AAAAAAAAAAAA", "BBBBBBBBBBBB"):
        assert [line["message"] for line in lines(tmp_path / run_id)[1:]] == [f"line {n} of {run_id}" for n in range(5)]


def test_what_is_logged_outside_the_run_or_below_its_level_is_not_its(path):
    logger.info("before")
    with open_run_log(path, RUN, RULES) as log:
        log.logger.debug("too fine")
        logger.bind(run_id="OTHER").info("another run's")
    logger.info("after")
    assert len(lines(path)) == 1


def test_a_log_that_is_opened_again_goes_on(path):
    for _ in range(2):
        with open_run_log(path, RUN, RULES):
            logger.info("here")
    assert [line["message"] for line in lines(path)] == ["run log opened", "here"] * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_log_that_cannot_be_opened_stops_the_run_before_it_starts(path):
    path.mkdir(parents=True)
    with pytest.raises(OutputFailed, match=r"run\.log: Is a directory"), open_run_log(path, RUN, RULES):
        pass


def test_a_link_in_place_of_the_log_is_refused(path, tmp_path):
    path.parent.mkdir()
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(OutputFailed), open_run_log(path, RUN, RULES):
        pass
    assert not (tmp_path / "victim").exists()


def test_a_disk_that_fills_up_loses_lines_and_stops_nothing(path, monkeypatch, capfd):
    def full(handle, data):
        raise OSError(28, os.strerror(28))

    with open_run_log(path, RUN, RULES) as log:
        assert log.lost == ""
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            logger.info("lost")
        logger.info("kept")
    assert log.lost == "No space left on device"
    assert lines(path)[-1]["message"] == "kept"


def test_a_package_that_is_not_installed_is_no_failure(path, monkeypatch):
    monkeypatch.setattr("core.report.runlog._PACKAGES", ("no-such-package",))
    with open_run_log(path, RUN, RULES):
        pass
    assert lines(path)[0]["versions"]["no-such-package"] == "not installed"
