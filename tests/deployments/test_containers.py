"""The container files say what the project is: sources, commands, settings and references exist. No engine is needed for that."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import get_current_settings
from prefect.settings.legacy import _get_settings_fields
from typer.main import get_command

from models.settings import Settings
from recon.cli import app

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deployments"
MANIFESTS = sorted((HERE / "kubernetes").glob("*.yaml"))
TEMPLATES = sorted((HERE / "job_templates").glob("*.json"))


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def inside(node: Any, key: str) -> Iterator[Any]:
    """The values of a key, however deep."""
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for value in node.values():
            yield from inside(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from inside(value, key)


def dockerfile() -> str:
    return (HERE / "Dockerfile").read_text().replace("\\\n", " ")


def copied() -> list[str]:
    """What the image takes from the build context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", dockerfile(), re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_the_image_holds_the_whole_package_and_only_what_exists() -> None:
    assert all((ROOT / source).exists() for source in copied())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) == {source for source in copied() if (ROOT / source).is_dir()}
    assert {"requirements.lock", "pyproject.toml", project["project"]["readme"]} <= set(copied())


def test_the_build_context_holds_what_is_copied() -> None:
    ignored = (HERE / "Dockerfile.dockerignore").read_text().split()
    assert ignored[0] == "*"
    assert {one.removeprefix("!") for one in ignored if one.startswith("!")} == set(copied())


@pytest.mark.parametrize(
    "path", [HERE / "Dockerfile", HERE / "compose.yaml", *MANIFESTS, *TEMPLATES], ids=lambda path: path.name
)
def test_every_variable_is_a_setting(path: Path) -> None:
    """Comments may name none either."""
    text = path.read_text()
    own = {f"RECON_{name.upper()}" for name in Settings.model_fields} | {"RECON_IMAGE"}
    assert set(re.findall(r"\bRECON_[A-Z_]+\b", text)) <= own
    prefects = set(_get_settings_fields(type(get_current_settings())))
    given = set(re.findall(r"\bPREFECT_[A-Z_]+\b", text)) - {"PREFECT_PASSWORD", "PREFECT_PORT"}
    assert given <= prefects, given - prefects


def test_every_command_exists() -> None:
    stated = [*inside(documents(HERE / "compose.yaml"), "command")]
    stated += [one for path in MANIFESTS for one in inside(documents(path), "command")]
    stated.append(json.loads(re.findall(r"^CMD (.+)$", dockerfile(), re.MULTILINE)[0]))
    known = set(get_command(app).commands)  # pyright: ignore[reportAttributeAccessIssue]
    ours = {command[1] for command in stated if command[0] == "recon"}
    assert {"api", "worker", "up"} <= ours <= known
    assert {tuple(command[:3]) for command in stated if command[0] != "recon"} == {("prefect", "server", "start")}


def test_compose_refers_to_what_it_has() -> None:
    (compose,) = documents(HERE / "compose.yaml")
    services = compose["services"]
    for service in services.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert wanted == {"condition": "service_healthy"}
            assert "healthcheck" in services[name]
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]
        for config in service.get("configs", []):
            assert config["source"] in compose["configs"]
    build = services["api"]["build"]
    assert (HERE / build["context"]).resolve() == ROOT
    assert (HERE / build["context"] / build["dockerfile"]).samefile(HERE / "Dockerfile")
    # API, worker and server mean the same database, log-in and pool.
    assert services["api"]["environment"] == services["worker"]["environment"]
    shared, server = services["api"]["environment"], services["prefect"]["environment"]
    assert shared["RECON_PREFECT_AUTH"] == server["PREFECT_SERVER_API_AUTH_STRING"]
    assert shared["RECON_PREFECT_API_URL"].startswith("http://prefect:")


def test_kubernetes_refers_to_what_it_has() -> None:
    kinds: dict[str, set[str]] = {}
    parts = [part for path in MANIFESTS for part in documents(path) if part["kind"] != "Kustomization"]
    for part in parts:
        kinds.setdefault(part["kind"], set()).add(part["metadata"]["name"])
    templates = [json.loads(path.read_text()) for path in TEMPLATES]
    for reference, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
        wanted = {one["name"] for one in inside([parts, templates], reference)}
        assert wanted
        assert wanted <= kinds[kind]
    labels = {
        part["metadata"]["name"]: part["spec"]["template"]["metadata"]["labels"]
        for part in parts
        if part["kind"] == "Deployment"
    }
    for part in parts:
        if part["kind"] == "Deployment":
            assert part["spec"]["selector"]["matchLabels"] == labels[part["metadata"]["name"]]
        if part["kind"] == "Service":
            assert part["spec"]["selector"] in labels.values()
    (kustomization,) = documents(HERE / "kubernetes" / "kustomization.yaml")
    applied = set(kustomization["resources"])
    assert applied == {path.name for path in MANIFESTS} - {"kustomization.yaml", "secrets.example.yaml"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_job_template_has_the_variables_that_it_names(path: Path) -> None:
    template = json.loads(path.read_text())
    named = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert named == set(template["variables"]["properties"])
