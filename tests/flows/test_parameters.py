"""The parameters of the flow: what Prefect's forms show of them, and what is refused there and in a plain call."""

from __future__ import annotations

from pathlib import Path

import cloudpickle
import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.utilities.callables import parameter_schema

from core.errors import UsageError
from core.model import BrokerKind, Mode
from flows.household import household
from flows.parameters import TITLES
from flows.rebalance import rebalance
from tasks.app.request import Request

WRONG = {
    "csv": "",
    "ini": " ",
    "mode": "papr",
    "account": "DU 1234567",
    "broker": "ib",
    "market": "",
    "overrides": {"min_order_usd": 0},
    "confirm_live": "yes",
}
FILES = {"csv": "portfolios.csv", "ini": "settings.ini"}


def properties():
    return parameter_schema(rebalance).properties


def test_every_parameter_has_a_title_and_a_description_in_the_form():
    shown = parameter_schema(household).properties | properties()
    assert {name: each["title"] for name, each in shown.items()} == TITLES
    assert all(each["description"] for each in shown.values())


@pytest.mark.parametrize("flow", [rebalance, household])
@pytest.mark.parametrize(("name", "choices"), [("mode", Mode), ("broker", BrokerKind)])
def test_a_choice_is_offered_and_each_of_its_values_explained(flow, name, choices):
    shown = parameter_schema(flow).properties[name]
    assert shown["enum"] == list(choices)
    assert all(choice in shown["description"] for choice in choices)


def test_defaults_of_the_form_are_those_of_the_function():
    shown = properties()
    assert {name: each["default"] for name, each in shown.items() if "default" in each} == {
        "mode": "dry_run",
        "account": None,
        "broker": "ibkr",
        "market": None,
        "overrides": None,
        "confirm_live": False,
    }
    assert rebalance.fn.__kwdefaults__ == {"confirm_live": False}


def test_a_flow_that_was_sent_to_another_process_shows_the_same_form():
    arrived = cloudpickle.loads(cloudpickle.dumps(rebalance))
    assert parameter_schema(arrived) == parameter_schema(rebalance)
    assert arrived.to_deployment("x")._parameter_openapi_schema == parameter_schema(rebalance)


def test_paths_become_absolute_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = Request.of(**FILES, market=Path("market.yaml"))
    monkeypatch.chdir("/")
    assert (request.csv, request.ini, request.market) == tuple(
        tmp_path / name for name in ("portfolios.csv", "settings.ini", "market.yaml")
    )
    assert Request(Path("p.csv"), Path("s.ini")).parameters()["csv"] == Path("/p.csv")


@pytest.mark.parametrize(
    ("entered", "text"), [(0, "0"), (0.5, "0.5"), (True, "true"), (False, "false"), ("sell", "sell"), (250, "250")]
)
def test_an_override_may_be_a_number_a_switch_or_a_text(entered, text):
    assert Request.of(**FILES, overrides={"rebalance.untargeted": entered}).overrides == {"rebalance.untargeted": text}


def test_an_account_of_a_household_is_named_by_its_file_and_its_id_stands_nowhere(tmp_path, monkeypatch):
    (tmp_path / "accounts.yaml").write_text(
        "name: Family\nsettings: settings.ini\naccounts: [{id: DU7654321, name: Ann}]\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    request = Request.of(**FILES, account="accounts.yaml#Ann")
    assert request.is_of_household
    assert request.parameters()["account"] == f"{tmp_path / 'accounts.yaml'}#Ann"
    assert request.files().overrides["ibkr.account_id"] == "DU7654321"
    with pytest.raises(UsageError, match="has no account Anne; did you mean Ann"):
        Request.of(**FILES, account="accounts.yaml#Anne").files()


def test_what_was_not_entered_is_the_default():
    assert Request.of(**FILES, account=None, market=None, overrides=None) == Request.of(**FILES)


def test_wrong_parameters_are_named_together_and_without_their_values():
    with pytest.raises(UsageError) as refusal:
        Request.of(**WRONG)
    assert all(f"{name} must be " in str(refusal.value) for name in WRONG)
    assert "1234567" not in str(refusal.value)


@pytest.mark.parametrize("overrides", [{"notify.webhook_url": "https://x"}, {"a.b": None}, {"a.b": [1]}, [1], "a.b=1"])
def test_overrides_that_hold_a_secret_or_no_value_are_refused(overrides):
    with pytest.raises(UsageError, match="overrides must be"):
        Request.of(**FILES, overrides=overrides)


async def test_a_plain_call_with_a_wrong_parameter_ends_refused_with_2(prefect_server):
    state = await rebalance(**FILES, mode="papr", return_state=True)
    assert (state.name, state.is_failed()) == ("Refused", True)
    assert state.message.startswith("exit 2: wrong parameters: mode must be one of report_only, dry_run, paper, live")


async def test_the_server_refuses_wrong_parameters_when_they_are_entered(prefect_server):
    async with get_client() as client:
        deployment = await (await rebalance.ato_deployment("entered")).aapply()
        for name, value in WRONG.items():
            with pytest.raises(PrefectHTTPStatusError, match="409") as refusal:
                await client.create_flow_run_from_deployment(deployment, parameters=FILES | {name: value})
            assert name in refusal.value.response.text
        with_password = FILES | {"overrides": {"journal.url": "postgresql://ann:T0PQ@db/journal"}}
        with pytest.raises(PrefectHTTPStatusError, match="409"):
            await client.create_flow_run_from_deployment(deployment, parameters=with_password)
        made = await client.create_flow_run_from_deployment(
            deployment, parameters=FILES | {"overrides": {"rebalance.min_order_usd": 0}, "account": None}
        )
        await client.delete_flow_run(made.id)
