"""Frames, handshakes and fields: everything that was framed comes back, anything else is a WireError."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from fuzzing import fuzzed, mutations
from hypothesis import given
from hypothesis import strategies as st

from core.sim.wire import fields
from core.sim.wire.fields import Cursor, FieldMalformed, FieldMissing, WireError
from core.sim.wire.frames import FrameMalformed, FrameTooLong, Unframer, frame
from core.sim.wire.session import HANDSHAKE_LIMIT, Handshake, HandshakeMalformed, read_handshake

UNSET = ["", "1.7976931348623157e+308", "1.7976931348623157E308", "2147483647", "9223372036854775807"]
FIELDS = st.lists(st.text(st.characters(min_codepoint=1, max_codepoint=126)), min_size=1, max_size=9).map(tuple)
OFFER = b"v157..178"


@given(messages=st.lists(FIELDS, max_size=6), data=st.data())
def test_framed_messages_come_back_however_the_stream_is_split(messages, data):
    stream = b"".join(frame(fields) for fields in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    unframer = Unframer()
    received = [fields for a, b in pairwise([0, *cuts, len(stream)]) for fields in unframer.feed(stream[a:b])]
    assert received == messages


def test_text_beyond_ascii_is_sent_as_backslash_escapes_and_taken_from_a_client_as_it_is():
    assert frame(("é€",)) == b"\0\0\0\x0b\\xe9\\u20ac\0"
    utf8 = "é".encode() + b"\xff\0"
    assert list(Unframer().feed(len(utf8).to_bytes(4, "big") + utf8)) == [("é\\xff",)]


def test_a_field_with_a_nul_cannot_be_framed():
    with pytest.raises(FieldMalformed):
        frame(("4", "a\0b"))


def test_a_length_above_the_limit_is_refused_before_its_payload_arrives():
    with pytest.raises(FrameTooLong):
        list(Unframer(limit=10).feed(b"\0\0\0\x0b"))
    assert list(Unframer(limit=10).feed(b"\0\0\0\x0a" + b"a" * 9 + b"\0")) == [("a" * 9,)]


@pytest.mark.parametrize("payload", [b"", b"61\x001"])
def test_a_payload_without_an_end_is_malformed(payload):
    with pytest.raises(FrameMalformed):
        list(Unframer().feed(len(payload).to_bytes(4, "big") + payload))


def test_messages_before_a_fault_are_received_and_none_after_it():
    unframer = Unframer()
    received = []
    with pytest.raises(FrameMalformed) as first:
        received.extend(unframer.feed(frame(("49", "1")) + b"\0\0\0\x01x" + frame(("61", "1"))))
    with pytest.raises(FrameMalformed) as again:
        received.extend(unframer.feed(frame(("61", "1"))))
    assert received == [("49", "1")]
    assert first.value is again.value


@fuzzed
@given(st.lists(st.binary(max_size=64), max_size=8) | mutations(frame(("3", "7", "AAA")) * 3).map(lambda one: [one]))
def test_any_bytes_give_messages_or_a_wire_error_and_no_more_than_a_frame_is_kept(segments):
    unframer = Unframer(limit=40)
    for segment in segments:
        try:
            for fields in unframer.feed(segment):
                assert frame(fields)
        except WireError:
            assert not unframer._held
        assert len(unframer._held) < 44


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (b"v157..178", Handshake(157, 178)),
        (b"v100..226 +PACEAPI", Handshake(100, 226, "+PACEAPI")),
        (b"v178..178 ", Handshake(178, 178)),
    ],
)
def test_a_handshake_is_read_as_soon_as_it_is_complete_and_leaves_what_follows(offer, expected):
    whole = b"API\0" + len(offer).to_bytes(4, "big") + offer
    assert [read_handshake(whole[:end]) for end in range(len(whole))] == [None] * len(whole)
    assert read_handshake(whole + b"more") == (expected, b"more")


@pytest.mark.parametrize(
    "received",
    [
        b"G",
        b"APIX",
        b"GET / HTTP/1.1\r\n",
        b"API\0\xff\xff\xff\xff",
        b"API\0\0\0\x01\x01",
        b"API\0\0\0\0\0",
        b"API\0\0\0\0\x04v157",
        b"API\0\0\0\0\x0av157..178\0",
        b"API\0\0\0\0\x0cv157..178 \xe9\n",
    ],
)
def test_what_no_client_begins_with_is_refused(received):
    with pytest.raises(HandshakeMalformed):
        read_handshake(received)


@fuzzed
@given(st.binary(max_size=400) | mutations(b"API\0\0\0\0\x09" + OFFER))
def test_any_first_bytes_are_a_handshake_or_a_wire_error_or_wait_for_few_more(received):
    try:
        found = read_handshake(received)
    except WireError:
        return
    assert found is not None or len(received) < 8 + HANDSHAKE_LIMIT


@pytest.mark.parametrize("spelling", UNSET)
def test_every_spelling_of_not_set_is_none(spelling):
    assert Cursor((spelling,)).integer() is None
    assert Cursor((spelling,)).decimal() is None
    assert Cursor((spelling,)).offset() is None
    assert Cursor((spelling,)).flag() is False
    assert Cursor((spelling,)).count() == 0
    with pytest.raises(FieldMalformed):
        Cursor((spelling,)).identifier()


@pytest.mark.parametrize("spelling", ["Infinite", "Infinity"])
def test_infinity_is_an_offset_and_no_price(spelling):
    assert Cursor((spelling,)).offset() == fields.INFINITY
    with pytest.raises(FieldMalformed):
        Cursor((spelling,)).decimal()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5000.0", "5000"),
        ("120", "120"),
        ("1e-05", "0.00001"),
        ("1e15", "1000000000000000"),
        ("0.30000000000000004", "0.30000000000000004"),
        (".5", "0.5"),
        ("-0.0", "0"),
        ("3.", "3"),
        ("0e9", "0"),
    ],
)
def test_numbers_are_read_as_clients_print_them(text, expected):
    value = Cursor((text,)).decimal()
    assert value == Decimal(expected)
    assert not value.is_signed()


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "NaN",
        "sNaN",
        "-Infinity",
        "1e999999999",
        "1e25",
        "1e-25",
        "1_000",
        "٣",
        " 1",
        "1\n",
        "0x1",
        "--1",
        ".",
        "e5",
    ],
)
def test_what_is_no_sensible_number_is_malformed(text):
    with pytest.raises(FieldMalformed):
        Cursor((text,)).offset()


@pytest.mark.parametrize("text", ["1.0", "nan", "1e3", "+1", " 1", "٣", "1" * 20, "true"])
def test_what_is_no_integer_is_malformed(text):
    with pytest.raises(FieldMalformed):
        Cursor((text,)).integer()


@pytest.mark.parametrize("text", ["2", "-1", "true", "False"])
def test_a_flag_is_one_or_zero(text):
    assert Cursor(("1",)).flag() is True
    assert Cursor(("0",)).flag() is False
    with pytest.raises(FieldMalformed):
        Cursor((text,)).flag()


def test_a_count_cannot_promise_more_than_follows():
    assert Cursor(("2", "a", "b")).count() == 2
    for promised in ("3", "-1"):
        with pytest.raises(FieldMalformed):
            Cursor((promised, "a", "b")).count()


def test_a_cursor_ends_where_the_fields_end():
    cursor = Cursor(("a", "b", "c"))
    cursor.skip(1)
    with pytest.raises(FieldMalformed):
        cursor.finish()
    assert cursor.remaining() == ("b", "c")
    cursor.finish()
    assert cursor.remaining() == ()
    for read in (cursor.text, cursor.integer, cursor.skip):
        with pytest.raises(FieldMissing):
            read()


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**10), max_value=10**10, places=9))
def test_a_number_is_sent_exactly_and_without_exponent(value):
    text = fields.number(value)
    assert set(text) <= set("-0123456789.")
    assert Cursor((text,)).decimal() == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(Decimal("1E+2"), "100"), (Decimal("-0.0"), "0"), (Decimal("1.50"), "1.50"), (7, "7"), (0, "0"), (None, "")],
)
def test_numbers_have_one_plain_spelling(value, text):
    assert fields.number(value) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_what_is_no_number_is_not_sent(value):
    with pytest.raises(FieldMalformed):
        fields.number(Decimal(value))


def test_a_number_that_is_not_set_has_a_sentinel():
    assert fields.number_or_unset(None) == "1.7976931348623157E308"
    assert fields.number_or_unset(Decimal("2.5")) == "2.5"


def test_times_are_the_venues():
    at = datetime(2026, 4, 13, 19, 27, 4, 1, tzinfo=UTC)
    assert fields.venue_time(at) == "20260413 15:27:04 US/Eastern"
    assert fields.time_of_day(at) == "15:27"
    assert fields.epoch(at) == "1776108424"
    assert fields.epoch_rounded_up(at) == "1776108425"
    assert fields.epoch_rounded_up(at - timedelta(microseconds=1)) == "1776108424"
