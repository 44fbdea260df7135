"""What bodies look like, where a serializer's field cannot say it."""

from config.contract.answers import INPUT, ON_TIMEOUT, REVIEWERS
from config.contract.words import (
    FLAG,
    JSON,
    NUMBER,
    OBJECT,
    TEXT,
    Schema,
    closed,
    many,
    null,
    one_of,
    shape,
    text,
)
from guard_app.parameters import signatures
from guard_app.services.rules import SCOPES
from integrations_app.actions import MAX_ACTIONS, MAX_NAME, STYLES
from integrations_app.policies import MAX_TIMEOUT, MIN_TIMEOUT
from integrations_app.services.catalogue import MAX_SECRET
from integrations_app.states import Method
from tasks_app.kinds import MAX_COMMENT
from tasks_app.states import Kind, MessageRole

NAME = {**text(MAX_NAME, blank=False), "pattern": r"\S"}
SECONDS: Schema = {"type": "number", "minimum": MIN_TIMEOUT, "maximum": MAX_TIMEOUT}
SECRET = text(MAX_SECRET, blank=False)


def _actions(more: dict[str, Schema]) -> Schema:
    item = closed({"name": NAME}, {"label": NAME, "comment_required": FLAG, **more})
    return many({"anyOf": [NAME, item]}, maxItems=MAX_ACTIONS)


_STYLE = {"style": one_of(STYLES)}
_EFFECT = {"effect": one_of(("proceed", "stop"))}
APPROVAL = closed(
    {},
    {
        "actions": null(_actions(_STYLE | _EFFECT)),
        "timeout_seconds": null(SECONDS),
        "on_timeout": null(ON_TIMEOUT),
        "quorum": null({"type": "integer", "minimum": 1}),
        "reviewers": null(REVIEWERS),
        "allow_edit": null(FLAG),
        "allow_self_review": null(FLAG),
        "when": {**null(TEXT), "description": "A CEL expression."},
    },
)
AUTH: Schema = {
    "description": "Write-only; left out, the credential stays as it is.",
    "oneOf": [
        closed({"type": {"const": "none"}}),
        closed({"type": {"const": "bearer"}, "token": SECRET}),
        closed({"type": {"const": "basic"}, "username": SECRET, "password": SECRET}),
        closed({"type": {"const": "header"}, "name": SECRET, "value": SECRET}),
    ],
}
ANSWER: dict[str, Schema] = {
    "value": {**JSON, "description": "The option's id, the text, or the number."},
    "comment": null(text(MAX_COMMENT)),
    "draft": {**JSON, "description": "Saved and decided on in one step."},
    "revision": {
        "type": ["integer", "null"],
        "description": "What you looked at; required once it is above 1.",
    },
}
_INPUT_ANSWER = {name: each for name, each in ANSWER.items() if name != "draft"}
MEMBERS: dict[str, dict[str, Schema]] = {
    "TaskBody": {
        "kind": one_of(Kind.values),
        "title": {**text(200, blank=False), "pattern": r"\S"},
        "on_conflict": one_of(("return", "fail", "replace")),
        "actions": {
            **null(_actions(_STYLE)),
            "description": "For `approval` and `hitl`; missing or empty: approve, reject.",
        },
        "options": {
            "anyOf": [
                many(
                    closed(
                        {"id": text(120, blank=False), "label": TEXT}, {"description": null(TEXT)}
                    )
                ),
                {"type": "null"},
            ],
            "description": "For `multi_option`; at least one.",
        },
        "input": null({**INPUT, "additionalProperties": False}),
        "draft": JSON,
        "timeout_seconds": null(SECONDS),
        "on_timeout": null(ON_TIMEOUT),
        "reviewers": null(REVIEWERS),
        "quorum": null({"type": "integer", "minimum": 1}),
        "remind_before_seconds": null(many(NUMBER)),
    },
    "DecideBody": ANSWER,
    "ShortcutBody": ANSWER,
    "IntegrationBody": {
        "auth": {"anyOf": [AUTH, {"type": "null"}]},
        "default_headers": null({"type": "object", "additionalProperties": TEXT}),
    },
    "OperationBody": {
        "method": {"anyOf": [one_of(Method.values), {"enum": ["", None]}]},
        "parameters": null({**OBJECT, "description": "A JSON Schema, draft 2020-12."}),
        "approval": {"anyOf": [APPROVAL, {"type": "null"}]},
        "sensitive": {**null(many(TEXT)), "description": "JSON pointers to sensitive arguments."},
        "timeout_seconds": null({"type": "number", "exclusiveMinimum": 0, "maximum": 300}),
    },
    "BulkBody": {
        "items": many(
            shape(
                {},
                {
                    "task": {"description": "The task's id."},
                    "action": {"description": "As in `complete`."},
                    "value": {"description": "As in `complete`."},
                    "comment": {"description": "As in `complete`."},
                    "revision": {"description": "What was looked at; required."},
                },
                additionalProperties=True,
                description="Read for itself: what is wrong with it is its own answer.",
            ),
            minItems=1,
            maxItems=100,
        )
    },
    "MessageBody": {"role": one_of(MessageRole.values), "text": text(20_000, blank=False)},
    "InputBody": {**_INPUT_ANSWER, "text": null(TEXT)},
    "ReplayBody": {
        "rule": {"description": "The slug of a rule, or a draft with the members of one."},
        "from": {"type": "string", "description": "A date or date-time."},
        "to": {"type": "string", "description": "A date or date-time."},
    },
    "RuleBody": {
        "parameters": {**null(OBJECT), "description": signatures()},
        "applies_to": null(closed({}, {name: null(many(TEXT)) for name in SCOPES})),
    },
    "ExtendBody": {"timeout_seconds": SECONDS},
    "ClientResultBody": {
        "error": {
            "description": "What went wrong, as a text or as calls show it.",
            "anyOf": [
                text(10_000, blank=False),
                closed({"code": text(100, blank=False), "detail": text(10_000, blank=False)}),
                {"type": "null"},
            ],
        }
    },
    "FailBody": {"error": {**JSON, "description": "What went wrong; not empty."}},
}
WHOLE: dict[str, Schema] = {
    "MetadataBody": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": True,
        "description": "The caller's own members; merged at the top level, later wins.",
    }
}
BODY_OF = {("PATCH", "/tasks/{id}/metadata"): "MetadataBody"}
"""Bodies that no serializer's fields describe."""
