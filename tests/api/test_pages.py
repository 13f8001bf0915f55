"""What the other pages of existing clients call: data sources, single rules, chat, knowledge, AI settings."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from recon.local import EmbeddedStack
from tests.parts.rest import Rest


def test_data_sources_are_really_connected_to(rest: Rest, stack: EmbeddedStack, tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    sqlite3.connect(path).close()
    body = {"name": "Books", "type": "DATABASE", "config": {"url": f"sqlite:///{path}"}}
    made = rest.call("POST", "/datasources", status=201, json=body)
    assert (made["config"], made["active"], made["lastTestedAt"]) == (body["config"], True, None)
    tested = rest.http.post(f"/datasources/{made['id']}/test", headers={"Content-Type": "application/json"}).json()
    assert tested["message"] == "Connection test successful"
    assert (tested["data"]["lastTestSuccessful"], tested["data"]["lastTestError"]) == (True, None)
    for kind, config, said in (
        ("DATABASE", {"url": f"sqlite:///{tmp_path}/none.db"}, "no database"),
        ("DATABASE", {"url": "postgresql://ana:geheim@127.0.0.1:1/books"}, "OperationalError"),
        ("FILE", {"path": str(tmp_path / "*.csv")}, "nothing at"),
        ("FILE", {"simulateFailure": True, "path": str(tmp_path)}, "Simulated"),
        ("API", {"url": "http://127.0.0.1:1/"}, "ConnectError"),
        ("API", {}, "config needs 'url'"),
    ):
        changed = {"name": "Books", "type": kind, "config": config}
        rest.call("PUT", f"/datasources/{made['id']}", json=changed)
        failed = rest.http.post(f"/datasources/{made['id']}/test").json()
        assert failed["message"].startswith("Connection test failed: ")
        assert said in failed["message"]
        assert "geheim" not in str(failed)
        assert failed["data"]["lastTestSuccessful"] is False
    for kind, config in (("FILE", {"path": str(tmp_path)}), ("API", {"url": f"{stack.api_url}/api/v1/health"})):
        rest.call("PUT", f"/datasources/{made['id']}", json={"name": "Books", "type": kind, "config": config})
        assert rest.call("POST", f"/datasources/{made['id']}/test")["lastTestSuccessful"] is True
    assert made["id"] in [one["id"] for one in rest.call("GET", "/datasources", params={"type": "API"})]
    assert made["id"] not in [one["id"] for one in rest.call("GET", "/datasources", params={"type": "FILE"})]
    rest.call("DELETE", f"/datasources/{made['id']}")
    rest.call("GET", f"/datasources/{made['id']}", status=404)


def test_secrets_of_data_sources_come_back_masked(rest: Rest, stack: EmbeddedStack) -> None:
    config = {
        "url": "postgresql://ana:geheim@db/books",
        "options": [{"accessKey": "AKIA", "region": "eu"}],
        "password": "geheim",
    }
    made = rest.call("POST", "/datasources", status=201, json={"name": "S", "type": "DATABASE", "config": config})
    shown = {
        "url": "postgresql://ana:********@db/books",
        "options": [{"accessKey": "********", "region": "eu"}],
        "password": "********",
    }
    assert made["config"] == shown
    # A client that sends back what it got changes no secret.
    changed = {"name": "T", "type": "DATABASE", "config": shown}
    assert rest.call("PUT", f"/datasources/{made['id']}", json=changed)["config"] == shown
    with sqlite3.connect(stack.data_dir / "recon.db") as database:
        stored = database.execute("SELECT * FROM data_sources WHERE id = ?", (made["id"],)).fetchone()
    assert "geheim" not in str(stored)
    assert "AKIA" not in str(stored)
    assert (stack.data_dir / "secret.key").stat().st_mode & 0o777 == 0o600
    rest.call("DELETE", f"/datasources/{made['id']}")


def test_single_mappings_and_rules(rest: Rest) -> None:
    rules = rest.rule_set(["id"], {"amt": ("RANGE", "0.01"), "name": ("EXACT", None)})
    before = rest.call("GET", f"/rules/{rules}")
    first, second = before["fieldMappings"][:2]
    body = {"sourceField": "key", "targetField": "key", "isKey": True}
    changed = rest.call("PUT", f"/rules/{rules}/mappings/{first['id']}", json=body)
    assert [one["sourceField"] for one in changed["fieldMappings"]] == ["key", "amt", "name"]
    assert (changed["fieldMappings"][0]["id"], changed["version"]) == (first["id"], before["version"] + 1)
    less = rest.call("DELETE", f"/rules/{rules}/mappings/{second['id']}")
    assert [one["sourceField"] for one in less["fieldMappings"]] == ["key", "name"]
    rule = before["matchingRules"][0]
    body = {"name": "r", "sourceField": "amt", "targetField": "amt", "matchType": "RANGE", "tolerance": 0.02}
    changed = rest.call("PUT", f"/rules/{rules}/matching-rules/{rule['id']}", json=body)
    assert (changed["matchingRules"][0]["id"], changed["matchingRules"][0]["tolerance"]) == (rule["id"], 0.02)
    assert len(rest.call("DELETE", f"/rules/{rules}/matching-rules/{rule['id']}")["matchingRules"]) == 1
    gone = rest.call("DELETE", f"/rules/{rules}/matching-rules/{rule['id']}", status=404)
    assert gone["error"] == "MATCHING_RULE_NOT_FOUND"
    other = rest.rule_set(["id"])
    rest.call(
        "PUT", f"/rules/{other}/mappings/{first['id']}", status=404, json={"sourceField": "a", "targetField": "a"}
    )
    # What a client does not say of itself stays.
    off = rest.call("PUT", f"/rules/{rules}", json={"name": "off", "isActive": False})
    assert (off["isActive"], off["fieldMappings"]) == (False, [])
    assert rest.call("PUT", f"/rules/{rules}", json={"name": "still off"})["active"] is False


def test_pages_that_need_a_model_open(rest: Rest) -> None:
    made = rest.call("POST", "/chat/sessions", status=201)
    assert (made["messages"], made["active"]) == ([], True)
    assert made["id"] in [one["id"] for one in rest.call("GET", "/chat/sessions")]
    assert rest.call("GET", f"/chat/sessions/{made['id']}") == made
    assert rest.call("GET", f"/chat/sessions/{made['id']}/messages") == []
    for path, options in (
        ("/chat/message", {"json": {"message": "why?"}}),
        ("/chat/stream", {"json": {"message": "why?"}}),
        ("/knowledge/upload", {"files": {"file": ("a.txt", b"x", "text/plain")}, "data": {"domain": "BANKING"}}),
    ):
        refused = rest.call("POST", path, status=503, **options)
        assert refused["message"].startswith("AI service temporarily unavailable: ")
    files = {"file": ("a.txt", b"x", "text/plain")}
    wrong = rest.call("POST", "/knowledge/upload", status=400, files=files, data={"domain": "magic"})
    assert wrong["message"] == "Invalid domain: magic"
    rest.call("DELETE", f"/chat/sessions/{made['id']}")
    rest.call("GET", f"/chat/sessions/{made['id']}", status=404)
    assert rest.call("GET", "/knowledge") == []
    rest.call("DELETE", "/knowledge/1", status=404)
    config = rest.call("GET", "/ai/config")
    assert len(config["availableProviders"]) == 3
    assert config["currentProvider"] in config["availableProviders"]
    assert rest.call("PUT", "/ai/config", json={"provider": "openai"})["currentProvider"] == "openai"
    assert rest.call("GET", "/ai/config")["currentProvider"] == "openai"
    rest.call("PUT", "/ai/config", status=400, json={"provider": "abacus"})
