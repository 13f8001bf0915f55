"""Who may use which route: without a token, with every role, and with the ids of another organization."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx
import pytest

from api.access import PUBLIC, ROUTES
from models.permissions import Role
from recon.local import EmbeddedStack
from tests.parts import people
from tests.parts.operations import Operation, operations
from tests.parts.rest import Rest, step

NOBODYS = 10**12
"""An id that no record has."""

EVERYBODY = set(Role)
STAFF = EVERYBODY - {Role.VIEWER}
AUTHORS = {Role.ADMIN, Role.ANALYST}

EXPECTED: list[tuple[str, set[Role]]] = [
    ("GET /auth/me|POST /auth/.*", EVERYBODY),
    ("[A-Z]+ /admin/.*|GET /audit", {Role.ADMIN}),
    ("DELETE /(files|streams)/.*|DELETE /reconciliations/.*|POST /streams/{streamId}/archive", AUTHORS),
    ("POST /reconciliations/detect-domain", STAFF),
    ("[A-Z]+ /(files|reconciliations|streams|stream-runs|step-runs|records|templates)(/.*)?", STAFF),
    ("POST /rules/{id}/backtest", STAFF),
    ("GET /rules.*|POST /rules/{id}/(duplicate|test)", EVERYBODY),
    ("[A-Z]+ /rules.*", AUTHORS),
    ("[A-Z]+ /(exceptions|datasources|dashboard|chat)(/.*)?", EVERYBODY),
    ("PUT /ai/config", {Role.ADMIN}),
    ("[A-Z]+ /ai/.*", EVERYBODY),
    ("GET /knowledge", EVERYBODY),
    ("[A-Z]+ /knowledge.*", AUTHORS),
]
"""The legacy's table with the decisions' additions; the first pattern that fits counts."""


def expected(operation: Operation) -> set[Role]:
    for pattern, roles in EXPECTED:
        if re.fullmatch(pattern, str(operation)):
            return roles
    raise AssertionError(f"{operation}: say in EXPECTED who may use it")


@pytest.fixture(scope="module")
def described(stack: EmbeddedStack) -> list[Operation]:
    return operations(stack.api_url)


def test_the_table_names_every_route_and_no_other(described: list[Operation]) -> None:
    assert {str(one) for one in described} == set(ROUTES) | set(PUBLIC)


def test_nothing_but_the_public_routes_without_a_token(described: list[Operation], stack: EmbeddedStack) -> None:
    with httpx.Client(base_url=f"{stack.api_url}/api/v1") as nobody:
        for one in described:
            answer = nobody.request(one.method, one.at(dict.fromkeys(one.parameters, 1)))
            assert (answer.status_code == 401) == (str(one) not in PUBLIC), f"{one}: {answer.text}"
            if answer.status_code == 401:
                assert answer.json()["error"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("role", list(Role))
def test_each_role_reaches_what_the_table_says(
    described: list[Operation], rest: Rest, stack: EmbeddedStack, role: Role
) -> None:
    email = people.user(stack.settings, role, people.organization(stack.settings))
    with httpx.Client(base_url=f"{stack.api_url}/api/v1", timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {rest.login(email, people.PASSWORD)['token']}"
        for one in described:
            if str(one) in (*PUBLIC, "POST /auth/logout"):
                continue
            answer = client.request(one.method, one.at(dict.fromkeys(one.parameters, NOBODYS)))
            assert answer.status_code < 500 or answer.json()["error"] == "AI_UNAVAILABLE", f"{one}: {answer.text}"
            allowed = role in expected(one)
            assert (answer.status_code != 403) == allowed, f"{one} as {role}: {answer.status_code} {answer.text}"
            if not allowed:
                assert answer.json()["error"] == "ACCESS_DENIED"


CHANGERS = {
    "MISSING_TARGET": AUTHORS | {Role.IT_ADMIN},
    "MISSING_SOURCE": AUTHORS | {Role.IT_ADMIN},
    "VALUE_MISMATCH": AUTHORS | {Role.FINANCE},
    "DUPLICATE": AUTHORS | {Role.OPERATIONS, Role.COMPLIANCE},
}


@pytest.mark.parametrize("role", list(Role))
def test_exceptions_are_changed_by_who_knows_their_type(rest: Rest, stack: EmbeddedStack, role: Role) -> None:
    reconciliation = compared(rest)
    email = people.user(stack.settings, role)
    with Rest(stack.api_url, rest.login(email, people.PASSWORD)["token"]) as client:
        page = client.call("GET", "/exceptions", params={"reconciliationId": reconciliation, "size": 100})
        ids = {one["type"]: one["id"] for one in page["content"]}
        assert set(ids) == set(CHANGERS)
        for kind, one in ids.items():
            allowed = 200 if role in CHANGERS[kind] else 403
            client.call("PUT", f"/exceptions/{one}", status=allowed, json={"status": "IN_REVIEW"})
            client.call("PUT", f"/exceptions/{one}/assignment", status=allowed, json={"assignee": "me"})
            body = {"exceptionIds": [one], "status": "ACKNOWLEDGED"}
            client.call("POST", "/exceptions/bulk-update", status=allowed, json=body)
            by_filter = {"reconciliationId": reconciliation, "type": kind, "to": "IN_REVIEW"}
            client.call("POST", "/exceptions/bulk-by-filter", status=allowed, json=by_filter)
        # All or nothing.
        body = {"exceptionIds": list(ids.values()), "status": "RESOLVED"}
        client.call("POST", "/exceptions/bulk-resolve", status=200 if role in AUTHORS else 403, json=body)
        left = client.call("GET", "/exceptions", params={"reconciliationId": reconciliation, "status": "RESOLVED"})
        assert left["totalElements"] == (4 if role in AUTHORS else 0)


def compared(rest: Rest) -> int:
    """A reconciliation with one exception of each type that the engine finds without passes."""
    texts = ("id,amt\n1,1\n2,5\n2,6\n3,7\n", "id,amt\n1,2\n2,5\n4,9\n")
    files = [rest.upload(f"access_{number}.csv", text)["id"] for number, text in enumerate(texts)]
    rules = rest.rule_set(["id"], {"amt": ("EXACT", None)})
    body = {"name": "Access", "sourceFileId": files[0], "targetFileId": files[1], "ruleSetId": rules}
    made = rest.call("POST", "/reconciliations", status=201, json={**body, "domain": "BANKING"})["id"]
    assert rest.call("POST", f"/reconciliations/{made}/start")["status"] == "COMPLETED"
    return made


class Theirs:
    """One of everything in the default organization, by what a path calls it."""

    def __init__(self, rest: Rest) -> None:
        self.reconciliation = compared(rest)
        whole = rest.call("GET", f"/reconciliations/{self.reconciliation}")
        self.files = whole["sourceFileId"], whole["targetFileId"]
        self.rules = rest.call("GET", f"/rules/{whole['ruleSetId']}")
        self.stream = rest.stream([step(1, *self.files, self.rules["id"])], "Theirs")["id"]
        self.run = rest.run(self.stream)
        assert rest.ended(self.run)["status"] == "COMPLETED"
        self.step_run = rest.steps(self.run)[0]["id"]
        self.artifact = rest.artifacts(self.step_run)["UNMATCHED_SOURCE"]["fileId"]
        page = rest.call("GET", f"/reconciliations/{self.reconciliation}/exceptions")
        self.exception = page["content"][0]["id"]
        source = {"name": "Theirs", "type": "FILE", "config": {"path": "/nowhere"}}
        self.source = rest.call("POST", "/datasources", status=201, json=source)["id"]
        self.session = rest.call("POST", "/chat/sessions", status=201)["id"]
        self.user = rest.call("GET", "/admin/users")[0]["id"]
        self.key = rest.call("POST", "/admin/api-keys", status=201, json={"name": "Theirs"})["apiKey"]["id"]
        self._ids: dict[str, int] = {
            "files": self.files[0],
            "rules": self.rules["id"],
            "reconciliations": self.reconciliation,
            "exceptions": self.exception,
            "datasources": self.source,
            "chat": self.session,
            "users": self.user,
            "api-keys": self.key,
            "knowledge": 1,
            "streamId": self.stream,
            "runId": self.run,
            "stepRunId": self.step_run,
            "mappingId": self.rules["fieldMappings"][0]["id"],
            "ruleId": self.rules["matchingRules"][0]["id"],
            "fileId": self.files[0],
            "row": 1,
        }

    def ids(self, operation: Operation) -> dict[str, int]:
        """The ids for a path's parameters; `id` is that of the noun before it."""
        noun = operation.path.split("/{id}")[0].rpartition("/")[2]
        noun = "chat" if operation.path.startswith("/chat") else noun
        return {name: self._ids[noun if name == "id" else name] for name in operation.parameters}

    def seen(self, rest: Rest, described: list[Operation]) -> dict[str, Any]:
        """What its own organization sees of all this."""
        skipped = ("download", "events", "suggestions", "/audit")
        found: dict[str, Any] = {}
        for one in described:
            if (
                one.method == "GET"
                and one.parameters
                and not one.path.endswith(skipped)
                and "knowledge" not in one.path
            ):
                found[str(one)] = rest.call("GET", one.at(self.ids(one)))
        return found


def bodies(theirs: Theirs) -> dict[str, Any]:
    """Bodies that are right but for whose ids they come with."""
    rule = {"name": "r", "sourceField": "id", "targetField": "id", "matchType": "EXACT"}
    files = {"sourceFileId": theirs.files[0], "targetFileId": theirs.files[1]}
    stream = {
        "name": "Mine",
        "domain": "GENERAL",
        "triggerType": "MANUAL",
        "steps": [step(1, *theirs.files, theirs.rules["id"])],
    }
    named = {"name": "Mine"}
    return {
        "PUT /admin/users/{id}": {"role": "VIEWER"},
        "PUT /rules/{id}": named,
        "POST /rules/{id}/test": {"sampleSize": 1},
        "POST /rules/{id}/mappings": {"sourceField": "id", "targetField": "id"},
        "PUT /rules/{id}/mappings/{mappingId}": {"sourceField": "id", "targetField": "id"},
        "POST /rules/{id}/matching-rules": rule,
        "PUT /rules/{id}/matching-rules/{ruleId}": rule,
        "POST /rules/{id}/backtest": {**files, "version": 1},
        "PUT /exceptions/{id}": {"status": "RESOLVED"},
        "PUT /exceptions/{id}/assignment": {"assignee": "me"},
        "POST /exceptions/{id}/comments": {"text": "seen"},
        "PUT /datasources/{id}": {"name": "Mine", "type": "FILE"},
        "PATCH /streams/{streamId}": named,
        "POST /streams/{streamId}/events": {"event": "theirs"},
        # Without an id in the path.
        "POST /streams": stream,
        "POST /reconciliations": {"name": "Mine", **files, "ruleSetId": theirs.rules["id"]},
        "POST /reconciliations/detect-domain": files,
        "POST /ai/suggest-mappings": files,
        "POST /ai/suggest-rules": files,
        "POST /chat/message": {"message": "What?", "sessionId": theirs.session},
        "POST /chat/stream": {"message": "What?", "sessionId": theirs.session},
    }


EMPTY_PAGES = ("GET /reconciliations/{id}/exceptions",)
"""The legacy answers an unknown reconciliation's exceptions with none."""

OWN_PEOPLE = ("GET /admin/users",)


def test_nothing_of_another_organization(described: list[Operation], rest: Rest, stack: EmbeddedStack) -> None:
    theirs = Theirs(rest)
    before = theirs.seen(rest, described)
    given = bodies(theirs)
    email = people.user(stack.settings, Role.ADMIN, people.organization(stack.settings))
    token = rest.login(email, people.PASSWORD)["token"]
    with httpx.Client(base_url=f"{stack.api_url}/api/v1", timeout=60) as mine:
        mine.headers["Authorization"] = f"Bearer {token}"
        for one in described:
            if not one.parameters and str(one) not in given:
                continue
            body = {"json": given[str(one)]} if str(one) in given else {}
            ids = theirs.ids(one)
            foreign = mine.request(one.method, one.at(ids), **body)
            if str(one) in EMPTY_PAGES:
                assert foreign.json()["data"]["totalElements"] == 0
                continue
            assert foreign.status_code == 404, f"{one}: {foreign.status_code} {foreign.text}"
            if one.parameters:
                # What is another one's is answered like what is not there.
                unknown = mine.request(one.method, one.at(dict.fromkeys(one.parameters, NOBODYS)), **body)
                assert same(foreign, ids) == same(unknown, dict.fromkeys(ids, NOBODYS)), str(one)
        for one in described:
            # Lists: a new organization has nothing.
            if (
                one.method == "GET"
                and not one.parameters
                and not one.path.startswith(("/auth", "/health", "/ai", "/audit"))
            ):
                found = mine.get(one.path).json()["data"]
                assert empty(found) or str(one) in OWN_PEOPLE, f"{one}: {found}"
        (only,) = mine.get("/admin/users").json()["data"]
        assert only["email"] == email
        nothing_in_bulk(mine, theirs)
    assert theirs.seen(rest, described) == before


def same(answer: httpx.Response, ids: dict[str, int]) -> tuple[int, str, str]:
    body = answer.json()
    message = body["message"]
    for number in ids.values():
        message = re.sub(rf"\b{number}\b", "?", message)
    return answer.status_code, body["error"], message


def empty(found: Any) -> bool:
    """No rows and no counts anywhere in it."""
    if isinstance(found, dict):
        if "content" in found:
            return found["totalElements"] == 0 and found["content"] == []
        return all(empty(one) for one in found.values())
    return not found


def nothing_in_bulk(mine: httpx.Client, theirs: Theirs) -> None:
    named = {"exceptionIds": [theirs.exception], "status": "RESOLVED"}
    for path in ("bulk-resolve", "bulk-update", "bulk-ignore"):
        assert mine.post(f"/exceptions/{path}", json=named).json()["data"] == []
    chosen = {"reconciliationId": theirs.reconciliation}
    by_filter = mine.post("/exceptions/bulk-by-filter", json={**chosen, "to": "RESOLVED"}).json()["data"]
    assert by_filter == {"updatedCount": 0}
    resolved = mine.post("/exceptions/bulk-auto-resolve", json=chosen).json()["data"]
    assert (resolved["updatedCount"], resolved["skippedCount"]) == (0, 0)
    assert mine.get("/exceptions", params=chosen).json()["data"]["totalElements"] == 0
    deleted = mine.request("DELETE", "/reconciliations/bulk", json=[theirs.reconciliation]).json()["data"]
    assert (deleted["successCount"], deleted["failedCount"]) == (0, 1)
    assert mine.post("/chat/sessions", params=chosen).status_code == 404
    assert mine.get(f"/files/{theirs.artifact}/download").status_code == 404
    assert mine.get(f"/records/{theirs.files[0]}/2/history").status_code == 404


def shown_links(stack: EmbeddedStack, name: str) -> str:
    """What the Prefect UI shows as the downloads of a run's first step; it comes a little later than the run's end."""
    named = {"flow_runs": {"name": {"any_": [name]}}}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for one in httpx.post(f"{stack.prefect_api_url}/artifacts/filter", json=named).json():
            if one["key"] == "step-1-downloads":
                return str(one["data"])
        time.sleep(0.1)
    raise AssertionError(f"{name} shows no downloads")


def test_a_download_link_opens_one_file(rest: Rest, stack: EmbeddedStack) -> None:
    texts = [f"id\n{number}\n" for number in (1, 2)]
    first, second = (rest.upload(f"link_{number}.csv", text)["id"] for number, text in enumerate(texts))
    stream = rest.stream([step(1, first, second, rest.rule_set(["id"]))], "Linked")["id"]
    run = rest.run(stream)
    rest.ended(run)
    address = re.findall(r"\[UNMATCHED_SOURCE\]\((\S+)\)", shown_links(stack, f"Linked · run ({run})"))[0]
    answer = httpx.get(address)
    assert answer.status_code == 200
    assert answer.text.startswith("id,_recon_file_id")
    token = address.partition("?token=")[2]
    assert httpx.get(address, params={"token": token, "format": "parquet"}).status_code == 200
    for other in (
        f"{stack.api_url}/api/v1/files/{first}/download?token={token}",
        address.replace("/download", "/preview"),
        address[:-3],
        address.replace(token, rest.token),
    ):
        assert httpx.get(other).status_code == 401
    assert httpx.delete(address.replace("/download", "")).status_code == 401
    assert httpx.get(f"{stack.api_url}/api/v1/files", headers={"Authorization": f"Bearer {token}"}).status_code == 401
