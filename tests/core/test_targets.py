"""Target weights: the blend of the models, final weights as given, and what holds for every blend."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st
from input_builders import (
    HEADER,
    MARGIN,
    MODELS,
    ONLY_SMURF,
    SOUND,
    Blending,
    blending,
    model_weight,
    parsed,
    smurf,
)

from core.errors import PortfoliosInvalid
from core.model import CASH, ModelWeight, Symbol, Targets
from core.money import D
from core.settings import RebalanceSection
from core.settings.loading import load_settings
from core.targets import blend, read_portfolios, targets_from_weights


def read(path: Path, by: Blending) -> tuple[ModelWeight, ...]:
    return read_portfolios(path, *by, max_age=None, now=NOW)


def test_the_demo_blend_is_the_weighted_sum_and_totals_one_hundred_percent(demo):
    settings = load_settings(demo / "settings.ini", environ={}, overrides={})
    by = (settings.models, settings.rebalance)
    targets = blend(read(demo / "portfolios.csv", by), *by)
    by_hand = {
        "BND": "0.15",  # 0.5 × 30 %
        "GLD": "0.10",  # 0.2 × 50 %
        "QQQ": "0.15",
        "SCHD": "0.03",
        "TIP": "0.06",
        "VEA": "0.10",
        "VNQ": "0.04",
        "VTI": "0.31",  # 0.5 × 50 % + 0.3 × 20 %
        "VWO": "0.06",
    }
    assert targets.weights == {symbol: D(text) for symbol, text in by_hand.items()}
    assert list(targets.weights) == sorted(by_hand)
    assert (targets.gross, targets.cash, targets.net) == (1, 0, 1)


def test_half_borrowed_models_blend_to_150_percent_gross_and_100_percent_net(demo):
    rule = blending(allow_margin=True)
    targets = blend(read(demo / "portfolios-margin.csv", rule), *rule)
    assert (targets.gross, targets.cash, targets.net) == (D("1.5"), D("-0.5"), 1)
    assert CASH not in targets.weights


@pytest.mark.parametrize(("allow_margin", "max_leverage"), [(False, "1.5"), (True, "1.49"), (False, "1")])
def test_half_borrowed_models_need_margin_and_leverage(demo, allow_margin, max_leverage):
    rule = blending(allow_margin=allow_margin, max_leverage=max_leverage)
    with pytest.raises(PortfoliosInvalid):
        read(demo / "portfolios-margin.csv", rule)
    rows = read(demo / "portfolios-margin.csv", blending(allow_margin=True))
    with pytest.raises(PortfoliosInvalid):
        blend(rows, *rule)


def test_a_model_that_misses_one_within_the_tolerance_is_scaled_to_one():
    targets = blend(parsed(smurf("VTI,59.995", "BND,40"), ONLY_SMURF), *ONLY_SMURF)
    assert targets.weights["VTI"] == D("59.995") / D("99.995")
    assert abs(targets.net - 1) < D("1e-20")


def test_a_mix_that_misses_one_within_the_tolerance_is_scaled_to_one():
    targets = blend(parsed(HEADER + SOUND), *blending("0.333", "0.333", "0.333"))
    assert abs(targets.weights["GLD"] - D(1) / 3) < D("1e-20")
    assert abs(targets.net - 1) < D("1e-20")


def test_a_model_with_mix_weight_zero_leaves_no_target_behind():
    assert list(blend(parsed(HEADER + SOUND, ONLY_SMURF), *ONLY_SMURF).weights) == ["BND", "VTI"]


def test_percentages_written_in_other_ways_give_the_same_text_of_weights():
    one = blend(parsed(smurf("VTI,60", "BND,40"), ONLY_SMURF), *ONLY_SMURF)
    other = blend(parsed(smurf("VTI,060.000%", "BND,40.0"), ONLY_SMURF), *ONLY_SMURF)
    assert repr(one) == repr(other)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([], "SMURF sums to 0"),
        ([("SMURF", "VTI", "0")], "SMURF sums to 0"),
        ([("SMURF", "VTI", "1.2"), ("SMURF", "BND", "-0.2")], "target BND = -0.2: must be >= 0"),
        ([("SMURF", "VTI", "0.8"), ("SMURF", "CASH", "0.2")], "target CASH = 0.2: must be <= 0"),
        ([("SMURF", "VTI", "1.6"), ("SMURF", "CASH", "-0.6")], "gross exposure is 1.6000"),
    ],
)
def test_rows_that_no_file_check_has_seen_are_refused_by_the_blend(rows, fault):
    with pytest.raises(PortfoliosInvalid, match=fault):
        blend([model_weight(*row) for row in rows], *MARGIN)


def final(weights: dict[str, str], rule: Blending | None = None) -> Targets:
    return targets_from_weights({Symbol(name): D(text) for name, text in weights.items()}, (rule or blending())[1])


def test_final_weights_below_one_leave_the_remainder_in_cash():
    targets = final({"VTI": "0.6", "BND": "0.3"})
    assert targets == Targets({Symbol("BND"): D("0.3"), Symbol("VTI"): D("0.6")}, D("0.9"), D(0), D("0.9"))


def test_final_weights_of_nothing_mean_all_cash():
    assert final({}).gross == 0


def test_final_weights_may_borrow_by_cash():
    assert final({"VTI": "1.5", "CASH": "-0.5"}, MARGIN).cash == D("-0.5")


def test_final_weights_that_borrow_may_leave_a_remainder_in_cash_too():
    targets = final({"VTI": "1.2", "CASH": "-0.5"}, MARGIN)
    assert (targets.weights, targets.cash, targets.net) == ({Symbol("VTI"): D("1.2")}, D("-0.5"), D("0.7"))


def test_final_weights_a_hair_above_one_are_scaled_to_one():
    assert abs(final({"VTI": "0.50005", "BND": "0.50005"}).net - 1) < D("1e-20")


@pytest.mark.parametrize(
    ("weights", "rule", "fault"),
    [
        ({"VTI": "1.1"}, MARGIN, "sum to 1.1: must be at most 1"),
        ({"VTI": "-0.1"}, MARGIN, "target VTI = -0.1: must be >= 0"),
        ({"VTI": "0.5", "CASH": "0.5"}, MARGIN, "lower the asset weights"),
        ({"VTI": "1.5", "CASH": "-0.5"}, blending(), "margin is disabled"),
        ({"VTI": "1.6", "CASH": "-0.6"}, MARGIN, "max_leverage"),
    ],
)
def test_final_weights_that_break_a_rule_are_refused(weights, rule, fault):
    with pytest.raises(PortfoliosInvalid, match=fault):
        final(weights, rule)


@st.composite
def models(draw: st.DrawFn) -> tuple[list[ModelWeight], Blending]:
    """Rows of three models, each normal or half borrowed, and a mix of one."""
    cut = sorted(draw(st.tuples(st.integers(1, 999), st.integers(1, 999))))
    mix = [D(cut[0]) / 1000, D(cut[1] - cut[0]) / 1000, D(1000 - cut[1]) / 1000]
    rows: list[ModelWeight] = []
    for model in MODELS:
        symbols = draw(st.lists(st.sampled_from([f"S{number}" for number in range(12)]), min_size=1, unique=True))
        parts = draw(st.lists(st.integers(0, 1000), min_size=len(symbols), max_size=len(symbols)))
        borrowed = draw(st.sampled_from([D(0), D("0.5")]))
        total = Decimal(sum(parts) + 1)
        weights = [Decimal(part) / total * (1 + borrowed) for part in parts]
        weights[0] += 1 + borrowed - sum(weights)
        rows += [ModelWeight(model, Symbol(name), part, 1) for name, part in zip(symbols, weights, strict=True)]
        rows += [ModelWeight(model, CASH, -borrowed, 1)] if borrowed else []
    return rows, (dict(zip(MODELS, mix, strict=True)), RebalanceSection(allow_margin=True, max_leverage=D("1.5")))


def weighted_sum(rows: Iterable[ModelWeight], rule: Blending) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row.symbol] = sums.get(row.symbol, D(0)) + rule[0][row.model] * row.weight
    return sums


def test_a_symbol_that_is_never_traded_may_not_have_a_target():
    rule = blending("1", "0", "0", hold_symbols=(Symbol("BND"), Symbol("RSX")))
    with pytest.raises(PortfoliosInvalid, match=r"BND has a target and is in \[rebalance\] hold_symbols"):
        blend(parsed(smurf("VTI,100", "BND,0"), rule), *rule)
    assert blend(parsed(smurf("VTI,100"), rule), *rule).weights == {"VTI": D(1)}


@given(models())
def test_a_blend_is_the_weighted_sum_and_nets_to_one(case):
    rows, rule = case
    targets = blend(rows, *rule)
    expected = weighted_sum([row for row in rows if rule[0][row.model]], rule)
    assert targets.weights.keys() == expected.keys() - {CASH}
    assert all(abs(found - expected[symbol]) < D("1e-6") for symbol, found in targets.weights.items())
    assert abs(targets.cash - expected.get(CASH, D(0))) < D("1e-6")
    assert abs(targets.net - 1) < D("1e-6")
    assert targets.gross + targets.cash == pytest.approx(targets.net, abs=D("1e-20"))
    assert min(targets.weights.values()) >= 0
    assert list(targets.weights) == sorted(targets.weights)


@given(models(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_a_digit_of_the_blend(case, random):
    rows, rule = case
    shuffled = rows.copy()
    random.shuffle(shuffled)
    assert repr(blend(shuffled, *rule)) == repr(blend(rows, *rule))
