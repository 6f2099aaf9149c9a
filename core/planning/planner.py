"""The plan, put together: value, drift, sells, conversion, buys, totals, hash; and its buys sized once more.

Values go one way: PlanInputs → Verdict per quote → Valuation → DriftLine → TradeDraft → TradeLine → Plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from core.errors import FundsInsufficient, MarketDataMissing
from core.market.quotes import Verdict
from core.model import (
    FUNDING,
    USD,
    Contract,
    DriftLine,
    FxLeg,
    LimitedBy,
    Mode,
    Plan,
    StaleAction,
    Symbol,
    TradeLine,
    Valuation,
)
from core.money import ZERO
from core.planning.drafts import TradeDraft, TradingTerms, number_lines, trade_line
from core.planning.drift import OVERWEIGHT, UNDERWEIGHT, by_side, invest_idle_cash, measure
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
    fx_market,
    headroom,
    proceeds_of,
)
from core.planning.invalidation import ApprovalScope, plan_hash
from core.planning.observing import PlanInputs
from core.planning.sizing import buy_costs, cost_with_ample_money, draft_buys, size_buys, size_sells
from core.planning.totals import check_turnover, owner_notes, totals_of
from core.planning.valuation import value_account
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class _Case:
    """One planning case: what is known before anything is sized."""

    inputs: PlanInputs
    settings: Settings
    verdicts: Mapping[Symbol, Verdict]
    valuation: Valuation
    drifts: tuple[DriftLine, ...]
    terms: TradingTerms
    market: FxMarket

    @property
    def usd(self) -> Decimal:
        return self.valuation.cash[USD]

    @property
    def cad(self) -> Decimal:
        return self.valuation.cash[FUNDING.currency]

    @property
    def commission(self) -> Decimal:
        return self.settings.rebalance.commission_per_order_usd


@dataclass(frozen=True, slots=True)
class _Income:
    """What comes in before the buys. `may_buy` is False while the account breaks its limits of borrowing."""

    sells: tuple[TradeDraft, ...]
    fx: FxLeg | None
    proceeds: Proceeds
    may_buy: bool


def make_plan(inputs: PlanInputs, settings: Settings) -> Plan:
    """The smallest sensible trades towards the targets: the same inputs in any order give the same plan.

    Sells come first, then CAD is converted for what the buys lack, then buys are sized by the money there
    is at worst prices. Raises DataRefused for an account that cannot be planned for, MarketDataMissing
    where a price is missing or may not be used, FundsInsufficient when the limits of borrowing stay broken
    after the sells, SafetyRefused above max_turnover_pct.
    """
    case = _open_case(inputs, settings)
    wants = by_side(case.drifts)
    wanted = draft_buys(wants.buys, case.terms)
    income = _income(case, wants.sells, wanted)
    buys = size_buys(wanted, _budget(case, wanted, income), settings.rebalance)
    untouched = [TradeDraft(drift) for drift in wants.untouched]
    return _finish(case, number_lines(income.sells, buys, untouched, case.valuation), income)


def resize_buys(plan: Plan, fresh: PlanInputs, settings: Settings) -> tuple[TradeLine, ...]:
    """The approved buys sized again after the sells, by actual cash, positions and limits; in the plan's order.

    The targets are the plan's in dollars: what the sells lost of NetLiq is no reason to buy less. The approved
    quantity is each line's upper bound, and a line keeps its number, also when nothing is left of it (then it
    has no side). Nothing that was not approved is bought.
    `fresh.quotes` covers the universe, as for the plan. Raises what make_plan raises of the account and
    of the quotes of the buys.
    """
    approved = {line.symbol: line for line in plan.buys}
    if not approved:
        return ()
    verdicts, rebalance = fresh.judge(settings), settings.rebalance
    valuation = value_account(fresh.snapshot, plan.targets, fresh.contracts, verdicts, settings)
    drifts = measure(plan.targets, valuation, settings.rebalance)
    investable = plan.valuation.investable
    lacking = [_lacking_now(drift, approved[drift.symbol], investable) for drift in drifts if drift.symbol in approved]
    quantities = {symbol: line.quantity for symbol, line in approved.items()}
    wanted = draft_buys(lacking, TradingTerms.of(fresh, verdicts, settings), quantities)
    if rebalance.allow_margin and headroom(valuation, Proceeds(), rebalance).is_broken:
        budget = Budget(ZERO, LimitedBy.LEVERAGE, ZERO)
    else:
        # sells and conversion are done, their commissions paid
        market = fx_market(verdicts, settings, sends_orders=fresh.mode.sends_orders)
        proceeds = Proceeds(worst_rate=market.worst)
        budget = budget_for(valuation, plan.targets, proceeds, buy_costs(wanted, rebalance), rebalance)
    bought = size_buys(wanted, budget, replace(rebalance, max_order_usd=None))
    drafts = {draft.drift.symbol: draft for draft in bought}
    return tuple([trade_line(drafts[symbol], line.number, valuation) for symbol, line in approved.items()])


def _lacking_now(drift: DriftLine, approved: TradeLine, investable: Decimal) -> DriftLine:
    """What an approved buy lacks of its target in the approved plan; the bands no longer keep it from trading."""
    size = OVERWEIGHT if drift.wanted < ZERO else UNDERWEIGHT
    wanted = drift.target * investable - drift.value
    rule = f"approved for {approved.quantity:,f} shares, {size} now"
    return drift._replace(wanted=wanted, limited_by=None, rule=rule)


def _open_case(inputs: PlanInputs, settings: Settings) -> _Case:
    verdicts = inputs.judge(settings)
    valuation = value_account(inputs.snapshot, inputs.targets, inputs.contracts, verdicts, settings)
    _refuse_unfit_quotes([verdicts[symbol] for symbol in valuation.held], inputs.mode, settings)
    drifts = measure(inputs.targets, valuation, settings.rebalance)
    terms = TradingTerms.of(inputs, verdicts, settings)
    market = fx_market(verdicts, settings, sends_orders=inputs.mode.sends_orders)
    case = _Case(inputs, settings, verdicts, valuation, drifts, terms, market)
    return replace(case, drifts=invest_idle_cash(drifts, _idle_money(case), valuation, settings.rebalance))


def _refuse_unfit_quotes(universe: Iterable[Verdict], mode: Mode, settings: Settings) -> None:
    """Raise MarketDataMissing naming every symbol whose quote may not even value a holding.

    In modes that send orders with `stale_action = refuse` that is a stale one, in live one that is not
    live: a symbol may be left untraded only because its price is old.
    """
    # the whole universe, also what would not trade: an old price may be the reason why it would not
    stale, late = _unfit(universe)
    if stale and mode.sends_orders and settings.limits.stale_action is StaleAction.REFUSE:
        raise MarketDataMissing(
            f"stale quotes, older than {settings.limits.stale_after.total_seconds():g} s: {', '.join(stale)}",
            next_step="run again with fresh quotes, or set [limits] stale_action = escalate",
        )
    if late and mode is Mode.LIVE:
        raise MarketDataMissing(
            f"quotes are not live: {', '.join(late)}",
            next_step="subscribe to live market data, or rehearse in mode paper",
        )


def _unfit(verdicts: Iterable[Verdict]) -> tuple[list[Symbol], list[Symbol]]:
    """(symbols with a stale quote, symbols with one that is not live)."""
    poor = [verdict for verdict in verdicts if verdict.is_stale or not verdict.is_live]
    stale = [verdict.quote.symbol for verdict in poor if verdict.is_stale]
    return stale, [verdict.quote.symbol for verdict in poor if not verdict.is_live]


def _idle_money(case: _Case) -> Decimal:
    """USD for buys that are there before anything is sold, CAD that may be converted included."""
    fx, market = case.settings.fx, case.market
    usd = affordable(convertible(case.cad, market, fx), case.cad, market)
    if usd < fx.min_fx_order_usd or (fx.prefer_market_hours and case.inputs.fx_closed):
        usd = ZERO
    money = Proceeds(converted=usd, worst_rate=market.worst)
    return budget_for(
        case.valuation, case.inputs.targets, money, BuyCosts(0, ZERO, ZERO), case.settings.rebalance
    ).money


def _income(case: _Case, selling: Sequence[DriftLine], wanted: tuple[TradeDraft, ...]) -> _Income:
    """Sells and conversion; the sells rounded up where a USD debit would otherwise stay that may not."""
    # to the nearest share first: only a debit that would stay asks for one share more
    sells = size_sells(selling, case.terms, rounds_up=False)
    may_buy = not _breaks_borrowing(case, sells)
    wanted_cost = (
        cost_with_ample_money(wanted, case.settings.rebalance) if may_buy and case.settings.fx.enabled else ZERO
    )
    income = _fund(case, sells, wanted_cost, may_buy=may_buy)
    if case.settings.rebalance.allow_margin or case.usd >= 0 or case.usd + income.proceeds.total >= 0:
        return income
    return _fund(case, size_sells(selling, case.terms, rounds_up=True), wanted_cost, may_buy=may_buy)


def _breaks_borrowing(case: _Case, sells: tuple[TradeDraft, ...]) -> bool:
    """Whether the account already breaks a limit of borrowing, so that it may sell but not buy.

    Raises FundsInsufficient, saying by how much, when the planned sells do not mend it.
    """
    rebalance = case.settings.rebalance
    if not rebalance.allow_margin or not headroom(case.valuation, Proceeds(), rebalance).is_broken:
        return False
    after = headroom(case.valuation, proceeds_of(sells, case.commission), rebalance)
    if not after.is_broken:
        return True
    faults = []
    if after.leverage < 0:
        faults.append(
            f"gross position value is {-after.leverage:.2f} USD above max_leverage {rebalance.max_leverage:f}"
        )
    if after.margin < 0:
        faults.append(f"excess liquidity is {-after.margin:.2f} USD below the maintenance buffer")
    raise FundsInsufficient(
        f"the account exceeds its borrowing limits even after the planned sells: {' and '.join(faults)}",
        next_step="lower the targets, deposit cash, or sell by hand until the account is inside its limits",
    )


def _fund(case: _Case, sells: tuple[TradeDraft, ...], wanted_cost: Decimal, *, may_buy: bool) -> _Income:
    """What the sells bring, and the conversion of what is then lacking for buys of `wanted_cost`."""
    settings = case.settings
    proceeds = proceeds_of(sells, case.commission)
    if not settings.fx.enabled:
        return _Income(sells, None, proceeds, may_buy)
    need = FxNeed(
        wanted_cost=wanted_cost,
        usd_cash=case.usd,
        funding_cash=case.cad,
        sells=proceeds.sells,
        buffer=case.valuation.buffer,
    )
    fx = convert(need, case.market, case.inputs.fx_closed, settings.fx)
    proceeds = replace(
        proceeds,
        converted=affordable(fx.quantity, case.cad, case.market),
        worst_rate=case.market.worst,
        commissions=proceeds.commissions + (case.commission if fx.quantity else ZERO),
    )
    return _Income(sells, fx, proceeds, may_buy)


def _budget(case: _Case, wanted: tuple[TradeDraft, ...], income: _Income) -> Budget:
    if not income.may_buy:
        return Budget(ZERO, LimitedBy.LEVERAGE, ZERO)
    rebalance = case.settings.rebalance
    return budget_for(case.valuation, case.inputs.targets, income.proceeds, buy_costs(wanted, rebalance), rebalance)


def _finish(case: _Case, lines: tuple[TradeLine, ...], income: _Income) -> Plan:
    inputs, settings, valuation = case.inputs, case.settings, case.valuation
    totals = totals_of(lines, valuation, income.proceeds, income.fx, case.commission)
    check_turnover(totals, valuation.net_liq, settings.rebalance)
    expires_at = inputs.now + settings.approval.lifetime
    scope = ApprovalScope(inputs.run_id, inputs.snapshot.account_id, inputs.mode, expires_at)
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
        hash=plan_hash(scope, ((line, contracts[line.symbol]) for line in lines), income.fx),
        notes=owner_notes(inputs.targets, valuation, lines, totals, settings),
    )


def _contracts(case: _Case) -> Mapping[Symbol, Contract]:
    """The contracts of all that is valued by quotes, alphabetical, and USD.CAD with conversion switched on."""
    known = case.inputs.contracts
    unmarked = {each.contract.symbol for each in case.inputs.snapshot.positions if each.market_value is None}
    held = case.valuation.held
    valued = sorted([*held, *((unmarked & known.keys()) - held.keys())])
    wanted = {symbol: known[symbol] for symbol in valued}
    return (
        wanted | {FUNDING.symbol: known[FUNDING.symbol]}
        if case.settings.fx.enabled and FUNDING.symbol in known
        else wanted
    )


def _warnings(case: _Case, lines: tuple[TradeLine, ...], fx: FxLeg | None) -> tuple[str, ...]:
    """What a person should know before approving: the account, the conversion, then line by line."""
    stale, late = _unfit([case.verdicts[line.symbol] for line in lines if not line.quantity])
    return (
        *case.valuation.warnings,
        *((fx.warning,) if fx and fx.warning else ()),
        *[line.limit.warning for line in lines if line.limit and line.limit.warning],
        *([f"valued by stale quotes: {', '.join(stale)}"] if stale else []),
        *([f"valued by quotes that are not live: {', '.join(late)}"] if late else []),
    )
