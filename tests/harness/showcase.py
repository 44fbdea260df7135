"""A workspace as it looks on a busy day, for screenshots and for measuring the triage.

Some eighty tasks of every kind, names that are too long, an argument object with sixty fields,
text from right to left, three hundred agents. It goes through the product's own API and services,
so nothing in it could not happen.
"""

from typing import Any

from accounts_app.models import ClockOffset
from accounts_app.scoping import system_actor
from accounts_app.services.agents import put_agent
from tasks_app.kinds import Answer
from tasks_app.models import UserTask
from tasks_app.services.deciding import Decide, decide
from tests.api_client import Api
from tests.conftest import Cast

REFUND = {
    "name": "Refund a charge",
    "method": "POST",
    "path": "/v1/refunds",
    "effect": "once",
    "requires_approval": True,
    "approval": {"when": "args.amount > 100"},
    "parameters": {
        "type": "object",
        "properties": {
            "charge": {"type": "string", "title": "Charge"},
            "amount": {"type": "number", "title": "Amount", "x-unit": "EUR"},
            "reason": {"type": "string", "title": "Reason"},
        },
    },
}
EXPORT = {
    "name": "Export customers",
    "method": "GET",
    "path": "/v2/customers/{segment}/export",
    "effect": "read",
    "requires_approval": True,
    "approval": {"when": "args.limit > 1000", "timeout_seconds": 1740},
    "parameters": {
        "type": "object",
        "properties": {
            "segment": {"type": "string", "title": "Segment"},
            "limit": {"type": "integer", "title": "Rows"},
            "fields": {"type": "array", "items": {"type": "string"}, "title": "Fields"},
        },
    },
}
CREATE = {
    "name": "Create a supplier in the enterprise resource planning system",
    "method": "PUT",
    "path": "/suppliers/{supplier_id}",
    "effect": "idempotent",
    "requires_approval": True,
    "approval": {"timeout_seconds": 172_800},
    "sensitive": ["/bank/iban"],
    "parameters": {
        "type": "object",
        "properties": {
            "supplier_id": {"type": "string", "title": "Supplier number"},
            "bank": {
                "type": "object",
                "title": "Bank",
                "properties": {
                    "iban": {"type": "string", "title": "IBAN"},
                    "holder": {"type": "string", "title": "Account holder"},
                },
            },
        },
    },
}
MAIL = {
    "name": "Send an e-mail",
    "method": "POST",
    "path": "/messages",
    "effect": "once",
    "requires_approval": True,
    "approval": {"timeout_seconds": 3600},
    "parameters": {
        "type": "object",
        "properties": {
            "to": {"type": "string", "title": "To"},
            "subject": {"type": "string", "title": "Subject"},
            "text": {"type": "string", "title": "Text"},
        },
    },
}
INTEGRATIONS: dict[str, tuple[str, str, dict[str, dict[str, Any]]]] = {
    "payments": ("Payments", "https://api.payments.example", {"refund": REFUND}),
    "crm": ("Customer database", "https://crm.example.com/api", {"export": EXPORT}),
    "erp": ("ERP", "https://erp.example.com", {"create-supplier": CREATE}),
    "mail": ("Mail", "https://mail.example.com/api", {"send": MAIL}),
}
RULES = {
    "bulk-export": ("Bulk export of personal data", "args.limit > 50000", "review"),
    "large-export": ("Export far above the usual", "args.limit > 15000", "alert"),
}
ARABIC = "مرحبا، أرجو إعادة المبلغ الكامل لأن الشحنة لم تصل حتى الآن."
LONG_MAIL = (
    "Dear Ms. Halvorsen-Montgomery,\n\nthank you for your patience while we looked into the"
    " delivery of 14 November. The carrier has confirmed that the parcel was left at a depot in"
    " Utrecht and never reached you.\n\nWe have refunded the full amount of 1,240.00 EUR to the"
    " card ending in 4242; it usually appears within five working days.\n\nWith kind regards,\n"
    "the support team\n\nPS: You also asked about the invoice; it is attached."
)
SURNAMES = ("Okafor", "Lindqvist", "Nakamura", "García", "Al-Rashid", "Kowalczyk", "Dubois")


def fill(cast: Cast, *, agents: int = 300, refunds: int = 55) -> None:
    """Write the busy day into the cast's workspace."""
    system = system_actor(cast.workspace.pk)
    _clock(-6 * 86_400)
    for number in range(agents - 2):
        put_agent(
            system, slug=f"worker-{number:03}", name=f"Worker {number:03}", tasks_enabled=True
        )
    api = Api(cast.key("runs,read", name="showcase agents"))
    _catalogue(Api(cast.key("admin,read", name="showcase admin")))
    _decided(cast, api)
    _clock(-1500)
    _waiting(api, refunds)
    _clock(0)


def _clock(seconds: float) -> None:
    """Let what follows happen that long ago, by the clock that all of the product reads."""
    ClockOffset.objects.update_or_create(pk=1, defaults={"seconds": seconds})


def _catalogue(admin: Api) -> None:
    for slug, (name, url, operations) in INTEGRATIONS.items():
        body = {
            "name": name,
            "kind": "http",
            "base_url": url,
            "auth": {"type": "bearer", "token": "not-a-real-one-4f1c"},
            "default_headers": {"X-Request-Source": "assent"},
        }
        admin.put(f"integrations/{slug}", body).ok(201)
        for operation, members in operations.items():
            admin.put(f"integrations/{slug}/operations/{operation}", members).ok(201)
    for slug, (name, when, effect) in RULES.items():
        body = {
            "name": name,
            "detector": "condition",
            "parameters": {"when": when},
            "applies_to": {"operations": ["crm.export"]},
        }
        admin.put(f"guard/rules/{slug}", {**body, "effect": effect, "enabled": True}).ok(201)


def open_run(api: Api, title: str, agent: str = "support", **session: Any) -> str:
    """A session of its own, and a run in it; the run's id."""
    opened = api.post("sessions", {"agent": agent, "title": title, **session}).ok(201)
    return str(api.post("runs", {"session": opened["id"], "title": title}).ok(201)["id"])


def call(api: Api, run: str, operation: str, arguments: dict[str, Any], reason: str = "") -> str:
    body = {"run": run, "operation": operation, "arguments": arguments, "reason": reason}
    return str(api.post("tool-calls", body).ok(201)["task"])


def _decided(cast: Cast, api: Api) -> None:
    run = open_run(api, "Refunds of last week", participant="noor@example.com")
    for number in range(40):
        _clock(-6 * 86_400 + number * 12_000)
        task = call(api, run, "payments.refund", _refund(number), "Parcel lost.")
        _clock(-6 * 86_400 + number * 12_000 + 60 * (3 + number % 11))
        action = "reject" if number % 5 == 4 else "approve"
        actor = cast.actor("abe" if number % 3 else "ann")
        act = Decide(Answer(action, None, "Tracking checked."))
        decide(actor, UserTask.objects.get(pk=task).pk, 1, lambda act=act: act)


def _refund(number: int) -> dict[str, Any]:
    amount = (124.5, 900, 1240, 310.75, 18_400)[number % 5]
    return {"charge": f"ch_{48_213 + 7 * number}", "amount": amount, "reason": "not_received"}


def _waiting(api: Api, refunds: int) -> None:
    run = open_run(api, "Customer database clean-up", agent="research")
    export = {"segment": "churned", "limit": 18_400, "fields": ["email", "phone", "iban"]}
    call(api, run, "crm.export", export, "Weekly churn report.")
    call(api, run, "crm.export", {**export, "segment": "all", "limit": 184_000}, "For the audit.")
    _suppliers(api)
    run = open_run(api, "Mail to Ms. Halvorsen-Montgomery")
    mail = {"to": "i.halvorsen@example.org", "subject": "Your parcel", "text": LONG_MAIL}
    call(api, run, "mail.send", mail, "She asked twice.")
    hidden = {**mail, "to": "finance\u202emoc.live@example.org", "subject": "Invoice\u200b 17"}
    call(api, run, "mail.send", hidden, "Please approve quickly,\u202e it is only a reminder.")
    _questions(api)
    for number in range(refunds):
        _clock(-1200 + number * 20)
        name = SURNAMES[number % len(SURNAMES)]
        run = open_run(api, f"Chat with {name}", participant=f"{name.lower()}@example.com")
        arguments = {**_refund(number), "charge": f"ch_{90_000 + number}", "amount": 150 + number}
        call(api, run, "payments.refund", arguments, "The delivery never arrived.")


def _suppliers(api: Api) -> None:
    run = open_run(
        api,
        "Onboarding of a supplier whose registered name is very long, because it lists all of its"
        " founding partners and the register asks for that",
        agent="research",
    )
    fields = {f"attribute_{number:02}": f"Value {number}" for number in range(1, 57)}
    bank = {"iban": "DE02120300000000202051", "holder": "Partnerschaft mbB", "primary": True}
    arguments = {"supplier_id": "S-2041/7", "bank": bank, **fields}
    call(api, run, "erp.create-supplier", arguments, "Contract signed yesterday.")


def _questions(api: Api) -> None:
    run = open_run(api, "Conversation in Arabic", agent="research", participant="samir@example.com")
    asked: list[dict[str, Any]] = [
        {"title": ARABIC, "description": ARABIC, "draft": ARABIC},
        {
            "title": "Which warehouse should replace the lost parcel?",
            "kind": "multi_option",
            "options": [
                {"id": "utr", "label": "Utrecht", "description": "2 days, 3 left in stock"},
                {"id": "lyn", "label": "Lyon", "description": "4 days, plenty in stock"},
                {"id": "none", "label": "None, refund instead"},
            ],
        },
        {
            "title": "What discount may I offer?",
            "kind": "number",
            "input": {"minimum": 0, "maximum": 30},
            "description": "In per cent. The customer has been with us since 2011.",
        },
        {"title": "How do we call the new plan?", "kind": "text", "input": {"max_length": 60}},
        {
            "title": "I found two contracts that contradict each other. Which one holds?",
            "kind": "aitl_escalation",
            "description": "Contract A of 2023 says 30 days, the amendment of 2024 says 14.",
        },
        {
            "title": "Ship order 7741 today?",
            "actions": [
                {"name": "ship", "style": "primary"},
                {"name": "hold", "comment_required": True},
                "cancel",
                {"name": "refund", "style": "danger"},
            ],
            "timeout_seconds": 7200,
        },
    ]
    for body in asked:
        api.post("tasks", {"run": run, **body}).ok(201)
