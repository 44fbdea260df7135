"""Detectors that look at where a call comes from and when: conditions, hours, chains."""

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from guard_app.facts import Calls, DetectorFailed, Facts, Hit, Need, ReadFrom, Rule, ScreenedCall
from guard_app.hours import covers
from guard_app.states import CountScope
from guard_app.wording import facts_in_words
from integrations_app import conditions
from integrations_app.conditions import Fact

COUNTS: dict[str, Calls] = {
    "run": Calls(CountScope.RUN),
    "session": Calls(CountScope.SESSION),
    "agent_last_hour": Calls(CountScope.AGENT, 3600),
    "agent_last_day": Calls(CountScope.AGENT, 86_400),
    "same_in_run": Calls(CountScope.RUN, same_arguments=True),
}
"""What `counts` of a condition has; this call is included."""


def condition_needs(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    """Only the counts that it names: that of an agent's day is long."""
    try:
        named = conditions.members(rule.parameters["when"], "counts", conditions.GUARD_VARIABLES)
    except conditions.ConditionFailed:
        return ()  # it says so itself
    return [need for name, need in COUNTS.items() if named is None or name in named]


def condition(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """A CEL expression is true; an empty one matches nothing."""
    source = rule.parameters["when"]
    if not source.strip():
        return None
    variables = _variables(call, facts)
    try:
        if not conditions.evaluate(source, variables):
            return None
        facts_shown = [
            fact for fact in conditions.explain(source, variables) if not _hidden(call, fact)
        ]
    except conditions.ConditionFailed as error:
        raise DetectorFailed(str(error)) from error
    sentence = conditions.sentence(source, facts_shown)
    return Hit(
        f"The condition is true: {sentence}.",
        seen=f"{source.strip()}, where {words}"
        if (words := facts_in_words(facts_shown))
        else source,
    )


def _variables(call: ScreenedCall, facts: Facts) -> conditions.Variables:
    """What conditions look at, made ready once for all rules."""
    counts = {name: 1 + facts[need] for name, need in COUNTS.items() if need in facts}
    key = ("condition", *counts.items())
    if key not in call.read:
        call.read[key] = conditions.Variables(
            args=dict(call.arguments),
            agent=call.agent,
            session=dict(call.session),
            run=dict(call.run),
            operation=call.operation,
            counts=counts,
            now=call.now,
        )
    ready: conditions.Variables = call.read[key]
    return ready


def _hidden(call: ScreenedCall, fact: Fact) -> bool:
    if fact.steps[:1] != ("args",):
        return False
    return call.hides("".join(f"/{_escaped(step)}" for step in fact.steps[1:]))


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def off_hours(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """A call outside of the hours that the rule allows, in its time zone."""
    zone = ZoneInfo(rule.parameters["timezone"])
    local: dt.datetime = call.now.astimezone(zone)
    hours = rule.parameters["hours"]
    if covers(hours, local):
        return None
    allowed = hours if isinstance(hours, str) else ", ".join(map(str, hours))
    return Hit(
        f"Called on {local:%A at %H:%M} ({zone.key}); its hours are {allowed}.",
        seen=f"{local:%A at %H:%M} ({zone.key})",
        usual=allowed,
    )


def chain_needs(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    if call.operation not in rule.parameters["sinks"]:
        return ()
    return [ReadFrom(tuple(rule.ids[name] for name in rule.parameters["sources"]))]


def chain(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """A run that called a source, itself or by a relative, now calls a sink."""
    needs = chain_needs(call, rule)
    if not needs:
        return None
    names = {identity: name for name, identity in rule.ids.items()}
    read = sorted(names[identity] for identity in facts[needs[0]])
    if not read:
        return None
    sources = ", ".join(read)
    return Hit(
        f"The run read from {sources}, and now calls {call.operation}.",
        seen=f"{sources} → {call.operation}",
        usual="one or the other in a run",
    )
