"""How many shares: sells from what is held, buys from the money there is."""

from core.planning.sizing.buys import buy_costs, cost_with_ample_money, draft_buys, size_buys
from core.planning.sizing.sells import sell_quantity, size_sells

__all__ = ["buy_costs", "cost_with_ample_money", "draft_buys", "sell_quantity", "size_buys", "size_sells"]
