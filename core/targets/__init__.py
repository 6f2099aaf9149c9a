"""portfolios.csv to target weights: parse, check every rule, blend the models by their mix.

Records of the file become entries, entries that break no rule become ModelWeight values, and those one
Targets value. Weights are fractions and exact: a percentage is divided by 100 and carried at full length.
"""

from core.targets.blending import blend, targets_from_weights
from core.targets.parsing import LOOSEST, parse_portfolios, read_portfolios

__all__ = ["LOOSEST", "blend", "parse_portfolios", "read_portfolios", "targets_from_weights"]
