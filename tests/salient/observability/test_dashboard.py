"""The dashboard and the alert rules are files that Grafana and Prometheus can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.test import SimpleTestCase

DEPLOY = Path(settings.BASE_DIR, "deploy")
DURATION = r"(?:[0-9]+(?:ms|[smhdwy]))+"
FUNCTIONS = {
    *("sum", "min", "max", "topk", "rate", "increase", "histogram_quantile"),
    *("by", "or", "offset"),
}
# A name, a number, a text between quotes, a range, an operator or a parenthesis.
TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_:][\w:]*)|(?P<number>[0-9.]+[smhd]?)|(?P<text>\"[^\"]*\")"
    rf"|(?P<range>\[(?:{DURATION}|\$__rate_interval)\])"
    r"|(?P<sign>=~|!~|!=|==|>=|<=|[-+*/<>=(){},]))"
)
PAIRS = {")": "(", "}": "{"}


def tokens(expression: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a query; raises ValueError at what is none."""
    place = 0
    while place < len(expression.rstrip()):
        match = TOKEN.match(expression, place)
        if match is None:
            raise ValueError(f"no PromQL: {expression[place:]}")
        place = match.end()
        yield str(match.lastgroup), match[str(match.lastgroup)]


def fault(expression: str) -> str:
    """What is wrong with a query, as far as this small parser sees it; "" where nothing is."""
    stack, before = list[str](), ("", "")
    for kind, text in tokens(expression):
        if text in "({":
            stack.append(text)
        elif text in PAIRS and (not stack or stack.pop() != PAIRS[text]):
            return f"unbalanced {text}"
        if kind == "range" and before[1] != "}" and before[0] != "name":
            return "a range that belongs to no selector"
        if text == "(" and before[0] == "name" and before[1] not in FUNCTIONS:
            return f"no function {before[1]}"
        before = kind, text
    return "unbalanced" if stack else ""


class DashboardTests(SimpleTestCase):
    def setUp(self) -> None:
        self.board: Any = json.loads((DEPLOY / "grafana/salient.json").read_text())

    def test_it_is_a_dashboard_whose_data_source_is_chosen(self) -> None:
        self.assertGreaterEqual(self.board["schemaVersion"], 36)
        first, _ = self.board["templating"]["list"]
        self.assertEqual((first["name"], first["type"]), ("datasource", "datasource"))
        panels = [panel for panel in self.board["panels"] if panel["type"] != "row"]
        self.assertEqual({panel["datasource"]["uid"] for panel in panels}, {"${datasource}"})

    def test_panels_have_ids_and_places_of_their_own(self) -> None:
        panels = self.board["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            where = panel["gridPos"]
            own = {
                (x, y)
                for x in range(where["x"], where["x"] + where["w"])
                for y in range(where["y"], where["y"] + where["h"])
            }
            self.assertEqual(own & taken, set(), panel["title"])
            self.assertLess(max(x for x, _ in own), 24)
            taken |= own

    def test_each_query_can_be_parsed(self) -> None:
        targets = [each for panel in self.board["panels"] for each in panel.get("targets", ())]
        self.assertGreater(len(targets), 20)
        for target in targets:
            with self.subTest(target["expr"]):
                self.assertEqual(fault(target["expr"]), "")
                self.assertIn('instance=~"$instance"', target["expr"])


class AlertTests(SimpleTestCase):
    def test_each_rule_has_what_prometheus_asks_for(self) -> None:
        [group] = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]
        names = [rule["alert"] for rule in group["rules"]]
        self.assertEqual(len(set(names)), len(names))
        for rule in group["rules"]:
            with self.subTest(rule["alert"]):
                self.assertLessEqual(set(rule), {"alert", "expr", "for", "labels", "annotations"})
                self.assertEqual(fault(rule["expr"]), "")
                self.assertRegex(rule.get("for", "1m"), f"^{DURATION}$")
                self.assertIn(rule["labels"]["severity"], {"page", "warn"})
                self.assertTrue(rule["annotations"]["summary"])


class ParserTests(SimpleTestCase):
    def test_it_sees_what_is_wrong(self) -> None:
        for wrong in ("sum(a", "sum(a))", "summe(a)", 'sum(rate(a{b="c"}[5m])', "rate((a)[5m])"):
            self.assertTrue(fault(wrong), wrong)
        with self.assertRaises(ValueError):
            fault("sum(a) § 2")
