"""Log-in, tokens and people over REST."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from models.permissions import Role
from recon.client import Client, RequestRefused
from recon.local import EmbeddedStack
from tests.parts import people
from tests.parts.rest import ADMIN, Rest


class Person:
    """Somebody with a log-in of their own."""

    def __init__(self, rest: Rest, email: str, password: str = people.PASSWORD) -> None:
        issued = rest.login(email, password)
        self.email, self.token, self.refresh_token = email, issued["token"], issued["refreshToken"]
        self.base = f"{rest.base}/api/v1"

    def get(self, path: str = "/auth/me", token: str | None = None) -> httpx.Response:
        return httpx.get(self.base + path, headers={"Authorization": f"Bearer {token or self.token}"})

    def post(self, path: str, body: dict[str, Any] | None = None, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.post(self.base + path, headers=headers, json=body)

    def refresh(self, token: str | None = None) -> httpx.Response:
        return httpx.post(f"{self.base}/auth/refresh", json={"refreshToken": token or self.refresh_token})


@pytest.fixture
def person(rest: Rest, stack: EmbeddedStack) -> Person:
    return Person(rest, people.user(stack.settings, Role.ANALYST))


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["success"], body["error"]) == (False, code)
    assert ("www-authenticate" in answer.headers) == (status == 401)
    return body


def test_a_login_in_the_legacy_shape(rest: Rest) -> None:
    answer = httpx.post(f"{rest.base}/api/v1/auth/login", json={"email": ADMIN[0].upper(), "password": ADMIN[1]})
    assert answer.status_code == 200
    body = answer.json()
    assert body["message"] == "Login successful"
    issued = body["data"]
    assert set(issued) == {"token", "refreshToken", "expiresIn", "user"}
    assert issued["expiresIn"] == 86_400
    assert set(issued["user"]) == {"id", "name", "email", "role"}
    assert (issued["user"]["email"], issued["user"]["role"], issued["user"]["name"]) == (
        ADMIN[0],
        "ADMIN",
        "System Admin",
    )
    claims = jwt.decode(issued["token"], options={"verify_signature": False})
    assert claims["sub"] == ADMIN[0]
    assert {"userId", "role", "orgId", "iat", "exp"} <= set(claims)
    assert claims["exp"] - claims["iat"] == 86_400
    refresh = jwt.decode(issued["refreshToken"], options={"verify_signature": False})
    assert refresh["exp"] - refresh["iat"] == 604_800
    me = httpx.get(f"{rest.base}/api/v1/auth/me", headers={"Authorization": f"Bearer {issued['token']}"})
    assert me.json()["data"] == issued["user"]


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        ({"email": "nobody@recon.test", "password": "wrong"}, 401, {}),
        ({"email": "no address", "password": "wrong"}, 400, {"email": "Email should be valid"}),
        ({"password": "wrong"}, 400, {"email": "Email is required"}),
        ({"email": "a@b", "password": " "}, 400, {"password": "Password is required"}),
        ({}, 400, {"email": "Email is required", "password": "Password is required"}),
    ],
)
def test_a_login_that_fails(rest: Rest, body: dict[str, str], status: int, fields: dict[str, str]) -> None:
    answer = rest.call("POST", "/auth/login", status=status, json=body)
    assert answer.get("data", {}) == fields
    if status == 401:
        assert answer["message"] == "Bad credentials"


def test_a_wrong_password_says_no_more_than_an_unknown_user(rest: Rest, person: Person) -> None:
    known = rest.call("POST", "/auth/login", status=401, json={"email": person.email, "password": "wrong"})
    unknown = rest.call("POST", "/auth/login", status=401, json={"email": "x@recon.test", "password": "wrong"})
    assert {**known, "timestamp": ""} == {**unknown, "timestamp": ""}


def test_tokens_are_good_for_one_thing_each(rest: Rest, person: Person) -> None:
    assert person.get().status_code == 200
    refused(person.get(token=person.refresh_token), 401, "TOKEN_INVALID")
    refused(person.refresh(person.token), 401, "TOKEN_INVALID")
    refused(httpx.get(f"{person.base}/auth/me"), 401, "UNAUTHENTICATED")
    refused(httpx.get(f"{person.base}/no/such/route"), 401, "UNAUTHENTICATED")
    refused(httpx.get(f"{person.base}/auth/me", headers={"Authorization": "Basic YTpi"}), 401, "UNAUTHENTICATED")
    # A body that is no JSON is not even looked at.
    refused(
        httpx.post(f"{person.base}/streams", content=b"{", headers={"Content-Type": "application/json"}),
        401,
        "UNAUTHENTICATED",
    )


def test_forged_tokens(rest: Rest, person: Person, stack: EmbeddedStack) -> None:
    claims = jwt.decode(person.token, options={"verify_signature": False})
    secret = (stack.data_dir / "jwt-secret").read_bytes()
    assert (stack.data_dir / "jwt-secret").stat().st_mode & 0o777 == 0o600
    late = {**claims, "exp": datetime.now(UTC) - timedelta(seconds=1)}
    head, body, _ = person.token.split(".")
    for token, code in (
        (jwt.encode(claims, "another secret of enough length!", algorithm="HS256"), "TOKEN_INVALID"),
        (jwt.encode(claims, "", algorithm="none"), "TOKEN_INVALID"),
        (jwt.encode({**claims, "type": "download"}, secret, algorithm="HS256"), "TOKEN_INVALID"),
        (jwt.encode(late, secret, algorithm="HS256"), "TOKEN_EXPIRED"),
        (jwt.encode({**claims, "ver": 99}, secret, algorithm="HS256"), "TOKEN_REVOKED"),
        (jwt.encode({**claims, "userId": 1}, secret, algorithm="HS256"), "TOKEN_REVOKED"),
        (f"{head}.{body}.", "TOKEN_INVALID"),
        ("rk_unknown", "TOKEN_INVALID"),
        ("nonsense", "TOKEN_INVALID"),
    ):
        refused(person.get(token=token), 401, code)


def test_refresh_tokens_rotate(rest: Rest, person: Person) -> None:
    first = person.refresh()
    assert first.status_code == 200
    assert first.json()["message"] == "Token refreshed"
    issued = first.json()["data"]
    assert issued["refreshToken"] != person.refresh_token
    assert person.get(token=issued["token"]).status_code == 200
    # Within the grace parallel requests of one client each get a successor.
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(person.refresh())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.status_code for one in answers] == [200] * 4
    assert len({one.json()["data"]["refreshToken"] for one in answers}) == 4
    assert person.refresh(issued["refreshToken"]).status_code == 200


def test_logout_ends_the_login_and_no_other(rest: Rest, person: Person) -> None:
    other = Person(rest, person.email)
    assert person.post("/auth/logout").json()["message"] == "Logout successful"
    refused(person.get(), 401, "TOKEN_REVOKED")
    refused(person.refresh(), 401, "TOKEN_REVOKED")
    assert other.get().status_code == 200
    assert other.refresh().status_code == 200


def test_a_password_of_ones_own(rest: Rest, person: Person) -> None:
    def change(current: str, new: str) -> httpx.Response:
        return person.post("/auth/change-password", {"currentPassword": current, "newPassword": new})

    assert list(refused(change("wrong", "a new password"), 400, "VALIDATION_FAILED")["data"]) == ["currentPassword"]
    for new in ("short", people.PASSWORD, person.email.upper()):
        assert list(refused(change(people.PASSWORD, new), 400, "VALIDATION_FAILED")["data"]) == ["newPassword"]
    issued = change(people.PASSWORD, "a new password").json()["data"]
    refused(person.get(), 401, "TOKEN_REVOKED")
    refused(person.refresh(), 401, "TOKEN_REVOKED")
    assert person.get(token=issued["token"]).status_code == 200
    refused(
        httpx.post(f"{person.base}/auth/login", json={"email": person.email, "password": people.PASSWORD}),
        401,
        "BAD_CREDENTIALS",
    )
    assert Person(rest, person.email, "a new password").get().status_code == 200


def test_users_in_the_legacy_shape(rest: Rest, person: Person) -> None:
    email = f"New.{person.email}"
    made = rest.call("POST", "/admin/users", status=201, json={"name": "Ä New", "email": email, "role": "VIEWER"})
    assert set(made) == {"user", "tempPassword"}
    assert re.fullmatch(r"[A-Za-z0-9_-]{16}", made["tempPassword"])
    user = made["user"]
    assert set(user) == {"id", "name", "email", "role", "active", "mustChangePassword", "createdAt", "updatedAt"}
    assert (user["email"], user["active"], user["mustChangePassword"]) == (email, True, True)
    assert rest.call("GET", f"/admin/users/{user['id']}") == user
    assert user in rest.call("GET", "/admin/users")
    assert user in rest.call("GET", "/admin/users?page=0&size=500")["content"]
    again = rest.call("POST", "/admin/users", status=409, json={"name": "N", "email": email.lower(), "role": "VIEWER"})
    assert again["error"] == "EMAIL_TAKEN"
    # Shown, not enforced.
    newcomer = Person(rest, email, made["tempPassword"])
    assert newcomer.get().json()["data"]["role"] == "VIEWER"
    path = f"/admin/users/{user['id']}"
    changed = rest.call("PUT", path, json={"role": "FINANCE"})
    assert (changed["role"], changed["active"]) == ("FINANCE", True)
    assert newcomer.get().json()["data"]["role"] == "FINANCE"
    assert rest.call("PUT", path, json={"active": False})["role"] == "FINANCE"
    refused(newcomer.get(), 401, "TOKEN_REVOKED")
    refused(newcomer.refresh(), 401, "TOKEN_REVOKED")
    rest.call("POST", "/auth/login", status=401, json={"email": email, "password": made["tempPassword"]})
    rest.call("PUT", path, json={"active": True})
    refused(newcomer.get(), 401, "TOKEN_REVOKED")
    reset = rest.call("POST", f"{path}/reset-password")
    assert reset["tempPassword"] != made["tempPassword"]
    assert Person(rest, email, reset["tempPassword"]).get().status_code == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name": "Name is required", "email": "Email is required", "role": "Role is required"}),
        ({"name": "N", "email": "no", "role": "VIEWER"}, {"email": "Email should be valid"}),
    ],
)
def test_users_that_can_not_be(rest: Rest, body: dict[str, str], fields: dict[str, str]) -> None:
    assert rest.call("POST", "/admin/users", status=400, json=body)["data"] == fields


def test_a_role_that_there_is_not(rest: Rest) -> None:
    body = {"name": "N", "email": "n@recon.test", "role": "BOSS"}
    assert list(rest.call("POST", "/admin/users", status=400, json=body)["data"]) == ["role"]


def test_the_last_admin_stays(rest: Rest, stack: EmbeddedStack) -> None:
    email = people.user(stack.settings, Role.ADMIN, people.organization(stack.settings))
    admin = Person(rest, email)
    me = admin.get().json()["data"]["id"]
    with Rest(rest.base, admin.token) as own:
        for change in ({"active": False}, {"role": "ANALYST"}):
            assert own.call("PUT", f"/admin/users/{me}", status=409, json=change)["error"] == "LAST_ADMIN"
        other = own.call("POST", "/admin/users", status=201, json={"name": "O", "email": ADMIN[0], "role": "ADMIN"})
        own.call("PUT", f"/admin/users/{me}", json={"role": "ANALYST"})
    # The same address in two organizations: the password tells which.
    assert rest.login(ADMIN[0], other["tempPassword"])["user"]["id"] == other["user"]["id"]
    assert rest.login(*ADMIN)["user"]["id"] != other["user"]["id"]


def test_guessing_is_slowed_down_and_typing_errors_are_not(rest: Rest, stack: EmbeddedStack) -> None:
    email = people.user(stack.settings, Role.VIEWER)
    wrong, right = {"email": email, "password": "wrong"}, {"email": email, "password": people.PASSWORD}
    for _ in range(6):
        rest.call("POST", "/auth/login", status=401, json=wrong)
    rest.call("POST", "/auth/login", json=right)
    for _ in range(stack.settings.login_failures):
        rest.call("POST", "/auth/login", status=401, json=wrong)
    answer = httpx.post(f"{rest.base}/api/v1/auth/login", json=right)
    refused(answer, 429, "TOO_MANY_ATTEMPTS")
    assert 0 < int(answer.headers["retry-after"]) <= stack.settings.login_window
    # Others log in from the same address.
    rest.login(*ADMIN)


def test_api_keys(rest: Rest, stack: EmbeddedStack) -> None:
    made = rest.call("POST", "/admin/api-keys", status=201, json={"name": "nightly", "scopes": ["files:read"]})
    key, shown = made["key"], made["apiKey"]
    assert key.startswith(shown["prefix"])
    assert (shown["role"], shown["scopes"], shown["lastUsedAt"]) == ("ANALYST", ["files:read"], None)
    assert key not in str(rest.call("GET", "/admin/api-keys"))
    assert not any(key.encode() in path.read_bytes() for path in stack.data_dir.glob("recon.db*"))
    base = f"{rest.base}/api/v1"
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
        assert httpx.get(f"{base}/files", headers=headers).status_code == 200
        scope = httpx.get(f"{base}/rules", headers=headers)
        assert "rules:read" in refused(scope, 403, "ACCESS_DENIED")["message"]
        refused(httpx.get(f"{base}/auth/me", headers=headers), 403, "ACCESS_DENIED")
    used = next(one for one in rest.call("GET", "/admin/api-keys") if one["id"] == shown["id"])
    assert used["lastUsedAt"] is not None
    rest.call("DELETE", f"/admin/api-keys/{shown['id']}")
    refused(httpx.get(f"{base}/files", headers={"X-API-Key": key}), 401, "TOKEN_INVALID")
    rest.call("DELETE", f"/admin/api-keys/{shown['id']}", status=404)
    everything = rest.call("POST", "/admin/api-keys", status=201, json={"name": "all", "role": "ADMIN"})["key"]
    for path in ("/admin/users", "/admin/api-keys"):
        refused(httpx.get(base + path, headers={"X-API-Key": everything}), 403, "ACCESS_DENIED")
    answer = rest.call("POST", "/admin/api-keys", status=400, json={"name": "x", "scopes": ["files:burn"]})
    assert "files:read" in answer["data"]["scopes"]


def test_the_client_renews_its_token(rest: Rest, stack: EmbeddedStack) -> None:
    email = people.user(stack.settings, Role.ANALYST)
    with Client(rest.base) as client:
        with pytest.raises(RequestRefused, match="401"):
            client.steps(1)
        assert client.login(email, people.PASSWORD)["role"] == "ANALYST"
        with pytest.raises(RequestRefused, match="404"):
            client.steps(10**9)
        client._credentials._bearer = "expired"  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(RequestRefused, match="404"):
            client.steps(10**9)
