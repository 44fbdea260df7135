"""Each detector by itself: hits, near misses, empty history, hostile input."""

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest

from guard_app.detectors import DETECTORS
from guard_app.detectors.flow import COUNTS
from guard_app.facts import (
    Calls,
    DetectorFailed,
    Hit,
    Known,
    KnownOperation,
    KnownValue,
    Pace,
    Range,
    ReadFrom,
    Rule,
    ScreenedCall,
    Total,
    UsualPace,
    UsualValues,
)
from guard_app.states import CountScope, Detector

MONDAY = dt.datetime(2026, 1, 5, 14, 30, tzinfo=dt.UTC)


def call(arguments: dict[str, Any] | None = None, **more: Any) -> ScreenedCall:
    values = {"agent": "support", "operation": "payments.refund", "operation_id": "o"}
    values |= {"arguments": arguments or {}, "now": MONDAY, **more}
    return ScreenedCall(**values)


def judge(
    detector: str, parameters: dict[str, Any], screened: ScreenedCall, facts: Any = None, **ids: Any
) -> Hit | None:
    rule = Rule(parameters, ids=ids)
    needs = DETECTORS[detector].needs(screened, rule)
    given = facts if isinstance(facts, dict) else dict.fromkeys(needs, facts)
    return DETECTORS[detector].judge(screened, rule, given)


@pytest.mark.parametrize(("earlier", "hits"), [(0, False), (1, False), (2, True), (9, True)])
def test_a_count_is_exceeded_strictly(earlier: int, hits: bool) -> None:
    found = judge("call_count", {"scope": "run", "limit": 2}, call(), earlier)
    assert (found is not None) == hits
    if earlier == 2:
        assert found.explanation == "Call number 3 in this run; the limit is 2."
        assert (found.seen, found.usual) == ("3 calls in this run", "at most 2")


def test_a_count_asks_for_its_window_and_operations() -> None:
    rule = Rule({"scope": "agent", "limit": 2, "window_seconds": 60}, operations=(uuid4(),))
    assert DETECTORS["call_count"].needs(call(), rule) == [
        Calls(CountScope.AGENT, 60, rule.operations)
    ]


@pytest.mark.parametrize(("earlier", "hits"), [(2, False), (3, True)])
def test_the_same_call_again_is_a_loop(earlier: int, hits: bool) -> None:
    assert bool(judge("repeated_call", {"limit": 3}, call(), earlier)) == hits


BUDGET = {"argument": "/amount", "limit": 100, "scope": "run"}


@pytest.mark.parametrize(
    ("spent", "amount", "hits"),
    [(0, 100, False), (10, 90, False), (10.01, 90, True), (0, 101, True), (900, -900, False)],
)
def test_a_budget_is_a_sum(spent: float, amount: float, hits: bool) -> None:
    assert bool(judge("budget", BUDGET, call({"amount": amount}), spent)) == hits


@pytest.mark.parametrize("value", ["90", None, True, [90], {"eur": 90}])
def test_what_is_no_number_spends_nothing(value: Any) -> None:
    assert judge("budget", BUDGET, call({"amount": value})) is None
    assert DETECTORS["budget"].needs(call({"amount": value}), Rule(BUDGET)) == ()


def test_a_budget_of_a_sensitive_amount_fails_instead_of_letting_through() -> None:
    with pytest.raises(DetectorFailed, match="no sum of it is kept"):
        judge("budget", BUDGET, call({"amount": 90}, sensitive=["/amount"]), 0)


def test_a_budget_asks_for_its_scope() -> None:
    parameters = BUDGET | {"scope": "participant", "window_seconds": 3600}
    needs = DETECTORS["budget"].needs(call({"amount": 1}), Rule(parameters))
    assert needs == [Total(CountScope.PARTICIPANT, "/amount", 3600)]


def pace(count: int, usual: float, spread: float, weeks: int = 8, **parameters: Any) -> bool:
    facts = {Calls(CountScope.AGENT, 3600): count - 1, UsualPace(): Pace(usual, spread, weeks)}
    return judge("rate_baseline", parameters, call(), facts) is not None


def test_a_rate_is_compared_with_what_is_usual() -> None:
    assert not pace(20, usual=10, spread=3)
    assert pace(40, usual=10, spread=3)
    assert pace(25, usual=10, spread=3, sensitivity="high")
    assert not pace(40, usual=10, spread=3, sensitivity="low")
    assert not pace(9, usual=0, spread=0)
    assert pace(12, usual=0, spread=0)


def test_a_rate_without_enough_weeks_is_no_alarm() -> None:
    assert not pace(10_000, usual=1, spread=0, weeks=2)
    facts = {Calls(CountScope.AGENT, 3600): 9999, UsualPace(): None}
    assert judge("rate_baseline", {}, call(), facts) is None


USUAL = Range(200, 10, 40, 50, 60, 95)


@pytest.mark.parametrize(
    ("amount", "hits"), [(10, False), (95, False), (120, False), (200, True), (-60, True)]
)
def test_a_number_far_out_of_its_range_is_suspicious(amount: float, hits: bool) -> None:
    found = judge("value_range", {"argument": "/amount"}, call({"amount": amount}), USUAL)
    assert (found is not None) == hits


def test_the_size_of_a_text_or_list_has_a_range_too() -> None:
    facts = {UsualValues("/body"): Range(200, 10, 40, 50, 60, 95)}
    assert judge("value_range", {"argument": "/body"}, call({"body": "x" * 5000}), facts)
    assert judge("value_range", {"argument": "/body"}, call({"body": [0] * 5000}), facts)
    assert not judge("value_range", {"argument": "/body"}, call({"body": "x" * 60}), facts)


@pytest.mark.parametrize("learned", [None, Range(29, 1, 1, 1, 1, 1)])
def test_a_range_without_enough_values_is_no_alarm(learned: Range | None) -> None:
    assert judge("value_range", {"argument": "/amount"}, call({"amount": 1e9}), learned) is None
    assert judge("value_range", {"argument": "/none"}, call({"amount": 1e9}), USUAL) is None


@pytest.mark.parametrize(
    ("known", "hits"),
    [(Known(False, 5), True), (Known(True, 5), False), (Known(False, 0), False)],
)
def test_a_value_and_an_operation_can_be_new(known: Known, hits: bool) -> None:
    screened = call({"to": "eve@example.net"})
    value = judge("new_value", {"argument": "/to"}, screened, {KnownValue("/to"): known})
    operation = judge("new_operation", {}, screened, {KnownOperation(): known})
    assert (value is not None, operation is not None) == (hits, hits)
    assert judge("new_value", {"argument": "/cc"}, screened, {}) is None


def test_a_new_value_is_not_shown_where_it_is_sensitive() -> None:
    screened = call({"to": "DE89370400440532013000"}, sensitive=["/to"])
    hit = judge("new_value", {"argument": "/to"}, screened, Known(False, 5))
    assert hit is not None
    assert "DE89" not in hit.explanation + hit.seen + hit.usual


@pytest.mark.parametrize(
    ("hours", "moment", "hits"),
    [
        ("08:00-18:00", "2026-01-05T14:30", False),
        ("08:00-15:00", "2026-01-05T14:30", True),  # 15:30 in Berlin
        ("mon-fri 08:00-18:00", "2026-01-04T14:30", True),
        (["mon-fri 8-18", "sun 10-16"], "2026-01-04T14:30", False),
        ([8, 18], "2026-01-05T16:59", False),
        ([8, 18], "2026-01-05T17:00", True),
        ("22:00-06:00", "2026-01-05T03:00", False),
        ("mon 22:00-06:00", "2026-01-06T03:00", False),
        ("mon 22:00-06:00", "2026-01-05T03:00", True),
        ("08:00-18:00", "2026-07-05T16:30", True),  # summer time
    ],
)
def test_hours_are_in_their_time_zone(hours: Any, moment: str, hits: bool) -> None:
    now = dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC)
    parameters = {"timezone": "Europe/Berlin", "hours": hours}
    assert bool(judge("off_hours", parameters, call(now=now))) == hits


@pytest.mark.parametrize(("count", "hits"), [(5, False), (6, True)])
@pytest.mark.parametrize("of", ["failed", "rejected"])
def test_a_burst_of_failures(of: str, count: int, hits: bool) -> None:
    parameters = {"of": of, "limit": 5, "window_seconds": 600}
    found = judge("failure_burst", parameters, call(), count)
    assert (found is not None) == hits
    if hits:
        assert found.seen == f"6 calls {of} within 10 minutes"


def test_a_condition_sees_all_its_variables() -> None:
    screened = call(
        {"amount": 900},
        session={"id": "s", "participant": "eve", "metadata": {}},
        run={"id": "r", "parent": None, "metadata": {"tier": "gold"}},
    )
    for source in (
        "args.amount > 100",
        "operation == 'payments.refund' && agent == 'support'",
        "session.participant == 'eve' && run.metadata.tier == 'gold'",
        "counts.run > 3 && counts.same_in_run == 4",
        "now.getHours() == 14 && now > timestamp('2026-01-01T00:00:00Z')",
    ):
        assert judge("condition", {"when": source}, screened, 3), source
    assert judge("condition", {"when": "args.amount > 900"}, screened) is None


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("counts.run > 3", {"run"}),
        ("counts.run > 3 || counts['agent_last_day'] > 1", {"run", "agent_last_day"}),
        ("has(counts.session)", {"session"}),
        ("args.text == 'counts.run'", set()),
        ("counts[args.which] > 1", set(COUNTS)),
        ("counts.exists(name, counts[name] > 3)", set(COUNTS)),
        ("counts == counts", set(COUNTS)),
        ("counts.run > 3 && counts[agent] > 3", set(COUNTS)),
        ("", set()),
        ("counts..run", set()),
    ],
)
def test_a_condition_asks_for_the_counts_that_it_names(source: str, asked: set[str]) -> None:
    needs = DETECTORS["condition"].needs(call({}), Rule({"when": source}))
    assert set(needs) == {COUNTS[name] for name in asked}


@pytest.mark.parametrize("empty", ["", "   ", "\n"])
def test_an_empty_condition_matches_nothing(empty: str) -> None:
    assert judge("condition", {"when": empty}, call({"amount": 9e9})) is None


@pytest.mark.parametrize("source", ["args.missing > 1", "args.amount > 'x'", "args.amount"])
def test_a_condition_that_cannot_be_evaluated_says_so(source: str) -> None:
    with pytest.raises(DetectorFailed):
        judge("condition", {"when": source}, call({"amount": 1}))


def test_a_condition_shows_no_sensitive_value() -> None:
    screened = call({"iban": "DE00", "amount": 5}, sensitive=["/iban"])
    hit = judge("condition", {"when": "args.iban != '' && args.amount > 1"}, screened)
    assert hit is not None
    assert "DE00" not in hit.explanation
    assert "args.amount = 5" in hit.explanation


def test_a_chain_is_a_source_and_then_a_sink() -> None:
    source, other = uuid4(), uuid4()
    parameters = {"sources": ["mail.read", "web.fetch"], "sinks": ["payments.refund"]}
    ids = {"mail.read": source, "web.fetch": other}
    rule = Rule(parameters, ids=ids)
    (need,) = DETECTORS["chain"].needs(call(), rule)
    assert need == ReadFrom((source, other))
    hit = DETECTORS["chain"].judge(call(), rule, {need: [source]})
    assert hit is not None
    assert hit.seen == "mail.read → payments.refund"
    assert DETECTORS["chain"].judge(call(), rule, {need: []}) is None
    assert DETECTORS["chain"].judge(call(operation="mail.read"), rule, {}) is None


def test_every_detector_of_the_contract_is_there() -> None:
    assert set(DETECTORS) == set(Detector.values)
    assert len(DETECTORS) == 13


DEEP: Any = "x"
for _ in range(30):
    DEEP = {"in": DEEP}
HOSTILE: list[dict[str, Any]] = [
    {},
    {"amount": None},
    {"amount": ""},
    {"amount": "900"},
    {"amount": True},
    {"amount": [900]},
    {"amount": {"value": 900}},
    {"amount": 2**63 - 1},
    {"amount": -(2**63)},
    {"amount": 1e308},
    {"amount": -0.0},
    {"amount": 5e-324},
    {"amount": list(range(10_000))},
    {"amount": "9" * 100_000},
    {"amount": DEEP},
    {"amount": 1, "a~b/c": "x", "": "", "\u202e": "\u200b"},
    {"AMOUNT": 900, "amount ": 900},
]
"""Arguments of another kind, size or depth than a rule expects; the parser lets them in."""
FACTS: dict[type, list[Any]] = {
    Calls: [0, 10**12],
    Total: [0, -1e308, 1e308],
    KnownValue: [Known(False, 0), Known(False, 10**9), Known(True, 1)],
    KnownOperation: [Known(False, 0), Known(False, 10**9), Known(True, 1)],
    UsualValues: [None, Range(10**6, 1, 1, 1, 1, 1), Range(10**6, -1e308, 0, 0, 0, 1e308)],
    UsualPace: [None, Pace(0, 0, 8), Pace(1e9, 0, 8)],
    ReadFrom: [[]],
}
RULES: dict[str, dict[str, Any]] = {
    "condition": {"when": "args.amount > 100 && counts.run > 1"},
    "call_count": {"scope": "run", "limit": 3},
    "repeated_call": {"limit": 3},
    "budget": {"argument": "/amount", "limit": 1000, "scope": "run"},
    "rate_baseline": {},
    "value_range": {"argument": "/amount"},
    "new_value": {"argument": "/amount"},
    "new_operation": {},
    "off_hours": {"timezone": "Europe/Berlin", "hours": "09:00-17:00"},
    "failure_burst": {"of": "failed", "limit": 3, "window_seconds": 60},
    "sensitive_data": {},
    "injection": {},
    "chain": {"sources": ["a.b"], "sinks": ["payments.refund"]},
}


@pytest.mark.parametrize("arguments", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("detector", sorted(RULES))
def test_hostile_arguments_are_judged_or_said_to_be_unreadable(
    detector: str, arguments: dict[str, Any]
) -> None:
    assert set(RULES) == set(Detector.values)
    source = uuid4()
    rule = Rule(RULES[detector], ids={"a.b": source, "payments.refund": uuid4()})
    screened = call(arguments)
    needs = DETECTORS[detector].needs(screened, rule)
    for turn in range(3):
        facts = {need: FACTS[type(need)][turn % len(FACTS[type(need)])] for need in needs}
        try:
            hit = DETECTORS[detector].judge(screened, rule, facts)
        except DetectorFailed:
            continue
        assert hit is None or (hit.explanation and len(hit.explanation) < 2000)
