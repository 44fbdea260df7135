"""What the guard's overview says, from bounded reads of the newest hits."""

import datetime as dt
from collections import Counter, defaultdict

from django.utils import timezone

from accounts_app.scoping import Actor
from guard_app.models import Detection, GuardRule, Incident
from guard_app.states import GuardEffect, IncidentStatus
from tasks_app.dashboard import DAYS, Table
from tasks_app.people_said import people_said

MOST = 5000
TOP = 10
RULES = 6
SHADOW = "In shadow"
EDITS = "Refused edits"
OTHERS = "Others"


def newest_hits(actor: Actor, now: dt.datetime) -> tuple[list[Detection], bool]:
    """The visible hits of the last 14 days, and whether there are more."""
    rows = Detection.objects.visible_to(actor).filter(created_at__gte=now - dt.timedelta(days=DAYS))
    rows = rows.select_related("rule", "agent", "incident", "tool_call")
    found = list(rows.order_by("-created_at", "-pk")[: MOST + 1])
    return found[:MOST], len(found) > MOST


def hits_by_effect(found: list[Detection], now: dt.datetime, capped: bool) -> Table:
    """Hits of the last 14 days by effect; those of shadow rules and of people's edits apart."""
    named = [(hit, _effect_of(hit)) for hit in found]
    return _by_day(named, [*GuardEffect.labels, SHADOW, EDITS], now, capped)


def _effect_of(hit: Detection) -> str:
    if hit.shadow:
        return SHADOW
    return EDITS if hit.refused_edit_by else GuardEffect(hit.effect).label


def _of_calls(found: list[Detection]) -> list[Detection]:
    """The hits on what agents asked for; not those on people's edits that were refused."""
    return [hit for hit in found if not hit.refused_edit_by]


def hits_by_rule(found: list[Detection], now: dt.datetime, capped: bool) -> Table:
    """Hits of the last 14 days by rule, in shadow or not: those that hit most, and the others."""
    counts = Counter(hit.rule.slug for hit in found)
    order = sorted(counts, key=lambda slug: (-counts[slug], slug))
    top, rest = order[:RULES], order[RULES:]
    columns = [*top, ""] if rest else top
    named = [(hit, hit.rule.slug if hit.rule.slug in top else "") for hit in found]
    names = {hit.rule.slug: hit.rule.name for hit in found}
    heads = [names.get(slug, OTHERS) for slug in columns]
    return Table(heads, _by_day(named, columns, now, capped).rows, capped)


def _by_day(
    named: list[tuple[Detection, str]], columns: list[str], now: dt.datetime, capped: bool
) -> Table:
    counts: dict[dt.date, Counter[str]] = defaultdict(Counter)
    for hit, name in named:
        counts[timezone.localtime(hit.created_at).date()][name] += 1
    today = timezone.localtime(now).date()
    days = [today - dt.timedelta(days=number) for number in range(DAYS - 1, -1, -1)]
    rows = [(f"{day:%d %b}", [counts[day][name] for name in columns]) for day in days]
    return Table(columns, rows, capped)


def precision_by_rule(found: list[Detection], capped: bool) -> Table:
    """What people decided about the calls that each rule hit."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    calls = _of_calls(found)
    said = people_said([hit.tool_call for hit in calls])
    for hit in calls:
        counts[hit.rule.name]["hits"] += 1
        counts[hit.rule.name][said.get(hit.tool_call_id, "none")] += 1
        if hit.incident is not None and hit.incident.status == IncidentStatus.DISMISSED:
            counts[hit.rule.name]["dismissed"] += 1
    columns = ("hits", "rejected", "approved", "none", "dismissed")
    heads = ("Hits", "Rejected", "Approved", "Nobody decided", "Of dismissed incidents")
    top = sorted(counts.items(), key=lambda pair: -pair[1]["hits"])[:TOP]
    return Table(heads, [(name, [each[c] for c in columns]) for name, each in top], capped)


def hits_by_agent(found: list[Detection], capped: bool) -> Table:
    """The agents whose calls are hit most."""
    counts = Counter(hit.agent.name for hit in _of_calls(found))
    return Table(["Hits"], [(name, [count]) for name, count in counts.most_common(TOP)], capped)


def failures_by_rule(found: list[Detection]) -> list[tuple[GuardRule, int]]:
    """The rules that could not be evaluated, and for how many calls; the most first."""
    return Counter(hit.rule for hit in found if hit.failed).most_common(TOP)


def open_incidents(actor: Actor) -> int:
    """How many incidents wait for somebody, for the navigation; counted to 100 at most."""
    rows = Incident.objects.visible_to(actor).of_statuses(IncidentStatus.OPEN)
    return rows.order_by().values("pk")[:100].count()
