"""What people decided about calls, read from the tasks that asked them."""

from collections.abc import Sequence
from uuid import UUID

from integrations_app.models import ToolCall
from integrations_app.states import CallStatus
from tasks_app.models import UserTask
from tasks_app.states import ABOUT_A_CALL, TaskStatus


def people_said(calls: Sequence[ToolCall]) -> dict[UUID, str]:
    """What people decided about calls, in a review of the guard or an approval; see `GuardHooks`.

    A key that decides acts for people. A time-out is nobody's act, whatever it chose.
    """
    rows = UserTask.objects.filter(
        tool_call__in={call.pk for call in calls},
        about__in=ABOUT_A_CALL,
        status=TaskStatus.COMPLETED,
    )
    timed_out = dict[UUID | None, bool]()
    by_people = set[UUID | None]()
    for call_id, late in rows.order_by("completed_at", "pk").values_list("tool_call", "timed_out"):
        timed_out[call_id] = late
        if not late:
            by_people.add(call_id)
    said = {call.pk: "approved" for call in calls if call.pk in by_people}
    for call in calls:
        # Nothing follows a rejection, so that the last task is the one that rejected.
        if call.status == CallStatus.REJECTED and timed_out.get(call.pk) is False:
            said[call.pk] = "rejected"
    return said
