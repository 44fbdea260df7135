"""Fills a PostgreSQL database with rows by bulk statements, as copies of the one that is there."""

import time
from collections.abc import Mapping
from typing import Any

PENDING_SHARE = 10
"""One task of so many is pending."""
MANY = 10
"""One task of so many has an incident, and one message in the one long run."""

# What differs from row to row; {n} is the row's number. Ids are ordered by time, as the product's.
ID = """(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7'
    || lpad(to_hex({n} % 4096), 3, '0') || '8' || substr(md5({n}::text), 1, 15))::uuid"""
TASK = {
    "id": ID,
    "created_at": "{at}",
    "updated_at": "{at}",
    "status": "CASE WHEN {waits} THEN 'pending' ELSE 'completed' END",
    "completed_at": "CASE WHEN {waits} THEN NULL ELSE {at} + interval '7 minutes' END",
    "action": "CASE WHEN {waits} THEN NULL ELSE 'approve' END",
    "decided_by": """CASE WHEN {waits} THEN NULL
        ELSE '{{"type":"system","id":"bulk","name":"Bulk","on_behalf_of":null}}' END""",
    "channel": "CASE WHEN {waits} THEN '' ELSE 'api' END",
    "due_at": "CASE WHEN {n} % 3 = 0 THEN NULL ELSE now() + {n} % 100000 * interval '1 minute' END",
    "title": """'Refund of order ' || {n} || ' for '
        || (ARRAY['Okafor','Lindqvist','Nakamura','Dubois'])[1 + {n} % 4]""",
    "description": """'The parcel ' || substr(md5({n}::text), 1, 8) || ' never arrived at depot '
        || {n} % 997""",
    "participant": "'person' || {n} % 50000 || '@example.com'",
    "session_id": "md5('session' || {n} / 50)::uuid",
    "run_id": "CASE WHEN {n} % 1000 = 1 THEN t.run_id ELSE md5('run' || {n} / 50)::uuid END",
    "agent_id": "{agent}",
    "key": "NULL",
    "kind": """CASE WHEN {n} % 5000 < 20 THEN 'anomaly_review'
        WHEN {n} % 3000 < 20 THEN 'aitl_escalation'
        ELSE (ARRAY['approval','approval','approval','text','number'])[1 + {n} / 7 % 5] END""",
}
ENTRY = {
    "id": ID,
    "sequence": "{n} + 1000000000",
    "at": "{at}",
    "verb": """CASE WHEN {n} % 5000 = 1 THEN 'member.created'
        ELSE (ARRAY['task.created','task.decided'])[1 + {n} % 2] END""",
    "actor_type": "CASE WHEN {n} % 5000 = 1 THEN 'user' ELSE 'system' END",
    "actor_id": "CASE WHEN {n} % 5000 = 1 THEN {ann} ELSE 'bulk' END",
    "target_id": "md5({n}::text)",
    "hash": "md5('hash' || {n})",
}
INCIDENT = {
    "id": ID,
    "created_at": "{at}",
    "first_seen_at": "{at}",
    "last_seen_at": "{at}",
    "status": "(ARRAY['resolved','dismissed'])[1 + {n} / 10 % 2]",
    "severity": "(ARRAY['low','medium','high'])[1 + {n} / 10 % 3]",
    "closed_at": "{at}",
}
MESSAGE = {"id": ID, "created_at": "{at}", "text": "'Said ' || {n}"}
SESSION = {
    "id": "md5('session' || {n} / 50)::uuid",
    "created_at": "{at}",
    "agent_id": "{agent}",
    "participant": "'person' || {n} % 50000 || '@example.com'",
}
RUN = {
    "id": "md5('run' || {n} / 50)::uuid",
    "session_id": SESSION["id"],
    "created_at": "{at}",
    "agent_id": "{agent}",
}
AT = "(now() - interval '400 days' + {n} * (interval '400 days' / {total}))"


def copy(
    model: Any, different: Mapping[str, str], first: int, total: int, *, step: int, **words: str
) -> None:
    """Copy the oldest row of a table to every so manyth number.

    Args:
        model: whose table.
        different: what differs, by column, as SQL.
        first: the first number.
        total: the last one.
        step: how far the numbers lie apart.
        **words: what stands in that SQL beside the number and the time.
    """
    from django.db import connection

    table = model._meta.db_table
    words = {"n": "n", **words, "at": AT.format(n="n", total=total)}
    columns = [field.column for field in model._meta.concrete_fields]
    chosen = ", ".join(
        different[name].format(**words) if name in different else f"t.{name}" for name in columns
    )
    order = "created_at" if "created_at" in columns else "at"
    start = first - first % step
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)})"
            f" SELECT {chosen} FROM generate_series({start}, {total}, {step}) AS n,"
            f" (SELECT * FROM {table} WHERE id = '{_source(model, order)}') AS t"
            " ON CONFLICT DO NOTHING"
        )
        cursor.execute(f"VACUUM ANALYZE {table}")
        cursor.execute("RESET statement_timeout")


_sources: dict[Any, Any] = {}


def _source(model: Any, order: str) -> Any:
    if model not in _sources:
        _sources[model] = model.objects.order_by(f"-{order}").values_list("pk", flat=True).first()
    return _sources[model]


def fill(first: int, total: int, *, seldom: str, ann: str) -> float:
    """Fill every table up to so many tasks; seconds that it took.

    Args:
        first: the number of the first new task.
        total: of the tasks that there are to be.
        seldom: id of an agent that has one task of a hundred.
        ann: id of a person who did one of 5,000 audited acts.
    """
    from accounts_app.models import AuditEntry
    from guard_app.models import Incident
    from integrations_app.models import Run, Session
    from tasks_app.models import Message, UserTask
    from tasks_app.services.tallying import tally

    begun = time.perf_counter()
    agent = f"CASE WHEN n / 50 % 100 = 0 THEN '{seldom}'::uuid ELSE t.agent_id END"
    copy(Session, SESSION, first, total, step=50, agent=agent)
    copy(Run, RUN, first, total, step=50, agent=agent)
    waits = f"n % {PENDING_SHARE} = 0"
    copy(UserTask, TASK, first, total, step=1, waits=waits, agent=agent)
    copy(AuditEntry, ENTRY, first, total, step=1, ann=f"'{ann}'")
    copy(Incident, INCIDENT, first, total, step=MANY)
    copy(Message, MESSAGE, first, total, step=MANY)
    while tally():
        pass
    return time.perf_counter() - begun
