"""Three accounts, events in any order, and a model that says what must hold after each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest import mock
from uuid import UUID, uuid4

from django.conf import settings as django_settings
from django.db import connection, transaction
from django.test import TestCase, override_settings
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.keys.services import revoke_api_key
from accounts.limits.budgets import set_budget
from accounts.models import Account, AccountStatus, ApiKey, MemberRole, Scope
from accounts.tenancy.context import tenant_context
from agents.costs.estimate import CostEstimate
from agents.models import AgentInstance, InstanceStatus
from salient.ttl import clear_caches
from tests.support.api_client import Answer, ApiClient, RunCall, in_this_thread
from tests.support.factories import make_account, make_instance, make_key, write_config
from tests.support.isolation.accounts import high_rates, make_member, rows_of, writes
from tests.support.isolation.model import (
    BUDGET,
    COST,
    RESERVED,
    VISITORS_MAY,
    Agent,
    Caller,
    Talk,
    Tenant,
)


class Start:
    """What every example starts with; its rows are made once."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self.tenants: list[Tenant] = []
        self.agents: list[Agent] = []
        self.callers: list[Caller] = []

    def three_accounts(self) -> None:
        for number in range(3):
            canary = f"canary{number}{uuid4().hex[:8]}"
            account = make_account(f"t{number}-{next(self.numbers)}", name=canary)
            set_budget(account, period="month", limit=BUDGET, alert_percents=[])
            owner = Tenant(account, canary)
            for role in (MemberRole.OWNER, MemberRole.MEMBER, MemberRole.VIEWER):
                member = make_member(account, role, f"{canary}-{role}@example.com")
                owner.roles[str(member.pk)] = role
            self.tenants.append(owner)
            self.add_agent(owner)
            self.add_agent(owner)
            self.add_key(owner, set(map(str, Scope)), None)
            self.add_key(owner, set(map(str, Scope)), self.agents[-1])

    def add_agent(self, owner: Tenant) -> None:
        slug = f"bot-{next(self.numbers)}"
        agent = make_instance(owner.row, slug)
        with tenant_context(owner.row.pk):
            AgentInstance.objects.filter(pk=agent.pk).update(display_name=f"{owner.canary} bot")
        self.agents.append(Agent(agent, owner))
        self.write_files(owner)

    def write_files(self, owner: Tenant) -> None:
        """Write the agents' files to folders that have the present slugs as names."""
        base = django_settings.AGENT_CONFIG_DIR
        for agent in (each for each in self.agents if each.of is owner):
            slugs = owner.row.slug, agent.row.instance_slug
            write_config(base, *slugs, "model: scripted:echo\n", f"{owner.canary} prompt")

    def add_key(self, owner: Tenant, scopes: set[str], only: Agent | None) -> None:
        key, text = make_key(
            owner.row, scopes=sorted(scopes), instance_ids=[only.row.pk] if only else []
        )
        self.unnoticed(key)
        self.callers.append(Caller(owner, text, scopes, key, only))

    def unnoticed(self, key: ApiKey) -> None:
        """Set the key's `last_used_at` ahead, so that its use changes no row."""
        with tenant_context(key.account_id):
            later = timezone.now() + timedelta(hours=1)
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=later)


class ThreeAccounts(Start, RuleBasedStateMachine):
    start: ClassVar[Start]
    run_call: RunCall

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        self.savepoint = transaction.savepoint_create()
        # Copied together, as they point to one another. Rules change them.
        rows = (self.start.tenants, self.start.agents, self.start.callers)
        self.tenants, self.agents, self.callers = deepcopy(rows)
        self.numbers = count(next(self.start.numbers))
        self.talks: list[Talk] = []
        self.found: dict[str, Mapping[str, str]] = {}
        # After how many writes `found` was read.
        self.written = -1

    def teardown(self) -> None:
        transaction.savepoint_rollback(self.savepoint)
        transaction.savepoint_commit(self.savepoint)

    # Rules of operators.

    @rule(data=st.data())
    def rename_account(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.tenants))
        chosen.row.slug = f"renamed-{next(self.numbers)}"
        Account.objects.filter(pk=chosen.row.pk).update(slug=chosen.row.slug)
        self.write_files(chosen)

    @precondition(lambda self: self.talks)
    @rule(data=st.data())
    def suspend_or_reopen_account(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.tenants))
        chosen.is_active = not chosen.is_active
        status = AccountStatus.ACTIVE if chosen.is_active else AccountStatus.SUSPENDED
        Account.objects.filter(pk=chosen.row.pk).update(status=status)

    @precondition(lambda self: len(self.agents) < 9)
    @rule(data=st.data())
    def create_agent(self, data: st.DataObject) -> None:
        self.add_agent(data.draw(st.sampled_from(self.tenants)))

    @rule(data=st.data(), rename=st.booleans())
    def change_agent(self, data: st.DataObject, rename: bool) -> None:  # noqa: FBT001
        chosen = data.draw(st.sampled_from(self.agents))
        if rename:
            chosen.row.instance_slug = f"renamed-{next(self.numbers)}"
        else:
            chosen.is_active = not chosen.is_active
        status = InstanceStatus.ACTIVE if chosen.is_active else InstanceStatus.ARCHIVED
        with tenant_context(chosen.of.row.pk):
            mine = AgentInstance.objects.filter(pk=chosen.row.pk)
            mine.update(instance_slug=chosen.row.instance_slug, status=status)
        self.write_files(chosen.of)

    @rule(data=st.data(), scopes=st.sets(st.sampled_from(Scope.values), min_size=6))
    def issue_key(self, data: st.DataObject, scopes: set[str]) -> None:
        owner = data.draw(st.sampled_from(self.tenants))
        mine = [agent for agent in self.agents if agent.of is owner]
        self.add_key(owner, scopes, data.draw(st.sampled_from([None, *mine])))

    @precondition(lambda self: len(self.callers) > 8)
    @rule(data=st.data())
    def revoke_key(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from([c for c in self.callers if not c.is_visitor]))
        revoke_api_key(chosen.key)
        chosen.is_revoked = True

    # Rules of callers, at every account.

    @rule(data=st.data())
    def rotate(self, data: st.DataObject) -> None:
        caller, agent = self.draw_call(data)
        at = agent.of
        expected = caller.refusal(at) or (403 if caller.is_visitor else 201)
        if expected == 201 and caller.key.rotated_at is not None:
            expected = 409
        body = {"overlap_seconds": 3600}
        answer = self.call(caller, "POST", f"{self.base(at)}/keys/rotate", expected, body=body)
        if answer.status == 201:
            caller.key.rotated_at = timezone.now()
            text = answer.json()["key"]
            with tenant_context(at.row.pk):
                key = ApiKey.objects.get(key_id=text.split("_")[2])
            self.unnoticed(key)
            made = Caller(caller.of, text, caller.scopes, key, caller.only, made_by=caller)
            self.callers.append(made)

    @rule(data=st.data())
    def list_agents(self, data: st.DataObject) -> None:
        caller, agent = self.draw_call(data)
        at = agent.of
        expected = caller.refusal(at, "agents") or 200
        answer = self.call(caller, "GET", f"{self.base(at)}/agents", expected)
        if answer.status == 200:
            listed = {row["instance_slug"] for row in answer.json()["instances"]}
            mine = [a for a in self.agents if a.of is at and a.is_active]
            allowed = [a for a in mine if caller.only in (None, a)]
            assert listed == {agent.row.instance_slug for agent in allowed}

    @rule(data=st.data(), role=st.sampled_from(MemberRole))
    def change_member(self, data: st.DataObject, role: MemberRole) -> None:
        caller, agent = self.draw_call(data)
        at = agent.of
        whose = self.draw(data, [at, *self.tenants])
        member = self.draw(data, list(whose.roles))
        expected = caller.refusal(at, "members") or 200
        if expected == 200 and caller.only is not None:
            expected = 403
        if expected == 200 and whose is not at:
            expected = 404
        # Nobody gives or changes a role above their own; a key is no owner.
        ranks = list(MemberRole)
        if expected == 200 and (
            caller.acts_as is None
            or min(ranks.index(role), ranks.index(whose.roles[member]))
            < ranks.index(caller.acts_as)
        ):
            expected = 403
        path = f"{self.base(at)}/members/{member}"
        answer = self.call(caller, "PATCH", path, expected, body={"role": role})
        if answer.status == 200:
            whose.roles[member] = role

    @rule(data=st.data())
    def start_visitor(self, data: st.DataObject) -> None:
        caller, agent = self.draw_call(data)
        expected = caller.refusal(agent.of, "visitors", agent) or 201
        answer = self.call(caller, "POST", f"{self.path(agent)}/visitors", expected, body={})
        if answer.status == 201:
            token = answer.json()["token"]
            made = Caller(caller.of, token, VISITORS_MAY, caller.key, agent, True, caller)
            self.callers.append(made)

    @rule(data=st.data())
    def chat(self, data: st.DataObject) -> None:
        caller, agent = self.draw_call(data)
        talk = self.draw_talk(data, caller, agent)
        expected = caller.refusal(agent.of, "chat", agent) or 200
        if expected == 200 and talk is not None and not caller.may_see(agent, talk):
            expected = 404
        if expected == 200 and agent.of.spent + RESERVED > BUDGET:
            # Visitors are not told whose money it is.
            expected = 503 if caller.is_visitor else 402
        body: dict[str, Any] = {"message": f"{caller.of.canary} says {next(self.numbers)}"}
        if talk is not None:
            body["session_id"] = str(talk.id)
        answer = self.call(caller, "POST", f"{self.path(agent)}/chat", expected, body=body)
        if answer.status == 200:
            self.note_turn(caller, agent, talk, answer.json())

    def note_turn(
        self, caller: Caller, agent: Agent, talk: Talk | None, answered: Mapping[str, Any]
    ) -> None:
        agent.of.spent += COST
        known = talk or self.own(caller, agent)
        if known is None:
            assert answered["session_id"] not in {str(each.id) for each in self.talks}
            visitor = caller if caller.is_visitor else None
            known = Talk(UUID(answered["session_id"]), agent, visitor)
            self.talks.append(known)
        assert answered["session_id"] == str(known.id)
        known.turns += 1

    @rule(data=st.data())
    def read_history(self, data: st.DataObject) -> None:
        caller, agent = self.draw_call(data)
        talk = self.draw_talk(data, caller, agent)
        expected = caller.refusal(agent.of, "history", agent) or 200
        if expected == 200 and talk is None and not caller.is_visitor:
            expected = 400
        if expected == 200 and talk is not None and not caller.may_see(agent, talk):
            expected = 404
        query = {"session_id": str(talk.id)} if talk else {}
        answer = self.call(caller, "GET", f"{self.path(agent)}/history", expected, query=query)
        if answer.status == 200:
            known = talk or self.own(caller, agent)
            assert len(answer.json()["messages"]) == 2 * (known.turns if known else 0)

    @rule(data=st.data())
    def list_sessions(self, data: st.DataObject) -> None:
        caller, agent = self.draw_call(data)
        expected = caller.refusal(agent.of, "sessions", agent) or 200
        answer = self.call(caller, "GET", f"{self.path(agent)}/sessions", expected)
        if answer.status == 200:
            listed = {row["session_id"] for row in answer.json()["sessions"]}
            mine = [talk for talk in self.talks if caller.may_see(agent, talk)]
            assert listed == {str(talk.id) for talk in mine}

    @precondition(lambda self: self.talks)
    @rule(data=st.data())
    def delete_session(self, data: st.DataObject) -> None:
        caller, agent = self.draw_call(data)
        talk = self.draw_talk(data, caller, agent) or self.draw(data, self.talks)
        expected = caller.refusal(agent.of, "delete", agent) or 204
        if expected == 204 and not caller.may_see(agent, talk):
            expected = 404
        answer = self.call(caller, "DELETE", f"{self.path(agent)}/sessions/{talk.id}", expected)
        if answer.status == 204:
            talk.is_deleted = True

    # Choices of the rules.

    def own(self, caller: Caller, agent: Agent) -> Talk | None:
        if not caller.is_visitor:
            return None
        return next((t for t in self.talks if caller.may_see(agent, t)), None)

    def draw_call(self, data: st.DataObject) -> tuple[Caller, Agent]:
        """Choose a caller and an agent, mostly one that they may call: many calls succeed."""
        visitors = [caller for caller in self.callers if caller.is_visitor]
        some = self.draw(data, [visitors, self.callers]) if visitors else self.callers
        caller = self.draw(data, some)
        home = [agent for agent in self.agents if agent.of is caller.of]
        allowed = [agent for agent in home if caller.only in (None, agent)]
        return caller, self.draw(data, self.draw(data, [allowed, allowed, home, self.agents]))

    def draw_talk(self, data: st.DataObject, caller: Caller, agent: Agent) -> Talk | None:
        """Choose none, or a conversation: mostly one of the caller's."""
        own = [talk for talk in self.talks if caller.may_see(agent, talk)]
        strangers = data.draw(st.integers(0, 2)) == 0
        return self.draw(data, [None, *(self.talks if strangers else own)])

    def draw[T](self, data: st.DataObject, choices: list[T]) -> T:
        return data.draw(st.sampled_from(choices))

    def base(self, at: Tenant) -> str:
        return f"/accounts/{at.row.slug}"

    def path(self, agent: Agent) -> str:
        return f"{self.base(agent.of)}/agents/{agent.row.instance_slug}"

    def call(
        self,
        caller: Caller,
        method: str,
        path: str,
        expected: int,
        *,
        body: Any = None,
        query: dict[str, str] | None = None,
    ) -> Answer:
        """Call, and compare the status, the texts and the changed rows with the model."""
        # Caches of some seconds are not under test.
        clear_caches()
        raw = b"" if body is None else json.dumps(body).encode()
        before = self.all_rows()
        call = ApiClient(caller.text).call(method, path, raw=raw, query=query)
        answer: Answer = self.run_call(call)
        assert answer.status == expected, (answer, expected)
        text = f"{answer.headers} {answer.body.decode()}"
        for other in self.tenants:
            assert other is caller.of or other.canary not in text
        after = self.all_rows()
        for other in self.tenants:
            if other is not caller.of:
                assert after[other.canary] == before[other.canary]
            elif answer.status >= 400 or method == "GET":
                assert but_served(after[other.canary]) == but_served(before[other.canary])
        return answer

    def all_rows(self) -> dict[str, Mapping[str, str]]:
        """Return the rows of each account, read again when something has been written since."""
        if (written := writes()) != self.written:
            self.found = {each.canary: rows_of(each.row) for each in self.tenants}
            self.written = written
        return self.found

    # Invariants.

    @invariant()
    def every_row_is_whose_the_model_says(self) -> None:
        found = {
            row[0]: row[1:]
            for row in self.rows("""
            SELECT s.id, s.account_id, s.agent_instance_id, s.deleted_at IS NOT NULL,
                (SELECT count(*) FROM messages m WHERE m.session_id = s.id
                    AND m.account_id = s.account_id AND m.agent_instance_id = s.agent_instance_id),
                (SELECT count(*) FROM llm_requests r WHERE r.session_id = s.id
                    AND r.account_id = s.account_id AND r.agent_instance_id = s.agent_instance_id)
            FROM sessions s""")
        }
        assert found == {
            talk.id: (
                *(talk.agent.of.row.pk, talk.agent.row.pk, talk.is_deleted),
                *(0 if talk.is_deleted else 2 * talk.turns, talk.turns),
            )
            for talk in self.talks
        }

    @invariant()
    def members_are_what_the_model_says(self) -> None:
        found = {
            (str(i), a): r for i, a, r in self.rows("SELECT id, account_id, role FROM memberships")
        }
        assert found == {
            (member, each.row.pk): role
            for each in self.tenants
            for member, role in each.roles.items()
        }

    @invariant()
    def slugs_follow_every_rename(self) -> None:
        for table in ("sessions", "llm_requests"):
            assert (
                self.rows(
                    f"SELECT t.id FROM {table} t JOIN accounts a ON a.id = t.account_id "  # noqa: S608
                    "JOIN agent_instances i ON i.account_id = t.account_id "
                    "AND i.id = t.agent_instance_id "
                    "WHERE (t.account_slug, t.agent_instance_slug) <> (a.slug, i.instance_slug)"
                )
                == []
            )

    @invariant()
    def budgets_hold_what_was_spent_and_nothing_is_reserved(self) -> None:
        found = {
            row[0]: row[1:]
            for row in self.rows(
                "SELECT b.account_id, b.spent, b.reserved, coalesce(l.running, 0), "
                "(SELECT coalesce(sum(r.charged_cost), 0) FROM llm_requests r "
                "WHERE r.account_id = b.account_id) "
                "FROM budgets b LEFT JOIN account_limits l ON l.account_id = b.account_id"
            )
        }
        assert found == {each.row.pk: (each.spent, 0, 0, each.spent) for each in self.tenants}

    def rows(self, query: str) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())


def but_served(rows: Mapping[str, str]) -> dict[str, str]:
    """Leave out what is written before a call is admitted: its rates, versions and prompts."""
    noted = {"config_versions", "prompt_sections", "rate_states"}
    return {table: found for table, found in rows.items() if table not in noted}


class IsolationMachineTests(TestCase):
    def test_whatever_happens_accounts_do_not_meet(self) -> None:
        folder = Path(self.enterContext(TemporaryDirectory()))
        self.enterContext(override_settings(AGENT_CONFIG_DIR=folder))
        self.enterContext(high_rates())
        self.enterContext(
            mock.patch(
                "sessions_app.turns.plan.cost_estimate",
                return_value=CostEstimate(RESERVED, Decimal(0), Decimal(0)),
            )
        )
        self.enterContext(mock.patch("sessions_app.turns.turn.billable_cost", return_value=COST))
        ThreeAccounts.run_call = staticmethod(self.enterContext(in_this_thread()))
        ThreeAccounts.start = Start()
        ThreeAccounts.start.three_accounts()
        run_state_machine_as_test(
            ThreeAccounts,
            settings=settings(
                max_examples=40,
                stateful_step_count=25,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
