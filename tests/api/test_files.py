"""Uploads, and what can be seen and fetched of them."""

from __future__ import annotations

import hashlib
import io

import httpx
import polars as pl
import pytest

from recon.local import EmbeddedStack
from tests.parts.rest import Rest, step

TEXT = "id,amt,note\n001,40.00,\n002,5.5,Zürich\n"


def test_upload_one_and_look_at_it(rest: Rest) -> None:
    stored = rest.upload("orders.csv", TEXT)
    assert {
        "id", "originalFilename", "contentType", "fileSize", "status", "detectedSchema", "rowCount", "columnCount",
        "processingError", "missing", "createdAt", "updatedAt",
    } <= set(stored)  # fmt: skip
    assert (stored["status"], stored["rowCount"], stored["columnCount"]) == ("PROCESSED", 2, 3)
    assert stored["fileSize"] == len(TEXT.encode())
    assert stored["checksum"] == f"sha256:{hashlib.sha256(TEXT.encode()).hexdigest()}"
    path = f"/files/{stored['id']}"
    assert rest.call("GET", path) == stored
    assert stored["id"] in [one["id"] for one in rest.call("GET", "/files")]
    preview = rest.call("GET", f"{path}/preview")
    assert preview["headers"] == ["id", "amt", "note"]
    assert preview["rows"] == [["001", "40.00", ""], ["002", "5.5", "Zürich"]]
    assert (preview["totalRows"], preview["previewRows"]) == (2, 2)
    assert rest.call("GET", f"{path}/preview", params={"limit": 1})["rows"] == [["001", "40.00", ""]]
    assert rest.call("GET", f"{path}/preview", params={"rows": 0})["rows"] == []
    rest.call("GET", f"{path}/preview", params={"rows": -1}, status=400)
    schema = rest.call("GET", f"{path}/schema")
    assert [one["name"] for one in schema["columns"]] == ["id", "amt", "note"]
    assert schema["columns"][0] | {"detectedType": ""} == {
        "name": "id", "detectedType": "", "nullCount": 0, "uniqueCount": 2, "sampleValues": ["001", "002"],
    }  # fmt: skip
    assert schema["columns"][2]["nullCount"] == 1


def test_download_gives_the_bytes_that_came(rest: Rest) -> None:
    content = TEXT.replace("\n", "\r\n").encode()
    stored = rest.upload('Umsätze "x".csv', content)
    answer = rest.http.get(f"/files/{stored['id']}/download")
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    assert "Ums%C3%A4tze" in answer.headers["content-disposition"]
    twin = pl.read_parquet(io.BytesIO(rest.download(f"/files/{stored['id']}/download", format="parquet")))
    assert twin["amt"].to_list() == ["40.00", "5.5"]
    wrong = rest.call("GET", f"/files/{stored['id']}/download", params={"format": "pdf"}, status=400)
    assert "csv, parquet, arrow, xlsx" in wrong["message"]


def test_several_at_once(rest: Rest) -> None:
    parts = [("files", ("a.csv", b"x\n1\n", "text/csv")), ("files", ("b.JSONL", b'{"x": 1}\n{"x": null}\n', None))]
    stored = rest.call("POST", "/files/upload", status=201, files=parts)
    assert [(one["originalFilename"], one["status"], one["rowCount"]) for one in stored] == [
        ("a.csv", "PROCESSED", 1),
        ("b.JSONL", "PROCESSED", 2),
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("ragged.csv", b"a,b\n1,2\n3\n", "3"),
        ("open.csv", b'a,b\n1,"2\n', "quote"),
        ("blank.csv", b"a,,c\n1,2,3\n", "header"),
        ("reserved.csv", b"a,_recon_row\n1,2\n", "_recon_row"),
        ("picture.png", b"\x89PNG", "Unsupported file type"),
        ("broken.parquet", b"PAR1nothing", ""),
        ("broken.xlsx", b"PK\x03\x04", ""),
        ("broken.jsonl", b'{"a": 1}\nnot json\n', "2"),
    ],
)
def test_an_unreadable_file_is_stored_as_failed(rest: Rest, name: str, content: bytes, reason: str) -> None:
    stored = rest.upload(name, content)
    assert stored["status"] == "FAILED"
    assert reason.lower() in stored["processingError"].lower()
    assert rest.download(f"/files/{stored['id']}/download") == content
    rest.call("GET", f"/files/{stored['id']}/preview", status=400)


def test_requests_without_a_file(rest: Rest, stack: EmbeddedStack) -> None:
    missing = rest.call("POST", "/files/upload/single", status=400, files={"other": ("a.csv", b"x\n", "text/csv")})
    assert missing["message"] == "Required parameter is missing: file"
    rest.call("POST", "/files/upload/single", status=415, json={})
    cut = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nx\n1'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    rest.call("POST", "/files/upload/single", status=400, content=cut, headers=headers)
    endless = {"Content-Type": f"multipart/form-data; boundary={'b' * 1000}"}
    rest.call("POST", "/files/upload/single", status=400, content=cut, headers=endless)
    assert not list((stack.data_dir / "files").rglob("*.part-*"))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"text/csv", "text/csv"),
        (b"Text/CSV; charset=utf-8", "Text/CSV; charset=utf-8"),
        ("текст/csv".encode(), None),
        (b"text/csv\x00", None),
        (b"text/\x01csv", None),
        (b"text/csv\xff", None),
        (b"csv", None),
        (b"text/" + b"c" * 300, None),
    ],
)
def test_a_content_type_that_no_header_holds_is_dropped(rest: Rest, given: bytes, kept: str | None) -> None:
    disposition = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
    body = disposition + b"Content-Type: " + given + b"\r\n\r\nx\n1\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    stored = rest.call("POST", "/files/upload/single", status=201, content=body, headers=headers)
    assert stored["contentType"] == kept
    answer = rest.http.get(f"/files/{stored['id']}/download")
    assert (answer.status_code, answer.content) == (200, b"x\n1")
    assert answer.headers["content-type"].startswith((kept or "application/octet-stream").partition(";")[0])


def test_an_upload_over_the_limit_leaves_nothing(rest: Rest, stack: EmbeddedStack) -> None:
    blobs = stack.data_dir / "files"
    before = {path for path in blobs.rglob("*") if path.is_file()}
    count = len(rest.call("GET", "/files"))
    answer = rest.call(
        "POST", "/files/upload/single", status=413, files={"file": ("big.csv", b"x\n" * 3_000_000, "text/csv")}
    )
    assert answer["message"].startswith("File size exceeds maximum limit of ")
    assert {path for path in blobs.rglob("*") if path.is_file()} == before
    assert len(rest.call("GET", "/files")) == count


def test_delete(rest: Rest, stack: EmbeddedStack) -> None:
    free, used = rest.upload("free.csv", "id\n1\n"), rest.upload("used.csv", "id\n1\n")
    rest.stream([step(1, used["id"], used["id"], rest.rule_set(["id"]))], "Uses a file")
    refused = rest.call("DELETE", f"/files/{used['id']}", status=409)
    assert refused["error"] == "FILE_IN_USE"
    assert "stream" in refused["message"]
    blobs = stack.data_dir / "files"
    before = len([path for path in blobs.rglob("*") if path.is_file()])
    answer = rest.http.delete(f"/files/{free['id']}")
    assert answer.json()["message"] == "File deleted successfully"
    assert "data" not in answer.json()
    assert len([path for path in blobs.rglob("*") if path.is_file()]) == before - 2
    rest.call("GET", f"/files/{free['id']}", status=404)
    rest.call("DELETE", f"/files/{free['id']}", status=404)
    # An id is never given twice.
    assert rest.upload("next.csv", "id\n1\n")["id"] > free["id"]


def test_the_browser_may_call(stack: EmbeddedStack) -> None:
    preflight = httpx.options(
        f"{stack.api_url}/api/v1/files",
        headers={
            "Origin": "http://localhost:5173",
            "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert preflight.headers["x-content-type-options"] == "nosniff"
    assert "DELETE" in preflight.headers["access-control-allow-methods"]


def test_health_and_docs(rest: Rest, stack: EmbeddedStack) -> None:
    health = rest.call("GET", "/health")
    assert (health["status"], health["service"]) == ("UP", "Smart Reconciliation API")
    assert httpx.get(f"{stack.api_url}/docs").status_code == 200
    paths = httpx.get(f"{stack.api_url}/openapi.json").json()["paths"]
    assert {"/api/v1/streams/{streamId}/runs", "/api/v1/files/upload", "/api/v1/reconciliations/{id}/start"} <= set(
        paths
    )
    operations = [operation for methods in paths.values() for operation in methods.values()]
    assert not [one["operationId"] for one in operations if "422" in one["responses"]]
    assert all("400" in one["responses"] for one in operations if one.get("parameters") or "requestBody" in one)


def test_every_list_is_described_as_list_and_page(stack: EmbeddedStack) -> None:
    described = httpx.get(f"{stack.api_url}/openapi.json").json()
    shapes = described["components"]["schemas"]
    paged = [
        methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for methods in described["paths"].values()
        if {"page", "size"} <= {one["name"] for one in methods.get("get", {}).get("parameters", [])}
    ]
    assert len(paged) >= 8
    for name in paged:
        data = shapes[name]["properties"]["data"]
        found = [one.get("type") or one["$ref"].rpartition("/")[2] for one in data.get("anyOf", [data])]
        assert found[-1].startswith("PageOf_"), name
