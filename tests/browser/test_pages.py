"""What people see: the API's documentation and a run in the Prefect UI, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, Request, expect

from recon.local import EmbeddedStack
from tests.parts.browser import browser_page
from tests.parts.rest import Rest, step

SECONDS = 30_000


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser_page() as opened:
        yield opened


def test_the_documentation_needs_nothing_from_outside(page: Page, stack: EmbeddedStack) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    page.goto(f"{stack.api_url}/docs")
    expect(page.get_by_text("/api/v1/streams/{streamId}/runs", exact=True).first).to_be_visible(timeout=SECONDS)
    page.remove_listener("request", note)
    assert asked
    assert all(url.startswith((stack.api_url, "data:")) for url in asked), asked


def test_a_run_in_the_prefect_ui(page: Page, stack: EmbeddedStack, rest: Rest) -> None:
    files = [rest.upload(f"{name}.csv", f"id\n1\n{name}\n")["id"] for name in "ab"]
    stream = rest.stream([step(1, files[0], files[1], rest.rule_set(["id"]))], "Seen by people")["id"]
    run_id = rest.run(stream)
    rest.ended(run_id)
    named = {"flow_runs": {"name": {"any_": [f"Seen by people · run ({run_id})"]}}}
    (flow_run,) = httpx.post(f"{stack.prefect_api_url}/flow_runs/filter", json=named).json()
    page.goto(f"{stack.prefect_ui_url}/runs/flow-run/{flow_run['id']}")
    expect(page.get_by_text(f"Seen by people · run ({run_id})").first).to_be_visible(timeout=SECONDS)
    expect(page.get_by_text("Completed").first).to_be_visible(timeout=SECONDS)
    shown = httpx.post(f"{stack.prefect_api_url}/artifacts/filter", json=named).json()
    links = next(one for one in shown if one["key"] == "step-1-downloads")
    page.goto(f"{stack.prefect_ui_url}/artifacts/artifact/{links['id']}")
    link = page.get_by_role("link", name="UNMATCHED_SOURCE")
    expect(link).to_be_visible(timeout=SECONDS)
    address = link.get_attribute("href")
    assert address is not None
    assert re.fullmatch(rf"{re.escape(stack.api_url)}/api/v1/files/\d+/download\?token=[\w.-]+", address)
    assert httpx.get(address).text == f"id,_recon_file_id,_recon_row,_recon_reason\na,{files[0]},2,MISSING\n"
