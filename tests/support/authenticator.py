"""An approver's authenticator: the secret in the environment, and the codes that it shows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pyotp

from tasks.app.codes import STEP_SECONDS, variable_of


@dataclass
class Authenticator:
    name: str = "ANN"
    secret: str = field(default_factory=pyotp.random_base32)

    @property
    def variable(self) -> str:
        return variable_of(self.name)

    def code(self, steps: int = 0) -> str:
        """The code that it shows now, or so many steps from now: one step beside now is good as well."""
        return pyotp.TOTP(self.secret).at(int(time.time()) + steps * STEP_SECONDS)

    @property
    def wrong(self) -> str:
        """A code that it shows at no time that counts."""
        near = {self.code(steps) for steps in range(-3, 4)}
        return next(code for code in (f"{number:06d}" for number in range(100)) if code not in near)
