"""Where settings and targets come from: files, or a scenario that carries both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from core.errors import PortfoliosInvalid, SettingsInvalid
from core.model import ModelWeight, Targets
from core.settings import Settings
from core.settings.loading import load_settings
from core.targets import LOOSEST, blend, read_portfolios
from core.text import NO_FILE


class Source(Protocol):
    """Settings once, then the targets they blend. Raises SettingsInvalid and PortfoliosInvalid."""

    def settings(self) -> Settings: ...

    def rows(self, settings: Settings, now: datetime) -> tuple[ModelWeight, ...]:
        """The rows of the models; none where final weights are given instead."""
        ...

    def targets(self, settings: Settings, rows: tuple[ModelWeight, ...]) -> Targets: ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """portfolios.csv and settings.ini, with the environment and the run's own overrides over them."""

    csv: Path
    ini: Path
    environ: Mapping[str, str]
    overrides: Mapping[str, str]

    def settings(self) -> Settings:
        """The settings. Where they are refused the error names the faults of the portfolios as well."""
        try:
            return load_settings(self.ini, environ=self.environ, overrides=self.overrides)
        except SettingsInvalid as error:
            raise self._with_portfolios(error) from None

    def rows(self, settings: Settings, now: datetime) -> tuple[ModelWeight, ...]:
        days = settings.io.max_csv_age_days
        max_age = None if days is None else timedelta(days=days)
        return read_portfolios(self.csv, settings.models, settings.rebalance, max_age=max_age, now=now)

    def targets(self, settings: Settings, rows: tuple[ModelWeight, ...]) -> Targets:
        return blend(rows, settings.models, settings.rebalance)

    def _with_portfolios(self, error: SettingsInvalid) -> SettingsInvalid:
        """The error, with those faults of the portfolios that do not depend on the settings."""
        try:
            read_portfolios(self.csv, None, LOOSEST, max_age=None, now=datetime.now(UTC))
        except PortfoliosInvalid as other:
            is_missing = error.next_step == other.next_step == NO_FILE
            return SettingsInvalid(
                f"{error.message}; {other.message}",
                next_step=NO_FILE if is_missing else "correct both files and start again",
                faults=(*(f"{self.ini}: {fault}" for fault in error.faults), *other.faults),
            )
        return error
