"""Texts of faults: values shown without hidden characters, names that were meant, addresses without passwords."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.text import did_you_mean, nearest, visible, without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "(empty)"),
        ("VTI", "VTI"),
        ("VTІ", "VT\\u0406"),
        ("a\nb\x00", "a\\nb\\x00"),
        ("\ud800", "\\ud800"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 60 + "..."),
    ],
)
def test_hidden_and_look_alike_characters_are_shown_as_escapes(text, shown):
    assert visible(text) == shown


@given(st.text())
def test_any_text_is_shown_on_one_line_of_ascii(text):
    assert visible(text).isascii()
    assert visible(text).isprintable()


def test_the_nearest_name_is_the_one_meant_when_any_is_near():
    assert nearest("stile", ["style", "smart_limit"]) == "style"
    assert nearest("qqqq", ["style"]) is None
    assert did_you_mean("stile", ["style"]) == "; did you mean style?"
    assert did_you_mean("qqqq", ["style"]) == ""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////home/ann/journal.db", "sqlite:////home/ann/journal.db"),
        ("postgresql://ann:p?w@db/x", "postgresql://***@db/x"),
        ("postgresql://ann:p@w://x@db/x?password=y", "postgresql://***@db/x?***"),
        ("ann:pw@db", "***@db"),
    ],
)
def test_an_address_is_shown_without_login_and_query(url, shown):
    assert without_password(url) == shown
