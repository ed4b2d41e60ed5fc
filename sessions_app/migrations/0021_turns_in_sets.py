from importlib import import_module
from math import isqrt

from django.db import migrations

BEFORE = import_module("sessions_app.migrations.0014_turns_together")
# Milliseconds at which the buckets 1 to 33 begin, each √2 wider than the one before.
# ruff: noqa: S608 - these texts are made of one another, of nothing that anybody sends
BOUNDS = [isqrt(2**i - 1) + 1 for i in range(1, 34)]

# What several turns write to one table is one statement: starting each costs more than its row.
# But a join with a table of turns is planned by what is known of it, and of a young table nothing
# is: it would be read whole. So rows that are there already are found one by one, by their key. And
# no table is read from end to end, as was cheapest when it was empty and the plan was made; until it
# is analysed another index of the account may still be taken than the best.
#
# Whoever locks several sessions locks them by their ids, and before everything else: then nobody
# waits in a circle. Where one is held by somebody they fail at once, and come again one by one.
OPEN = """
CREATE OR REPLACE FUNCTION app_open_turns(turns jsonb) RETURNS jsonb LANGUAGE plpgsql
SET enable_seqscan = off AS $$
-- Turns of one account and agent whose calls count under the same limits: all of them, or none.
DECLARE
    the_account uuid := turns -> 0 ->> 'account_id';
    the_instance uuid := turns -> 0 ->> 'agent_instance_id';
    many integer := jsonb_array_length(turns);
    patience text := current_setting('lock_timeout');
    turn record;
    session record;
    history record;
    -- Each in the order of the turns; nothing of those that begin a conversation.
    known uuid[];
    said jsonb[];
    messages integer[];
    bytes bigint[];
    the_sessions uuid[];
    reserved numeric[];
    total numeric;
    opened jsonb;
    taken jsonb;
BEGIN
    IF turns @? '$[*] ? (@.session_id != null || @.session_key != null)' THEN
        IF many > 1 THEN
            PERFORM set_config('lock_timeout', '1ms', true);
        END IF;
        FOR turn IN
            SELECT *, coalesce(session_id, (
                    SELECT id FROM sessions
                    WHERE account_id = the_account AND session_key = asked.session_key
                        AND agent_instance_id = the_instance AND deleted_at IS NULL
                )) AS wanted
            FROM ROWS FROM (jsonb_to_recordset(turns) AS (
                session_id uuid, session_key text, end_user text, staff_id uuid,
                most_messages integer
            )) WITH ORDINALITY AS asked
            ORDER BY wanted
        LOOP
            CONTINUE WHEN turn.wanted IS NULL;
            SELECT id INTO session FROM sessions
                WHERE account_id = the_account AND id = turn.wanted
                    AND agent_instance_id = the_instance AND deleted_at IS NULL
                    AND (turn.session_key IS NULL OR session_key = turn.session_key)
                    AND (turn.session_id IS NULL OR (
                        (turn.end_user IS NULL OR end_user = turn.end_user)
                        AND (turn.staff_id IS NULL OR user_id = turn.staff_id)))
                FOR NO KEY UPDATE;
            IF FOUND THEN
                SELECT coalesce(jsonb_agg(jsonb_build_array(role, content)), '[]') AS said,
                        count(*) AS messages, coalesce(sum(octet_length(content)), 0) AS bytes
                    INTO history
                    FROM (
                        SELECT role, content FROM messages
                        WHERE account_id = the_account AND session_id = session.id
                            AND agent_instance_id = the_instance
                            AND role IN ('human', 'assistant')
                        ORDER BY created_at DESC, id DESC
                        LIMIT turn.most_messages
                    ) AS newest;
                known[turn.ordinality] := session.id;
                said[turn.ordinality] := history.said;
                messages[turn.ordinality] := history.messages;
                bytes[turn.ordinality] := history.bytes;
            ELSIF turn.session_id IS NOT NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'no such session';
            END IF;
        END LOOP;
        PERFORM set_config('lock_timeout', patience, true);
    END IF;

    -- Of two first messages of one visitor, the second waits here and finds the first one's
    -- session; its messages are not there yet.
    WITH made AS (
        INSERT INTO sessions (id, account_id, account_slug, agent_instance_id,
                agent_instance_slug, session_key, end_user, user_id, is_anonymous)
            SELECT new_session_id, the_account, account_slug, the_instance, agent_instance_slug,
                coalesce(session_key, new_session_key), end_user, staff_id,
                coalesce(end_user, staff_id::text) IS NULL
            FROM ROWS FROM (jsonb_to_recordset(turns) AS (
                new_session_id uuid, account_slug text, agent_instance_slug text, session_key text,
                new_session_key text, end_user text, staff_id uuid
            )) WITH ORDINALITY AS asked
            WHERE known[ordinality] IS NULL
            ON CONFLICT (session_key) DO UPDATE SET session_key = excluded.session_key
                WHERE sessions.account_id = excluded.account_id
                    AND sessions.agent_instance_id = excluded.agent_instance_id
            RETURNING id, session_key
    ), placed AS (
        SELECT ordinality AS place, coalesce(known[ordinality], made.id) AS session_id,
            -- The most that the turn may cost: what is known of it, and what its history adds.
            least(9999, round(cost + cost_per_byte * coalesce(bytes[ordinality], 0)
                + cost_per_message * coalesce(messages[ordinality], 0), 8)) AS most
        FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            session_key text, new_session_key text, cost numeric, cost_per_byte numeric,
            cost_per_message numeric
        )) WITH ORDINALITY AS asked
        LEFT JOIN made ON made.session_key = coalesce(asked.session_key, asked.new_session_key)
    )
    SELECT array_agg(session_id ORDER BY place), array_agg(most ORDER BY place), sum(most),
            jsonb_agg(jsonb_build_object(
                'session_id', session_id, 'history', coalesce(said[place], '[]'),
                'reserved', most::text
            ) ORDER BY place)
        INTO the_sessions, reserved, total, opened FROM placed;
    IF array_position(the_sessions, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'another agent''s session';
    END IF;

    INSERT INTO llm_requests (id, account_id, account_slug, agent_instance_id,
            agent_instance_slug, agent_type, session_id, config_version_id, provider, model,
            request_body, completion_status, error_code, requests, tokens_estimated,
            cost_source, caller, idempotency_key, idempotency_hash, is_test, reserved_cost)
        SELECT request_id, the_account, account_slug, the_instance, agent_instance_slug,
            agent_type, the_sessions[ordinality], config_version_id, provider, model,
            request_body || jsonb_build_object(
                'history_messages', coalesce(messages[ordinality], 0),
                'history_bytes', coalesce(bytes[ordinality], 0)
            ),
            'running', '', 0, false, 'unknown', caller, idempotency_key,
            coalesce(idempotency_hash, ''), is_test, reserved[ordinality]
        FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            request_id uuid, account_slug text, agent_instance_slug text, agent_type text,
            config_version_id uuid, provider text, model text, request_body jsonb, caller text,
            idempotency_key text, idempotency_hash text, is_test boolean
        )) WITH ORDINALITY AS asked;
    INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
            config_version_id, role, content)
        SELECT message_id, the_account, the_instance, the_sessions[ordinality], request_id,
            config_version_id, 'human', message
        FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            message_id uuid, request_id uuid, config_version_id uuid, message text
        )) WITH ORDINALITY AS asked;

    taken := app_take_limits(the_account, the_instance, turns -> 0 -> 'rates',
        (turns -> 0 ->> 'most_turns')::integer, many, many, total, NULL);
    IF taken ->> 'refused' IS NOT NULL THEN
        -- What is refused ends the statement, and with it all that the turns have written.
        RAISE EXCEPTION USING ERRCODE = 'SL429', MESSAGE =
            (taken || jsonb_build_object('cost', total::text))::text;
    END IF;
    RETURN jsonb_build_object('each', opened, 'all', taken -> 'rates');
END
$$
"""

# In the day's row of each model, which only whoever holds the account's limits writes.
COUNT_TURNS = f"""
CREATE FUNCTION app_count_turns(
    the_account uuid, the_instance uuid, the_day date, turns jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    used record;
    bucket integer;
    added integer[];
BEGIN
    FOR used IN
        SELECT provider || ':' || model AS model, count(*)::integer AS requests,
            (count(*) FILTER (WHERE completion_status IN ('error', 'partial')))::integer AS failed,
            (count(*) FILTER (WHERE completion_status = 'cancelled'))::integer AS cancelled,
            (count(*) FILTER (WHERE total_cost IS NULL))::integer AS unpriced,
            coalesce(sum(prompt_tokens), 0) AS input_tokens,
            coalesce(sum(cached_tokens), 0) AS cached_tokens,
            coalesce(sum(completion_tokens), 0) AS output_tokens,
            coalesce(sum(total_cost), 0) AS cost,
            coalesce(sum(latency_ms), 0) AS latency_ms,
            array_agg(width_bucket(latency_ms, ARRAY{BOUNDS}) + 1)
                FILTER (WHERE latency_ms IS NOT NULL) AS buckets
        FROM jsonb_to_recordset(turns) AS asked (
            provider text, model text, completion_status text, total_cost numeric(12, 8),
            prompt_tokens integer, cached_tokens integer, completion_tokens integer,
            latency_ms integer
        )
        GROUP BY 1 ORDER BY 1
    LOOP
        added := array_fill(0, ARRAY[{len(BOUNDS) + 1}]);
        FOREACH bucket IN ARRAY coalesce(used.buckets, '{{}}') LOOP
            added[bucket] := added[bucket] + 1;
        END LOOP;
        UPDATE usage_days SET
                requests = requests + used.requests,
                failed = failed + used.failed,
                cancelled = cancelled + used.cancelled,
                unpriced = unpriced + used.unpriced,
                input_tokens = input_tokens + used.input_tokens,
                cached_tokens = cached_tokens + used.cached_tokens,
                output_tokens = output_tokens + used.output_tokens,
                cost = cost + used.cost,
                latency_ms = latency_ms + used.latency_ms,
                latency_buckets = ARRAY(
                    SELECT was + more
                    FROM unnest(latency_buckets, added) WITH ORDINALITY AS each (was, more, place)
                    ORDER BY place
                )
            WHERE account_id = the_account AND agent_instance_id = the_instance
                AND day = the_day AND model = used.model;
        IF NOT FOUND THEN
            INSERT INTO usage_days (account_id, agent_instance_id, day, model, requests, failed,
                    cancelled, unpriced, input_tokens, cached_tokens, output_tokens, cost,
                    latency_ms, latency_buckets)
                VALUES (the_account, the_instance, the_day, used.model, used.requests, used.failed,
                    used.cancelled, used.unpriced, used.input_tokens, used.cached_tokens,
                    used.output_tokens, used.cost, used.latency_ms, added);
        END IF;
    END LOOP;
END
$$
"""

# For who finds a turn abandoned; with the request settled and the account's limits held.
COUNT = """
CREATE OR REPLACE FUNCTION app_count_turn(the_account uuid, the_request uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    done llm_requests%ROWTYPE;
BEGIN
    SELECT * INTO done FROM llm_requests WHERE account_id = the_account AND id = the_request;
    UPDATE sessions SET
            turn_count = turn_count + 1,
            total_cost = total_cost + coalesce(done.total_cost, 0),
            unpriced_turns = unpriced_turns + (done.total_cost IS NULL)::integer,
            last_status = done.completion_status
        WHERE account_id = the_account AND id = done.session_id;
    PERFORM app_count_turns(the_account, done.agent_instance_id,
        (coalesce(done.settled_at, done.created_at) AT TIME ZONE 'UTC')::date,
        jsonb_build_array(to_jsonb(done)));
END
$$
"""

SETTLE = """
CREATE OR REPLACE FUNCTION app_settle_turns(turns jsonb) RETURNS jsonb LANGUAGE plpgsql
SET enable_seqscan = off AS $$
-- Turns of one account and agent: all of them, or none.
DECLARE
    the_account uuid := turns -> 0 ->> 'account_id';
    the_instance uuid := turns -> 0 ->> 'agent_instance_id';
    many integer := jsonb_array_length(turns);
    patience text := current_setting('lock_timeout');
    moment timestamptz := clock_timestamp();
    turn record;
    reserved numeric := 0;
    charged numeric := 0;
    is_news boolean := false;
    released jsonb;
    settled_at_last timestamptz;
BEGIN
    -- Of rows only: a table that grows is locked for moments too, and is worth waiting for.
    IF many > 1 THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    FOR turn IN
        SELECT * FROM jsonb_to_recordset(turns) AS asked (session_id uuid) ORDER BY session_id
    LOOP
        PERFORM FROM sessions WHERE account_id = the_account AND id = turn.session_id
            FOR NO KEY UPDATE;
    END LOOP;
    PERFORM set_config('lock_timeout', patience, true);

    FOR turn IN
        SELECT * FROM jsonb_to_recordset(turns) AS asked (
            session_id uuid, request_id uuid, provider text, model text, completion_status text,
            error_code text, requests integer, prompt_tokens integer, completion_tokens integer,
            cached_tokens integer, total_tokens integer, tokens_estimated boolean,
            prompt_cost numeric(12, 8), completion_cost numeric(12, 8), total_cost numeric(12, 8),
            cost_source text, charged_cost numeric, latency_ms integer,
            time_to_first_token_ms integer, response_body jsonb, reserved numeric, note_use boolean
        )
    LOOP
        UPDATE sessions SET
                last_activity_at = moment,
                updated_at = moment,
                turn_count = turn_count + 1,
                total_cost = sessions.total_cost + coalesce(turn.total_cost, 0),
                unpriced_turns = unpriced_turns + (turn.total_cost IS NULL)::integer,
                last_status = turn.completion_status
            WHERE account_id = the_account AND id = turn.session_id;
        UPDATE llm_requests SET
                provider = turn.provider,
                model = turn.model,
                completion_status = turn.completion_status,
                error_code = turn.error_code,
                requests = turn.requests,
                prompt_tokens = turn.prompt_tokens,
                completion_tokens = turn.completion_tokens,
                cached_tokens = turn.cached_tokens,
                total_tokens = turn.total_tokens,
                tokens_estimated = turn.tokens_estimated,
                prompt_cost = turn.prompt_cost,
                completion_cost = turn.completion_cost,
                total_cost = turn.total_cost,
                cost_source = turn.cost_source,
                charged_cost = turn.charged_cost,
                latency_ms = turn.latency_ms,
                time_to_first_token_ms = turn.time_to_first_token_ms,
                response_body = turn.response_body,
                settled_at = moment
            -- Not by its status: the index of all that run looks smaller than it is, and would be
            -- read.
            WHERE account_id = the_account AND id = turn.request_id AND settled_at IS NULL;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'settled before';
        END IF;
        reserved := reserved + turn.reserved;
        charged := charged + turn.charged_cost;
        is_news := is_news OR turn.note_use;
    END LOOP;

    INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
            config_version_id, role, content)
        SELECT answer_id, the_account, the_instance, session_id, request_id, config_version_id,
            'assistant', answer
        FROM jsonb_to_recordset(turns) AS asked (
            answer_id uuid, session_id uuid, request_id uuid, config_version_id uuid, answer text
        )
        WHERE answer IS NOT NULL
        ON CONFLICT (id) DO NOTHING;
    IF is_news THEN
        UPDATE agent_instances SET last_used_at = moment
            WHERE account_id = the_account AND id = the_instance;
    END IF;

    released := app_release_limits(the_account, the_instance, many, reserved, charged, NULL);
    settled_at_last := released ->> 'moment';
    IF (settled_at_last AT TIME ZONE 'UTC')::date <> (moment AT TIME ZONE 'UTC')::date THEN
        -- They count in the day that began meanwhile: the rows must say so too.
        FOR turn IN SELECT * FROM jsonb_to_recordset(turns) AS asked (request_id uuid) LOOP
            UPDATE llm_requests SET settled_at = settled_at_last
                WHERE account_id = the_account AND id = turn.request_id;
        END LOOP;
    END IF;
    PERFORM app_count_turns(
        the_account, the_instance, (settled_at_last AT TIME ZONE 'UTC')::date, turns);
    RETURN jsonb_build_object('all', released);
END
$$
"""


def again(function: str) -> str:
    return function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)


class Migration(migrations.Migration):
    """Write what several turns write to a table by one statement, and count them at once.

    The functions keep what they take and give, so servers that still run go on with these. A call
    that is under way ends with what it began with: app_lock_sessions and app_count_usage stay.
    """

    dependencies = [("sessions_app", "0020_mark_copies")]

    operations = [
        migrations.RunSQL(COUNT_TURNS, "DROP FUNCTION app_count_turns(uuid, uuid, date, jsonb)"),
        migrations.RunSQL(COUNT, again(BEFORE.COUNT)),
        migrations.RunSQL(OPEN, again(BEFORE.OPEN)),
        migrations.RunSQL(SETTLE, again(BEFORE.SETTLE)),
    ]
