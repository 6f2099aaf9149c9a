"""Asserts of the contract that every broker shares say what they compared."""

import pytest

pytest.register_assert_rewrite("broker_contract")
