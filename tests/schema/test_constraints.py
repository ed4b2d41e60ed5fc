"""The database itself refuses what would mix tenants up; each rule of each model is tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, ProgrammingError, connection, models
from django.db.migrations.writer import MigrationWriter
from django.test import SimpleTestCase, TestCase

from accounts.models import Account, User
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import AgentInstance, ConfigVersion
from salient.database.constraints import CompositeForeignKey
from sessions_app.models import LLMRequest, Message, Profile, Session
from tests.support.database import catalog
from tests.support.database.stored import as_platform, row_of
from tests.support.database.tenant_rows import (
    OWN_MODELS,
    TENANT_MODELS,
    Rows,
    contents,
    make_tenant,
)
from tests.support.factories import make_config_version, make_instance

BAD_SLUGS = ["bot\n", "\nbot", "Bot", "-bot", "bot-", "", "ümlaut", "a/b", "..", "a b"]
# What each CHECK refuses: field -> values.
REFUSED: dict[str, dict[str, list[Any]]] = {
    "ck_accounts_slug": {"slug": BAD_SLUGS},
    "ck_accounts_status": {"status": ["", "Active", "closed"]},
    "ck_accounts_subscription_tier": {"subscription_tier": ["", "gold"]},
    "ck_api_keys_scopes": {"scopes": [["chat", "root"], [""]]},
    "ck_users_auditor": {"is_superuser": [True]},
    "ck_api_keys_kind": {"origins": [["https://shop.example"]]},
    "ck_api_keys_mode": {"mode": ["", "demo"]},
    # The key that is tried never ends.
    "ck_api_keys_support_access": {"support_access_id": [uuid4()]},
    "ck_memberships_role": {"role": ["", "root"]},
    "ck_invitations_role": {"role": ["", "root"]},
    "ck_account_limits_running": {"running": [-1]},
    "ck_budgets_period": {"period": ["", "week"]},
    "ck_budgets_amounts": {"limit": [-1], "spent": [-1], "reserved": [-1]},
    # The budget that is tried allows ten dollars.
    "ck_budgets_granted": {"granted": [9]},
    "ck_webhook_endpoints_events": {"events": [["turn.begun"], [""]]},
    # The endpoint that is tried has no reason to be disabled, and the delivery is pending.
    "ck_webhook_endpoints_disabled": {"is_enabled": [False]},
    "ck_webhook_deliveries_state": {"state": ["", "sent"]},
    "ck_webhook_deliveries_next_try": {"next_try_at": [None]},
    "ck_refusal_days_times": {"times": [0, -1]},
    "ck_agent_instances_slug": {"instance_slug": BAD_SLUGS},
    "ck_agent_instances_status": {"status": ["", "deleted"]},
    "ck_llm_requests_completion_status": {"completion_status": ["", "done"]},
    "ck_llm_requests_cost_source": {"cost_source": ["", "guess"]},
    "ck_audit_log_actor_kind": {"actor_kind": ["", "root"]},
    "ck_audit_log_action": {"action": ["", "erased"]},
    "ck_support_accesses_reason": {"reason": ["", " \n"]},
    "ck_config_publications_note": {"note": ["", " \n"]},
    "ck_config_publications_number": {"number": [0, -1]},
    "ck_message_feedback_rating": {"rating": [0, 2, -2]},
    "ck_retentions_texts_days": {"texts_days": [0, -1]},
    "ck_retentions_figures_days": {"figures_days": [0, 61]},
    "ck_retentions_order": {"figures_days": [90]},
    "ck_erasures_kind": {"kind": ["", "name"]},
    "ck_message_feedback_status": {"status": ["open", "done"]},
    "ck_messages_role": {"role": ["", "user", "human\n"]},
}


def constraints(kind: type[models.BaseConstraint]) -> Iterator[tuple[Any, Any]]:
    for model in OWN_MODELS:
        for constraint in model._meta.constraints:
            if isinstance(constraint, kind):
                yield model, constraint


@contextmanager
def as_owner() -> Iterator[None]:
    """Open the platform context with the rights of whoever owns the tables."""
    with platform_context(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        yield


def change(row: models.Model, **values: Any) -> None:
    """Write to the row past validation, as the tables' owner may: to the audit log too."""
    with as_owner():
        type(row)._base_manager.filter(pk=row.pk).update(**values)


def again(row: models.Model) -> Any:
    """Read the row as it is now."""
    with platform_context():
        return type(row)._base_manager.get(pk=row.pk)


def unlogged(tables: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Leave out the audit log, which tells of what a test did."""
    return {table: rows for table, rows in tables.items() if table != "audit_log"}


class RefusalCase(TestCase):
    acme: Rows
    beta: Rows

    @classmethod
    def setUpTestData(cls) -> None:
        cls.acme, cls.beta = make_tenant("acme"), make_tenant("beta")

    def assert_refused(self, name: str, row: models.Model, **values: Any) -> None:
        """Expect this very constraint to refuse these values."""
        with self.subTest(name, **values), self.assertRaises(IntegrityError) as caught:
            change(row, **values)
        cause = caught.exception.__cause__
        assert isinstance(cause, psycopg.IntegrityError)
        self.assertEqual(cause.diag.constraint_name, name)


class ForeignKeyTests(RefusalCase):
    def test_there_is_a_row_of_every_model_to_try(self) -> None:
        self.assertEqual(set(self.acme), set(OWN_MODELS))

    def test_every_reference_to_tenant_data_stands_in_a_key_with_its_account(self) -> None:
        for model in OWN_MODELS:
            keys = [key.fields for owner, key in constraints(CompositeForeignKey) if owner is model]
            for field in model._meta.get_fields():
                if not isinstance(field, models.ForeignKey):
                    continue
                with self.subTest(field=str(field)):
                    mine = [fields for fields in keys if field.name in fields]
                    self.assertTrue(mine)
                    if field.related_model in TENANT_MODELS:
                        self.assertTrue(all("account" in fields for fields in mine))

    def test_no_row_refers_to_another_accounts_rows(self) -> None:
        # A version of no request yet: else the requests' key to it refuses first.
        unused = make_config_version(self.acme[AgentInstance])
        mine = self.acme | {ConfigVersion: unused}
        for model, key in constraints(CompositeForeignKey):
            target = self.beta[apps.get_model(key.to)]
            foreign = {
                field: getattr(target, target._meta.get_field(to).attname)
                for field, to in zip(key.fields, key.to_fields, strict=True)
                if field not in {"account", "user", "author"}
            }
            if len(foreign) > 1 and not any(field.endswith("_slug") for field in foreign):
                # Another key speaks for the instance: what is foreign here is the last field.
                del foreign["agent_instance"]
            if foreign:
                self.assert_refused(key.name, mine[model], **foreign)

    def test_no_row_refers_to_nothing(self) -> None:
        for model, key in constraints(CompositeForeignKey):
            reference = next(f for f in reversed(key.fields) if not f.endswith("_slug"))
            with self.subTest(key.name), self.assertRaises(IntegrityError):
                change(self.acme[model], **{reference: uuid4()})

    def test_a_session_whose_slugs_do_not_match_is_refused(self) -> None:
        session = self.acme[Session]
        self.assert_refused("fk_sessions_account_id", session, account_slug="acme2")
        self.assert_refused("fk_sessions_agent_instance_id", session, agent_instance_slug="bot2")

    def test_a_row_cannot_be_given_to_another_account(self) -> None:
        """Row-level security refuses it, where the role may change the column at all."""
        for model in TENANT_MODELS:
            rows = model._base_manager
            with (
                self.subTest(model=model.__name__),
                self.assertRaisesRegex(ProgrammingError, "row-level security|permission denied"),
                tenant_context(self.acme[Account].pk),
            ):
                rows.filter(pk=self.acme[model].pk).update(account=self.beta[Account].pk)

    def test_renaming_an_account_follows_in_the_same_statement(self) -> None:
        change(self.acme[Account], slug="renamed")
        for model in (Session, LLMRequest):
            row, other = again(self.acme[model]), again(self.beta[model])
            self.assertEqual((row.account_slug, row.agent_instance_slug), ("renamed", "bot"))
            self.assertEqual(other.account_slug, "beta")

    def test_renaming_an_instance_follows_in_the_same_statement(self) -> None:
        change(self.acme[AgentInstance], instance_slug="renamed")
        for model in (Session, LLMRequest):
            row, other = again(self.acme[model]), again(self.beta[model])
            self.assertEqual((row.account_slug, row.agent_instance_slug), ("acme", "renamed"))
            self.assertEqual(other.agent_instance_slug, "bot")


class DeletionTests(RefusalCase):
    def test_an_account_takes_all_its_rows_and_no_others(self) -> None:
        before = contents(self.beta)
        self.assertTrue(all(contents(self.acme).values()))
        again(self.acme[Account]).delete()
        self.assertEqual(contents(self.acme), {table: [] for table in before})
        self.assertEqual(contents(self.beta), before)

    def test_an_instance_with_a_history_stays(self) -> None:
        instance = row_of(AgentInstance, pk=self.acme[AgentInstance].pk)
        with self.assertRaises(IntegrityError), platform_context():
            instance.delete()

    def test_an_instance_without_a_history_goes_with_its_versions(self) -> None:
        before = unlogged(contents(self.acme))
        instance = make_instance(self.acme[Account], "unused")
        make_config_version(instance)
        as_platform(instance.delete)
        self.assertEqual(unlogged(contents(self.acme)), before)

    def test_a_config_version_that_was_used_stays(self) -> None:
        with self.assertRaises(IntegrityError), platform_context():
            ConfigVersion.objects.filter(pk=self.acme[ConfigVersion].pk).delete()

    def test_deleting_a_request_changes_only_its_mark_on_the_message(self) -> None:
        expected = contents(self.acme)
        request = self.acme[LLMRequest].pk
        expected["llm_requests"] = [row for row in expected["llm_requests"] if row["id"] != request]
        expected["messages"][0]["llm_request_id"] = None
        with platform_context():
            LLMRequest.objects.filter(pk=self.acme[LLMRequest].pk).delete()
        self.assertEqual(contents(self.acme), expected)

    def test_deleting_a_session_takes_what_was_said_in_it(self) -> None:
        session = again(self.acme[Profile]).session_id
        with platform_context():
            Session.objects.filter(pk__in=[session, self.acme[Session].pk]).delete()
        left = {table for table, rows in contents(self.acme).items() if rows}
        of_the_account = {"memberships", "invitations", "account_limits", "budgets", "rate_states"}
        of_the_account |= {"api_keys", "agent_instances", "config_versions", "provider_connections"}
        of_the_account |= {"config_drafts", "config_publications", "saved_chats"}
        of_the_account |= {"saved_chat_runs", "usage_days", "usage_totals", "prompt_sections"}
        of_the_account |= {"audit_log", "support_accesses", "refusal_days", "erasures"}
        of_the_account |= {"former_slugs", "former_agent_slugs", "retentions"}
        of_the_account |= {"webhook_endpoints", "webhook_deliveries"}
        self.assertEqual(left, of_the_account)

    def test_deleting_a_user_leaves_what_they_did_without_them(self) -> None:
        expected = unlogged(contents(self.acme))
        mine = [row for row in expected["sessions"] if row["user_id"]]
        mine[0]["user_id"] = None
        expected["config_drafts"][0]["author_id"] = None
        expected["config_publications"][0]["author_id"] = None
        expected["support_accesses"] = []
        self.acme[User].delete()
        self.assertEqual(unlogged(contents(self.acme)), expected)


class CheckTests(RefusalCase):
    def test_every_check_refuses_what_it_should(self) -> None:
        known = {
            constraint.name: model for model, constraint in constraints(models.CheckConstraint)
        }
        self.assertEqual(set(known), set(REFUSED))
        for name, model in known.items():
            for field, values in REFUSED[name].items():
                for value in values:
                    self.assert_refused(name, self.acme[model], **{field: value})

    def test_every_choice_is_accepted(self) -> None:
        for name, model in ((c.name, m) for m, c in constraints(models.CheckConstraint)):
            for field in REFUSED[name]:
                for value, _ in model._meta.get_field(field).choices or ():
                    change(self.acme[model], **{field: value})

    def test_a_slug_has_at_most_63_characters(self) -> None:
        change(self.acme[Account], slug="a" * 63)
        with self.assertRaises(DataError):
            change(self.acme[Account], slug="a" * 64)


class NameTests(TestCase):
    def test_every_constraint_and_index_has_its_name_from_a_model(self) -> None:
        # Django names the keys of the two tables between users and their permissions.
        tables = [model._meta.db_table for model in OWN_MODELS]
        given = {
            rule.name
            for model in OWN_MODELS
            for rule in (*model._meta.constraints, *model._meta.indexes)
        }
        self.assertEqual(catalog.names(tables), given)


class CompositeForeignKeyTests(RefusalCase):
    key = CompositeForeignKey(
        fields=["account", "session"],
        to="sessions_app.Session",
        to_fields=["account", "id"],
        name="fk_messages_session_id",
    )

    def test_a_form_is_told_before_the_database_refuses(self) -> None:
        message = self.acme[Message]
        with platform_context():
            self.key.validate(Message, message)
            message.session = self.beta[Session]
            with self.assertRaises(ValidationError):
                self.key.validate(Message, message)

    def test_an_excluded_field_is_not_looked_at(self) -> None:
        message = self.acme[Message]
        message.session = self.beta[Session]
        self.key.validate(Message, message, exclude={"session"})

    def test_an_empty_reference_is_fine(self) -> None:
        keys = constraints(CompositeForeignKey)
        key = next(key for _, key in keys if key.name == "fk_messages_llm_request_id")
        message = self.acme[Message]
        message.llm_request = None
        key.validate(Message, message)


class DeconstructionTests(SimpleTestCase):
    def test_it_is_written_into_a_migration_and_read_back(self) -> None:
        key = CompositeForeignKeyTests.key
        text, imports = MigrationWriter.serialize(key)
        scope: dict[str, Any] = {}
        exec("\n".join(imports), scope)  # noqa: S102 - the text is Django's own
        self.assertEqual(eval(text, scope), key)  # noqa: S307

    def test_another_action_is_another_key(self) -> None:
        key = CompositeForeignKeyTests.key
        _, args, kwargs = key.deconstruct()
        other = CompositeForeignKey(*args, **kwargs | {"on_delete": "NO ACTION"})
        self.assertNotEqual(other, key)
