"""Operations from OpenAPI documents of different styles; hostile ones are refused."""

import copy
import json
from pathlib import Path
from typing import Any

import allauth.headless
import pytest
import yaml

from accounts_app.models import AuditEntry
from integrations_app.models import Operation
from integrations_app.requests import build
from integrations_app.schemas import validate
from tests.api_client import Answer, Api
from tests.conftest import World

FIXTURES = Path(__file__).parents[1] / "fixtures" / "openapi"
PATH = "integrations/shop/import-openapi"
SHIPPED = Path(allauth.headless.__file__).parent / "spec" / "doc" / "openapi.yaml"


def document(name: str) -> dict[str, Any]:
    return dict(json.loads((FIXTURES / name).read_text()))


def shop(world: World, base_url: str = "https://shop.example.com", **members: object) -> None:
    body = {"name": "Shop", "kind": "http", "base_url": base_url, **members}
    world.admin.put("integrations/shop", body).ok()


@pytest.fixture(autouse=True)
def made(world: World) -> None:
    body = {"name": "Shop", "kind": "http", "base_url": "https://shop.example.com"}
    world.admin.put("integrations/shop", body).ok(201)


def operation(slug: str) -> Operation:
    return Operation.objects.get(integration__slug="shop", slug=slug)


def request(slug: str, **arguments: object) -> tuple[str, str, bytes]:
    """What a call with these arguments would send."""
    row = operation(slug)
    assert validate(row.parameters, arguments) == []
    binding = {
        "operation": row.reference,
        "operation_version": 1,
        "credential": "",
        "effect": row.effect,
        "workspace": "",
        "run": "",
        "session": "",
        "idempotency_key": "k",
    }
    built = build(
        base_url=row.integration.base_url,
        method=row.method,
        path=row.path,
        arguments=arguments,
        default_headers={},
        **binding,
    )
    return built.method, built.url, built.body


def faults(slug: str, **arguments: object) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in validate(operation(slug).parameters, arguments)]


def test_a_document_of_openapi_30(world: World) -> None:
    done = world.admin.post(PATH, {"document": document("tickets_30.json")}).ok()
    assert done["created"] == [
        "shop.list_tickets",
        "shop.create_ticket",
        "shop.get_ticket",
        "shop.replace_ticket",
        "shop.delete_ticket",
    ]
    assert done["updated"] == []
    assert {row["operation"]: row["reason"] for row in done["skipped"]} == {
        "probeTicket": "HEAD is no method of an operation.",
        "attachFile": "It takes multipart/form-data, and no JSON.",
        "mergeTickets": "Its body is no JSON object.",
        "readAudit": "It needs the header 'X-Tenant'.",
    }
    origin = "https://shop.example.com/api/v2"
    assert request("list_tickets", state="open", label=["a", "b"], page=2) == (
        "GET",
        f"{origin}/tickets?state=open&label=a&label=b&page=2",
        b"",
    )
    assert request("get_ticket", ticket_id=7) == ("GET", f"{origin}/tickets/7", b"")
    assert request("create_ticket", title="T", author={"email": "a"}) == (
        "POST",
        f"{origin}/tickets",
        b'{"title":"T","author":{"email":"a"}}',
    )
    assert request("replace_ticket", ticket_id=7, title="T")[1:] == (
        f"{origin}/tickets/7",
        b'{"title":"T"}',
    )
    effects = {row.slug: row.effect for row in Operation.objects.filter(integration__slug="shop")}
    assert effects == {
        "list_tickets": "read",
        "create_ticket": "once",
        "get_ticket": "read",
        "replace_ticket": "idempotent",
        "delete_ticket": "idempotent",
    }
    assert faults("get_ticket", ticket_id=0) == [("/ticket_id", "invalid_value")]
    assert faults("get_ticket") == [("/ticket_id", "required")]
    assert faults("list_tickets", colour="red") == [("/colour", "unknown_field")]
    assert faults("create_ticket", title="T", state=None) == []
    assert faults("create_ticket", title="T", state="burning") == [("/state", "invalid_value")]
    deep = {"email": "a", "manager": {"email": "b", "manager": {"email": 5}}}
    assert faults("create_ticket", title="T", author=deep) == [
        ("/author/manager/manager/email", "invalid_value")
    ]
    row = operation("create_ticket")
    assert (row.name, row.description) == ("Open a ticket", "Opens a ticket in the default queue.")
    assert "id" not in row.parameters["properties"], "only answers have it"
    ticket_id = operation("get_ticket").parameters["properties"]["ticket_id"]
    assert ticket_id == {"type": "integer", "exclusiveMinimum": 0, "description": "Its number."}


def test_a_document_of_openapi_31(world: World) -> None:
    shop(world, "https://warehouse.example.com/v1")
    done = world.admin.post(PATH, {"document": document("warehouse_31.json")}).ok()
    assert done["created"] == [
        "shop.update_item_items_item_id_patch",
        "shop.place",
        "shop.search",
        "shop.get_health",
    ]
    assert done["skipped"] == [
        {
            "operation": "create_move_moves_post",
            "reason": "It needs 'confirm' in the query, beside a body.",
        }
    ]
    origin = "https://warehouse.example.com/v1"
    assert request("update_item_items_item_id_patch", item_id="x", price=2.5) == (
        "PATCH",
        f"{origin}/items/x",
        b'{"price":2.5}',
    )
    placed = request("place", shelf="s", path_item_id="i", item_id="i", quantity=1)
    assert placed == ("PUT", f"{origin}/shelves/s/items/i", b'{"item_id":"i","quantity":1}')
    assert {code for _, code in faults("place", shelf="s")} == {"required"}
    assert faults("search", text="x") == []
    assert faults("search", all=[{"text": "x"}]) == []
    assert faults("search", all=[{"text": 5}]) != []
    assert request("get_health") == ("GET", f"{origin}/health", b"")


def test_a_part_of_githubs_api(world: World) -> None:
    shop(world, "https://api.github.com")
    done = world.admin.post(PATH, {"document": document("github_part.json")}).ok()
    assert done["created"] == [
        "shop.issues_list_for_repo",
        "shop.issues_create",
        "shop.issues_lock",
        "shop.issues_unlock",
    ]
    assert done["skipped"] == [
        {
            "operation": "markdown/render-raw",
            "reason": "It takes text/plain, text/x-markdown, and no JSON.",
        }
    ]
    where = {"owner": "acme", "repo": "shop"}
    issues = "https://api.github.com/repos/acme/shop/issues"
    assert request("issues_list_for_repo", **where, state="all", per_page=5) == (
        "GET",
        f"{issues}?state=all&per_page=5",
        b"",
    )
    assert request(
        "issues_create", **where, title="Broken", labels=["bug", {"name": "p1"}], milestone=None
    ) == (
        "POST",
        issues,
        b'{"title":"Broken","labels":["bug",{"name":"p1"}],"milestone":null}',
    )
    assert faults("issues_create", **where) == [("/title", "required")]
    assert request("issues_lock", **where, issue_number=7, lock_reason="too heated") == (
        "PUT",
        f"{issues}/7/lock",
        b'{"lock_reason":"too heated"}',
    )
    assert request("issues_unlock", **where, issue_number=7)[:2] == ("DELETE", f"{issues}/7/lock")
    owner = operation("issues_create").parameters["properties"]["owner"]
    assert owner == {"type": "string", "description": "Who owns the repository."}


def test_a_part_of_stripes_api(world: World) -> None:
    """It takes forms; its queries of nested members are left out where nobody needs them."""
    shop(world, "https://api.stripe.com")
    done = world.admin.post(PATH, {"document": document("stripe_part.json")}).ok()
    assert done["created"] == [
        "shop.get_charges",
        "shop.get_charges_charge",
        "shop.delete_webhook_endpoints_webhook_endpoint",
    ]
    assert done["skipped"] == [
        {
            "operation": "PostRefunds",
            "reason": "It takes application/x-www-form-urlencoded, and no JSON.",
        }
    ]
    origin = "https://api.stripe.com/v1"
    assert request("get_charges", customer="cus_1", limit=3) == (
        "GET",
        f"{origin}/charges?customer=cus_1&limit=3",
        b"",
    )
    assert faults("get_charges", created={"gt": 1}) == [("/created", "unknown_field")]
    assert request("get_charges_charge", charge="ch/1")[1] == f"{origin}/charges/ch%2F1"
    assert operation("delete_webhook_endpoints_webhook_endpoint").effect == "idempotent"


def test_a_document_that_a_package_ships(world: World) -> None:
    shipped = yaml.safe_load(SHIPPED.read_text())
    refusal = world.admin.post(PATH, {"document": shipped})
    refusal.refused(422, "invalid_value", "/document/info/description/$ref")
    shipped["info"]["description"] = "A text that stood in a file of its own."
    done = world.admin.post(PATH, {"document": json.loads(json.dumps(shipped))}).ok()
    assert len(done["created"]) > 15, done
    assert len(done["created"]) + len(done["skipped"]) == sum(
        method in item
        for item in shipped["paths"].values()
        for method in ("get", "put", "post", "delete", "patch", "head", "options", "trace")
    )
    assert world.admin.get("operations?limit=100").ok()["results"]
    world.agent.get("operations/tools?format=openai").ok()


def test_our_own_document(world: World) -> None:
    own = Api().get("schema/").ok().json
    done = world.admin.post(PATH, {"document": own}).ok()
    assert "shop.request_call" in done["created"]
    identity = "01900000-0000-7000-8000-000000000000"
    assert request("get_task", id=identity)[1].endswith(f"/api/v1/tasks/{identity}")


def test_importing_again_changes_what_changed_and_keeps_what_an_admin_decided(
    world: World,
) -> None:
    first = document("tickets_30.json")
    world.admin.post(PATH, {"document": first}).ok()
    row = operation("create_ticket")
    values = {
        "name": row.name,
        "method": "POST",
        "path": row.path,
        "parameters": row.parameters,
        "effect": "idempotent",
        "requires_approval": True,
        "approval": {"when": "args.title != ''"},
        "sensitive": ["/title"],
        "timeout_seconds": 7,
    }
    world.admin.put("integrations/shop/operations/create_ticket", values).ok()
    second = copy.deepcopy(first)
    ticket = second["components"]["schemas"]["Ticket"]
    ticket["properties"]["title"]["maxLength"] = 90
    done = world.admin.post(PATH, {"document": second}).ok()
    assert done["created"] == []
    assert done["updated"] == ["shop.create_ticket", "shop.replace_ticket"]
    assert {r["operation"] for r in done["skipped"]} >= {"listTickets", "getTicket"}
    after = operation("create_ticket")
    assert after.parameters["properties"]["title"]["maxLength"] == 90
    assert (after.effect, after.requires_approval, after.sensitive, after.timeout_seconds) == (
        "idempotent",
        True,
        ["/title"],
        7,
    )
    assert after.approval["when"] == "args.title != ''"
    assert after.version == 3


def test_a_selection(world: World) -> None:
    body = {
        "document": document("tickets_30.json"),
        "select": ["listTickets", "GET /tickets/{ticket-id}"],
    }
    done = world.admin.post(PATH, body).ok()
    assert done["created"] == ["shop.list_tickets", "shop.get_ticket"]
    assert done["skipped"] == []
    refusal = world.admin.post(PATH, {**body, "select": ["listTickets", "nope"]})
    refusal.refused(422, "not_found", "select.1")
    assert world.admin.post(PATH, {**body, "select": []}).ok()["created"] == []


@pytest.mark.parametrize(
    ("server", "base_url", "url"),
    [
        ("/v1", "https://shop.example.com", "https://shop.example.com/v1/audit"),
        ("/v1/", "https://shop.example.com/v1", "https://shop.example.com/v1/audit"),
        (
            "https://shop.example.com/v1",
            "https://shop.example.com",
            "https://shop.example.com/v1/audit",
        ),
        (
            "https://other.example.com/v1",
            "https://shop.example.com",
            "https://shop.example.com/audit",
        ),
        (
            "https://{region}.example.com/v1",
            "https://shop.example.com",
            "https://shop.example.com/audit",
        ),
    ],
)
def test_the_servers_path(world: World, server: str, base_url: str, url: str) -> None:
    shop(world, base_url, default_headers={"X-Tenant": "demo"})
    given = {**document("tickets_30.json"), "servers": [{"url": server}]}
    done = world.admin.post(PATH, {"document": given, "select": ["readAudit"]}).ok()
    assert done["created"] == ["shop.read_audit"], "the integration sends the header"
    assert request("read_audit")[1] == url


def hostile(name: str) -> dict[str, Any]:
    base = {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}}
    item = {"get": {"operationId": "x", "responses": {"200": {"description": "ok"}}}}
    paths: dict[str, Any] = {"/x": item}
    schemas: dict[str, Any] = {}
    parameter = {"name": "a", "in": "query", "schema": {"$ref": "#/components/schemas/A"}}
    item["get"]["parameters"] = [parameter]
    schemas["A"] = {"type": "string"}
    if name == "file":
        schemas["A"] = {"$ref": "file:///etc/passwd"}
    elif name == "remote":
        schemas["A"] = {"$ref": "http://169.254.169.254/latest#/x"}
    elif name == "relative":
        schemas["A"] = {"$ref": "other.json#/A"}
    elif name == "moved base":
        schemas["A"] = {"$id": "http://127.0.0.1/", "$ref": "#/components/schemas/A"}
    elif name == "dangling":
        schemas["A"] = {"$ref": "#/components/schemas/B"}
    elif name == "circle":
        schemas.update(A={"$ref": "#/components/schemas/B"}, B={"$ref": "#/components/schemas/A"})
    elif name == "no text":
        schemas["A"] = {"$ref": 5}
    elif name == "path circle":
        paths["/y"] = {"$ref": "#/paths/~1y"}
    elif name == "no info":
        del base["info"]
    elif name == "paths":
        paths = {"x": 5}
    elif name == "parameter":
        item["get"]["parameters"] = [{"in": "query"}]
    elif name == "many":
        paths = {
            f"/x{number}": {"get": {"responses": {"200": {"description": "ok"}}}}
            for number in range(301)
        }
    elif name == "nodes":
        schemas["A"] = {"enum": list(range(120_000))}
    return {**base, "paths": paths, "components": {"schemas": schemas}}


@pytest.mark.parametrize(
    ("name", "code", "field"),
    [
        ("file", "invalid_value", "/document/components/schemas/A/$ref"),
        ("remote", "invalid_value", "/document/components/schemas/A/$ref"),
        ("relative", "invalid_value", "/document/components/schemas/A/$ref"),
        ("moved base", "invalid_value", "/document/components/schemas/A/$ref"),
        ("dangling", "not_found", "/document/components/schemas/A/$ref"),
        ("circle", "invalid_value", "/document/components/schemas/A/$ref"),
        ("no text", "invalid_value", "/document/components/schemas/A/$ref"),
        ("path circle", "invalid_value", "/document/paths/~1y/$ref"),
        ("no info", "invalid_value", "/document"),
        ("paths", "invalid_value", "/document/paths"),
        ("parameter", "invalid_value", "/document/paths/~1x/get/parameters/0"),
        ("many", "too_long", "/document/paths"),
        ("nodes", "too_long", "/document"),
    ],
)
def test_hostile_documents(world: World, name: str, code: str, field: str) -> None:
    before = Operation.objects.count(), AuditEntry.objects.count()
    answer = world.admin.post(PATH, {"document": hostile(name)})
    assert (answer.status, answer.code) == (422, code), answer
    assert any(error["field"].startswith(field) for error in answer["errors"]), answer
    assert "root:" not in answer.text
    assert (Operation.objects.count(), AuditEntry.objects.count()) == before


@pytest.mark.parametrize("version", ["2.0", "4.0.0", "3.2.0", 3, None, "3.1"])
def test_other_versions(world: World, version: object) -> None:
    body = {"document": {**hostile(""), "openapi": version}}
    world.admin.post(PATH, body).refused(422, "invalid_value", "/document/openapi")
    world.admin.post(PATH, {"document": {"swagger": "2.0"}}).refused(
        422, "invalid_value", "/document/openapi"
    )


def test_a_schema_that_would_grow_without_end_stays_small(world: World) -> None:
    given = hostile("")
    schemas = given["components"]["schemas"]
    for number in range(30):
        inner = {"$ref": f"#/components/schemas/S{number + 1}"}
        schemas[f"S{number}"] = {"type": "object", "properties": {"a": inner, "b": inner}}
    schemas["S30"] = {"type": "string"}
    given["paths"]["/x"]["post"] = {
        "operationId": "grow",
        "requestBody": {
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}
        },
        "responses": {"200": {"description": "ok"}},
    }
    assert world.admin.post(PATH, {"document": given}).ok()["created"] == ["shop.x", "shop.grow"]
    assert len(json.dumps(operation("grow").parameters)) < 5_000


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "string", "pattern": "(?=x)"}, "RE2"),
        ({"$dynamicRef": 5}, "dynamicRef"),
        ({"type": "nonsense"}, "type"),
        ({"not": {"$ref": "#/components/schemas/A"}}, "itself"),
    ],
)
def test_what_cannot_be_checked_is_skipped_with_the_reason(
    world: World, schema: dict[str, Any], reason: str
) -> None:
    given = hostile("")
    given["components"]["schemas"]["A"] = schema
    done = world.admin.post(PATH, {"document": given})
    if done.status == 422:
        assert reason in done.text
    else:
        (skipped,) = done.ok()["skipped"]
        assert reason in skipped["reason"], skipped
    assert Operation.objects.filter(integration__slug="shop").count() == 0


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_an_operation_that_tells_no_answers_is_read_all_the_same(
    world: World, version: str
) -> None:
    given = {**hostile(""), "openapi": version}
    del given["paths"]["/x"]["get"]["responses"]
    assert world.admin.post(PATH, {"document": given}).ok()["created"] == ["shop.x"]


def refused(world: World, body: object) -> Answer:
    return world.admin.post(PATH, body)


def test_bodies_that_cannot_be(world: World) -> None:
    refused(world, {}).refused(422, "required", "document")
    refused(world, {"document": "openapi: 3.0.0"}).refused(422, "invalid_value", "document")
    good = document("tickets_30.json")
    refused(world, {"document": good, "select": "x"}).refused(422, "invalid_value", "select")
    refused(world, {"document": good, "select": [1]}).refused(422, "invalid_value", "select.0")
    refused(world, {"document": good, "x": 1}).refused(422, "unknown_field", "x")
    world.agent.post(PATH, {"document": good}).refused(403, "insufficient_scope")
    world.admin.post("integrations/none/import-openapi", {}).refused(404, "not_found")
    assert Operation.objects.filter(integration__slug="shop").count() == 0


def test_a_replay(world: World) -> None:
    body = {"document": document("tickets_30.json")}
    first = world.admin.post(PATH, body, Idempotency_Key="i").ok()
    again = world.admin.post(PATH, body, Idempotency_Key="i").ok()
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert AuditEntry.objects.filter(verb="integration.imported").count() == 1
