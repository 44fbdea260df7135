"""What a rule did, in numbers: to be read before it goes live, and when it fails."""

import datetime as dt
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, QuerySet

from guard_app.models import Detection, GuardRule
from guard_app.services.hooks import guard_hooks

MOST = 1000


@dataclass(frozen=True, slots=True)
class RuleTally:
    """The newest hits of a rule's present version, by what people decided about the calls.

    Attributes:
        hits: how many there are.
        failed: those where the rule could not be evaluated.
        is_capped: whether there are more than were looked at.
    """

    hits: int
    failed: int
    approved: int
    rejected: int
    undecided: int
    is_capped: bool


def tally_of(rule: GuardRule) -> RuleTally:
    """Count the newest 1,000 hits; those of earlier versions and of refused edits are left out."""
    rows = Detection.objects.of_calls().filter(rule=rule, rule_version=rule.version)
    newest_first = rows.select_related("tool_call").order_by("-created_at", "-pk")
    found = list(newest_first[: MOST + 1])
    newest = found[:MOST]
    by_call = guard_hooks.people_said([hit.tool_call for hit in newest])
    said = [by_call.get(hit.tool_call_id) for hit in newest]
    return RuleTally(
        hits=len(newest),
        failed=sum(hit.failed for hit in newest),
        approved=said.count("approved"),
        rejected=said.count("rejected"),
        undecided=said.count(None),
        is_capped=len(found) > MOST,
    )


def failing_rules(since: dt.datetime) -> QuerySet[GuardRule]:
    """The rules of every workspace that could not be evaluated for a call since then."""
    failed = Detection.objects.filter(rule=OuterRef("pk"), created_at__gte=since, failed=True)
    return GuardRule.objects.filter(Exists(failed))
