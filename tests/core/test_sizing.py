"""Shares to sell and to buy: tables worked by hand, properties, and the proven optimum."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from bench.whole_share_quality import KINDS, MONEY, MOST_RATIO, SYMBOLS, measure_cell
from hypothesis import given
from hypothesis import strategies as st
from sizing_cases import BuyWant, SellWant, SizedBuy, SizedSell, size_buys, size_sell

from core.model import LimitedBy, Symbol
from core.money import ONE, ZERO, D
from core.planning.sizing.basket import Basket, Item
from core.planning.sizing.scaling import largest_fit, scale

FRACTION = D("0.0001")


def sell(wanted: str = "1000", price: str = "100", held: str = "50", **changes: object) -> SellWant:
    values = {"symbol": Symbol("VTI"), "wanted": D(wanted), "price": D(price), "held": D(held), "is_exit": False}
    return SellWant(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def sized_sell(want: SellWant, *, rounds_up: bool = False, minimum: str = "0") -> SizedSell:
    return size_sell(want, rounds_up=rounds_up, min_order_usd=D(minimum))


def buy(symbol: str = "VTI", wanted: str = "1000", price: str = "100", worst: str = "", **changes: object) -> BuyWant:
    """A buy that costs no more than its price, unless `worst` says so."""
    values = {"symbol": Symbol(symbol), "wanted": D(wanted), "price": D(price), "worst_price": D(worst or price)}
    return BuyWant(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def bought(
    wants: Sequence[BuyWant], money: str | Decimal, *, minimum: str = "0", commission: str = "0"
) -> dict[str, tuple[str, LimitedBy | None]]:
    sized = size_buys(wants, D(money), min_order_usd=D(minimum), commission=D(commission))
    return {line.symbol: (f"{line.quantity.normalize():f}", line.limited_by) for line in sized}


@pytest.mark.parametrize(
    ("wanted", "rounds_up", "shares"),
    [
        ("249", False, "2"),
        ("250", False, "2"),  # a tie sells fewer
        ("250.01", False, "3"),
        ("200.01", True, "3"),
        ("200", True, "2"),
        ("49", False, "0"),
    ],
)
def test_a_sell_is_the_nearest_share_or_the_next_one_above(wanted: str, rounds_up: bool, shares: str) -> None:
    assert sized_sell(sell(wanted), rounds_up=rounds_up) == SizedSell(Symbol("VTI"), D(shares), ZERO, None)


def test_a_sell_never_exceeds_what_is_held() -> None:
    sized = sized_sell(sell("1030", held="10.4"), rounds_up=True)
    assert (sized.quantity, sized.limited_by, sized.remainder) == (D(10), LimitedBy.HELD, ZERO)


@pytest.mark.parametrize(
    ("held", "step", "quantity", "remainder"),
    [
        ("10", ONE, "10", "0"),
        ("10.5", ONE, "10", "0.5"),
        ("0.5", ONE, "0", "0.5"),
        ("10.5", FRACTION, "10.5", "0"),
        ("10.12345", FRACTION, "10.1234", "0.00005"),
    ],
)
def test_an_exit_sells_what_is_held_and_reports_what_remains(
    held: str, step: Decimal, quantity: str, remainder: str
) -> None:
    sized = sized_sell(sell("1", held=held, is_exit=True, step=step), minimum="5000")
    assert (sized.quantity, sized.remainder, sized.limited_by) == (D(quantity), D(remainder), None)


def test_a_sell_in_fractions_is_rounded_to_four_decimals() -> None:
    assert sized_sell(sell("100", price="3", step=FRACTION)).quantity == D("33.3333")
    assert sized_sell(sell("100", price="3", step=FRACTION), rounds_up=True).quantity == D("33.3334")


@pytest.mark.parametrize("is_exit", [False, True])
def test_the_largest_order_cuts_a_sell_also_an_exit(is_exit: bool) -> None:
    sized = sized_sell(sell("3000", price="101", held="29", is_exit=is_exit, most_usd=D(1010)))
    assert (sized.quantity, sized.limited_by) == (D(10), LimitedBy.MAXIMUM)


def test_a_sell_below_the_minimum_is_dropped_and_one_of_exactly_the_minimum_is_not() -> None:
    assert sized_sell(sell("500"), minimum="500").quantity == D(5)
    dropped = sized_sell(sell("499", price="99.8"), minimum="500")
    assert (dropped.quantity, dropped.limited_by) == (ZERO, LimitedBy.MINIMUM)


def test_an_exit_limited_to_less_than_all_is_not_exempt_from_the_minimum() -> None:
    sized = sized_sell(sell("1", price="300", held="3", is_exit=True, most_usd=D(550)), minimum="500")
    assert (sized.quantity, sized.limited_by) == (ZERO, LimitedBy.MAXIMUM)


@given(
    wanted=st.decimals("0.01", "20000", places=2),
    more=st.decimals("0", "500", places=2),
    held=st.decimals("0", "100", places=4),
    price=st.decimals("1", "900", places=2),
    step=st.sampled_from([ONE, FRACTION]),
    rounds_up=st.booleans(),
)
def test_wanting_to_sell_more_never_sells_less(
    wanted: Decimal, more: Decimal, held: Decimal, price: Decimal, step: Decimal, rounds_up: bool
) -> None:
    little, much = (
        sized_sell(sell(str(usd), str(price), str(held), step=step), rounds_up=rounds_up).quantity
        for usd in (wanted, wanted + more)
    )
    assert little <= much <= held
    assert abs(little * price - wanted) <= price * step or little + step > held


@pytest.mark.parametrize(
    ("wanted", "step", "shares"),
    [("249", ONE, "2"), ("250", ONE, "2"), ("250.01", ONE, "3"), ("49", ONE, "0"), ("250.019", FRACTION, "2.5001")],
)
def test_with_money_enough_a_buy_is_the_nearest_share_and_a_half_share_is_not_bought(
    wanted: str, step: Decimal, shares: str
) -> None:
    assert bought([buy(wanted=wanted, step=step)], "1000000") == {"VTI": (shares, None)}


def test_a_target_of_exactly_k_shares_buys_k() -> None:
    wants = [buy(f"S{k}", wanted=str(k * D("33.37")), price="33.37") for k in (1, 7, 999)]
    assert [line for line, _ in bought(wants, "33604.59").values()] == ["1", "7", "999"]


def test_too_little_money_scales_every_line_by_the_same_factor() -> None:
    wants = [buy("AAA", "6000", "10"), buy("BBB", "3000", "10"), buy("CCC", "1000", "10")]
    assert bought(wants, "5000") == {
        "AAA": ("300", LimitedBy.MONEY),
        "BBB": ("150", LimitedBy.MONEY),
        "CCC": ("50", LimitedBy.MONEY),
    }


def test_scarce_money_stays_with_every_line_though_some_have_narrower_spreads() -> None:
    wants = [buy(f"S{k}", str(20_000 + 997 * k), f"{100 + 7 * k}.37", f"{100 + 7 * k}.{38 + 5 * k}") for k in range(9)]
    money = sum((want.wanted for want in wants), ZERO) * D("0.9")
    for want, line in zip(wants, size_buys(wants, money, min_order_usd=ZERO, commission=ONE), strict=True):
        assert abs(line.quantity * want.price - want.wanted * D("0.9")) < 5 * D("156.37")


def test_money_is_counted_at_worst_prices_and_with_commissions() -> None:
    wants = [buy("AAA", "300", "100", "101"), buy("BBB", "300", "100", "101")]
    assert bought(wants, "608", commission="1")["BBB"] == ("3", None)
    short = bought(wants, "607.99", commission="1")
    assert sorted(line for line, _ in short.values()) == ["2", "3"]


def test_what_is_left_buys_the_shares_that_together_leave_the_least_drift() -> None:
    # by worth per dollar a greedy takes one share at 60, and 40 stay; two at 50 leave nothing
    wants = [buy("AAA", "60", "60", "59.90"), buy("BBB", "50", "50"), buy("CCC", "50", "50")]
    assert bought(wants, "100") == {"AAA": ("0", LimitedBy.MONEY), "BBB": ("1", None), "CCC": ("1", None)}


def test_a_line_gives_up_a_share_of_its_base_when_others_need_the_money_more() -> None:
    # whole shares below: 1 + 0 at 100, and 80 are left; without the first share 180 pay for both of 90
    wants = [buy("AAA", "101", "100"), buy("BBB", "89", "90"), buy("CCC", "89", "90")]
    assert bought(wants, "180") == {"AAA": ("0", LimitedBy.MONEY), "BBB": ("1", None), "CCC": ("1", None)}


def test_equal_lines_are_served_in_order_of_symbol() -> None:
    wants = [buy(name, "100") for name in ("CCC", "AAA", "BBB")]
    assert bought(wants, "200") == {"AAA": ("1", None), "BBB": ("1", None), "CCC": ("0", LimitedBy.MONEY)}


@pytest.mark.parametrize("money", ["0", "-1000", "99.99"])
def test_without_money_for_a_share_nothing_is_bought(money: str) -> None:
    assert bought([buy()], money) == {"VTI": ("0", LimitedBy.MONEY)}


def test_nothing_wanted_is_nothing_bought() -> None:
    assert bought([], "1000") == {}


@pytest.mark.parametrize(
    ("most", "shares", "limited_by"),
    [
        ("4", "4", LimitedBy.MAXIMUM),
        ("4.9", "4", LimitedBy.MAXIMUM),
        ("10", "10", None),
        ("11", "10", None),
        ("0", "0", LimitedBy.MAXIMUM),
    ],
)
def test_the_upper_bound_cuts_a_buy(most: str, shares: str, limited_by: LimitedBy | None) -> None:
    assert bought([buy(most=D(most))], "100000") == {"VTI": (shares, limited_by)}


def test_a_line_limited_by_its_maximum_is_scaled_from_there() -> None:
    wants = [buy("AAA", "9000", "10", most=D(100)), buy("BBB", "1000", "10")]
    assert bought(wants, "1000") == {"AAA": ("50", LimitedBy.MONEY), "BBB": ("50", LimitedBy.MONEY)}


def test_a_line_below_the_minimum_is_dropped_before_scaling() -> None:
    wants = [buy("AAA", "600", "10"), buy("BBB", "600", "10"), buy("CCC", "300", "10")]
    assert bought(wants, "1000", minimum="400") == {
        "AAA": ("50", LimitedBy.MONEY),
        "BBB": ("50", LimitedBy.MONEY),
        "CCC": ("0", LimitedBy.MINIMUM),
    }


@pytest.mark.parametrize(
    ("wanted", "minimum", "expected"),
    [
        ("480", "500", ("2", None)),  # the nearest is 2 × 260 = 520
        ("380", "500", ("0", LimitedBy.MINIMUM)),
        ("100", "500", ("0", LimitedBy.MINIMUM)),
        ("100", "50", ("0", None)),  # less than half a share is rounding, not the minimum
    ],
)
def test_the_minimum_is_taken_of_the_nearest_share(
    wanted: str, minimum: str, expected: tuple[str, LimitedBy | None]
) -> None:
    assert bought([buy(wanted=wanted, price="260")], "10000", minimum=minimum) == {"VTI": expected}


def test_the_smallest_line_goes_after_scaling_and_the_others_get_its_money() -> None:
    # at two thirds: 600, 600 and 400; without the third: 800 and 800
    wants = [buy("AAA", "900", "10"), buy("BBB", "900", "10"), buy("CCC", "600", "10")]
    assert bought(wants, "1600", minimum="500") == {
        "AAA": ("80", LimitedBy.MONEY),
        "BBB": ("80", LimitedBy.MONEY),
        "CCC": ("0", LimitedBy.MINIMUM),
    }


def test_no_more_lines_go_than_must() -> None:
    # 4 × 300 for a minimum of 400 each: dropping one is enough
    wants = [buy(name, "500", "1") for name in ("AAA", "BBB", "CCC", "DDD")]
    assert bought(wants, "1200", minimum="400") == {
        "AAA": ("0", LimitedBy.MINIMUM),
        "BBB": ("400", LimitedBy.MONEY),
        "CCC": ("400", LimitedBy.MONEY),
        "DDD": ("400", LimitedBy.MONEY),
    }


def test_lines_one_share_short_of_the_minimum_are_lifted_from_the_largest_down() -> None:
    # the whole shares below are 1 × 300 each; the smallest pays for the second share of the others
    wants = [buy("AAA", "512", "300"), buy("BBB", "511", "300"), buy("CCC", "510", "300")]
    assert bought(wants, "1300", minimum="500") == {
        "AAA": ("2", None),
        "BBB": ("2", None),
        "CCC": ("0", LimitedBy.MINIMUM),
    }


def test_a_line_whose_nearest_share_is_worth_the_minimum_is_kept_while_money_pays_for_that_share() -> None:
    # wanted 480 < 500, but its nearest 2 × 260 = 520; the whole shares below leave 290 of the money
    wants = [buy("AAA", "480", "260"), buy("BBB", "10000", "10"), buy("CCC", "560", "100")]
    assert bought(wants, "11050", minimum="500") == {
        "AAA": ("2", None),
        "BBB": ("1000", None),
        "CCC": ("5", LimitedBy.MONEY),
    }


def test_what_a_dropped_line_frees_goes_to_the_others_alike() -> None:
    # 2 × 490 do not fit and 490 is below the minimum; half of all the money is then 19 787.50 each
    wants = [buy("AAA", "20000", "1"), buy("BBB", "20000", "1"), buy("CCC", "1010", "490")]
    assert bought(wants, "39575", minimum="500") == {
        "AAA": ("19788", LimitedBy.MONEY),
        "BBB": ("19787", LimitedBy.MONEY),
        "CCC": ("0", LimitedBy.MINIMUM),
    }


def test_a_share_that_is_worth_the_minimum_is_not_dropped_but_waits_for_money() -> None:
    wants = [buy("AAA", "800", "800"), buy("BBB", "900", "10")]
    assert bought(wants, "1000", minimum="500")["AAA"] == ("0", LimitedBy.MONEY)


def test_fractions_take_what_whole_shares_leave_over() -> None:
    # below nine tenths there are 2 shares at 300, and 900 for the line in fractions
    wants = [buy("AAA", "1000", "300"), buy("BBB", "1000", "7", step=FRACTION)]
    assert bought(wants, "1500") == {"AAA": ("2", LimitedBy.MONEY), "BBB": ("128.5714", LimitedBy.MONEY)}


@st.composite
def wanted_lines(draw: st.DrawFn) -> list[BuyWant]:
    count = draw(st.integers(1, 8))
    wants = []
    for line in range(count):
        price = draw(st.decimals("3", "800", places=2))
        worst = (price * draw(st.decimals("0.99", "1.03", places=4))).quantize(D("0.01"))
        wanted = draw(st.one_of(st.decimals("0.01", "3000", places=5), st.integers(1, 9).map(lambda k, p=price: k * p)))
        most = draw(st.one_of(st.none(), st.decimals("0", "30", places=1)))
        step = draw(st.sampled_from([ONE, ONE, FRACTION]))
        wants.append(buy(f"S{line}", str(wanted), str(price), str(worst), most=most, step=step))
    return wants


def nearest(want: BuyWant) -> Decimal:
    """The quantity that no buy may exceed, calculated another way: in fractions."""
    steps = Fraction(want.wanted) / Fraction(want.price) / Fraction(want.step)
    whole = steps.numerator // steps.denominator
    if want.step == ONE and steps - whole > Fraction(1, 2):
        whole += 1
    most = whole if want.most is None else int(want.most / want.step)
    return min(whole, most) * want.step


def drift(wants: Sequence[BuyWant], sized: Sequence[SizedBuy]) -> Decimal:
    return sum((abs(want.wanted - line.quantity * want.price) for want, line in zip(wants, sized, strict=True)), ZERO)


MONIES = st.decimals("-10", "15000", places=2)
MINIMUMS = st.sampled_from([ZERO, ZERO, D(100), D(500)])
COMMISSIONS = st.sampled_from([ZERO, ONE, D("2.5")])


@given(wants=wanted_lines(), money=MONIES, minimum=MINIMUMS, commission=COMMISSIONS)
def test_every_buy_is_affordable_at_its_worst_price_and_within_its_bounds(
    wants: list[BuyWant], money: Decimal, minimum: Decimal, commission: Decimal
) -> None:
    sized = size_buys(wants, money, min_order_usd=minimum, commission=commission)
    pairs = list(zip(wants, sized, strict=True))
    assert sum(q.quantity * want.worst_price + commission for want, q in pairs if q.quantity) <= max(money, ZERO)
    for want, line in pairs:
        assert ZERO <= line.quantity <= nearest(want)
        assert line.quantity % want.step == 0
        assert not ZERO < line.quantity * want.price < minimum
        assert line.limited_by is not None or line.quantity == nearest(want)
        assert line.limited_by is not LimitedBy.MONEY or line.quantity < nearest(want)


@given(wants=wanted_lines(), money=MONIES, minimum=MINIMUMS, order=st.randoms(use_true_random=False))
def test_the_order_of_the_lines_does_not_matter(
    wants: list[BuyWant], money: Decimal, minimum: Decimal, order: object
) -> None:
    mixed = list(wants)
    order.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis hands over a random.Random
    sized = [size_buys(lines, money, min_order_usd=minimum, commission=ONE) for lines in (wants, mixed)]
    assert sized[0] == sized[1]
    assert [line.symbol for line in sized[0]] == sorted(want.symbol for want in wants)


@given(wants=wanted_lines(), money=st.decimals("0", "15000", places=2))
def test_drift_is_never_worse_than_with_the_scaled_whole_shares(wants: list[BuyWant], money: Decimal) -> None:
    whole = [want for want in wants if want.step == ONE and want.most is None]
    sized = size_buys(whole, money, min_order_usd=ZERO, commission=ONE)
    scaled = [SizedBuy(want.symbol, D(q), None) for want, q in zip(whole, scaled_by_hand(whole, money), strict=True)]
    assert drift(whole, sized) <= drift(whole, scaled)


@given(wants=wanted_lines(), share=st.integers(1, 19))
def test_where_much_money_is_missing_no_line_gives_up_more_than_a_share_of_its_scaled_size(
    wants: list[BuyWant], share: int
) -> None:
    whole = [want for want in wants if want.step == ONE and want.most is None]
    floors = [int(want.wanted / want.price) for want in whole]
    full = sum((q * want.worst_price + ONE for q, want in zip(floors, whole, strict=True) if q), ZERO)
    money = full * share / 20
    sized = {line.symbol: line.quantity for line in size_buys(whole, money, min_order_usd=ZERO, commission=ONE)}
    for want, scaled in zip(whole, scaled_by_hand(whole, money), strict=True):
        assert sized[want.symbol] >= scaled - 1


def scaled_by_hand(wants: Sequence[BuyWant], money: Decimal) -> list[int]:
    """Whole shares below at the largest factor that fits, from all factors at which a line gains a share."""
    pairs = [(Fraction(want.wanted), Fraction(want.price)) for want in wants]
    jumps = sorted({Fraction(1), *(k * price / goal for goal, price in pairs for k in range(1, int(goal / price) + 1))})

    def shares_at(factor: Fraction) -> list[int]:
        return [int(factor * goal / price) for goal, price in pairs]

    def is_too_much(factor: Fraction) -> bool:
        shares = shares_at(factor)
        return sum(q * want.worst_price + ONE for q, want in zip(shares, wants, strict=True) if q) > money

    fitting = bisect_left(jumps, x=True, key=is_too_much)
    return shares_at(jumps[fitting - 1]) if fitting else [0] * len(wants)


@st.composite
def baskets(draw: st.DrawFn) -> Basket:
    """Small whole numbers, so that ties and exact fits are frequent."""
    minimum = draw(st.integers(1, 60))
    items = []
    for _ in range(draw(st.integers(1, 7))):
        price, goal = draw(st.integers(1, 30)), draw(st.integers(1, 120))
        cap = goal // price + (2 * (goal % price) > price)
        item = Item(price, price + draw(st.integers(0, 2)), goal, cap, goal // price, -(-minimum // price), None)
        items.append(item if item.least <= cap else item.dropped())
    return Basket(items, draw(st.integers(0, 400)), minimum, draw(st.integers(0, 2)))


def steps_at(basket: Basket, factor: Fraction) -> list[int]:
    return [int(factor * item.goal / item.price) for item in basket.items]


def jumps_of(basket: Basket) -> list[Fraction]:
    return sorted({Fraction(k * item.price, item.goal) for item in basket.items for k in range(1, item.floor + 1)})


@given(basket=baskets())
def test_the_factor_is_the_largest_at_which_the_whole_shares_fit(basket: Basket) -> None:
    fitting = [0] * len(basket.items)
    for factor in [*jumps_of(basket), Fraction(1)]:
        if basket.left(steps_at(basket, factor)) < 0:
            break
        fitting = steps_at(basket, factor)
    assert largest_fit(basket).steps == fitting


@given(basket=baskets())
def test_dropping_small_lines_equals_planning_again_after_each(basket: Basket) -> None:
    again, steps = basket, largest_fit(basket).steps
    while (smallest := _worth_least_below(again, steps)) is not None:
        again = again.without([smallest])
        steps = largest_fit(again).steps
    assert scale(basket).steps == steps
    assert basket.without(scale(basket).dropped) == again


def _worth_least_below(basket: Basket, steps: Sequence[int]) -> int | None:
    """The line whose steps are worth least, if that is below the minimum."""
    small = [
        (q * item.price, line)
        for line, (item, q) in enumerate(zip(basket.items, steps, strict=True))
        if item.can_be_small and q * item.price < basket.minimum
    ]
    return min(small)[1] if small else None


def test_very_many_small_lines_are_dropped_in_batches_of_which_none_is_needless() -> None:
    # 1 000 lines want 600 each, the money is for 500 of them: at the minimum of 300 every one can stay, at 301 not all
    def kept(minimum: str) -> int:
        wants = [buy(f"S{k:04d}", "600", "1") for k in range(1000)]
        return sum(line != "0" for line, _ in bought(wants, "300000", minimum=minimum).values())

    assert (kept("300"), kept("301"), kept("500")) == (1000, 996, 600)


def test_a_batch_is_no_larger_than_lets_the_others_have_exactly_their_goal() -> None:
    line = Item(price=1, worst=1, goal=500, cap=500, floor=500, least=500, limited_by=None)
    basket = Basket([line] * 1000, money=300_000, minimum=500, commission=0)
    assert len(scale(basket).dropped) == 400


@pytest.mark.parametrize("seed", range(4))
def test_dropping_in_batches_leaves_no_line_below_the_minimum_and_no_money_for_another(seed: int) -> None:
    random = Random(seed)
    wants = [
        buy(f"S{k:04d}", str(random.randint(510, 3000)), f"{random.randint(5, 250)}.{random.randint(10, 99)}")
        for k in range(600)
    ]
    money = sum((want.wanted for want in wants), ZERO) / 5
    sized = size_buys(wants, money, min_order_usd=D(500), commission=ONE)
    spent = sum(
        (line.quantity * want.price + ONE for line, want in zip(sized, wants, strict=True) if line.quantity), ZERO
    )
    assert all(not line.quantity or line.quantity * want.price >= 500 for line, want in zip(sized, wants, strict=True))
    assert money - 510 < spent <= money


def test_money_that_would_lie_idle_below_the_minimum_goes_to_the_line_that_can_use_it() -> None:
    # at one factor 10 × 34.50 and 0 × 435.50: the second is worth least and goes, and 18 × 34.50 can be paid
    wants = [buy("AAA", "2053.75", "34.5"), buy("BBB", "2583.75", "435.5")]
    assert bought(wants, "625", minimum="500") == {"AAA": ("18", LimitedBy.MONEY), "BBB": ("0", LimitedBy.MINIMUM)}


def test_a_line_that_was_dropped_comes_back_where_the_others_leave_money_for_it() -> None:
    # scaled to four fifths the second is below the minimum, but the first wants no more than one share
    wants = [buy("AAA", "900", "600"), buy("BBB", "600", "10")]
    assert bought(wants, "1200", minimum="500") == {"AAA": ("1", None), "BBB": ("60", None)}
    assert bought(wants, "1100", minimum="500") == {"AAA": ("1", None), "BBB": ("50", LimitedBy.MONEY)}
    assert bought(wants, "1099.99", minimum="500") == {"AAA": ("1", None), "BBB": ("0", LimitedBy.MINIMUM)}


def test_of_what_was_dropped_the_better_one_is_bought_instead() -> None:
    # scaled, AAA is worth 345 and goes; one share of BBB would leave 89.50 of the money, 18 of AAA leave 4
    wants = [buy("AAA", "2053.75", "34.5"), buy("BBB", "2583.75", "535.5")]
    assert bought(wants, "625", minimum="500")["AAA"] == ("18", LimitedBy.MONEY)


def test_one_wide_line_gives_way_to_those_that_lose_less_by_their_worst_price() -> None:
    wants = [buy("AAA", "891000", "50"), buy("WID", "99000", "25", "26.5")]
    assert bought(wants, "990000") == {"AAA": ("17820", None), "WID": ("3735", LimitedBy.MONEY)}


@pytest.mark.parametrize(
    "symbols", [pytest.param(count, marks=() if count == min(SYMBOLS) else pytest.mark.slow) for count in SYMBOLS]
)
@pytest.mark.parametrize("kind", KINDS)
def test_drift_is_near_the_proven_optimum(kind: str, symbols: int) -> None:
    for money in MONEY:
        cell = measure_cell(kind, symbols, money, range(100, 101))
        assert cell.max_ratio <= MOST_RATIO[KINDS[kind].spread_bps], cell
        assert cell.overspend <= 0, cell


def test_with_some_hundred_lines_only_those_at_the_margin_are_searched_and_that_is_enough() -> None:
    cell = measure_cell("uniform", 300, MONEY[-1], range(2))
    assert cell.mean_ratio <= 1.02, cell
    assert cell.overspend <= 0, cell
