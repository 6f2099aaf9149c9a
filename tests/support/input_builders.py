"""Settings and portfolios with sensible defaults, and their refusals."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from core.errors import ExitCode, PortfoliosInvalid, SettingsInvalid
from core.model import ModelName, ModelWeight, Symbol
from core.money import D
from core.settings import RebalanceSection, Settings
from core.settings.loading import settings_from
from core.targets import parse_portfolios

FOLDER = Path("/home/ann/rebalancing")
NAME = "p.csv"
HEADER = "portfolio,symbol,target_pct\n"
MODELS = tuple(map(ModelName, ("SMURF", "BADASS", "GLTR")))
SOUND = "SMURF,VTI,60\nSMURF,BND,40\nBADASS,QQQ,100\nGLTR,GLD,100\n"

Texts = dict[str, dict[str, str]]
Blending = tuple[dict[ModelName, Decimal] | None, RebalanceSection]


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


def blending(
    *mix: str, allow_margin: bool = False, max_leverage: str = "1.5", hold_symbols: tuple[Symbol, ...] = ()
) -> Blending:
    """A mix of 50/30/20 without margin by default: what parsing and blending take of the settings."""
    weights = map(D, mix or ("0.5", "0.3", "0.2"))
    rebalance = RebalanceSection(allow_margin=allow_margin, max_leverage=D(max_leverage), hold_symbols=hold_symbols)
    return dict(zip(MODELS, weights, strict=True)), rebalance


ONLY_SMURF = blending("1", "0", "0")
MARGIN = blending("1", "0", "0", allow_margin=True)


def parsed(text: str, by: Blending | None = None) -> tuple[ModelWeight, ...]:
    return parse_portfolios(text.encode(), NAME, *(by or blending()))


def portfolio_faults(text: str | bytes, by: Blending | None = None) -> tuple[str, ...]:
    """The faults for which this file is refused."""
    with pytest.raises(PortfoliosInvalid) as refused:
        parse_portfolios(text.encode() if isinstance(text, str) else text, NAME, *(by or blending()))
    assert refused.value.exit_code is ExitCode.PORTFOLIOS
    return refused.value.faults


def smurf(*rows: str) -> str:
    """A portfolios file of SMURF alone; a row is `symbol,target_pct`."""
    return HEADER + "".join(f"SMURF,{row}\n" for row in rows)


def model_weight(model: str, symbol: str, fraction: str, line: int = 1) -> ModelWeight:
    return ModelWeight(ModelName(model), Symbol(symbol), D(fraction), line)
