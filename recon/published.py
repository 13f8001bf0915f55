"""The API's description as it lies in `docs/`: `python -m recon.published` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path

from api.app import create_app
from models.settings import Settings

DOCUMENT = Path(__file__).parents[1] / "docs" / "openapi.json"


def openapi_text() -> str:
    """The OpenAPI document with every route, as it is published."""
    document = create_app(Settings(streams_enabled=True)).openapi()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(openapi_text(), encoding="utf-8")
