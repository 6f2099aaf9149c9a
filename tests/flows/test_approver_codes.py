"""One-time codes: whose they are and of which time, and where their secrets come from."""

from __future__ import annotations

import pyotp
import pytest
from authenticator import Authenticator

from core.errors import SafetyRefused, UsageError
from core.masking import Secret
from tasks.app.codes import ApproverCodes, block_of, find_secret, new_secret, read_codes, save_secret

# the secret and three of the codes of RFC 6238, appendix B, in the six digits that authenticators show
OF_THE_RFC = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
AT, CODE = 1_111_111_109, "081804"


@pytest.mark.parametrize("at", [AT, AT - 30, AT + 30], ids=["now", "a step before", "a step after"])
def test_a_code_is_of_its_time_step_wherever_the_clocks_are_a_step_apart(at):
    assert ApproverCodes({"ANN": Secret(OF_THE_RFC)}).step_of("ANN", CODE, at) == AT // 30


@pytest.mark.parametrize("typed", ["081 804", " 081804\n"])
def test_a_code_may_be_typed_in_two_halves(typed):
    assert ApproverCodes({"ANN": Secret(OF_THE_RFC)}).step_of("ANN", typed, AT) is not None


@pytest.mark.parametrize(
    ("name", "typed", "at"),
    [
        ("ANN", CODE, AT + 90),
        ("ANN", CODE, AT - 90),
        ("BOB", CODE, AT),
        ("ann", CODE, AT),
        ("", CODE, AT),
        ("ANN", "081805", AT),
        ("ANN", "81804", AT),
        ("ANN", "", AT),
        ("ANN", "٠٨١٨٠٤", AT),
    ],
)
def test_any_other_code_is_nobodys(name, typed, at):
    secrets = {"ANN": Secret(OF_THE_RFC), "BOB": Secret(pyotp.random_base32())}
    assert ApproverCodes(secrets).step_of(name, typed, at) is None


def test_a_secret_shows_in_no_text():
    secret = new_secret()
    codes = ApproverCodes({"ANN": secret})
    assert secret.reveal() not in f"{codes!r} {codes} {secret!r} {secret}"


async def test_approvers_with_a_secret_can_answer(monkeypatch):
    own = Authenticator()
    monkeypatch.setenv(own.variable, own.secret)
    codes = await read_codes(["ANN", "BOB"], with_blocks=False)
    assert codes.names == ("ANN",)
    assert await read_codes([], with_blocks=False) is None


async def test_where_nobody_has_a_secret_the_run_is_refused():
    with pytest.raises(SafetyRefused, match=r"a secret \(ANN, BOB\) - make one: rebalance approver add ANN"):
        await read_codes(["ANN", "BOB"], with_blocks=False)


@pytest.mark.parametrize("text", ["JBSWY3DPEHPK3PXP", "not base32!", "0" * 32, "é" * 32], ids=str)
async def test_a_secret_that_is_short_or_no_base32_is_refused_without_being_shown(text, monkeypatch):
    monkeypatch.setenv("REBALANCER_APPROVER_ANN", text)
    with pytest.raises(SafetyRefused, match="the secret of approver ANN is not one") as refused:
        await find_secret("ANN", with_blocks=False)
    assert text not in str(refused.value)


@pytest.mark.server
async def test_a_secret_may_be_kept_in_a_block_of_the_server_where_none_replaces_it(prefect_server):
    secret = new_secret()
    assert await find_secret("BLOCK_1", with_blocks=True) is None
    await save_secret("BLOCK_1", secret)
    assert await find_secret("BLOCK_1", with_blocks=True) == secret
    with pytest.raises(UsageError, match=f"delete its Secret block {block_of('BLOCK_1')} on the page first"):
        await save_secret("BLOCK_1", new_secret())
    assert await find_secret("BLOCK_1", with_blocks=True) == secret
