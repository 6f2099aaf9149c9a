"""Settings and portfolios with sensible defaults, and their refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ExitCode, PortfoliosInvalid, SettingsInvalid
from core.model import ModelName, ModelWeight, Symbol
from core.money import D
from core.settings import Settings, settings_from
from core.targets import PortfolioRules, parse_portfolios

FOLDER = Path("/home/ann/rebalancing")
NAME = "p.csv"
HEADER = "portfolio,symbol,target_pct\n"
MODELS = tuple(map(ModelName, ("SMURF", "BADASS", "GLTR")))
SOUND = "SMURF,VTI,60\nSMURF,BND,40\nBADASS,QQQ,100\nGLTR,GLD,100\n"

Texts = dict[str, dict[str, str]]


def settings_texts(**sections: dict[str, str]) -> Texts:
    """The least that valid settings need, with `sections` over it."""
    least = {"ibkr": {"account_id": "DU1234567"}, "models": {"smurf": "0.5", "badass": "0.3", "gltr": "0.2"}}
    return least | {name: least.get(name, {}) | section for name, section in sections.items()}


def made_settings(
    sections: Texts | None = None, *, environ: dict[str, str] | None = None, overrides: dict[str, str] | None = None
) -> Settings:
    return settings_from(
        settings_texts(**sections or {}), folder=FOLDER, environ=environ or {}, overrides=overrides or {}
    )


def settings_faults(sections: Texts | None = None, **layers: dict[str, str]) -> tuple[str, ...]:
    """The faults for which these settings are refused."""
    with pytest.raises(SettingsInvalid) as refused:
        made_settings(sections, **layers)
    return refused.value.faults


def portfolio_rules(*mix: str, allow_margin: bool = False, max_leverage: str = "1.5") -> PortfolioRules:
    """A mix of 50/30/20 without margin, unless said otherwise."""
    weights = map(D, mix or ("0.5", "0.3", "0.2"))
    return PortfolioRules(dict(zip(MODELS, weights, strict=True)), allow_margin, D(max_leverage))


ONLY_SMURF = portfolio_rules("1", "0", "0")
MARGIN = portfolio_rules("1", "0", "0", allow_margin=True)


def parsed(text: str, rules: PortfolioRules | None = None) -> tuple[ModelWeight, ...]:
    return parse_portfolios(text.encode(), NAME, rules or portfolio_rules())


def portfolio_faults(text: str | bytes, rules: PortfolioRules | None = None) -> tuple[str, ...]:
    """The faults for which this file is refused."""
    with pytest.raises(PortfoliosInvalid) as refused:
        parse_portfolios(text.encode() if isinstance(text, str) else text, NAME, rules or portfolio_rules())
    assert refused.value.exit_code is ExitCode.PORTFOLIOS
    return refused.value.faults


def smurf(*rows: str) -> str:
    """A portfolios file of SMURF alone; a row is `symbol,target_pct`."""
    return HEADER + "".join(f"SMURF,{row}\n" for row in rows)


def model_weight(model: str, symbol: str, fraction: str, line: int = 1) -> ModelWeight:
    return ModelWeight(ModelName(model), Symbol(symbol), D(fraction), line)
