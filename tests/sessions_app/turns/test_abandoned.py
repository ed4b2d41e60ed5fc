from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.test import TestCase
from django.utils import timezone

from sessions_app.models import CompletionStatus, LLMRequest, Role, Session
from sessions_app.turns import abandoned
from tests.support.commands import refusal, run, run_json
from tests.support.database.stored import row_of
from tests.support.factories import (
    make_config_version,
    make_instance,
    make_llm_request,
    make_message,
    make_session,
)

HOUR = timedelta(hours=1)


class SettleAbandonedTests(TestCase):
    def setUp(self) -> None:
        self.instance = make_instance()
        self.session = make_session(self.instance)

    def request(self, age: timedelta = HOUR, **fields: Any) -> LLMRequest:
        values = {"completion_status": CompletionStatus.RUNNING} | fields
        made_at = timezone.now() - age
        # A session has one turn at a time.
        session, self.session = self.session, make_session(self.instance)
        return make_llm_request(session, created_at=made_at, **values)

    def add_message(self, content: str, age: timedelta, session: Session | None = None) -> None:
        moment = timezone.now() - age
        make_message(session or self.session, content=content, created_at=moment, role=Role.HUMAN)

    def fresh(self, request: LLMRequest) -> LLMRequest:
        return row_of(LLMRequest, pk=request.pk)

    def test_ends_an_old_turn_as_an_error(self) -> None:
        request = self.request()
        report = run_json("settle_abandoned")

        self.assertEqual((report["found"], report["settled"]), (1, 1))
        self.assertEqual(report["turns"][0]["id"], str(request.pk))
        row = self.fresh(request)
        self.assertEqual(row.completion_status, CompletionStatus.ERROR)
        self.assertEqual(row.error_code, "abandoned")
        self.assertIsNotNone(row.settled_at)

    def test_young_and_settled_turns_are_not_touched(self) -> None:
        young = self.request(timedelta(seconds=10))
        self.request(completion_status=CompletionStatus.COMPLETE)

        self.assertEqual(run_json("settle_abandoned")["found"], 0)
        self.assertEqual(self.fresh(young).completion_status, CompletionStatus.RUNNING)

    def test_a_turn_may_take_as_long_as_its_configuration_allows(self) -> None:
        version = make_config_version(self.instance, content={"timeouts": {"total": 30.0}})
        patient = make_config_version(self.instance, content={"timeouts": {"total": 600.0}})
        age = timedelta(seconds=30 + abandoned.GRACE_SECONDS + 5)
        quick = self.request(age, config_version=version)
        self.request(age, config_version=patient)
        self.request(age)

        [turn] = run_json("settle_abandoned")["turns"]

        self.assertEqual(turn["id"], str(quick.pk))

    def test_the_age_can_be_given(self) -> None:
        self.request(timedelta(seconds=10))

        self.assertEqual(run_json("settle_abandoned", "--older-than", "60")["settled"], 0)
        self.assertEqual(run_json("settle_abandoned", "--older-than", "5")["settled"], 1)
        self.assertEqual(refusal("settle_abandoned", "--older-than", "0")[0], 2)

    def test_the_sent_tokens_are_estimated(self) -> None:
        version = make_config_version(self.instance, content={"system_prompt": "p" * 40})
        self.add_message("too old for the history", 4 * HOUR)
        self.add_message("h" * 20, 3 * HOUR)
        self.add_message("q" * 8, HOUR + timedelta(seconds=1))
        self.add_message("x" * 100, timedelta(minutes=1))
        self.add_message("y" * 100, 2 * HOUR, make_session(self.instance))
        request = self.request(config_version=version, request_body={"history_messages": 1})

        run("settle_abandoned")

        row = self.fresh(request)
        self.assertEqual((row.prompt_tokens, row.total_tokens), (10 + 5 + 2, 17))
        self.assertIsNone(row.completion_tokens)
        self.assertTrue(row.tokens_estimated)

    def test_its_cost_is_unknown_unless_the_model_is_free(self) -> None:
        paid = self.request(provider="openai", model="gpt-5-mini")
        free = self.request()

        run("settle_abandoned")

        self.assertEqual(
            (self.fresh(paid).total_cost, self.fresh(paid).cost_source), (None, "unknown")
        )
        self.assertEqual(
            (self.fresh(free).total_cost, self.fresh(free).cost_source), (Decimal(0), "free")
        )

    def test_it_never_counts_less_than_the_known_cost(self) -> None:
        for fields, counted in (
            ({"reserved_cost": "0.5"}, "0.5"),
            ({"reserved_cost": "0.5", "total_cost": 16_800}, 16_800),
            ({"reserved_cost": None, "charged_cost": 3}, 3),
        ):
            with self.subTest(counted=counted):
                request = self.request(provider="mock", model="dear", **fields)
                run("settle_abandoned")
                self.assertEqual(self.fresh(request).charged_cost, Decimal(counted))

    def test_the_input_counts_where_less_was_reserved(self) -> None:
        version = make_config_version(self.instance, content={"system_prompt": "p" * 4_000_000})
        request = self.request(
            provider="mock", model="dear", config_version=version, reserved_cost="0.5"
        )
        run("settle_abandoned")
        self.assertEqual(self.fresh(request).charged_cost, 10)

    def test_a_dry_run_finds_and_settles_nothing(self) -> None:
        request = self.request()
        report = run_json("settle_abandoned", "--dry-run")

        self.assertEqual((report["found"], report["settled"]), (1, 0))
        self.assertEqual(self.fresh(request).completion_status, CompletionStatus.RUNNING)

    def test_more_than_one_batch_is_settled(self) -> None:
        for _ in range(3):
            self.request()
        with self.subTest("in batches of one"):
            abandoned_batch, abandoned.BATCH = abandoned.BATCH, 1
            self.addCleanup(setattr, abandoned, "BATCH", abandoned_batch)
            self.assertEqual(run_json("settle_abandoned", "--dry-run")["found"], 3)
            self.assertEqual(run_json("settle_abandoned")["settled"], 3)
