"""The table of goals: a goal is "met" only when it was measured and within its limit."""

from __future__ import annotations

from unittest import TestCase

from benchmarks import goals
from benchmarks.goals import Flat, Goal, Measured
from benchmarks.load import Result
from benchmarks.measure import Record, Waited
from benchmarks.report import goals_table
from benchmarks.subjects import COMPATIBLE, Scenario, json_at, sse_at

JSON, SSE = "JSON: CPU of a turn", "SSE, 20 chunks: CPU of a turn"


def record(subject: str, scenario: Scenario, *, cpu: float = 1.0, rps: float = 100.0) -> Record:
    result = Result(turns=round(rps), seconds=1.0)
    return Record(subject, scenario.name, 0, result, cpu_ms=cpu)


def goals_by_name(measured: Measured) -> dict[str, Goal]:
    return {goal.name: goal for goal in goals.goals(measured)}


def waited(*, turns: int = 2_000, at_once: int = 2_000, kb: float = 30.0) -> Waited:
    result = Result(turns=turns)
    lag = {"p50": 1.0, "p99": 20.0}
    return Waited("salient", 2_000, at_once, result, kb, 4, lag)


class GoalTests(TestCase):
    def test_nothing_measured_is_nothing_met(self) -> None:
        found = goals.goals(Measured())

        self.assertEqual({goal.met for goal in found}, {None})
        self.assertIn(f"0 of {len(found)} goals are met.", goals_table(found))

    def test_a_number_above_its_limit_is_not_met(self) -> None:
        for cpu, met in ((2.4, True), (2.6, False)):
            with self.subTest(cpu=cpu):
                records = [record("ceiling", json_at(16)), record("salient", json_at(16), cpu=cpu)]
                goal = goals_by_name(Measured(records))[JSON]

                self.assertEqual(goal.met, met)
                self.assertEqual("not met" in goals_table([goal]), not met)

    def test_the_compatible_endpoint_is_compared_with_the_native_route(self) -> None:
        for cpu, met in ((1.14, True), (1.16, False)):
            with self.subTest(cpu=cpu):
                records = [record("salient", json_at(16)), record(COMPATIBLE, json_at(16), cpu=cpu)]
                found = goals_by_name(Measured(records))

                self.assertIs(found["v1, JSON, 16 at once: CPU of a turn"].met, met)
                self.assertIs(found["v1, SSE, 20 chunks, 16 at once: CPU of a turn"].met, None)

    def test_the_more_expensive_way_to_use_sessions_counts(self) -> None:
        records = [
            record("ceiling", sse_at(16)),
            record("salient", sse_at(16), cpu=2.0),
            record("salient", sse_at(16, continues=True), cpu=4.0),
        ]

        self.assertIs(goals_by_name(Measured(records))[SSE].met, False)

    def test_each_concurrency_has_its_goal(self) -> None:
        records = [
            record("litellm", json_at(at), rps=10)
            for at in (goals.CONCURRENCY, goals.HIGH_CONCURRENCY)
        ] + [record("salient", json_at(16), rps=200), record("salient", json_at(64), rps=90)]

        found = goals_by_name(Measured(records))
        self.assertIs(found["JSON, 16 at once: turns a second"].met, True)
        self.assertIs(found["JSON, 64 at once: turns a second"].met, False)

    def test_a_further_chunk_is_priced_by_the_difference(self) -> None:
        records = [
            record("salient", sse_at(16), cpu=2.0),
            record("salient", sse_at(16, "chunks-500"), cpu=2.0 + 480 * 0.0101),
        ]

        goal = goals_by_name(Measured(records))["SSE: CPU of each further chunk"]
        self.assertEqual((goal.met, goal.found), (True, "10.1 us"))

    def test_waiting_streams_must_all_be_answered_and_all_wait_at_once(self) -> None:
        name = "2,000 waiting streams"
        whole = goals_by_name(Measured(waited=[waited()]))
        lossy = goals_by_name(Measured(waited=[waited(turns=1_999, at_once=1_500, kb=41.0)]))

        for part in ("all of them at once", "errors", "memory"):
            with self.subTest(part=part):
                self.assertIs(whole[f"{name}: {part}"].met, True)
                self.assertIs(lossy[f"{name}: {part}"].met, False)

    def test_flat_is_compared_round_by_round(self) -> None:
        measured = Measured(
            flat=[Flat(goals.MESSAGES, [1.0, 2.0], [1.05, 2.1]), Flat(goals.ACCOUNTS, [1.0], [1.5])]
        )
        found = goals_by_name(measured)

        self.assertIs(found[f"Flat: {goals.MESSAGES}"].met, True)
        self.assertIs(found[f"Flat: {goals.ACCOUNTS}"].met, False)
        self.assertIsNone(found[f"Flat: {goals.REQUESTS}"].met)
