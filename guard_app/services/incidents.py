"""Incidents: hits folded into cases, and how analysts triage them."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from accounts_app.errors import Conflict, FieldError, Invalid, NotFound
from accounts_app.links import page_url
from accounts_app.models import Membership
from accounts_app.moves import advance
from accounts_app.scoping import Actor, system_actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit, unit_of_work
from accounts_app.states import Permission, permissions_of
from guard_app.models import GuardRule, Incident, IncidentNote
from guard_app.services.hooks import guard_hooks
from guard_app.states import (
    INCIDENT_MOVES,
    INCIDENT_OPEN,
    SEVERITY_OF,
    GuardEffect,
    IncidentStatus,
    Severity,
)
from integrations_app.models import ToolCall
from integrations_app.services.outbox import announce

register_verbs(
    {
        "incident.opened": "the guard opened the incident",
        "incident.acknowledged": "took note of the incident",
        "incident.resolved": "resolved the incident",
        "incident.dismissed": "dismissed the incident as a false positive",
        "incident.assigned": "assigned the incident",
        "incident.noted": "wrote a note on the incident",
    }
)
MAX_NOTE = 10_000
_RANK = {severity: rank for rank, severity in enumerate(Severity)}


def fold(unit: Unit, rule: GuardRule, call: ToolCall, effect: GuardEffect) -> Incident:
    """Add a hit to the open incident of this rule, agent and operation, or open one.

    The incident's row is locked until the transaction ends: whoever closes it comes before, and
    then a new one is opened, or after.
    """
    while True:
        incident = _add(unit, rule, call) or _open(unit, rule, call, effect)
        if incident is not None:
            break
    severity = SEVERITY_OF[effect]
    if _RANK[severity] > _RANK[Severity(incident.severity)]:
        Incident.objects.filter(pk=incident.pk).update(severity=severity)
        incident.severity = severity
    return incident


def _of(rule: GuardRule, call: ToolCall) -> QuerySet[Incident]:
    return Incident.objects.filter(rule=rule, agent=call.agent_id, operation=call.operation_id)


def _add(unit: Unit, rule: GuardRule, call: ToolCall) -> Incident | None:
    present = _of(rule, call).filter(status__in=INCIDENT_OPEN)
    if present.update(count=F("count") + 1, last_seen_at=unit.now):
        return present.get()
    return None


def _open(unit: Unit, rule: GuardRule, call: ToolCall, effect: GuardEffect) -> Incident | None:
    """A new incident, linked to the one before; None where somebody opened one meanwhile."""
    previous = _of(rule, call).order_by("-created_at", "-pk").first()
    try:
        with transaction.atomic():
            incident = Incident.objects.create(
                workspace_id=call.workspace_id,
                created_at=unit.now,
                rule=rule,
                agent=call.agent,
                operation=call.operation,
                severity=SEVERITY_OF[effect],
                count=1,
                first_seen_at=unit.now,
                last_seen_at=unit.now,
                previous=previous,
            )
    except IntegrityError:
        return None
    actor = system_actor(call.workspace_id, "guard")
    facts = {"rule": rule.slug, "agent": call.agent.slug, "operation": call.operation.reference}
    unit.audit(actor, "incident.opened", subject_of(incident), facts)
    announce(unit, call.workspace_id, "incident.opened", incident.pk, _event_data(incident))
    guard_hooks.incident_opened(unit, actor, incident)
    return incident


def _event_data(incident: Incident) -> dict[str, Any]:
    """The member `data` of the events about an incident: its header, ids and links."""
    reference, agent = incident.operation.reference, incident.agent.slug
    return {
        "incident": str(incident.pk),
        "rule": incident.rule.slug,
        "agent": agent,
        "operation": reference,
        "status": incident.status,
        "severity": incident.severity,
        "count": incident.count,
        "summary": f"{incident.rule.name}: {reference} by {agent}, {incident.get_status_display()}",
        "url": page_url("incident", incident.pk),
    }


def subject_of(incident: Incident) -> tuple[str, object, str]:
    """How the audit trail names an incident."""
    return ("incident", incident.pk, str(incident))


def get_incident(actor: Actor, incident_id: UUID) -> Incident:
    """One visible incident.

    Raises:
        NotFound: not there, or not visible to this actor.
    """
    rows = Incident.objects.visible_to(actor).select_related(
        "rule", "agent", "operation__integration", "assignee"
    )
    incident = rows.filter(pk=incident_id).first()
    if incident is None:
        raise NotFound("There is no such incident.")
    return incident


def acknowledge(actor: Actor, incident_id: UUID) -> Incident:
    """Take note of an open incident; a resolved one stays resolved.

    Raises:
        Conflict: `already_acknowledged` or `already_closed`.
        Forbidden: the actor may not triage.
    """
    return _move(actor, incident_id, IncidentStatus.ACKNOWLEDGED)


def resolve(actor: Actor, incident_id: UUID, note: str = "") -> Incident:
    """Close an incident that was real; the next hit opens a new one.

    Raises:
        Conflict: `already_closed`.
        Forbidden: the actor may not triage.
    """
    return _move(actor, incident_id, IncidentStatus.RESOLVED, note)


def dismiss(actor: Actor, incident_id: UUID, note: str = "") -> Incident:
    """Close an incident that was none; the next hit opens a new one.

    Raises:
        Conflict: `already_closed`.
        Forbidden: the actor may not triage.
    """
    return _move(actor, incident_id, IncidentStatus.DISMISSED, note)


def _move(actor: Actor, incident_id: UUID, status: IncidentStatus, note: str = "") -> Incident:
    incident = get_incident(actor, incident_id)
    actor.require(Permission.DECIDE_ANOMALIES)
    closes = status not in INCIDENT_OPEN
    ends: dict[str, Any] = {}
    with unit_of_work() as unit:
        if closes:
            ends = {"closed_at": unit.now, "closed_by": actor.as_json()}
        rows = Incident.objects.filter(pk=incident.pk)
        if not advance(rows, INCIDENT_MOVES, status, **ends):
            raise _too_late(rows.get())
        written = _write(unit, actor, incident, note) if note.strip() else None
        facts = {"note": str(written.pk)} if written else {}
        unit.audit(actor, f"incident.{status.value}", subject_of(incident), facts)
        if closes:
            data = _event_data(rows.select_related("rule", "agent", "operation__integration").get())
            announce(unit, incident.workspace_id, "incident.closed", incident.pk, data)
        unit.wake(incident.pk)
    return get_incident(actor, incident_id)


def _too_late(incident: Incident) -> Conflict:
    if incident.status == IncidentStatus.ACKNOWLEDGED:
        return Conflict("The incident is acknowledged already.", code="already_acknowledged")
    by = (incident.closed_by or {}).get("name", "somebody")
    when = incident.closed_at.strftime("%Y-%m-%d %H:%M:%S UTC") if incident.closed_at else ""
    text = f"Already {incident.get_status_display().lower()} by {by} at {when}."
    return Conflict(text, code="already_closed")


def assign(actor: Actor, incident_id: UUID, username: str) -> Incident:
    """Give an incident to somebody who may triage; an empty name takes it from everybody.

    Raises:
        Invalid: `not_found`, or the person may not triage.
        Forbidden: the actor may not triage.
    """
    incident = get_incident(actor, incident_id)
    actor.require(Permission.DECIDE_ANOMALIES)
    assignee = _analyst(actor, username).user if username else None
    with unit_of_work() as unit:
        Incident.objects.filter(pk=incident.pk).update(assignee=assignee)
        facts = {"to": username or None}
        unit.audit(actor, "incident.assigned", subject_of(incident), facts)
    return get_incident(actor, incident_id)


def _analyst(actor: Actor, username: str) -> Membership:
    rows = Membership.objects.in_workspace(actor.workspace_id).filter(is_active=True)
    found = rows.select_related("user").filter(user__username=username).first()
    if found is None:
        raise Invalid([FieldError("assignee", "not_found", f"There is no member {username!r}.")])
    if Permission.DECIDE_ANOMALIES not in permissions_of(found.role_set):
        text = f"{username} may not triage incidents."
        raise Invalid([FieldError("assignee", "invalid_value", text)])
    return found


def note(actor: Actor, incident_id: UUID, text: str) -> IncidentNote:
    """Write a note on an incident.

    Raises:
        Invalid: blank, or longer than 10,000 characters.
        Forbidden: the actor may not triage.
    """
    incident = get_incident(actor, incident_id)
    actor.require(Permission.DECIDE_ANOMALIES)
    with unit_of_work() as unit:
        written = _write(unit, actor, incident, text)
        facts = {"note": str(written.pk)}
        unit.audit(actor, "incident.noted", subject_of(incident), facts)
    return written


def _write(unit: Unit, actor: Actor, incident: Incident, text: str) -> IncidentNote:
    if not text.strip():
        raise Invalid([FieldError("text", "required", "A note is not blank.")])
    if len(text) > MAX_NOTE:
        raise Invalid([FieldError("text", "too_long", f"At most {MAX_NOTE} characters.")])
    return IncidentNote.objects.create(
        workspace_id=incident.workspace_id,
        created_at=unit.now,
        incident=incident,
        text=text,
        by=actor.as_json(),
    )
