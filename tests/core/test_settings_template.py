"""The settings.ini to start from: every key, explained, and the same settings as no key at all."""

from __future__ import annotations

import re

import pytest

from core.errors import SettingsInvalid
from core.settings import PLACEHOLDER, Settings, describe, settings_template
from core.settings.loading import load_settings

MIX = {"models.CORE": "0.5", "models.60-40": "0.3", "models.MY_GOLD": "0.2"}
ACCOUNT = {"ibkr.account_id": "DU1234567"}
LEAST = "[ibkr]\naccount_id = DU1234567\n[models]\ncore = 0.5\n60-40 = 0.3\nMy_Gold = 0.2\n"


@pytest.fixture
def loaded(tmp_path):
    """The settings that a text is, read from one and the same place."""

    def load(text: str) -> Settings:
        path = tmp_path / "settings.ini"
        path.write_text(text, encoding="utf-8")
        return load_settings(path, environ={}, overrides={})

    return load


def test_it_holds_every_key_with_its_meaning_and_what_it_takes():
    text = settings_template(MIX)
    for row in describe():
        assert re.search(rf"^# .*{re.escape(row.meaning)}", text, re.MULTILINE)
        assert re.search(rf"^# .*{re.escape(row.type)}", text, re.MULTILINE)
    keys = re.findall(r"^;?([\w-]+) =", text, re.MULTILINE)
    secrets_symbols_and_models = 3
    assert len(keys) == len(describe()) - secrets_symbols_and_models + len(["BND", *MIX])


def test_it_is_refused_until_the_account_is_put_in(loaded):
    with pytest.raises(SettingsInvalid, match=rf"\[ibkr\] account_id = {PLACEHOLDER}: must be the id of an account"):
        loaded(settings_template(MIX))
    assert loaded(settings_template(MIX).replace(PLACEHOLDER, "DU1234567")) == loaded(LEAST)


def test_a_default_that_is_uncommented_changes_nothing(loaded):
    text = settings_template(MIX | ACCOUNT)
    text = re.sub(r"^;(?!BND|url)", "", text, flags=re.MULTILINE)
    assert loaded(text) == loaded(LEAST)


def test_a_value_that_is_given_stands_uncommented(loaded):
    assert loaded(settings_template(MIX | ACCOUNT | {"ibkr.port": "7497"})).ibkr.port == 7497


def test_a_secret_is_pointed_to_the_environment():
    assert "REBALANCER__NOTIFY__WEBHOOK_URL" in settings_template(MIX)
