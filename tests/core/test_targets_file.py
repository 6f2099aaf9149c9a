"""portfolios.csv: what is read, every rule with its place, the file itself, and bytes of any kind."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOW
from fuzzing import fuzzed, mutations
from hypothesis import given
from hypothesis import strategies as st
from input_builders import (
    HEADER,
    MARGIN,
    NAME,
    ONLY_SMURF,
    SOUND,
    Blending,
    blending,
    model_weight,
    parsed,
    portfolio_faults,
    smurf,
)

from core.errors import PortfoliosInvalid
from core.model import ModelName, ModelWeight, Symbol
from core.money import D
from core.settings import RebalanceSection
from core.targets import LOOSEST, blend, parse_portfolios, read_portfolios

ROUNDED = "; rounding may explain the difference: write more decimals, or let one row take the remainder, such as"


@pytest.mark.parametrize(
    "data",
    [
        (HEADER + SOUND).encode(),
        b"\xef\xbb\xbf" + (HEADER + SOUND).encode(),
        (HEADER + SOUND).replace("\n", "\r\n").encode(),
        (HEADER + SOUND).replace("\n", "\r").encode(),
        (HEADER.upper() + SOUND.lower()).encode(),
        (HEADER + SOUND.replace(",", " , ")).encode(),
        (HEADER + SOUND.replace("0\n", "0 %\n")).encode(),
        (HEADER + SOUND.replace("SMURF,VTI", '"SMURF","VTI"')).encode(),
        (HEADER + SOUND).rstrip().encode(),
    ],
    ids=["plain", "bom", "crlf", "cr", "other case", "spaces", "percent signs", "quotes", "no last line end"],
)
def test_every_common_form_of_a_csv_gives_the_same_rows(data):
    assert parse_portfolios(data, NAME, *blending()) == (
        ModelWeight(ModelName("SMURF"), Symbol("VTI"), D("0.6"), 2),
        ModelWeight(ModelName("SMURF"), Symbol("BND"), D("0.4"), 3),
        ModelWeight(ModelName("BADASS"), Symbol("QQQ"), D(1), 4),
        ModelWeight(ModelName("GLTR"), Symbol("GLD"), D(1), 5),
    )


def test_columns_may_stand_in_any_order_beside_those_that_are_ignored():
    text = "Target_Pct,NOTE,symbol,min_lot,portfolio,exchange\n100,x,VTI,1,SMURF,ARCA\n"
    assert parsed(text, ONLY_SMURF) == (model_weight("SMURF", "VTI", "1", line=2),)


def test_lines_count_as_in_an_editor_over_comments_blank_lines_and_values_of_several_lines():
    text = (
        '# a comment, "with a quote that never closes\n'
        "portfolio,symbol,target_pct,note\n"
        "\n"
        'SMURF,VTI,60,"two\n# no comment, lines\n\n"\n'
        "   \n"
        "  # another\n"
        ",,,\n"
        "SMURF,BND,40\n"
    )
    assert [row.line for row in parsed(text, ONLY_SMURF)] == [4, 11]


@pytest.mark.parametrize("symbol", ["NA", "ON", "BRK B", "BF.B", "RDS-A", "0", "A23456789012", "nan"])
def test_any_real_symbol_is_read_as_text(symbol):
    assert parsed(smurf(f"{symbol},100"), ONLY_SMURF)[0].symbol == symbol.upper()


@pytest.mark.parametrize(
    ("text", "fraction"), [("33.333", "0.33333"), (".5%", "0.005"), ("7.", "0.07"), ("007", "0.07")]
)
def test_a_percentage_becomes_an_exact_fraction(text, fraction):
    rest = D(100) - D(text.rstrip("%"))
    assert parsed(smurf(f"VTI,{text}", f"BND,{rest}"), ONLY_SMURF)[0].weight == D(fraction)


def test_a_target_of_zero_is_kept_for_it_means_sell():
    assert blend(parsed(smurf("VTI,100", "BND,0"), ONLY_SMURF), *ONLY_SMURF).weights == {"BND": D(0), "VTI": D(1)}


@pytest.mark.parametrize(
    "text", ["1e2", "inf", "nan", "1,5", "+5", "--5", "٤٠", "4０", "5 0", "", "%", "0x10", "1_0", "5%%", "\u200b40"]
)
def test_a_target_that_is_no_plain_decimal_is_refused(text):
    (fault,) = portfolio_faults(smurf("BND,60", f'VTI,"{text}"'), ONLY_SMURF)
    assert fault.startswith(f"{NAME} line 3: SMURF VTI target_pct = ")
    assert fault.endswith(": target_pct must be a plain decimal such as 60, 12.5 or 12.5%")
    assert fault.isascii()


@pytest.mark.parametrize(
    "symbol",
    [
        "=cmd()",
        "@SUM",
        "-VTI",
        "..",
        "../x",
        "A/B",
        "V\tTI",
        "VTІ",
        "ſPY",
        "ı",
        "A234567890123",
        "",
        "\xa0VTI",
        "V\u200bTI",
    ],
)
def test_a_symbol_that_could_be_something_else_is_refused(symbol):
    (fault,) = portfolio_faults(smurf(f'"{symbol}",100'), ONLY_SMURF)
    assert fault.startswith(f"{NAME} line 2: SMURF ")
    assert "a symbol must be 1-12 characters of A-Z 0-9 . - and space" in fault


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (
            ["VTI,-5", "BND,105"],
            "line 2: SMURF VTI target_pct = -5: an asset's target_pct must be >= 0 (0 means: sell it)",
        ),
        (["VTI,50", "vti,50"], "line 3: SMURF VTI target_pct = 50: VTI appears twice in SMURF, first on line 2"),
        (["VTI,60", "BND,39.98"], f"lines 2-3: SMURF: the assets sum to 99.98, must be 100 (±0.01){ROUNDED} VTI 60.02"),
        (
            ["VTI,60", "BND,40.02"],
            f"lines 2-3: SMURF: the assets sum to 100.02, must be 100 (±0.01){ROUNDED} VTI 59.98",
        ),
        (["USD.CAD,100"], "line 2: SMURF USD.CAD target_pct = 100: the currency pair cannot be a target"),
        (
            ["VTI,90", "CASH,10"],
            "line 3: SMURF CASH target_pct = 10: CASH must be negative; to keep cash, lower the asset weights instead",
        ),
        (
            ["VTI,100", "CASH,0"],
            "line 3: SMURF CASH target_pct = 0: CASH must be negative; leave the row out when nothing is borrowed",
        ),
        (["VTI,150", "CASH,-40"], "lines 2-3: SMURF: assets 150 + CASH -40 sum to 110, must be 100 (±0.01)"),
        (["VTI,150.5", "CASH,-50.5"], "lines 2-3: SMURF: assets of 150.5 are more than max_leverage 1.5 × 100"),
        (["VTI,60,x"], "line 2: SMURF,VTI,60,x has 4 values for 3 columns"),
        (["VTI"], "line 2: SMURF,VTI has 2 values for 3 columns"),
        (['"VTI,60'], "line 2: cannot be read as CSV (unexpected end of data)"),
        (['"VTI"x,60'], "line 2: cannot be read as CSV (',' expected after '\"')"),
    ],
)
def test_a_broken_rule_names_file_line_portfolio_symbol_and_value(rows, fault):
    assert f"{NAME} {fault}" in portfolio_faults(smurf(*rows), MARGIN)


def test_cash_is_refused_while_margin_is_disabled():
    (fault,) = portfolio_faults(smurf("VTI,150", "CASH,-50"), ONLY_SMURF)
    assert fault.startswith(f"{NAME} line 3: SMURF CASH target_pct = -50: CSV contains CASH but margin is disabled")


def test_two_cash_rows_in_a_model_are_refused():
    assert "CASH appears twice in SMURF" in portfolio_faults(smurf("VTI,150", "CASH,-25", "CASH,-25"), MARGIN)[0]


@pytest.mark.parametrize("percent", ["99.99", "100.01"])
def test_a_sum_may_miss_100_by_a_hundredth(percent):
    assert parsed(smurf(f"VTI,{percent}"), ONLY_SMURF)


def test_an_unknown_portfolio_is_refused_with_the_nearest_name():
    (fault,) = portfolio_faults(smurf("VTI,100") + "SMURFF,BND,5\n", ONLY_SMURF)
    assert fault == (
        f"{NAME} line 3: SMURFF BND target_pct = 5: "
        "the portfolio must be one of [models]: SMURF, BADASS, GLTR; did you mean SMURF?"
    )


def test_a_look_alike_of_a_portfolio_is_not_taken_for_it():
    assert "line 3: \\u017fmurf" in portfolio_faults(smurf("VTI,100") + "ſmurf,BND,0\n", ONLY_SMURF)[0]


def test_the_fault_of_a_sum_that_rounding_explains_shows_how_to_write_it():
    (fault,) = portfolio_faults(smurf(*(f"S{number:02d},8.33" for number in range(12))), ONLY_SMURF)
    assert fault == f"{NAME} lines 2-13: SMURF: the assets sum to 99.96, must be 100 (±0.01){ROUNDED} S00 8.37"
    (fault,) = portfolio_faults(smurf(*(f"S{number:02d},8.32" for number in range(12))), ONLY_SMURF)
    assert fault == f"{NAME} lines 2-13: SMURF: the assets sum to 99.84, must be 100 (±0.01)"


@pytest.mark.parametrize("symbol", ["NA", "NULL", "TRUE", "ON", "0700", "NAN"])
def test_a_symbol_that_looks_like_something_else_is_a_symbol(symbol):
    assert parsed(smurf(f"{symbol},100"), ONLY_SMURF)[0].symbol == symbol


def test_empty_columns_without_a_name_and_lines_of_separators_are_skipped():
    text = ",,,,\nportfolio,symbol,target_pct,,\nSMURF,VTI,60,,\n,,,,\nSMURF,BND,40,,\n,,\n"
    assert [row.line for row in parsed(text, ONLY_SMURF)] == [3, 5]


def test_a_value_in_a_column_without_a_name_is_a_fault():
    text = "portfolio,symbol,target_pct,,note\nSMURF,VTI,100,why,x\n"
    assert portfolio_faults(text, ONLY_SMURF)[0] == f"{NAME} line 2: why is in column 4, which has no name"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_with_what_to_do(encoding, tmp_path):
    path = tmp_path / NAME
    path.write_bytes((HEADER + SOUND).encode(encoding))
    with pytest.raises(PortfoliosInvalid, match=f"{NAME} is UTF-16 text: save it as CSV UTF-8 in the spreadsheet"):
        read_portfolios(path, *blending(), max_age=None, now=NOW)


def test_the_models_are_those_of_the_mix_whatever_their_names():
    rules = {ModelName("60-40"): D("0.5"), ModelName("MY_GOLD"): D("0.5")}, RebalanceSection()
    rows = parsed(HEADER + "60-40,VTI,100\nmy_gold,GLD,100\n", rules)
    assert blend(rows, *rules).weights == {"GLD": D("0.5"), "VTI": D("0.5")}
    (fault,) = portfolio_faults(HEADER + "60-40,VTI,100\nmy_gold,GLD,100\nmy-gold,BND,100\n", rules)
    assert fault == (
        f"{NAME} line 4: MY-GOLD BND target_pct = 100: "
        "the portfolio must be one of [models]: 60-40, MY_GOLD; did you mean MY_GOLD?"
    )


def test_where_the_mix_is_not_known_any_name_of_a_model_is_taken():
    assert parsed(HEADER + "any-name,VTI,100\n", (None, LOOSEST))
    faults = portfolio_faults(HEADER + "60/40,VTI,100\ncore,BND,90\n", (None, LOOSEST))
    assert faults == (
        f"{NAME} line 2: 60/40 VTI target_pct = 100: the portfolio must be letters A-Z, digits, - and _",
        f"{NAME} line 3: CORE: the assets sum to 90, must be 100 (±0.01)",
    )


def test_a_model_without_rows_is_refused_unless_its_mix_weight_is_zero():
    text = HEADER + "SMURF,VTI,100\nBADASS,QQQ,100\n"
    assert portfolio_faults(text) == (
        f"{NAME} GLTR has no row, but its mix weight is 0.2: add rows, or set [models] GLTR = 0",
    )
    assert len(parsed(text, blending("0.6", "0.4", "0"))) == 2


def test_rows_of_a_model_with_mix_weight_zero_are_still_checked():
    assert "BADASS: the assets sum to 90" in portfolio_faults(smurf("VTI,100") + "BADASS,QQQ,90\n", ONLY_SMURF)[0]


@pytest.mark.parametrize(
    ("header", "faults"),
    [
        (
            "portfolio,symbol,target",
            ["column 3, target, is unknown; did you mean target_pct?", "the column target_pct is missing"],
        ),
        ("portfolio,symbol,target_pct,qqqq", ["column 4, qqqq, is unknown"]),
        ("portfolio,symbol,symbol,target_pct", ["the column symbol appears twice"]),
        ("portfolio,symbol,target_pct,note,note", ["the column note appears twice"]),
        ("SMURF,VTI,100", ["the header must be portfolio,symbol,target_pct, found SMURF,VTI,100"]),
    ],
)
def test_a_wrong_header_is_refused_by_the_name_of_its_columns(header, faults):
    assert portfolio_faults(f"\n{header}\nSMURF,VTI,100,,\n", ONLY_SMURF)[: len(faults)] == tuple(
        f"{NAME} line 2: {fault}" for fault in faults
    )


def test_rows_are_checked_beside_a_column_that_is_not_known():
    assert len(portfolio_faults("portfolio,symbol,target_pct,price\nSMURF,=x,100,7\n", ONLY_SMURF)) == 2


def test_all_faults_are_reported_at_once_in_a_message_that_counts_them():
    with pytest.raises(PortfoliosInvalid) as refused:
        parsed(smurf("VTI,x", "=x,-1"))
    assert [fault.removeprefix(f"{NAME} ")[:8] for fault in refused.value.faults] == [
        "line 2: ",
        "line 3: ",
        "line 3: ",
        "BADASS h",
        "GLTR has",
    ]
    assert refused.value.message == f"{NAME}: 5 faults in the portfolios"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n\n", "is empty"),
        (b"# only\n# comments\n", "contains no header and no rows"),
        (b"portfolio,symbol\n\0", "line 2: contains binary data (NUL)"),
        (HEADER.encode() + b"SMURF,V\xff,1\n", "line 2: is not UTF-8 text"),
        (b"portfolio,symbol,target_pct\n#" + b"x" * 10_000, "line 2: is longer than 10000 characters"),
        (
            b'portfolio,symbol,target_pct,note\nSMURF,VTI,100,"\n' + b"x" * 10_001,
            "line 3: is longer than 10000 characters",
        ),
        (b'"' + b"\n" * 140_000 + b'"', "line 1: cannot be read as CSV (field larger than field limit (131072))"),
        pytest.param(
            HEADER.encode() + b"SMURF,VTI,0\n" * 100_001,
            "line 100002: more than 100000 rows",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_no_portfolios_file_is_refused_with_the_place(data, fault):
    assert portfolio_faults(data, ONLY_SMURF)[-1] == f"{NAME} {fault}"


def test_a_line_of_exactly_ten_thousand_characters_is_read():
    assert parsed(HEADER + "#" * 10_000 + "\nSMURF,VTI,100\n", ONLY_SMURF)[0].line == 3


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_read():
    rows = "".join(f"SMURF,S{number},0.001\n" for number in range(100_000))
    assert len(parsed(HEADER + rows, ONLY_SMURF)) == 100_000


def read(path: Path, *, days: int | None = None, rule: Blending | None = None) -> tuple[ModelWeight, ...]:
    return read_portfolios(path, *(rule or blending()), max_age=None if days is None else timedelta(days=days), now=NOW)


def test_a_file_that_is_missing_a_directory_impossible_or_huge_is_refused(tmp_path):
    path = tmp_path / "portfolios.csv"
    for place, fault in [
        (path, f"{path}: there is no such file"),
        (tmp_path, f"{tmp_path} is a directory, not a portfolios file"),
        (tmp_path / "\0", "cannot be read"),
    ]:
        with pytest.raises(PortfoliosInvalid) as refused:
            read(place)
        assert fault in refused.value.message
    with path.open("wb") as file:
        file.truncate(64_000_001)
    with pytest.raises(PortfoliosInvalid, match="larger than 64 MB"):
        read(path)


def test_a_file_not_changed_for_longer_than_allowed_is_refused_beside_its_other_faults(tmp_path):
    path = tmp_path / "portfolios.csv"
    path.write_text(HEADER + SOUND)
    os.utime(path, (NOW.timestamp() - 86_400 * 30,) * 2)
    assert len(read(path)) == 4
    assert len(read(path, days=30)) == 4
    with pytest.raises(PortfoliosInvalid) as refused:
        read(path, days=29)
    assert refused.value.message == (f"{path} was last changed on 2026-01-31, 30 days ago: [io] max_csv_age_days = 29")
    path.write_text(smurf("VTI,100"))
    os.utime(path, (NOW.timestamp() - 86_400 * 30,) * 2)
    with pytest.raises(PortfoliosInvalid) as refused:
        read(path, days=29)
    assert len(refused.value.faults) == 3


def outcome_of(data: bytes, rule: Blending) -> tuple[ModelWeight, ...] | PortfoliosInvalid:
    try:
        return parse_portfolios(data, NAME, *rule)
    except PortfoliosInvalid as refused:
        return refused


def is_sound(outcome: tuple[ModelWeight, ...] | PortfoliosInvalid, rule: Blending) -> bool:
    """Whether it is rows that blend, or a refusal with faults of one visible line each."""
    if isinstance(outcome, tuple):
        return abs(blend(outcome, *rule).net - 1) < D("1e-6")
    return bool(outcome.faults) and all(fault.isprintable() for fault in outcome.faults)


@fuzzed
@given(st.binary(max_size=200))
def test_any_bytes_give_rows_or_a_refusal(data):
    assert is_sound(outcome_of(data, ONLY_SMURF), ONLY_SMURF)


@fuzzed
@given(mutations(("\ufeff# c\n" + HEADER + 'SMURF,VTI,"150"\nSMURF,CASH,-50%\n').encode()))
def test_a_damaged_file_gives_rows_or_a_refusal(data):
    rule = blending("1", "0", "0", allow_margin=True, max_leverage="4")
    assert is_sound(outcome_of(data, rule), rule)
