"""What is shipped for production: each file fits its format, keys lie apart, and what is watched is exported."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

from tests.support.live import web

DEPLOY = Path(settings.BASE_DIR) / "deploy"
TOOLS = Path(settings.BASE_DIR) / ".venv" / "bin"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
PASSWORDS = {"APP_PASSWORD", "OWNER_PASSWORD", "SEALER_PASSWORD", "ERASER_PASSWORD", "POSTGRES_PASSWORD"}


def said(*command: str | Path) -> str:
    """What a linter says; empty where it passes."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def test_the_dockerfile_passes_its_linter() -> None:
    assert said(TOOLS / "hadolint", DEPLOY / "Dockerfile") == ""


def test_the_compose_file_fits_the_published_specification() -> None:
    assert said(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yml") == ""


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_each_manifest_fits_kubernetes_own_schema(manifest: Path) -> None:
    assert said(TOOLS / "kubernetes-validate", "--kubernetes-version", "1.31", "--strict", manifest) == ""


def test_the_kustomization_names_every_manifest() -> None:
    (kustomization,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == [path.name for path in MANIFESTS]


def test_in_compose_each_process_has_the_password_of_its_own_role_and_the_sealer_alone_the_logs_key() -> None:
    (compose,) = documents(DEPLOY / "compose.yml")
    own = {"web": "APP", "worker": "APP", "beat": "APP", "migrate": "OWNER", "sealer": "SEALER"}
    for name, role in own.items():
        service = compose["services"][name]
        known = {word for word in PASSWORDS if word in json.dumps(service["environment"])}
        assert known == {f"{role}_PASSWORD"}, name
        assert ("audit-key" in service.get("secrets", [])) == (name == "sealer")
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    writers = [
        name for name, service in compose["services"].items() if "evidence:/evidence" in service.get("volumes", [])
    ]
    assert writers == ["sealer"]


def test_in_kubernetes_pods_are_unprivileged_and_the_sealer_alone_has_the_logs_key() -> None:
    (settings_map,) = documents(DEPLOY / "kubernetes" / "settings.yaml")
    assert not any(re.search(r"://[^@/]*:[^@/]*@", value) for value in settings_map["data"].values())
    pods = [
        (document["metadata"]["name"], document["spec"]["template"]["spec"])
        for path in MANIFESTS
        for document in documents(path)
        if document["kind"] in {"Deployment", "Job"}
    ]
    assert {name for name, _ in pods} == {"web", "worker", "beat", "sealer", "migrate"}
    for name, pod in pods:
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["args"] == [name]
        assert ("countersign-log-key" in json.dumps(pod)) == (name == "sealer")
        writes = [
            mount for mount in container["volumeMounts"] if mount["name"] == "evidence" and "readOnly" not in mount
        ]
        assert bool(writes) == (name == "sealer")


@pytest.fixture(scope="module")
def exported(django_db_setup: None) -> set[str]:
    """The names of what a web process exports, as an expression asks for them."""
    with web() as server:
        text = httpx.get(f"{server.url}/metrics", trust_env=False).raise_for_status().text
    families = list(text_string_to_metric_families(text))
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {family.name + ending for family in families for ending in endings.get(family.type, ("",))}


def expressions() -> list[str]:
    """What alerts and dashboard ask Prometheus."""
    (alerts,) = documents(ALERTS)
    panels = json.loads((DEPLOY / "grafana" / "countersign.json").read_text())["panels"]
    asked = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    return asked + [target["expr"] for panel in panels for target in panel["targets"]]


def test_what_alerts_and_dashboard_ask_for_is_exported(exported: set[str]) -> None:
    for expression in expressions():
        promql_parser.parse(expression)
        asked = set(re.findall(r"\bcountersign_[a-z_]+", expression))
        assert asked <= exported, expression
    assert {"countersign_log_lag_seconds", "countersign_sweep_late_seconds"} <= {
        word for expression in expressions() for word in re.findall(r"\w+", expression)
    }


def alert_rules() -> list[dict[str, Any]]:
    (alerts,) = documents(ALERTS)
    return [rule for group in alerts["groups"] for rule in group["rules"]]


def asked_in(expression: Any, around: str | None = None) -> Iterator[tuple[str | None, str | None, timedelta | None]]:
    """Each metric that a parsed expression asks for, with the innermost aggregation around it, and over which time."""
    match expression:
        case promql_parser.VectorSelector():
            yield expression.name, around, None
        case promql_parser.MatrixSelector():
            yield expression.vector_selector.name, around, expression.range
        case promql_parser.AggregateExpr():
            yield from asked_in(expression.expr, str(expression.op))
        case promql_parser.BinaryExpr():
            yield from asked_in(expression.lhs, around)
            yield from asked_in(expression.rhs, around)
        case promql_parser.Call():
            for argument in expression.args:
                yield from asked_in(argument, around)
        case promql_parser.ParenExpr():
            yield from asked_in(expression.expr, around)
        case promql_parser.NumberLiteral():
            pass
        case _:
            raise AssertionError(f"not known here: {type(expression)}")


def test_what_is_the_same_from_each_process_is_never_added_up() -> None:
    page = (Path(settings.BASE_DIR) / "docs" / "how-to" / "monitor.md").read_text()
    whole_house = set(re.findall(r"^\| `(countersign_[a-z_]+)`", page.split("## Read at the scrape")[1], re.M))
    assert {"countersign_log_lag_seconds", "countersign_tasks_total"} <= whole_house
    asked = [(found, expression) for expression in expressions() for found in asked_in(promql_parser.parse(expression))]
    assert {name for (name, _, _), _ in asked} & whole_house
    for (name, around, _), expression in asked:
        assert name not in whole_house or around in {"max", "min"}, expression


def test_an_alert_that_lasts_looks_back_at_least_as_long() -> None:
    """Else a quiet minute, with no sample to take a share of, begins its time anew, and it never fires."""
    looked_back = 0
    for rule in alert_rules():
        for _, _, back in asked_in(promql_parser.parse(rule["expr"])):
            if back is not None:
                looked_back += 1
                assert back >= promql_parser.parse_duration(rule.get("for", "1s")), rule["alert"]
    assert looked_back


def test_a_share_of_errors_is_no_alert_before_there_are_some() -> None:
    """One reviewer who leaves on a quiet house is a hundred percent."""
    (rule,) = (rule for rule in alert_rules() if rule["alert"] == "CountersignErrors")
    expression: Any = promql_parser.parse(rule["expr"])
    assert str(expression.op) == "and"
    assert expression.rhs.lhs.expr.func.name == "increase"
    assert expression.rhs.rhs.val >= 3


def test_every_metric_and_every_alert_stands_in_the_page_on_watching_and_nothing_else_does(exported: set[str]) -> None:
    page = (Path(settings.BASE_DIR) / "docs" / "how-to" / "monitor.md").read_text()
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported}
    told = set(re.findall(r"`((?:countersign|process)_[a-z_]+)`", page))
    assert told == families
    rules = alert_rules()
    assert set(re.findall(r"`(Countersign[A-Za-z]+)`", page)) == {rule["alert"] for rule in rules}
    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"], "who is woken is told what to do first"
        for name in re.findall(r"docs/[a-z/-]+\.md", rule["annotations"]["action"]):
            assert (Path(settings.BASE_DIR) / name).is_file(), name
        # Each row of the page's tables names the alerts that ask for its metric.
        for metric in set(re.findall(r"countersign_[a-z_]+", rule["expr"])):
            family = re.sub(r"_(bucket|count|sum)$", "", metric)
            (row,) = (line for line in page.splitlines() if line.startswith(f"| `{family}`"))
            assert f"`{rule['alert']}`" in row, (family, rule["alert"])
