"""The import of an OpenAPI document: JSON or YAML, operations chosen, what is none refused."""

import json

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts_app.models import AuditEntry
from integrations_app.models import Integration, Operation
from tests.backoffice.people import signed_in
from tests.conftest import World

PATH = "/admin/integrations/payments/import/"
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Payments", "version": "1"},
    "paths": {
        "/charges/{charge}": {
            "get": {
                "operationId": "getCharge",
                "summary": "Get a charge",
                "parameters": [
                    {"name": "charge", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
                "responses": {"200": {"description": "ok"}},
            }
        },
        "/payouts": {
            "post": {"operationId": "makePayout", "responses": {"200": {"description": "ok"}}}
        },
    },
}
YAML = yaml.safe_dump(DOCUMENT, sort_keys=False)


def test_the_chosen_operations_of_a_document_are_imported(world: World) -> None:
    ida = signed_in("ida")
    path = "/admin/integrations/payments/import/"
    text = json.dumps(DOCUMENT)
    choice = ida.post(path, {"document": text})
    assert "Get a charge" in choice.content.decode()
    assert Operation.objects.count() == 3
    done = ida.post(path, {"document": text, "select": ["getCharge"]})
    assert "1 added, 0 updated, 0 left out" in done.content.decode()
    made = Operation.objects.get(slug="get_charge")
    assert "/admin/operations/payments/get_charge/" in done.content.decode()
    assert "/admin/operations/payments/refund/" not in done.content.decode(), "only what was taken"
    assert (made.method, made.path, made.effect) == ("GET", "/charges/{charge}", "read")
    again = ida.post(path, {"document": text})
    assert "there: is updated" in again.content.decode()


def test_an_import_says_how_many_run_without_approval(world: World) -> None:
    ida, path = signed_in("ida"), "/admin/integrations/payments/import/"

    def said(*chosen: str) -> str:
        Operation.objects.filter(slug="get_charge").delete()
        form = {"document": json.dumps(DOCUMENT), "select": list(chosen)}
        return ida.post(path, form).content.decode()

    html = said("getCharge")
    assert "The imported operation runs without approval." in html
    assert 'href="/admin/integrations/payments/?tab=settings#id_requires_approval"' in html
    editor = ida.get("/admin/integrations/payments/?tab=settings").content.decode()
    assert 'id="id_requires_approval"' in editor
    assert "2 of the 2 imported operations run without approval." in said("getCharge", "makePayout")
    Operation.objects.filter(slug="make_payout").update(requires_approval=True, path="/moved")
    assert "1 of the 2 imported operations runs without" in said("getCharge", "makePayout")
    Integration.objects.filter(slug="payments").update(requires_approval=True)
    html = said("getCharge")
    assert "without approval" not in html
    assert "Each imported operation requires approval" in html


@pytest.mark.parametrize("document", ["", "openapi: 3.1.0", "{}", '{"openapi": "2.0"}', "[]"])
def test_what_is_no_document_is_refused_where_it_was_typed(world: World, document: str) -> None:
    answer = signed_in("ida").post("/admin/integrations/payments/import/", {"document": document})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["document"]
    assert Operation.objects.count() == 3


def test_only_writers_import(world: World) -> None:
    path = "/admin/integrations/payments/import/"
    assert signed_in("ann").post(path, {"document": json.dumps(DOCUMENT)}).status_code == 403
    assert Operation.objects.count() == 3


def test_a_yaml_document_is_imported_like_its_json(world: World) -> None:
    ida = signed_in("ida")
    choice = ida.post(PATH, {"document": YAML})
    assert json.loads(choice.context["document"]) == DOCUMENT
    assert [place.reference for place, _ in choice.context["places"]] == ["getCharge", "makePayout"]
    form = {"document": choice.context["document"], "select": ["getCharge"]}
    assert "1 added, 0 updated, 0 left out" in ida.post(PATH, form).content.decode()
    row = Operation.objects.get(slug="get_charge")
    assert (row.method, row.path, row.effect) == ("GET", "/charges/{charge}", "read")
    entry = AuditEntry.objects.get(verb="integration.imported")
    assert json.loads(entry.data)["created"] == 1


def test_a_yaml_file_is_read_too(world: World) -> None:
    file = SimpleUploadedFile("payments.yaml", YAML.encode())
    answer = signed_in("ida").post(PATH, {"document": "", "file": file})
    assert "Get a charge" in answer.content.decode()
    assert Operation.objects.count() == 3


@pytest.mark.parametrize(
    ("addition", "reason"),
    [
        ("x: &bomb [1]", "has an anchor, &amp;bomb; anchors are not read."),
        ("openapi: 3.1.0", "The member &#x27;openapi&#x27; stands twice in one object."),
        ("x: !!python/none", "tags are not read."),
        ("x: [", "Malformed YAML at line"),
    ],
)
def test_yaml_beyond_json_is_refused_and_kept_in_its_field(
    world: World, addition: str, reason: str
) -> None:
    text = f"{YAML}{addition}\n"
    answer = signed_in("ida").post(PATH, {"document": text})
    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert answer.context["form"]["document"].value() == text
    assert Operation.objects.count() == 3
    assert not AuditEntry.objects.filter(verb="integration.imported").exists()


def test_yaml_goes_through_the_checks_of_json(world: World) -> None:
    elsewhere = YAML.replace("summary: Get a charge", "$ref: https://evil.example/x.yaml")
    answer = signed_in("ida").post(PATH, {"document": elsewhere})
    assert answer.status_code == 422
    assert "GET /charges/{charge} › $ref: A $ref must lead into this" in answer.content.decode()


def test_a_fault_in_one_operation_names_it(world: World) -> None:
    faulty = json.loads(json.dumps(DOCUMENT))
    faulty["paths"]["/charges/{charge}"]["get"]["parameters"][0]["in"] = "sky"
    answer = signed_in("ida").post(PATH, {"document": json.dumps(faulty)})
    assert answer.status_code == 422
    (told,) = answer.context["form"].errors["document"]
    assert told.startswith("GET /charges/{charge} › parameters › no. 1")


def test_a_file_of_more_than_a_mebibyte_is_refused(world: World) -> None:
    file = SimpleUploadedFile("large.yaml", b"a: " + b"x" * (1 << 20))
    answer = signed_in("ida").post(PATH, {"file": file})
    assert answer.status_code == 422
    assert "A document has at most 1 MiB." in answer.content.decode()


def test_a_large_file_stays_importable_after_the_choice(world: World) -> None:
    """The page of the choice sends the whole document again."""
    text = YAML + "x-notes: |\n" + "  ä note\n" * 90_000
    ida = signed_in("ida")
    choice = ida.post(PATH, {"file": SimpleUploadedFile("large.yaml", text.encode())})
    form = {"document": choice.context["document"], "select": ["getCharge"]}
    assert "1 added" in ida.post(PATH, form).content.decode()


def test_the_http_api_takes_json_alone(world: World) -> None:
    refusal = world.admin.post("integrations/payments/import-openapi", {"document": YAML})
    assert refusal.status == 422
    assert Operation.objects.count() == 3


def test_choosing_nothing_is_asked_again_and_imports_nothing(world: World) -> None:
    ida, before = signed_in("ida"), Operation.objects.count()
    again = ida.post(PATH, {"document": json.dumps(DOCUMENT), "chosen": "1"})
    assert again.status_code == 422
    assert "Choose at least one operation. Nothing was imported." in again.content.decode()
    assert " checked" not in again.content.decode()
    assert Operation.objects.count() == before
