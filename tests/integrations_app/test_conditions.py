"""Conditions: numbers across types, what is refused and why, bounded cost, readable facts."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations_app.conditions import ConditionFailed, Fact, check, evaluate, explain, sentence


def given_call(**args: Any) -> dict[str, Any]:
    return {
        "args": args,
        "agent": "biller",
        "session": {"id": "s1", "participant": None, "metadata": {"tier": "gold"}},
        "run": {"id": "r1", "parent": None, "metadata": {}},
    }


def failure(source: str, **args: Any) -> str:
    with pytest.raises(ConditionFailed) as caught:
        evaluate(source, given_call(**args))
    return caught.value.detail


@pytest.mark.parametrize(
    ("source", "args", "result"),
    [
        ("args.amount > 100", {"amount": 150}, True),
        ("args.amount > 100", {"amount": 150.5}, True),
        ("args.amount > 100", {"amount": 1e2}, False),
        ("args.amount >= 100", {"amount": 1e2}, True),
        ("args.amount == 100", {"amount": 1e2}, True),
        ("args.amount > 100.5", {"amount": 101}, True),
        ("100 < args.amount", {"amount": 100.01}, True),
        ("args.amount in [100]", {"amount": 100.0}, True),
        ("args.amount > 9007199254740992", {"amount": 9007199254740993}, True),
        ("args.amount <= 9223372036854775807", {"amount": 1e300}, False),
        ("double(args.amount) * 1.1 > 110.0", {"amount": 101}, True),
        ("args.a == 1", {"a": True}, False),
        ("args.a == 1", {"a": "1"}, False),
        ("args.a == null", {"a": None}, True),
        ("has(args.a)", {"a": None}, True),
        ("has(args.a)", {}, False),
        ("args.a > 1 || true", {}, True),
        ("args.a > 1 && false", {}, False),
        ("has(args.a) && args.a > 1", {}, False),
        ("size(args.s) == 4 && args.s.size() == 4", {"s": "é😀ab"}, True),
        ("size(args.l) == 2 && size(args) == 1", {"l": [1, 2]}, True),
        ("args.s.startsWith('a') && args.s.endsWith('c')", {"s": "abc"}, True),
        ("args.s.contains('b')", {"s": "abc"}, True),
        ("args.s.matches('^é+$')", {"s": "éé"}, True),
        ("args.to.exists(x, !x.matches('@corp[.]com$'))", {"to": ["a@corp.com", "b@x.y"]}, True),
        ("args.to.all(x, x.endsWith('@corp.com'))", {"to": []}, True),
        ("args.l.exists_one(x, x == 1)", {"l": [1, 2]}, True),
        ("args.l.exists(x, x.m.all(y, y > 1))", {"l": [{"m": [1]}, {"m": [2, 2.5]}]}, True),
        ("'k' in args.m && args.m.exists(k, k == 'k')", {"m": {"k": 1}}, True),
        ("args['net amount'][0] == 1", {"net amount": [1]}, True),
        ("agent == 'biller' && session.metadata.tier == 'gold' && run.parent == null", {}, True),
        (
            "timestamp(args.t) > timestamp(args.u)",
            {"t": "2025-01-01T00:00:00Z", "u": "2024-01-01T00:00:00Z"},
            True,
        ),
        ("args.a ? true : args.b", {"a": False, "b": True}, True),
        ("'size(args.x' == args.s // size(1)", {"s": "size(args.x"}, True),
    ],
)
def test_what_is_true(source: str, args: dict[str, Any], result: bool) -> None:
    check(source)
    assert evaluate(source, given_call(**args)) is result


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("", "blank"),
        (" \n", "blank"),
        ("true" + " " * 2000, "2,000 characters"),
        ("args.amount >", "Line 1, column 14: unexpected end of the text."),
        ("args.a > 1 &&\n  agent = 'x'", "Line 2, column 9: unexpected"),
        ("amount > 1", "Line 1, column 1: amount is no known variable"),
        ("args.l.exists(x, y > 1)", "y is no known variable"),
        ("now() > 1", "now is no known function"),
        ("args.l.map(x, x) == []", "map is no known function"),
        ("args.l.filter(x, x > 1) == []", "filter is no known function"),
        ("args.l.exists(args, args > 1)", "exists(x, condition on x)"),
        ("args.l.exists(x, x.exists(y, y.exists(z, z)))", "at most two deep"),
        ("args.s.matches(args.p)", 'text.matches("pattern")'),
        ("args.s.matches('a' + args.p)", 'text.matches("pattern")'),
        ("matches(args.s, args.p)", 'text.matches("pattern")'),
        ("args.s.matches('(a)\\\\1')", "Line 1, column 16: Not a pattern that RE2 accepts"),
        ("args.s.matches('(?=a)')", "RE2"),
        ("args.s.matches(b'a')", "RE2"),
        (".args.x == 1", "cannot stand here"),
        ("args{a: 1}", "cannot stand here"),
        ("args.?x == 1", "unsupported"),
        ("args.x == 1e999", "Line 1, column 11"),
        ("args.x == 99999999999999999999", "Line 1, column 11"),
        ("(" * 900 + "true" + ")" * 900, "nested too deeply"),
        ("args.s == '\ud800'", "no CEL"),
        ("assent_size(args.s) > 1", "no known function"),
        ("args.l.exists(x, x > 1", "Line 1, column 23"),
    ],
)
def test_what_is_refused(source: str, part: str) -> None:
    with pytest.raises(ConditionFailed) as caught:
        check(source)
    assert part in caught.value.detail
    with pytest.raises(ConditionFailed):
        evaluate(source, given_call())


@pytest.mark.parametrize(
    ("source", "args", "detail"),
    [
        ("args.x > 1", {}, "Missing: args.x."),
        ("args.a.b.c == 1 && args.x > 1", {"x": 5}, "Missing: args.a.b.c."),
        ("args.l[5] == 1", {"l": [1]}, "Missing: args.l[5]."),
        ("args.m[args.k] == 1", {"m": {}, "k": "s3cret"}, "Missing: a value that it asks for."),
        ("args.x > 1", {"x": "s3cret"}, "Values of types"),
        ("args.x > 1", {"x": None}, "Values of types"),
        ("args.x > 1", {"x": True}, "Values of types"),
        ("args.x && true", {"x": 1}, "Values of types"),
        ("args.x + 1 > 1", {"x": 2**63 - 1}, "too large"),
        ("args.x / 0 > 1", {"x": 1}, "divided by zero"),
        ("int(args.x) > 1", {"x": "s3cret"}, "A function does not accept"),
        ("size(args.x) > 1", {"x": 5}, "A function does not accept"),
        ("args.x.matches('a')", {"x": 5}, "A function does not accept"),
        ("args.x", {"x": 1}, "neither true nor false"),
        ("args.x", {"x": "true"}, "neither true nor false"),
    ],
)
def test_what_fails(source: str, args: dict[str, Any], detail: str) -> None:
    check(source)
    told = failure(source, **args)
    assert detail in told
    assert "s3cret" not in told


def test_a_missing_variable_fails() -> None:
    with pytest.raises(ConditionFailed):
        evaluate("agent == 'a'", {"args": {}})


@pytest.mark.parametrize(
    ("source", "args"),
    [
        ("args.l.exists(x, args.l.exists(y, x + y < 0))", {"l": list(range(20_000))}),
        ("args.l.all(x, size(args.l) > 1)", {"l": list(range(50_000))}),
        ("args.l.all(x, args.t.contains(x))", {"l": ["a"] * 10_000, "t": "a" * 900_000}),
        ("args.l.all(x, args.l.all(y, args.l.size() > 1))", {"l": [1] * 1000}),
    ],
)
def test_what_would_take_too_long_is_not_begun(source: str, args: dict[str, Any]) -> None:
    begun = time.monotonic()
    assert "too large" in failure(source, **args)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("source", "args"),
    [
        ("args.l.all(x, x.matches('^[a-z]+@corp[.]com$'))", {"l": ["ab@corp.com"] * 5000}),
        ("args.l.all(x, args.l.exists(y, x == y))", {"l": list(range(300))}),
        ("!args.t.matches('^(a+)+$')", {"t": "a" * 500_000 + "!"}),
        ("args.l.all(x, x in args.m)", {"l": ["a"] * 100, "m": ["b"] * 100 + ["a"]}),
    ],
)
def test_what_is_large_but_bounded(source: str, args: dict[str, Any]) -> None:
    begun = time.monotonic()
    assert evaluate(source, given_call(**args))
    assert time.monotonic() - begun < 20


def test_threads_share_compiled_conditions() -> None:
    def ask(amount: int) -> bool:
        return evaluate("args.amount > 100 && size(args.s) == 1", given_call(amount=amount, s="é"))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(2000))) == [amount > 100 for amount in range(2000)]


def test_facts_are_the_paths_of_the_source() -> None:
    source = (
        'args.amount > 100 && agent == "biller" && args["net amount"][0] == 1 && args.amount < 1e6'
        " && has(args.note) && args.to.exists(x, x.domain == args.domain) && args.s.size() > 0"
        " && args.m[args.key] == 1 && 'args.text' != args.s && size(args) > 0"
    )
    call = given_call(amount=900, **{"net amount": [1]}, to=[], domain="d", s="t", m={}, key="k")
    assert [(fact.path, fact.value, fact.present) for fact in explain(source, call)] == [
        ("args.amount", 900, True),
        ("agent", "biller", True),
        ('args["net amount"][0]', 1, True),
        ("args.note", None, False),
        ("args.to", [], True),
        ("args.domain", "d", True),
        ("args.s", "t", True),
        ("args.key", "k", True),
    ]
    assert explain(source, call)[2].steps == ("args", "net amount", 0)


def test_a_card_can_say_it() -> None:
    facts = explain('args.amount > 100 && agent == "biller"', given_call(amount=900))
    assert sentence("args.amount > 100 ", facts[:1]) == "args.amount > 100 (args.amount = 900)"
    assert sentence("true", []) == "true"
    long = Fact("args.note", "x" * 500)
    assert sentence("has(args.note)", [long]).endswith("x…)")
    assert "args.n is missing" in sentence("has(args.n)", [Fact("args.n", None, present=False)])


SIGNS = st.sampled_from([*"[](){},?:.!-+><|&`@'\n", "&&", "||", "==", " in ", "//", '"""', "\\"])
WORDS = st.sampled_from(
    ["exists(x,", "all(y,", "size(", "has(", "matches(", "1", "2.5", "x", "args"]
)
LEAVES = st.sampled_from(
    ["args.amount", "args.l", "args['l'][0]", "x", "agent", "1", "2.5", "'size(\\'args.x'", "true"]
) | st.sampled_from(["r'\\'", "args.none", "null", "[1, 'a']", "{'a': args.amount}.a", "run.id"])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["&&", "||", "==", "!=", ">", "+", "-", " in ", "?1:", "/"])
    wraps = st.sampled_from(
        ["!({})", "size({})", "({}).size()", "string({})", "has(args.l) || {}", "({})[0]"]
    ) | st.sampled_from(["args.l.exists(x, {})", "[1].all(y, {})", "({}).matches('a')", "[{}][0]"])
    pairs = st.tuples(inner, operators, inner).map("".join)
    return pairs | st.tuples(wraps, inner).map(lambda each: each[0].format(each[1]))


@given(
    st.lists(SIGNS | WORDS, max_size=25).map("".join)
    | st.recursive(LEAVES, _grow, max_leaves=8)
    | st.recursive(LEAVES, _grow, max_leaves=8).map(lambda text: f"({text}) == ({text})")
)
def test_any_text_is_refused_or_evaluated(source: str) -> None:
    call = given_call(amount=1, l=[1, {"x": 2}, "a"])
    try:
        check(source)
    except ConditionFailed:
        return
    explain(source, call)
    with suppress(ConditionFailed):
        assert isinstance(evaluate(source, call), bool)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_numbers_compare_as_numbers(amount: float) -> None:
    assert evaluate("args.amount > 100", given_call(amount=amount)) is (amount > 100)
    assert evaluate("args.amount <= 0.5", given_call(amount=amount)) is (amount <= 0.5)
    assert evaluate("args.amount == 7", given_call(amount=amount)) is (amount == 7)
