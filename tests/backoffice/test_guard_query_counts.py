"""The guard's pages with sixty rules and three hundred incidents: queries, filters, paging."""

import datetime as dt
import itertools
import re
from typing import Any
from urllib.parse import urljoin

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts_app.clock import db_now
from accounts_app.models import Agent
from guard_app.models import Detection, GuardRule, Incident, Replay, ReplayHit
from guard_app.states import Detector, GuardEffect, Severity
from integrations_app.models import Operation, ToolCall
from tests.backoffice.people import signed_in
from tests.conftest import World
from tests.guard_app.test_screening import statuses

# Page, and how many queries it may take for an analyst; the frame's are among them.
BASELINES = {
    "guard/": 16,
    "guard/incidents/": 12,
    "guard/incidents/?status=all&severity=high&q=rule&page=2": 12,
    "guard/rules/": 14,
    "guard/rules/?page=2": 14,
    "guard/rules/rule-1/": 19,
    "guard/incidents/{incident}/": 17,
    "guard/replays/{replay}/": 12,
    "guard/replays/{replay}/calls/hits/": 14,
    "guard/rules/rule-1/replay/": 15,
    "add/guard-rule/": 10,
    "add/guard-rule/?detector=budget": 13,
}
LONG = "Refunds of one customer that come in pairs, an hour apart, from an address nobody knows"


def many_rules(world: World, number: int, first: int = 0) -> list[GuardRule]:
    now, effects = db_now(), list(GuardEffect)
    detectors = [Detector.CALL_COUNT, Detector.BUDGET, Detector.INJECTION]
    parameters: dict[Detector, dict[str, Any]] = {
        Detector.CALL_COUNT: {"scope": "run", "limit": 5},
        Detector.BUDGET: {"argument": "/amount", "limit": 500, "scope": "agent"},
        Detector.INJECTION: {},
    }
    return GuardRule.objects.bulk_create(
        GuardRule(
            workspace=world.cast.workspace,
            created_at=now,
            slug=f"rule-{index}",
            name=f"Rule {index}" if index % 7 else f"{LONG} {index}",
            detector=detectors[index % 3],
            parameters=parameters[detectors[index % 3]],
            applies_to={"operations": ["payments.refund"], "agents": ["support"]}
            if index % 2
            else {},
            effect=effects[index % len(effects)],
            enabled=index % 5 != 0,
            shadow=index % 4 == 0,
        )
        for index in range(first, first + number)
    )


def many_incidents(rules: list[GuardRule], number: int) -> list[Incident]:
    now, severities = db_now(), list(Severity)
    keys = itertools.product(rules, Agent.objects.all(), Operation.objects.all())
    return Incident.objects.bulk_create(
        Incident(
            workspace_id=rule.workspace_id,
            created_at=now - dt.timedelta(minutes=index),
            rule=rule,
            agent=agent,
            operation=operation,
            severity=severities[index % 4],
            status=("open", "open", "acknowledged", "resolved")[index % 4],
            count=1 + index % 9,
            first_seen_at=now - dt.timedelta(minutes=index + 5),
            last_seen_at=now - dt.timedelta(minutes=index),
        )
        for index, (rule, agent, operation) in enumerate(itertools.islice(keys, number))
    )


def many_hits(incident: Incident, calls: list[ToolCall], number: int) -> None:
    now = db_now()
    Detection.objects.bulk_create(
        Detection(
            workspace_id=incident.workspace_id,
            created_at=now - dt.timedelta(minutes=7 * index),
            rule=incident.rule,
            tool_call=calls[index % len(calls)],
            agent=incident.agent,
            incident=incident,
            effect="alert",
            decided=True,
            explanation=f"Call number {index} in this run; the limit is 5.",
        )
        for index in range(number)
    )


def fill(world: World, *, hits: int = 200) -> dict[str, Any]:
    """Sixty rules, three hundred incidents, one of them with so many hits, and a replay."""
    statuses(world, *range(1, 21), run=world.run())
    calls = list(ToolCall.objects.order_by("created_at"))
    incidents = many_incidents(many_rules(world, 60), 300)
    many_hits(incidents[6], calls, hits)
    now = db_now()
    replay = Replay.objects.create(
        workspace=world.cast.workspace,
        created_at=now,
        name="Rule 1",
        draft={"parameters": {}, "applies_to": {"operations": ["payments.refund"]}},
        since=now - dt.timedelta(days=30),
        until=now,
        status="done",
        total=hits,
        calls=hits,
        hits=hits,
        would={"alert": hits},
        decided={"approved": hits, "rejected": 0, "none": 0},
    )
    rows = (
        ReplayHit(replay=replay, tool_call=calls[index % 20], effect="alert", decided="approved")
        for index in range(hits)
    )
    ReplayHit.objects.bulk_create(rows)
    return {"incident": incidents[6].pk, "replay": replay.pk}


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(f"/admin/{path}")
    assert answer.status_code == 200, path
    return len(seen)


def test_no_guard_page_takes_more_queries_with_more_of_everything(world: World) -> None:
    names, client = fill(world), signed_in("gus")
    paths = {path: path.format(**names) for path in BASELINES}
    counts = {}
    for name, path in paths.items():
        queries(client, path)
        counts[name] = queries(client, path)
    incident = Incident.objects.get(pk=names["incident"])
    many_incidents(many_rules(world, 60, first=60), 300)
    many_hits(incident, list(ToolCall.objects.all()), 400)
    again = {name: queries(client, path) for name, path in paths.items()}
    assert again == counts
    over = {name: (again[name], BASELINES[name]) for name in again if again[name] > BASELINES[name]}
    assert over == {}


def paged(client: Client, path: str, link: str) -> list[str]:
    """What a list links to, page by page."""
    found: list[str] = []
    page = path
    while page:
        text = client.get(page).content.decode()
        found += re.findall(link, text)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        page = urljoin(path, older[1].replace("&amp;", "&")) if older else ""
    return found


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("", {"status__in": ["open", "acknowledged"]}),
        ("?status=all", {}),
        ("?status=resolved", {"status": "resolved"}),
        ("?status=all&severity=high", {"severity": "high"}),
        ("?status=open&severity=low", {"status": "open", "severity": "low"}),
        ("?status=all&q=send_receipt+rule", {"operation__slug": "send_receipt"}),
        ("?status=all&q=nothing+of+the+kind", {"pk": None}),
    ],
)
def test_every_incident_that_a_filter_keeps_is_on_one_page(
    world: World, query: str, kept: dict[str, Any]
) -> None:
    fill(world)
    link = r'<td[^>]*><a class="link" href="/admin/guard/incidents/([0-9a-f-]{36})/"'
    found = paged(signed_in("gus"), f"/admin/guard/incidents/{query}", link)
    wanted = {str(pk) for pk in Incident.objects.filter(**kept).values_list("pk", flat=True)}
    assert (len(found), set(found)) == (len(wanted), wanted)


def test_every_rule_and_every_hit_is_on_one_page(world: World) -> None:
    names, gus = fill(world), signed_in("gus")
    rules = paged(gus, "/admin/guard/rules/", r'<td[^>]*><a class="link" href="/admin/guard/rules/')
    assert len(rules) == 60
    hits = paged(gus, f"/admin/guard/incidents/{names['incident']}/", r">the call</a>")
    assert len(hits) == 200


def test_an_incident_shown_again_after_a_refusal_leads_to_its_own_pages(world: World) -> None:
    pk = fill(world, hits=60)["incident"]
    path = f"/admin/guard/incidents/{pk}/"
    gus = signed_in("gus")
    assert gus.get(path).content.decode().count(f'href="{path}?page=2"') == 1
    refused = gus.post(f"{path}note/", {"text": " "})
    assert refused.status_code == 422
    assert refused.content.decode().count(f'href="{path}?page=2"') == 1
    assert gus.get(f"{path}?page=2").status_code == 200
