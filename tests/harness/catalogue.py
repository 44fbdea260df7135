"""The payments service that tests and benchmarks put before the product."""

OPERATIONS: dict[str, dict[str, object]] = {
    "refund": {
        "name": "Refund a charge",
        "method": "POST",
        "path": "/ok/refunds",
        "effect": "once",
        "parameters": {
            "type": "object",
            "required": ["charge", "amount"],
            "additionalProperties": False,
            "properties": {"charge": {"type": "string"}, "amount": {"type": "number"}},
        },
        "requires_approval": True,
        "approval": {"when": "args.amount > 100"},
    },
    "charge_lookup": {
        "name": "Look up a charge",
        "method": "GET",
        "path": "/ok/charges/{charge}",
        "effect": "read",
        "parameters": {"type": "object", "properties": {"charge": {"type": "string"}}},
    },
    "send_receipt": {
        "name": "Send a receipt",
        "method": "POST",
        "path": "/ok/receipts",
        "effect": "idempotent",
    },
}
TOKEN = "sk-very-secret-token-0123456789"
