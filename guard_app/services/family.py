"""The family of a run, and whether the workspace has rules: what every screening asks first."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import connection, models

from accounts_app.models import Agent, WorkspaceSettings
from accounts_app.statements import bound
from guard_app.models import GuardRule
from integrations_app.models import Run, ToolCall

_AGENT, _RULE, _RUN, _SETTINGS = (
    model._meta.db_table for model in (Agent, GuardRule, Run, WorkspaceSettings)
)
_ID: Final = models.UUIDField()

_STAMP: Final = f"""(
    SELECT SUM(g.version) FROM {_RULE} g LEFT JOIN {_SETTINGS} s ON s.workspace_id = g.workspace_id
    WHERE g.workspace_id = %s AND (s.guard IS NULL OR s.guard)
)"""  # noqa: S608 - names of tables, no values
_FROM_A_ROOT: Final = f"""
SELECT {_STAMP}, EXISTS (SELECT 1 FROM {_RUN} WHERE parent_id = %s)
"""  # noqa: S608 - see above
_IN_A_FAMILY: Final = f"""
WITH RECURSIVE above(id, parent_id) AS (
    SELECT id, parent_id FROM {_RUN} WHERE id = %s
    UNION SELECT r.id, r.parent_id FROM above JOIN {_RUN} r ON r.id = above.parent_id
), family(id) AS (
    SELECT id FROM above
    UNION SELECT r.id FROM family JOIN {_RUN} r ON r.parent_id = family.id
)
SELECT family.id, CASE WHEN above.id IS NULL THEN '' ELSE a.slug END, {_STAMP}
FROM family JOIN {_RUN} r ON r.id = family.id JOIN {_AGENT} a ON a.id = r.agent_id
LEFT JOIN above ON above.id = family.id
"""  # noqa: S608 - see above


@dataclass(frozen=True, slots=True)
class Kin:
    """A run with the runs that it comes from and that come from its root.

    Args:
        run_ids: all of them.
        agents: slugs of the agents of the run and of those above it.
    """

    run_ids: tuple[UUID, ...]
    agents: frozenset[str]


def standing_of(call: ToolCall) -> tuple[int | None, Kin]:
    """The stamp of the workspace's rules and the run's family, in one statement.

    Returns:
        the sum of the versions of all rules, None where the workspace asks none; and the family,
        for most runs themselves alone.
    """
    run, run_id, workspace = call.run, bound(call.run_id), bound(call.workspace_id)
    with connection.cursor() as cursor:
        if run.parent_id is None:
            cursor.execute(_FROM_A_ROOT, [workspace, run_id])
            stamp, has_sub_agents = cursor.fetchone()
            if not has_sub_agents:
                return stamp, Kin((call.run_id,), frozenset((run.agent.slug,)))
        cursor.execute(_IN_A_FAMILY, [run_id, workspace])
        rows = cursor.fetchall()
    ids = sorted(_ID.to_python(identity) for identity, _, _ in rows)
    return rows[0][2], Kin(tuple(ids), frozenset(slug for _, slug, _ in rows if slug))
