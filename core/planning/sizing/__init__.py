"""How many shares: sells from what is held, buys from the money there is."""

from core.planning.sizing.buys import BuyWant, SizedBuy, size_buys
from core.planning.sizing.sells import SellWant, SizedSell, size_sell

__all__ = ["BuyWant", "SellWant", "SizedBuy", "SizedSell", "size_buys", "size_sell"]
