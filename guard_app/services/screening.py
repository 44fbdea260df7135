"""The one place where a call is screened, before anybody is asked and before anything is sent."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from accounts_app.scoping import Actor
from accounts_app.services.unit import Unit
from accounts_app.statements import sent_without_waiting
from guard_app.detectors import DETECTORS
from guard_app.facts import DetectorFailed, Facts, Hit, Need, Rule, ScreenedCall
from guard_app.models import Detection, GuardRule, Incident, LateScreening, Measure
from guard_app.services.history import History
from guard_app.services.incidents import fold
from guard_app.services.measuring import measure_call
from guard_app.services.ready_rules import ReadyRule, rules_of
from guard_app.states import STRICTNESS, GuardEffect
from integrations_app.models import ToolCall
from integrations_app.services.approval import variables
from integrations_app.services.freezing import full_arguments

logger = structlog.get_logger(__name__)

RULE_SECONDS = 0.1
"""Processor time that one rule may take before the call; more counts as `review`."""

LATE_RULE_SECONDS = 10.0
SCREEN_LATER = "tasks_app.screen_later"


@dataclass(frozen=True, slots=True)
class RuleHit:
    """A rule that hit, and the effect that it has on the call."""

    rule: GuardRule
    hit: Hit
    effect: GuardEffect
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says about a call.

    Args:
        effect: the strictest effect of all rules that hit; `allow` where none did.
        explanations: why, one sentence for each hit of that effect.
        incidents: the incidents of the rules that decided.
        why: those hits as a card shows them.
        hits: all of them, also of rules in shadow.
    """

    effect: GuardEffect
    explanations: tuple[str, ...] = ()
    incidents: tuple[Incident, ...] = ()
    why: tuple[dict[str, object], ...] = ()
    hits: tuple[RuleHit, ...] = ()

    def as_review(self) -> dict[str, Any]:
        """What a review shows and belongs to, as JSON that a task can keep for later."""
        incident = str(self.incidents[0].pk) if self.incidents else None
        return {"why": list(self.why), "incident": incident}


def screen(unit: Unit, call: ToolCall, *, again: bool = False) -> Verdict:
    """Ask every enabled rule of the workspace and record each hit.

    Args:
        unit: the transaction in which the call was recorded, or edited.
        call: the call; its run's lock is held, so that its history stands still.
        again: it was screened before, with other arguments.
    """
    history = History(call, unit.now, again=again)
    enabled = rules_of(history)
    screened = screened_call(call, unit)
    rules = [ready for ready in enabled.rules if ready.is_about(screened, history)]
    if any(ready.rule.asynchronous for ready in rules):
        LateScreening.objects.get_or_create(tool_call=call, defaults={"created_at": unit.now})
        unit.ring(SCREEN_LATER, call.pk)
    if again:
        Measure.objects.filter(call=call).delete()
    hits = find_hits(
        [ready for ready in rules if not ready.rule.asynchronous],
        screened,
        history,
        meanwhile=lambda: measure_call(call, screened.arguments, enabled.watched),
    )
    return _record(unit, call, hits)


def may_end_sessions(workspace_id: UUID) -> bool:
    """Whether a rule may end a session: its lock comes before that of the run."""
    rules = GuardRule.objects.in_workspace(workspace_id).filter(enabled=True, shadow=False)
    return rules.filter(effect=GuardEffect.TERMINATE_SESSION).exists()


def screen_late(unit: Unit, call: ToolCall) -> Verdict:
    """Ask the asynchronous rules about a call that goes its way already; they can only alert.

    They see what the others saw: the calls up to this one, whatever has come since.
    """
    history = History(call, call.created_at, until=call.created_at)
    screened = screened_call(call, unit)
    late = [ready for ready in rules_of(history).rules if ready.rule.asynchronous]
    rules = [ready for ready in late if ready.is_about(screened, history)]
    hits = find_hits(rules, screened, history, seconds=LATE_RULE_SECONDS)
    alerts = [RuleHit(hit.rule, hit.hit, GuardEffect(hit.rule.effect), hit.failed) for hit in hits]
    return _record(unit, call, alerts)


def screened_call(call: ToolCall, unit: Unit) -> ScreenedCall:
    """The call as detectors see it."""
    arguments = full_arguments(call)
    values = variables(call.run, arguments)
    return ScreenedCall(
        agent=call.agent.slug,
        operation=call.operation.reference,
        operation_id=str(call.operation_id),
        arguments=arguments,
        now=call.created_at,
        session=values["session"],
        run=values["run"],
        sensitive=call.operation.sensitive,
    )


def find_hits(
    rules: Sequence[ReadyRule],
    screened: ScreenedCall,
    history: History,
    *,
    seconds: float = RULE_SECONDS,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[RuleHit]:
    """The rules that hit a call; none of the hits is recorded.

    Args:
        rules: in the order in which their hits are given.
        screened: the call.
        history: what came before it.
        seconds: processor time that each rule may take.
        meanwhile: what else has to be done, while the database looks up what rules need to know.
    """
    found: dict[UUID, RuleHit | None] = {}
    asking: list[tuple[GuardRule, Rule, Sequence[Need]]] = []
    for ready in rules:
        try:
            view = ready.view
            asking.append((ready.rule, view, DETECTORS[ready.rule.detector].needs(screened, view)))
        except Exception as error:  # A rule that cannot be read must not let calls through.
            found[ready.rule.pk] = _broken(ready.rule, error)
    with sent_without_waiting():
        needs = (need for _, _, some in asking for need in some)
        facts_of_history = history.ask(needs, screened.arguments)
        meanwhile()
        for rule, view, some in asking:
            if not some:
                found[rule.pk] = _ask(rule, view, screened, {}, seconds)
    facts = facts_of_history()
    for rule, view, some in asking:
        if some:
            found[rule.pk] = _ask(rule, view, screened, facts, seconds)
    return [hit for ready in rules if (hit := found[ready.rule.pk]) is not None]


def _ask(
    rule: GuardRule, view: Rule, screened: ScreenedCall, facts: Facts, seconds: float
) -> RuleHit | None:
    begun = time.thread_time()
    try:
        hit = DETECTORS[rule.detector].judge(screened, view, facts)
    except DetectorFailed as failure:
        return _failed(rule, str(failure))
    except Exception as error:  # Whatever breaks in a detector, the call must go to a person.
        return _broken(rule, error)
    if time.thread_time() - begun > seconds:
        return _failed(rule, f"The detector took longer than {seconds} seconds.")
    return None if hit is None else RuleHit(rule, hit, GuardEffect(rule.effect))


def _broken(rule: GuardRule, error: Exception) -> RuleHit:
    logger.exception("guard.detector_failed", rule=rule.slug, detector=rule.detector)
    return _failed(rule, f"The detector failed ({type(error).__name__}).")


def _failed(rule: GuardRule, detail: str) -> RuleHit:
    logger.warning("guard.rule_failed", rule=rule.slug, detail=detail)
    hit = Hit(f"The rule could not be evaluated: {detail}", seen=f"not evaluated: {detail}")
    return RuleHit(rule, hit, GuardEffect.REVIEW, failed=True)


def strictest_of(effects: Iterable[GuardEffect]) -> GuardEffect:
    """terminate_session > block > review > alert > allow."""
    return max(effects, key=STRICTNESS.__getitem__, default=GuardEffect.ALLOW)


def _record(unit: Unit, call: ToolCall, hits: Sequence[RuleHit]) -> Verdict:
    """Write down every hit, and fold the live ones into incidents."""
    live = [hit for hit in hits if not hit.rule.shadow]
    strictest = strictest_of(hit.effect for hit in live)
    deciding = [hit for hit in live if hit.effect == strictest and strictest != GuardEffect.ALLOW]
    incidents = _write(unit, call, hits, deciding)
    return Verdict(
        effect=strictest,
        explanations=tuple(f"{hit.rule.name}: {hit.hit.explanation}" for hit in deciding),
        incidents=tuple(incidents[hit.rule.slug] for hit in deciding),
        why=tuple(_reason(hit) for hit in deciding),
        hits=tuple(hits),
    )


def record_refused_edit(unit: Unit, actor: Actor, call: ToolCall, hits: Sequence[RuleHit]) -> None:
    """Write down what hit a person's edit that the guard refused, once the edit is undone.

    The hits fold into incidents as others do, and say whose edit it was. None of them decided
    about the call, which is as it was before the edit.

    Args:
        unit: a transaction after the one that was rolled back.
        actor: who tried it.
        call: as it is now.
        hits: of the verdict that refused the edit.
    """
    _write(unit, call, hits, (), refused_edit_by=actor)


def _write(
    unit: Unit,
    call: ToolCall,
    hits: Sequence[RuleHit],
    deciding: Sequence[RuleHit],
    *,
    refused_edit_by: Actor | None = None,
) -> dict[str, Incident]:
    """One row for each hit; the incidents into which the live ones fold, by the rule's slug."""
    if not hits:
        return {}
    live = [hit for hit in hits if not hit.rule.shadow]
    by = refused_edit_by
    edit = f"An edit by {by.name} was refused; the agent's call is as it was. " if by else ""
    incidents: dict[str, Incident] = {}
    # In one order for everybody, because each takes the lock of its incident.
    for hit in sorted(live, key=lambda each: str(each.rule.pk)):
        if hit.effect != GuardEffect.ALLOW:
            incidents[hit.rule.slug] = fold(unit, hit.rule, call, hit.effect)
    Detection.objects.bulk_create(
        Detection(
            workspace_id=call.workspace_id,
            created_at=unit.now,
            rule=hit.rule,
            rule_version=hit.rule.version,
            tool_call=call,
            agent_id=call.agent_id,
            incident=incidents.get(hit.rule.slug) if hit in live else None,
            effect=hit.effect,
            shadow=hit.rule.shadow,
            decided=hit in deciding,
            failed=hit.failed,
            explanation=f"{edit}{hit.hit.explanation}",
            seen=hit.hit.seen,
            usual=hit.hit.usual,
            refused_edit_by=by.as_json() if by else None,
        )
        for hit in hits
    )
    return incidents


def _reason(hit: RuleHit) -> dict[str, object]:
    facts = [("seen", hit.hit.seen), ("usual", hit.hit.usual)]
    return {
        "rule": hit.rule.name,
        "outcome": hit.effect.value,
        "detail": hit.hit.explanation,
        "facts": [{"path": name, "value": value} for name, value in facts if value],
    }
