"""Every address of the back office and what each role gets there: written down, not computed.

The columns are admin, ann (operator), bob (viewer), gus (guard analyst), ida (integration admin)
and aud (auditor). A letter says what the role gets:

    y  the page, or the act is taken up (and may be refused for its content)
    n  403, the role does not lead there
    -  404, not there for this person
    m  405, the address only acts, or only shows
    r  302, on to the page that shows it
"""

PEOPLE = ("admin", "ann", "bob", "gus", "ida", "aud")

# name: (GET, POST)
ADDRESSES: dict[str, tuple[str, str]] = {
    "agent": ("yyyyyy", "ynnnyn"),
    "agent_add": ("ynnnyn", "ynnnyn"),
    "agent_switch": ("mnnnmn", "ynnnyn"),
    "agents": ("yyyyyy", "mmmmmm"),
    "api_key_add": ("ynnnnn", "ynnnnn"),
    "api_key_revoke": ("mnnnnn", "ynnnnn"),
    "api_keys": ("ynnnnn", "mnnnnn"),
    "approvals": ("yyyyyy", "mmmmmm"),
    "audit": ("yynyyy", "mmnmmm"),
    "audit_export": ("nnnnnm", "nnnnny"),
    "audit_verify": ("mnnnnm", "ynnnny"),
    "call": ("yyy--y", "mmmmmm"),
    "counts": ("yyyyyy", "yyyyyy"),
    "dashboard": ("yyyyyy", "mmmmmm"),
    "group": ("ynnnnn", "ynnnnn"),
    "group_add": ("ynnnnn", "ynnnnn"),
    "groups": ("ynnnnn", "mnnnnn"),
    "integration": ("yyyyyy", "ynnnyn"),
    "integration_add": ("ynnnyn", "ynnnyn"),
    "integration_import": ("ynnnyn", "ynnnyn"),
    "integration_test": ("mnnnmn", "ynnnyn"),
    "integrations": ("yyyyyy", "mmmmmm"),
    "member": ("ynnnnn", "ynnnnn"),
    "member_add": ("ynnnnn", "ynnnnn"),
    "member_deactivate": ("mnnnnn", "ynnnnn"),
    "member_reactivate": ("mnnnnn", "ynnnnn"),
    "members": ("ynnnnn", "mnnnnn"),
    "operation": ("yyyyyy", "ynnnyn"),
    "operation_add": ("ynnnyn", "ynnnyn"),
    "operation_preview": ("mnnnmn", "ynnnyn"),
    "operation_rehearse": ("mnnnmn", "ynnnyn"),
    "operation_tried": ("-nnn-n", "mnnnmn"),
    "operation_try": ("ynnnyn", "ynnnyn"),
    "operations": ("yyyyyy", "mmmmmm"),
    "profile": ("yyyyyy", "yyyyyy"),
    "records": ("ynnnny", "mnnnnm"),
    "review_bulk": ("rrrrrr", "yyyyyy"),
    "review_states": ("yyyyyy", "mmmmmm"),
    "run": ("yyy--y", "mmmmmm"),
    "session": ("yyy--y", "mmmmmm"),
    "session_complete": ("yyn--n", "yyn--n"),
    "session_terminate": ("yyn--n", "yyn--n"),
    "sessions": ("yyyyny", "mmmmnm"),
    "task": ("yyy--y", "mmmmmm"),
    "task_acts": ("yyy--y", "mmmmmm"),
    "task_ask": ("mmmmmm", "yyn--n"),
    "task_assign": ("mmmmmm", "yyn--n"),
    "task_card": ("yyy--y", "mmmmmm"),
    "task_claim": ("mmmmmm", "yyn--n"),
    "task_comment": ("mmmmmm", "yyn--n"),
    "task_decide": ("rrrrrr", "yyn--n"),
    "task_delegate": ("mmmmmm", "yyn--n"),
    "task_edit": ("nnn--n", "nnn--n"),
    "task_extend": ("mmmmmm", "yyn--n"),
    "task_give_back": ("mmmmmm", "yyn--n"),
    "task_next": ("mmmmmm", "yyyyyy"),
    "task_release": ("mmmmmm", "yyy--y"),
    "task_reveal": ("mmmmmm", "yyn--y"),
    "webhook": ("ynnnnn", "ynnnnn"),
    "webhook_add": ("ynnnnn", "ynnnnn"),
    "webhook_ping": ("mnnnnn", "ynnnnn"),
    "webhook_redeliver": ("mnnnnn", "ynnnnn"),
    "webhook_rotate": ("mnnnnn", "ynnnnn"),
    "webhooks": ("ynnnnn", "mnnnnn"),
    "workspace": ("ynnnnn", "ynnnnn"),
    "workspace_switch": ("mmmmmm", "------"),
}
