"""Most checks of a gate are asked in one whether they hold: the verdict is what each of them says when asked singly."""

from collections import Counter

import pytest
from gate_cases import gate_cases
from gate_samples import only

from expectations import gate
from expectations.gate import batch_definition, library, refusal, run_gate

CASES = gate_cases(5)
# asked singly, the checks of one table take a second or two
TABLES = [name if name in ("portfolios", "fills") else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


def singly(frame, suite):
    """The faults of a suite whose checks are all asked for everything at once, by the library alone."""
    names = [column for column in ("line", "portfolio", "symbol") if column in frame.columns]
    form = {"result_format": "COMPLETE", "unexpected_index_column_names": names}
    results = batch_definition().get_batch({"dataframe": frame}).validate(suite, result_format=form).results
    return tuple(gate._fault(result) for result in results if gate._fails(result))


def agreed(table, frame):
    """The faults of the gate, which are those of the checks asked singly."""
    found = run_gate(table, frame, CASES[table].suite())
    assert Counter(found.faults) == Counter(singly(frame, CASES[table].suite()))
    assert found.checks == len(CASES[table].suite().expectations)
    return found.faults


def many_wrong(frame):
    """Nothing in every other cell of the first row, and the last column is not there."""
    wrong = frame.astype(object).iloc[:, :-1]
    wrong.iloc[0, ::2] = None
    return wrong


def all_negative(frame):
    numbers = frame.select_dtypes("number")
    return frame.assign(**{column: -numbers[column] - 1 for column in numbers})


@pytest.mark.parametrize("wrong", [many_wrong, all_negative])
@pytest.mark.parametrize("table", TABLES)
def test_a_table_with_many_faults_gets_the_verdict_of_its_checks_asked_singly(table, wrong):
    assert len(agreed(table, wrong(CASES[table].frame))) > 1


@pytest.mark.slow
@pytest.mark.parametrize("value", [None, "a text"], ids=str)
@pytest.mark.parametrize("table", CASES)
def test_a_wrong_cell_in_any_column_gets_the_verdict_of_the_checks_asked_singly(table, value):
    assert agreed(table, CASES[table].frame) == ()
    for column in CASES[table].frame.columns:
        frame = CASES[table].frame.astype({column: object})
        frame.loc[frame.index[0], column] = value
        agreed(table, frame)


def test_a_rule_that_raises_cannot_be_checked_and_says_nothing_of_the_others():
    frame = CASES["BUY orders"].frame.drop(columns="is_new")
    [fault] = run_gate("orders", frame, CASES["BUY orders"].suite()).faults
    assert (fault.message, fault.could_not_run) == ("cannot be checked: order reference of an earlier order", True)


def test_a_table_is_not_passed_when_its_checks_cannot_be_asked_in_one(monkeypatch):
    def broken(*_given):
        raise RuntimeError("broken")

    monkeypatch.setattr(library(), "_passes", broken)
    suite = only(CASES["fills"].suite(), "no symbol", "more filled than ordered")
    found = run_gate("fills", CASES["fills"].frame, suite)
    assert [fault.message for fault in found.faults] == ["no symbol", "more filled than ordered"]
    assert refusal(found)
