"""`rebalance approver add`: a secret that authenticators take, shown once and written to no file."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
import segno
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner

from deployments import cli
from tasks.app.codes import find_secret


def added(*arguments: str, code: int = 0) -> str:
    ended = CliRunner().invoke(cli.app, ["approver", "add", *arguments])
    assert ended.exit_code == code, ended.output
    return ended.output


async def test_the_line_it_prints_makes_the_codes_that_the_authenticator_shows(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REBALANCER_HOME", str(tmp_path / "home"))
    printed, drawn = pictured(monkeypatch)
    (line,) = re.findall(r"^REBALANCER_APPROVER_ANN_2=(.*)$", printed, re.MULTILINE)
    monkeypatch.setenv("REBALANCER_APPROVER_ANN_2", line)
    secret = await find_secret("ANN_2", with_blocks=False)
    (uri,) = drawn
    assert urlsplit(uri).path == "/Rebalancer:ANN_2"
    assert pyotp.parse_uri(uri).now() == pyotp.TOTP(secret.reveal()).now()
    assert parse_qs(urlsplit(uri).query) == {"secret": [line], "issuer": ["Rebalancer"]}
    assert list(tmp_path.iterdir()) == []


def pictured(monkeypatch) -> tuple[str, list[str]]:
    """What the command prints, and what its QR codes say."""
    drawn, draw = [], segno.make_qr

    def remembered(content, **options):
        drawn.append(content)
        return draw(content, **options)

    monkeypatch.setattr("segno.make_qr", remembered)
    return added("ann_2"), drawn


def test_each_secret_is_another_and_all_of_it_fits_a_terminal():
    first, second = added("ANN"), added("ANN")
    assert first != second
    assert max(map(len, first.splitlines())) <= 80


@pytest.mark.parametrize("name", ["", "none", "ann,bob", "2ann", "a b", "é", "a;b"])
def test_a_name_that_cannot_stand_in_the_settings_is_refused(name):
    ended = CliRunner().invoke(cli.app, ["approver", "add", name])
    assert "cannot be the name of an approver" in str(ended.exception)


def test_without_a_server_nothing_is_saved():
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        ended = CliRunner().invoke(cli.app, ["approver", "add", "ANN", "--save"])
    assert "no Prefect server is running to keep the secret" in str(ended.exception)
    assert ended.stdout == ""
