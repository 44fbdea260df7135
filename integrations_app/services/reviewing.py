"""Reviewers and quorum of an approval policy, fitted to who there is when it is saved."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from accounts_app.errors import FieldError, Invalid
from accounts_app.services.reviewers import Granted, deciders, people, resolve
from integrations_app.policies import ApprovalPolicy, escalations


def grants(
    workspace_id: UUID, reviewers: Mapping[str, Sequence[str]] | None, on_timeout: Any, field: str
) -> list[Granted]:
    """Who is named, by level: first the reviewers, then those of each escalation.

    Args:
        workspace_id: where they must be members.
        reviewers: the parsed names; None names nobody, and lets everybody decide.
        on_timeout: as parsed; its escalations name further reviewers.
        field: what stands before the members' names in errors, for instance `approval.`.

    Raises:
        Invalid: `not_found`.
    """
    found = [
        Granted() if reviewers is None else resolve(workspace_id, reviewers, f"{field}reviewers")
    ]
    path = f"{field}on_timeout"
    for escalation in escalations(on_timeout):
        found.append(resolve(workspace_id, escalation["reviewers"], f"{path}.escalate.reviewers"))
        path = f"{path}.escalate.on_timeout"
    return found


def check_quorum(
    workspace_id: UUID, quorum: int | None, granted: Granted | None, field: str
) -> None:
    """Refuse a quorum that the people who may decide can never reach.

    Raises:
        Invalid: fewer may decide than must agree.
    """
    if quorum is None:
        return
    number = len(deciders(people(workspace_id), granted))
    if quorum > number:
        detail = f"No more than {number} may decide, so a quorum of {quorum} is never reached."
        raise Invalid([FieldError(field, "invalid_value", detail)])


def fit_policy(workspace_id: UUID, policy: ApprovalPolicy) -> ApprovalPolicy:
    """Bind the names of a policy to people and groups, and see that its quorum can be reached.

    Raises:
        Invalid: `not_found`, or a quorum above the number of those who may decide.
    """
    levels = grants(workspace_id, policy.reviewers, policy.on_timeout, "approval.")
    named = None if policy.reviewers is None else levels[0]
    check_quorum(workspace_id, policy.quorum, named, "approval.quorum")
    if named is None and len(levels) == 1:
        return policy
    return replace(policy, granted=tuple(level.as_json() for level in levels))
