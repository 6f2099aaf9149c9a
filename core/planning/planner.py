"""The plan, put together: value, drift, sells, conversion, buys, totals, hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from core.errors import FundsInsufficient
from core.model import (
    CAD,
    USD,
    USD_CAD,
    Contract,
    DriftLine,
    FxLeg,
    LimitedBy,
    Plan,
    PlanRules,
    Symbol,
    TradeLine,
    Valuation,
)
from core.money import ZERO
from core.planning.buys import WishList, size_wishes, wish_list
from core.planning.drift import invest_idle_cash, measure
from core.planning.funding import (
    Budget,
    BuyCosts,
    FxMarket,
    FxNeed,
    Proceeds,
    affordable,
    budget_for,
    convert,
    convertible,
    room,
)
from core.planning.hash import ApprovalScope, plan_hash
from core.planning.inputs import (
    Draft,
    PlanInputs,
    PricingRules,
    fx_market_of,
    pricing_rules_for,
    quote_warnings,
    refuse_unfit_quotes,
)
from core.planning.lines import number_lines
from core.planning.owner_notes import owner_notes
from core.planning.sells import proceeds_of, size_sells
from core.planning.totals import check_turnover, totals_of
from core.planning.valuation import value_account


@dataclass(frozen=True, slots=True)
class _Case:
    """One planning case: what is known before anything is sized."""

    inputs: PlanInputs
    rules: PlanRules
    valuation: Valuation
    drifts: tuple[DriftLine, ...]
    pricing: PricingRules
    market: FxMarket

    @property
    def usd(self) -> Decimal:
        return self.valuation.cash[USD]

    @property
    def cad(self) -> Decimal:
        return self.valuation.cash[CAD]

    @property
    def commission(self) -> Decimal:
        return self.rules.sizing.commission_per_order_usd


@dataclass(frozen=True, slots=True)
class _Income:
    """What comes in before the buys. `may_buy` is False while the account breaks its limits of borrowing."""

    sells: tuple[Draft, ...]
    fx: FxLeg | None
    proceeds: Proceeds
    may_buy: bool


def make_plan(inputs: PlanInputs, rules: PlanRules) -> Plan:
    """The smallest sensible trades towards the targets: the same inputs in any order give the same plan.

    Sells come first, then CAD is converted for what the buys lack, then buys are sized by the money there
    is at worst prices. Raises DataRefused for an account that cannot be planned for, MarketDataMissing
    where a price is missing or may not be used, FundsInsufficient when the limits of borrowing stay broken
    after the sells, SafetyRefused above max_turnover_pct.
    """
    case = _open_case(inputs, rules)
    listed = wish_list([drift for drift in case.drifts if drift.triggered and drift.wanted > 0], case.pricing)
    income = _income(case, listed)
    buys = size_wishes(listed, _budget(case, listed, income), rules.sizing)
    untouched = [Draft(drift) for drift in case.drifts if not drift.triggered]
    lines = number_lines(income.sells, (*buys, *listed.dropped), untouched, case.valuation)
    return _finish(case, lines, income)


def _open_case(inputs: PlanInputs, rules: PlanRules) -> _Case:
    valuation = value_account(inputs.snapshot, inputs.targets, inputs.contracts, inputs.quotes, rules, inputs.now)
    refuse_unfit_quotes(valuation.held, inputs, rules)
    drifts = measure(inputs.targets, valuation, rules.trigger)
    case = _Case(inputs, rules, valuation, drifts, pricing_rules_for(inputs, rules), fx_market_of(inputs, rules))
    return replace(case, drifts=invest_idle_cash(drifts, _idle_money(case), valuation, rules.trigger))


def _idle_money(case: _Case) -> Decimal:
    """USD for buys that are there before anything is sold, CAD that may be converted included."""
    rules, market = case.rules.funding, case.market
    usd = affordable(convertible(case.cad, market, rules), case.cad, market)
    if usd < rules.min_fx_order_usd or (rules.prefer_market_hours and case.inputs.fx_closed):
        usd = ZERO
    money = Proceeds(converted=usd, worst_rate=market.worst)
    return budget_for(case.valuation, case.inputs.targets, money, BuyCosts(0, ZERO, ZERO), case.rules.sizing).money


def _income(case: _Case, listed: WishList) -> _Income:
    """Sells and conversion; the sells rounded up where a USD debit would otherwise stay that may not."""
    sells = size_sells(case.drifts, case.pricing, rounds_up=False)
    may_buy = not _breaks_borrowing(case, sells)
    wanted_cost = listed.unlimited_cost(case.rules.sizing) if may_buy and case.rules.funding.enabled else ZERO
    income = _fund(case, sells, wanted_cost, may_buy=may_buy)
    if case.rules.sizing.allow_margin or case.usd >= 0 or case.usd + income.proceeds.total >= 0:
        return income
    return _fund(case, size_sells(case.drifts, case.pricing, rounds_up=True), wanted_cost, may_buy=may_buy)


def _breaks_borrowing(case: _Case, sells: tuple[Draft, ...]) -> bool:
    """Whether the account already breaks a limit of borrowing, so that it may sell but not buy.

    Raises FundsInsufficient, saying by how much, when the planned sells do not mend it.
    """
    sizing = case.rules.sizing
    if not sizing.allow_margin or not room(case.valuation, Proceeds(), sizing).is_broken:
        return False
    after = room(case.valuation, proceeds_of(sells, case.commission), sizing)
    if not after.is_broken:
        return True
    faults = []
    if after.leverage < 0:
        faults.append(f"gross position value is {-after.leverage:.2f} USD above max_leverage {sizing.max_leverage:f}")
    if after.margin < 0:
        faults.append(f"excess liquidity is {-after.margin:.2f} USD below the maintenance buffer")
    raise FundsInsufficient(
        f"the account breaks its limits of borrowing even after the planned sells: {' and '.join(faults)}",
        next_step="lower the targets, deposit cash, or sell by hand until the account is inside its limits",
    )


def _fund(case: _Case, sells: tuple[Draft, ...], wanted_cost: Decimal, *, may_buy: bool) -> _Income:
    """What the sells bring, and the conversion of what is then lacking for buys of `wanted_cost`."""
    rules = case.rules
    proceeds = proceeds_of(sells, case.commission)
    if not rules.funding.enabled:
        return _Income(sells, None, proceeds, may_buy)
    need = FxNeed(
        wanted_cost=wanted_cost,
        usd_cash=case.usd,
        cad_cash=case.cad,
        sells=proceeds.sells,
        buffer=case.valuation.buffer,
    )
    fx = convert(need, case.market, case.inputs.fx_closed, rules.funding)
    proceeds = replace(
        proceeds,
        converted=affordable(fx.quantity, case.cad, case.market),
        worst_rate=case.market.worst,
        commissions=proceeds.commissions + (case.commission if fx.quantity else ZERO),
    )
    return _Income(sells, fx, proceeds, may_buy)


def _budget(case: _Case, listed: WishList, income: _Income) -> Budget:
    if not income.may_buy:
        return Budget(ZERO, LimitedBy.LEVERAGE, ZERO)
    sizing = case.rules.sizing
    return budget_for(case.valuation, case.inputs.targets, income.proceeds, listed.costs(sizing), sizing)


def _finish(case: _Case, lines: tuple[TradeLine, ...], income: _Income) -> Plan:
    inputs, rules, valuation = case.inputs, case.rules, case.valuation
    totals = totals_of(lines, valuation, income.proceeds, income.fx, case.commission)
    check_turnover(totals, valuation.net_liq, rules.sizing)
    expires_at = inputs.now + rules.plan_lifetime
    bond = ApprovalScope(inputs.run_id, inputs.snapshot.account_id, inputs.mode, expires_at)
    contracts = _contracts(case)
    return Plan(
        run_id=inputs.run_id,
        account_id=inputs.snapshot.account_id,
        mode=inputs.mode,
        targets=inputs.targets,
        valuation=valuation,
        contracts=contracts,
        lines=lines,
        fx=income.fx,
        totals=totals,
        warnings=_warnings(case, lines, income.fx),
        created_at=inputs.now,
        expires_at=expires_at,
        hash=plan_hash(bond, ((line, contracts[line.symbol]) for line in lines), income.fx),
        notes=owner_notes(inputs.targets, valuation, lines, totals, rules),
    )


def _contracts(case: _Case) -> Mapping[Symbol, Contract]:
    """The contracts of all that is valued by quotes, alphabetical, and USD.CAD with conversion switched on."""
    known = case.inputs.contracts
    unmarked = {each.contract.symbol for each in case.inputs.snapshot.positions if each.market_value is None}
    valued = sorted({*case.valuation.held, *(unmarked & known.keys())})
    wanted = {symbol: known[symbol] for symbol in valued}
    return wanted | {USD_CAD: known[USD_CAD]} if case.rules.funding.enabled and USD_CAD in known else wanted


def _warnings(case: _Case, lines: tuple[TradeLine, ...], fx: FxLeg | None) -> tuple[str, ...]:
    """What a person should know before approving: the account, the conversion, then line by line."""
    untraded = [line.symbol for line in lines if not line.quantity]
    return (
        *case.valuation.warnings,
        *((fx.warning,) if fx and fx.warning else ()),
        *(line.limit.warning for line in lines if line.limit and line.limit.warning),
        *quote_warnings(untraded, case.inputs, case.rules),
    )
