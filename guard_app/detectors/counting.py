"""Detectors that count: calls, repetitions, sums, failures; a limit is strictly exceeded."""

from collections.abc import Sequence

from guard_app.facts import Calls, DetectorFailed, Facts, Hit, Need, Rule, ScreenedCall, Total
from guard_app.states import CountScope
from guard_app.wording import many, place, plain, within

AMONG = {
    CountScope.RUN: "this run",
    CountScope.SESSION: "this session",
    CountScope.PARTICIPANT: "the sessions of this participant",
    CountScope.AGENT: "all runs of this agent",
}


def call_count_needs(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    parameters = rule.parameters
    scope = CountScope(parameters["scope"])
    return [Calls(scope, parameters.get("window_seconds"), rule.operations)]


def call_count(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """More calls than the limit, of those that the rule applies to, this one included."""
    (need,) = call_count_needs(call, rule)
    count, limit = 1 + facts[need], rule.parameters["limit"]
    if count <= limit:
        return None
    among = AMONG[CountScope(rule.parameters["scope"])]
    window = within(rule.parameters.get("window_seconds"))
    return Hit(
        f"Call number {count} in {among}{window}; the limit is {limit}.",
        seen=f"{many(count, 'call')} in {among}{window}",
        usual=f"at most {limit}",
    )


def repeated_call_needs(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    return [Calls(CountScope.RUN, same_arguments=True)]


def repeated_call(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """The same operation with equal arguments, more often than the limit in a run."""
    (need,) = repeated_call_needs(call, rule)
    count, limit = 1 + facts[need], rule.parameters["limit"]
    if count <= limit:
        return None
    return Hit(
        f"The same call with the same arguments, {count} times in this run; the limit is {limit}.",
        seen=f"{many(count, 'equal call')} in this run",
        usual=f"at most {limit}",
    )


def budget_needs(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    parameters = rule.parameters
    if call.amount(parameters["argument"]) is None:
        return ()
    scope = CountScope(parameters["scope"])
    window = parameters.get("window_seconds")
    return [Total(scope, parameters["argument"], window, rule.operations)]


def budget(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """The sum of an argument over calls that ran or wait, this one included, over the limit."""
    pointer, limit = rule.parameters["argument"], rule.parameters["limit"]
    amount = call.amount(pointer)
    if amount is None:
        return None
    if call.hides(pointer):
        # Numbers of sensitive arguments are not kept, so a sum of them would say too little.
        raise DetectorFailed(f"{pointer} is sensitive, so that no sum of it is kept.")
    (need,) = budget_needs(call, rule)
    total = facts[need] + amount
    if total <= limit:
        return None
    among = AMONG[CountScope(rule.parameters["scope"])]
    window = within(rule.parameters.get("window_seconds"))
    return Hit(
        f"With this call {pointer} adds up to {plain(total)} in {among}{window};"
        f" the budget is {plain(limit)}.",
        seen=f"{place(pointer)} adds up to {plain(total)} in {among}{window}",
        usual=f"at most {plain(limit)}",
    )


def failure_burst_needs(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    parameters = rule.parameters
    return [
        Calls(
            CountScope.AGENT,
            parameters["window_seconds"],
            rule.operations,
            ended_as=parameters["of"],
        )
    ]


def failure_burst(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """More of the agent's calls failed, or were rejected, in the window than the limit."""
    (need,) = failure_burst_needs(call, rule)
    count, limit, of = facts[need], rule.parameters["limit"], rule.parameters["of"]
    if count <= limit:
        return None
    window = within(rule.parameters["window_seconds"])
    became = "were rejected" if of == "rejected" else "failed"
    return Hit(
        f"{count} calls of this agent {became}{window}; the limit is {limit}.",
        seen=f"{many(count, 'call')} {of}{window}",
        usual=f"at most {limit}",
    )
