"""What a card says of a hit, for every detector, as a person would say it."""

import datetime as dt
from typing import Any

import pytest

from guard_app.detectors import DETECTORS
from guard_app.facts import (
    Calls,
    Known,
    KnownOperation,
    KnownValue,
    Pace,
    Range,
    ReadFrom,
    Rule,
    Total,
    UsualPace,
    UsualValues,
)
from guard_app.states import CountScope, Detector
from guard_app.wording import many, place, within, worded
from tests.guard_app.test_detectors import call

SUNDAY = dt.datetime(2026, 1, 4, 22, 10, tzinfo=dt.UTC)
AMOUNT = {"argument": "/amount"}
RANGE = Range(200, 10, 40, 50, 60, 95)

# detector, parameters, arguments, facts, what was seen, what is usual
SAID: list[tuple[str, dict[str, Any], dict[str, Any], Any, str, str]] = [
    (
        "condition",
        {"when": "args.amount > 1000 && args.express"},
        {"amount": 2500, "express": True},
        {},
        "args.amount > 1000 && args.express, where args.amount is 2,500, args.express is yes",
        "",
    ),
    ("condition", {"when": "true"}, {}, {}, "true", ""),
    (
        "condition",
        {"when": "!has(args.note)"},
        {},
        {},
        "!has(args.note), where args.note is missing",
        "",
    ),
    (
        "call_count",
        {"scope": "agent", "limit": 20, "window_seconds": 3600},
        {},
        {Calls(CountScope.AGENT, 3600): 20},
        "21 calls in all runs of this agent within 60 minutes",
        "at most 20",
    ),
    (
        "repeated_call",
        {"limit": 2},
        {},
        {Calls(CountScope.RUN, same_arguments=True): 2},
        "3 equal calls in this run",
        "at most 2",
    ),
    (
        "budget",
        {**AMOUNT, "limit": 500, "scope": "participant", "window_seconds": 172_800},
        {"amount": 120},
        {Total(CountScope.PARTICIPANT, "/amount", 172_800): 1400.5},
        "amount adds up to 1,520.5 in the sessions of this participant within 2 days",
        "at most 500",
    ),
    (
        "rate_baseline",
        {},
        {},
        {Calls(CountScope.AGENT, 3600): 89, UsualPace(): Pace(10, 3, 8)},
        "90 calls within an hour",
        "10 an hour at this time of the week, up to 28.97",
    ),
    (
        "value_range",
        AMOUNT,
        {"amount": 9000},
        {UsualValues("/amount"): RANGE},
        "amount is 9,000",
        "10 to 95",
    ),
    (
        "value_range",
        {"argument": "/body"},
        {"body": "x" * 5000},
        {UsualValues("/body"): RANGE},
        "body is 5,000 characters",
        "10 to 95 characters",
    ),
    (
        "value_range",
        {"argument": "/to"},
        {"to": ["x"] * 5000},
        {UsualValues("/to"): RANGE},
        "to is 5,000 entries",
        "10 to 95 entries",
    ),
    (
        "new_value",
        {"argument": "/express"},
        {"express": True},
        {KnownValue("/express"): Known(False, 40)},
        "express is yes",
        "one of the values in 40 earlier calls",
    ),
    (
        "new_value",
        {"argument": "/ship/host"},
        {"ship": {"host": "evil.example"}},
        {KnownValue("/ship/host"): Known(False, 1)},
        "ship › host is “evil.example”",
        "one of the values in 1 earlier call",
    ),
    (
        "new_operation",
        {},
        {},
        {KnownOperation(): Known(False, 3)},
        "its first call of payments.refund",
        "other operations, in 3 earlier calls",
    ),
    (
        "off_hours",
        {"timezone": "Europe/Berlin", "hours": "mon-fri 08:00-18:00"},
        {},
        {},
        "Sunday at 23:10 (Europe/Berlin)",
        "mon-fri 08:00-18:00",
    ),
    (
        "failure_burst",
        {"of": "failed", "limit": 5, "window_seconds": 600},
        {},
        {Calls(CountScope.AGENT, 600, ended_as="failed"): 6},
        "6 calls failed within 10 minutes",
        "at most 5",
    ),
    (
        "sensitive_data",
        {"types": ["card_number"]},
        {"note": "4111 1111 1111 1111"},
        {},
        "card number at /note",
        "none of these",
    ),
    (
        "injection",
        {},
        {"note": "<script>"},
        {},
        "markup that acts at /note “<script”",
        "plain text",
    ),
    (
        "chain",
        {"sources": ["mail.read"], "sinks": ["payments.refund"]},
        {},
        {ReadFrom(("m",)): {"m"}},
        "mail.read → payments.refund",
        "one or the other in a run",
    ),
]


@pytest.mark.parametrize(
    ("detector", "parameters", "arguments", "facts", "seen", "usual"),
    SAID,
    ids=[f"{number}-{line[0]}" for number, line in enumerate(SAID)],
)
def test_each_detector_says_what_it_saw_in_words_and_with_units(
    detector: str,
    parameters: dict[str, Any],
    arguments: dict[str, Any],
    facts: Any,
    seen: str,
    usual: str,
) -> None:
    screened = call(arguments, now=SUNDAY)
    hit = DETECTORS[detector].judge(screened, Rule(parameters, ids={"mail.read": "m"}), facts)
    assert hit is not None
    assert (hit.seen, hit.usual) == (seen, usual)


def test_every_detector_is_among_them() -> None:
    assert {line[0] for line in SAID} == set(Detector.values)


def test_a_sensitive_value_is_not_said() -> None:
    screened = call({"amount": 9000}, sensitive=["/amount"])
    facts = {UsualValues("/amount"): RANGE}
    hit = DETECTORS["value_range"].judge(screened, Rule(AMOUNT), facts)
    assert hit is not None
    assert hit.seen == "amount is out of range"
    assert "9,000" not in hit.explanation


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (False, "no"),
        (None, "empty"),
        (1250, "1,250"),
        (0.001, "0.001"),
        (0, "0"),
        ("x", "“x”"),
        ("x" * 200, f"“{'x' * 120}…”"),
        (["a", 1], '["a", 1]'),
    ],
)
def test_values_are_said_as_people_say_them(value: object, text: str) -> None:
    assert worded(value) == text


def test_numbers_places_and_windows() -> None:
    assert [many(1, "entry"), many(2, "entry"), many(1500, "call")] == [
        "1 entry",
        "2 entries",
        "1,500 calls",
    ]
    assert [place("/items/0/price"), place("")] == ["items › 0 › price", "the arguments"]
    assert [within(None), within(60), within(7200)] == ["", " within 60 seconds", " within 2 hours"]
