"""Staff configure an agent in the admin: see, edit, review, publish, look back, roll back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.test import Client, TestCase
from django.urls import reverse
from django.utils import timezone

from accounts.models.audit import AuditEntry
from accounts.tenancy.context import platform_context, tenant_context
from agents import config
from agents.config.versions import publishing
from agents.config.versions.current import current_config
from agents.config.versions.publishing import PublishCheckFailure
from agents.models import AgentInstance, ConfigDraft, ConfigVersion, InstanceStatus
from salient.ttl import clear_caches
from tests.agents.publishing_fixtures import PublishingFixtures
from tests.support.database.reads import queries_of
from tests.support.database.stored import as_platform, change_row, row_of
from tests.support.factories import make_instance, make_key, make_user

XSS = "<script>alert(1)</script>"


class PagesTestCase(PublishingFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client.force_login(self.ann)

    def at(self, name: str, *more: Any, instance: AgentInstance | None = None) -> str:
        return reverse(f"admin:{name}", args=[(instance or self.instance).pk, *more])

    def get(self, name: str, *more: Any) -> str:
        answer = self.client.get(self.at(name, *more), secure=True)
        self.assertEqual(answer.status_code, 200)
        content: str = answer.content.decode()
        self.assertNotIn(XSS, content)
        return content

    def post(self, name: str, *more: Any, **form: Any) -> Any:
        return self.client.post(self.at(name, *more), form, secure=True)

    def home(self) -> str:
        return self.get("agents_agentinstance_change")

    def save(self, text: str, **form: Any) -> Any:
        return self.post("instance-configuration", text=text, **{"seen": "", "base": 0} | form)

    def etags(self) -> dict[str, Any]:
        """The hidden fields of the review's form."""
        page = self.get("instance-review")
        return {
            name: re.search(rf'name="{name}" value="([^"]*)"', page)[1]  # type: ignore[index]
            for name in ("seen", "base")
        }

    def draft(self) -> ConfigDraft | None:
        return as_platform(publishing.draft_of, self.instance)

    def serve(self) -> None:
        """Answer once, as a turn does."""
        instance = self.stored()
        clear_caches()
        with tenant_context(instance.account_id):
            current_config("acme", instance)


class InstancePageTests(PagesTestCase):
    def test_the_pages_below_an_agent_are_among_the_tenants(self) -> None:
        for name in ("instance-configuration", "playground", "saved-chats"):
            self.assertIn('<li><a href="/admin/agents/">Tenants</a></li>', self.get(name))

    def test_each_value_is_shown_with_where_it_comes_from(self) -> None:
        self.publish("retries: 4\n")
        page = self.home()
        for key, value, place in (
            ("model", "scripted:echo", "everybody&#x27;s file"),
            ("temperature", "0.5", "agent file"),
            ("retries", "4", "published here"),
            ("history_limit", "20", "default"),
        ):
            with self.subTest(key=key):
                row = re.search(rf"<code>{key}</code>.*?</tr>", page, re.DOTALL)
                assert row is not None
                self.assertIn(f">{value}<", row[0])
                self.assertIn(f">{place}<", row[0])

    def test_a_long_value_is_folded(self) -> None:
        self.assertRegex(
            self.home(), r"<details><summary>Be kind\..*18 characters.*</summary><pre[^>]*>Be kind"
        )

    def test_what_is_wrong_is_reported_and_what_serves_meanwhile(self) -> None:
        self.assertNotIn("keeps serving", self.home())
        self.serve()
        change_row(self.instance, override={"retries": XSS})
        page = self.home()

        self.assertIn("The last version that worked keeps serving", page)
        self.assertIn("published here: retries: must be a whole number", page)

    def test_it_lists_the_keys_that_may_call_it(self) -> None:
        make_key(self.instance.account, name="for all")
        make_key(self.instance.account, name="for it", instance_ids=[self.instance.pk])
        other = make_instance(self.instance.account, "other")
        make_key(self.instance.account, name="elsewhere", instance_ids=[other.pk])
        page = self.home()

        self.assertIn("for all", page)
        self.assertIn("for it", page)
        self.assertNotIn("elsewhere", page)

    def test_saving_its_form_never_takes_back_what_is_published_meanwhile(self) -> None:
        self.publish("retries: 4")
        form = {"display_name": "Renamed", "agent_type": "simple_chat"}
        self.assertEqual(self.post("agents_agentinstance_change", **form).status_code, 302)
        stored = self.stored()

        self.assertEqual((stored.display_name, stored.override), ("Renamed", {"retries": 4}))

    def test_its_page_costs_the_same_however_much_was_published(self) -> None:
        numbers = set()
        for retries in range(4):
            self.publish(f"retries: {retries}")
            # They last some seconds, which may end in any round.
            clear_caches()
            numbers.add(queries_of(self.home))

        self.assertEqual(len(numbers), 1)


class AutosaveTests(PagesTestCase):
    def autosave(self, text: str, seen: str = "") -> Any:
        return self.save(text, seen=seen, autosave="1")

    def test_what_is_written_is_kept_and_the_next_time_replaces_it(self) -> None:
        first = self.autosave("retries: 4\n")
        second = self.autosave("retries: [\n", first.json()["seen"])
        draft = self.draft()
        assert draft is not None

        self.assertEqual((second.status_code, draft.text), (200, "retries: [\n"))
        seen = publishing.etag_of(draft)
        self.assertEqual(second.json(), {"seen": seen, "text": "retries: [\n"})
        self.assertIsNone(self.stored().override)

    def test_anothers_draft_is_not_replaced(self) -> None:
        self.autosave("retries: 4\n")
        answer = self.autosave("retries: 5\n")

        self.assertEqual(answer.status_code, 409)
        self.assertIn("saved another draft meanwhile", answer.json()["detail"])
        draft = self.draft()
        assert draft is not None
        self.assertEqual(draft.text, "retries: 4\n")

    def test_the_same_text_again_is_no_conflict(self) -> None:
        answers = [self.autosave("retries: 4\n") for _ in range(2)]
        self.assertEqual(answers[0].json(), answers[1].json())

    def test_it_needs_the_right_to_change_the_agent_and_a_session(self) -> None:
        self.client.force_login(make_user(is_staff=True))
        self.assertEqual(self.autosave("retries: 4\n").status_code, 403)
        self.client.logout()
        self.assertEqual(self.autosave("retries: 4\n").status_code, 302)
        self.assertIsNone(self.draft())


class EditTests(PagesTestCase):
    def test_a_draft_is_kept_and_nothing_is_published(self) -> None:
        answer = self.save("retries: 4\r\ntemperature: 1\r\n")

        self.assertContains(answer, "The draft is saved; nothing is published yet.")
        draft = self.draft()
        assert draft is not None
        self.assertEqual(
            (draft.text, draft.author_name), ("retries: 4\ntemperature: 1\n", "ann@example.com")
        )
        self.assertIsNone(self.stored().override)

    def test_an_error_is_reported_with_line_excerpt_and_guess(self) -> None:
        answer = self.save("retries: 4\n  timeouts:\n", review="1").content.decode()
        self.assertIn("Line 2", answer)
        answer = self.save("retries: 4\ntemperatur: 1\n", review="1", seen=self.etag())

        self.assertContains(answer, "Line 2")
        self.assertContains(answer, "unknown key. Did you mean “temperature”?")
        self.assertContains(answer, '<pre>temperatur: 1\n<span aria-hidden="true">^</span></pre>')

    def etag(self) -> str:
        return publishing.etag_of(self.draft())

    def test_a_wrong_draft_is_kept_all_the_same(self) -> None:
        self.save("temperatur: [", review="1")
        page = self.get("instance-configuration")

        self.assertIn("temperatur: [", page)
        self.assertIn('role="alert"', page)

    def test_a_good_draft_goes_on_to_its_review(self) -> None:
        answer = self.save("retries: 4\n", review="1")

        self.assertRedirects(answer, self.at("instance-review"), fetch_redirect_response=False)

    def test_anothers_draft_is_not_overwritten_and_both_texts_are_shown(self) -> None:
        self.save("retries: 1\n")
        answer = self.save("retries: 5\n", seen="")

        self.assertContains(answer, "ann@example.com saved another draft meanwhile")
        self.assertContains(answer, "retries: 5")
        self.assertContains(answer, "</span>retries: 1</del>")
        draft = self.draft()
        assert draft is not None
        self.assertEqual(draft.text, "retries: 1\n")
        self.save("retries: 5\n", seen=self.etag())
        self.assertIn("retries: 5", self.get("instance-configuration"))

    def test_what_is_typed_is_never_markup(self) -> None:
        for text in (f'system_prompt: "{XSS}"\n', f"{XSS}: 1\n", f"retries: {XSS}\n", XSS):
            with self.subTest(text=text):
                self.save(text, seen=self.etag())
                self.get("instance-configuration")
                self.get("instance-review")
                self.home()

    def test_a_draft_is_discarded_after_a_question(self) -> None:
        self.save("retries: 4\n")
        self.assertIn("</span>retries: 4</ins>", self.get("instance-discard"))
        self.assertIsNotNone(self.draft())
        self.post("instance-discard", seen=self.etag())

        self.assertIsNone(self.draft())

    def test_a_draft_that_is_newer_than_the_one_shown_is_not_discarded(self) -> None:
        self.save("retries: 4\n")
        seen = self.etag()
        self.save("retries: 5\n", seen=seen)
        for form in ({"seen": seen}, {}):
            answer = self.post("instance-discard", **form)
            self.assertContains(answer, "ann@example.com saved another draft meanwhile")
            self.assertContains(answer, "</span>retries: 5</ins>")
            self.assertIsNotNone(self.draft())
        newest = re.search(r'name="seen" value="(\w+)"', answer.content.decode())
        assert newest is not None
        self.assertRedirects(
            self.post("instance-discard", seen=newest[1]),
            self.at("agents_agentinstance_change"),
            fetch_redirect_response=False,
        )
        self.assertIsNone(self.draft())


class ReviewTests(PagesTestCase):
    def publish_draft(self, **form: Any) -> Any:
        return self.post("instance-review", **{"note": "Better", **self.etags(), **form})

    def test_it_shows_old_and_new_and_publishes_with_a_note(self) -> None:
        self.save("temperature: 1.5\n", review="1")
        page = self.get("instance-review")
        self.assertIn('</span>0.5</del> <span class="badge">config.yaml</span>', page)
        self.assertIn('</span>1.5</ins> <span class="badge">published here</span>', page)
        answer = self.publish_draft(note="Warmer")

        self.assertRedirects(
            answer, self.at("agents_agentinstance_change"), fetch_redirect_response=False
        )
        self.assertEqual((self.numbers(), self.draft()), ([1], None))
        self.assertIn("Warmer", self.home())

    def test_without_a_note_nothing_is_published(self) -> None:
        self.save("temperature: 1.5\n")
        answer = self.publish_draft(note="  ")

        self.assertEqual((answer.status_code, self.numbers()), (200, []))

    def test_the_second_of_two_is_refused_and_sees_what_it_would_change_now(self) -> None:
        self.save("temperature: 1.5\n")
        seen = self.etags()
        self.publish("retries: 5\n", note="Faster than you")
        answer = self.publish_draft(note="Mine", **seen)

        self.assertContains(answer, "ann@example.com published number 1 meanwhile")
        self.assertContains(answer, "</span>5</del>")
        self.assertContains(answer, "Mine")
        self.assertEqual(self.numbers(), [1])
        self.publish_draft(note="Mine")
        self.assertEqual(self.stored().override, {"temperature": 1.5})

    def test_the_note_of_the_second_is_kept_when_the_first_published_the_same_draft(self) -> None:
        self.save("temperature: 1.5\n")
        seen = self.etags()
        self.post("instance-review", note="Warmer", **seen)
        answer = self.post("instance-review", note="My long thoughts", **seen)

        self.assertContains(answer, "My long thoughts</textarea>")
        self.assertContains(answer, "in force is number 1 of ann@example.com: “Warmer”")
        self.assertEqual(self.numbers(), [1])

    def test_a_draft_that_somebody_changed_is_not_published_unseen(self) -> None:
        self.save("retries: 1\n")
        seen = self.etags()
        self.save("retries: 5\n", seen=seen["seen"])
        answer = self.publish_draft(**seen)

        self.assertContains(answer, "changed the draft meanwhile")
        self.assertEqual(self.numbers(), [])

    def test_a_wrong_draft_is_shown_but_can_not_be_published(self) -> None:
        self.save("retrys: 1\n")
        page = self.get("instance-review")
        self.assertNotIn('value="Publish"', page)
        answer = self.post("instance-review", note="x", seen=self.etag(), base=0)

        self.assertEqual((answer.status_code, self.numbers()), (200, []))

    def etag(self) -> str:
        return publishing.etag_of(self.draft())

    def test_a_failed_test_chat_needs_a_reason(self) -> None:
        def publish_check(_: AgentInstance, __: Mapping[str, Any]) -> list[PublishCheckFailure]:
            return [PublishCheckFailure("greeting", f"says {XSS}")]

        publishing.register_publish_check(publish_check)
        self.addCleanup(publishing._publish_checks.remove, publish_check)
        self.save("retries: 1\n")
        self.assertIn("greeting", self.get("instance-review"))
        answer = self.publish_draft()
        self.assertContains(answer, "A test chat failed: say why")
        self.assertEqual(self.numbers(), [])
        self.publish_draft(gate_reason="The chat is old")

        self.assertEqual(self.numbers(), [1])
        self.assertIn("The chat is old", self.get("instance-publication", 1))

    def test_the_audit_log_names_the_person(self) -> None:
        self.save("retries: 1\n")
        self.publish_draft()
        entry = row_of(AuditEntry, object_type="config_publications")

        self.assertEqual((entry.actor_kind, entry.actor), ("staff", "ann@example.com"))

    def test_without_a_draft_there_is_nothing_to_review(self) -> None:
        answer = self.client.get(self.at("instance-review"), secure=True)

        self.assertRedirects(
            answer, self.at("instance-configuration"), fetch_redirect_response=False
        )

    def test_reset_takes_a_value_out_and_leads_to_the_review(self) -> None:
        self.publish("retries: 4\ntemperature: 1\n")
        answer = self.post("instance-reset", key="retries")

        self.assertRedirects(answer, self.at("instance-review"), fetch_redirect_response=False)
        draft = self.draft()
        assert draft is not None
        self.assertEqual(draft.text, "temperature: 1\n")
        self.assertEqual(self.post("instance-reset", key="made.up").status_code, 302)


class HistoryTests(PagesTestCase):
    def test_publications_and_changes_of_files_are_distinguished(self) -> None:
        self.serve()
        self.publish("retries: 4\n", note="Try harder")
        self.serve()
        (self.base / "acme/bot/system_prompt.md").write_text("Be curt.")
        self.serve_changed_files()
        page = self.get("instance-history")

        kinds = re.findall(
            r'<span class="badge \w+">((?:files|first|published|rolled)[^<]*)</span>', page
        )
        self.assertEqual(kinds, ["files changed", "published", "first files"])
        self.assertIn("Try harder", page)
        self.assertIn("<code>system_prompt</code>", page)

    def test_a_change_of_files_stays_listed_when_a_roll_back_meets_it(self) -> None:
        self.serve()
        self.publish("retries: 1\n")
        (self.base / "acme/bot/system_prompt.md").write_text("Be curt.")
        self.serve_changed_files()
        with platform_context():
            # Within a test's single transaction now() does not change.
            rows = ConfigVersion.objects.filter(content__system_prompt="Be curt.")
            rows.update(created_at=timezone.now() + timedelta(minutes=1))
        self.publish("retries: 5\n")
        as_platform(publishing.roll_back, self.instance, 1, "Back", self.ann)

        self.assertIn(">files changed<", self.get("instance-history"))

    def serve_changed_files(self) -> None:
        config.forget()
        self.serve()

    def test_files_that_change_back_are_noticed(self) -> None:
        self.serve()
        path = self.base / "acme/bot/system_prompt.md"
        before = path.read_text()
        for text in ("Be curt.", before):
            path.write_text(text)
            self.serve_changed_files()
        with platform_context():
            # Within a test's single transaction now() does not change.
            first = ConfigVersion.objects.filter(agent_instance=self.instance)
            first.filter(content__system_prompt=before).update(
                last_served_at=timezone.now() + timedelta(minutes=1)
            )

        self.assertIn("files changed back", self.get("instance-history"))

    def test_a_roll_back_is_shown_first_and_then_done_with_a_note(self) -> None:
        self.publish("retries: 1\n")
        self.publish("retries: 5\n")
        page = self.get("instance-roll-back", 1)
        self.assertIn("</span>5</del>", page)
        self.assertIn("</span>1</ins>", page)
        answer = self.post("instance-roll-back", 1, note="Too slow", base=2)

        self.assertRedirects(
            answer, self.at("agents_agentinstance_change"), fetch_redirect_response=False
        )
        self.assertEqual(self.stored().override, {"retries": 1})
        self.assertIn("rolled back to 1", self.get("instance-history"))

    def test_a_roll_back_that_was_done_already_makes_no_empty_version(self) -> None:
        for retries in (1, 5):
            self.publish(f"retries: {retries}\n")
        self.post("instance-roll-back", 1, note="Too slow", base=2)
        late = self.post("instance-roll-back", 1, note="Too slow", base=2)
        again = self.post("instance-roll-back", 1, note="Too slow", base=3)

        for answer in (late, again):
            self.assertContains(answer, "this text is in force already, as number 3")
            self.assertContains(answer, "“Too slow”, ann@example.com")
            self.assertNotContains(answer, 'value="Roll back"')
        self.assertEqual(self.numbers(), [1, 2, 3])
        self.assertIn("in force already, as number 3", self.get("instance-roll-back", 3))

    def test_a_roll_back_that_comes_too_late_is_reported(self) -> None:
        for retries in (1, 5, 3):
            self.publish(f"retries: {retries}\n")
        answer = self.post("instance-roll-back", 1, note="Too slow", base=2)

        self.assertContains(answer, "published number 3 meanwhile")
        self.assertEqual(self.numbers(), [1, 2, 3])

    def test_a_roll_back_to_the_files_alone(self) -> None:
        self.publish("retries: 1\n")
        self.post("instance-roll-back", 0, note="All back", base=1)

        self.assertIsNone(self.stored().override)
        self.assertIn("rolled back to the files", self.get("instance-history"))

    def test_what_cannot_be_restored_today_says_so(self) -> None:
        self.publish("retries: 1\n")
        self.publish("retries: 5\n")
        (self.base / "defaults.yaml").write_text("modell: x\n")
        answer = self.post("instance-roll-back", 1, note="Back", base=2)

        self.assertContains(answer, "defaults.yaml, line 1")
        self.assertEqual(self.numbers(), [1, 2])

    def test_the_history_of_the_agent_has_its_publications_with_the_persons_names(self) -> None:
        self.save("retries: 1\n")
        self.post("instance-review", note="Try once", **self.etags())
        page = self.get("agents_agentinstance_history")

        self.assertRegex(page, r"config publication [^<]*, [^<]+ by ann@example.com")
        self.assertIn("Try once", page)
        self.assertIn(self.at("instance-history"), page)

    def test_a_version_shows_its_prompt_and_who_published_it_with_which_note(self) -> None:
        made = self.publish("system_prompt: |\n  Be kind.\n  Be <b>bold</b>.\n", note="Kinder")
        at = reverse("admin:agents_configversion_change", args=[made.config_version_id])
        page = self.client.get(at, secure=True).content.decode()

        self.assertIn(">Be kind.\nBe &lt;b&gt;bold&lt;/b&gt;.", page)
        self.assertIn(f'<a href="{self.at("instance-publication", 1)}">Number 1</a>', page)
        self.assertIn("ann@example.com: Kinder", page)
        self.assertNotIn("{&quot;", page)

    def test_any_two_versions_are_compared_under_their_own_names(self) -> None:
        made = [self.publish(f"retries: {retries}\n") for retries in (1, 2, 5)]
        one, _, last = (each.config_version_id for each in made)
        page = self.get("instance-history")
        self.assertEqual(page.count(f'<option value="{one}"'), 2)
        address = f"{self.at('instance-history')}?old={one}&new={last}"
        answer = self.client.get(address, secure=True)
        comparison = self.at("instance-compare", one, last)
        self.assertRedirects(answer, comparison, fetch_redirect_response=False)
        page = self.get("instance-compare", one, last)

        heads = re.findall(r'<th scope="col">([^<]+)</th>', page.partition('class="changes"')[2])
        self.assertEqual(heads[:3], ["Key", "Number 1", "Number 3"])
        self.assertIn("</span>1</del>", page)
        self.assertIn("</span>5</ins>", page)

    def test_versions_are_compared_value_by_value(self) -> None:
        one = self.publish("retries: 1\n")
        two = self.publish("system_prompt: |\n  Be kind.\n  Be bold.\n")
        page = self.get("instance-compare", one.config_version_id, two.config_version_id)

        self.assertIn("<code>retries</code>", page)
        self.assertIn("</span>Be bold.</ins>", page)

    def test_what_belongs_to_another_agent_is_not_there(self) -> None:
        other = make_instance(slug="other")
        one = self.publish("retries: 1\n")
        for name, more in (
            ("instance-publication", [1]),
            ("instance-roll-back", [1]),
            ("instance-compare", [one.config_version_id, one.config_version_id]),
        ):
            with self.subTest(page=name):
                path = self.at(name, *more, instance=other)
                self.assertEqual(self.client.get(path, secure=True).status_code, 404)
                self.assertEqual(self.client.post(path, secure=True).status_code, 404)
        unknown = reverse("admin:instance-history", args=[uuid4()])
        self.assertEqual(self.client.get(unknown, secure=True).status_code, 404)


class StatusTests(PagesTestCase):
    def test_archiving_an_agent_needs_a_confirmation(self) -> None:
        page = self.get("instance-status", "archived")
        self.assertIn("Its conversations, costs", page)
        self.assertIn("of acme, now active", page)
        self.assertEqual(self.stored().status, InstanceStatus.ACTIVE)
        self.post("instance-status", "archived")
        self.assertEqual(self.stored().status, InstanceStatus.ARCHIVED)
        self.post("instance-status", "active")

        self.assertEqual(self.stored().status, InstanceStatus.ACTIVE)

    def test_a_status_that_there_is_not_is_not_found(self) -> None:
        path = self.at("instance-status", "sleeping")

        self.assertEqual(self.client.get(path, secure=True).status_code, 404)

    def test_many_are_deactivated_after_one_question(self) -> None:
        other = make_instance(self.instance.account, "other")
        listed = reverse("admin:agents_agentinstance_changelist")
        form = {"action": "deactivate", "_selected_action": [self.instance.pk, other.pk]}
        question = self.client.post(listed, form, secure=True)
        self.assertContains(question, 'value="Deactivate"')
        self.assertEqual(self.stored().status, InstanceStatus.ACTIVE)
        self.client.post(listed, form | {"sure": "yes"}, secure=True)

        with platform_context():
            rows = AgentInstance.objects.filter(account=self.instance.account)
            states = set(rows.values_list("status", flat=True))
        self.assertEqual(states, {"inactive"})

    def test_the_list_costs_the_same_for_one_and_for_many(self) -> None:
        listed, numbers = reverse("admin:agents_agentinstance_changelist"), set()
        for number in range(3):
            # Without files it cannot answer, which is looked up for all such agents at once.
            make_instance(self.instance.account, f"more-{number}")
            numbers.add(queries_of(self.client.get, listed, secure=True))

        self.assertEqual(len(numbers), 1)


class RightsTests(PagesTestCase):
    def pages(self) -> list[str]:
        one = self.publish("retries: 1\n").config_version_id
        self.publish("retries: 5\n")
        self.save("retries: 3\n")
        return [
            self.at("agents_agentinstance_change"),
            self.at("instance-configuration"),
            self.at("instance-review"),
            self.at("instance-discard"),
            self.at("instance-history"),
            self.at("instance-publication", 1),
            self.at("instance-roll-back", 1),
            self.at("instance-compare", one, one),
            self.at("instance-status", "archived"),
        ]

    def test_an_auditor_sees_all_and_changes_nothing(self) -> None:
        pages = [*self.pages(), self.at("instance-reset")]
        auditor = Client()
        auditor.force_login(make_user(is_staff=True, is_auditor=True))
        for path in pages:
            with self.subTest(path=path):
                self.assertIn(auditor.get(path, secure=True).status_code, {200, 302})
                self.assertEqual(auditor.post(path, {"note": "x"}, secure=True).status_code, 403)
        for path in pages[2], pages[3], pages[6], pages[8]:
            # No form but those of the frame: find, theme, log out.
            self.assertNotContains(auditor.get(path, secure=True), 'class="submit-row"')
            self.assertContains(self.client.get(path, secure=True), 'class="submit-row"')
        self.assertNotContains(auditor.get(pages[0], secure=True), "Reset<")
        self.assertContains(auditor.get(pages[1], secure=True), "retries: 3")
        self.assertEqual(self.numbers(), [1, 2])

    def test_staff_without_the_right_see_nothing(self) -> None:
        pages = self.pages()
        other = Client()
        other.force_login(make_user(is_staff=True))
        for path in pages:
            with self.subTest(path=path):
                self.assertEqual(other.get(path, secure=True).status_code, 403)
                self.assertEqual(other.post(path, secure=True).status_code, 403)
