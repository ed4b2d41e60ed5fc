from importlib import import_module

from django.db import migrations

BEFORE = import_module("sessions_app.migrations.0012_turns")

# Whoever locks several sessions locks them in this order, and before everything else: then nobody
# waits in a circle. Where one is held by somebody, its turn waits alone, not all that came with it.
LOCK = """
CREATE FUNCTION app_lock_sessions(the_account uuid, turns jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    wanted uuid[];
BEGIN
    IF jsonb_array_length(turns) > 1 THEN
        wanted := ARRAY(
            SELECT (turn ->> 'session_id')::uuid FROM jsonb_array_elements(turns) AS turn
        );
        PERFORM FROM sessions WHERE account_id = the_account AND id = ANY(wanted)
            ORDER BY id FOR NO KEY UPDATE NOWAIT;
    END IF;
END
$$
"""

OPEN = """
CREATE FUNCTION app_open_turns(turns jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
-- Turns of one account and agent whose calls count under the same limits: all of them, or none.
DECLARE
    turn jsonb := turns -> 0;
    the_account uuid := turn ->> 'account_id';
    the_instance uuid := turn ->> 'agent_instance_id';
    wanted uuid;
    visitor text;
    person text;
    staff uuid;
    the_session uuid;
    said jsonb;
    messages integer;
    bytes bigint;
    reserved numeric;
    total numeric := 0;
    opened jsonb := '[]';
    taken jsonb;
BEGIN
    PERFORM app_lock_sessions(the_account, turns);
    FOR turn IN SELECT jsonb_array_elements(turns) LOOP
        wanted := turn ->> 'session_id';
        visitor := turn ->> 'session_key';
        person := turn ->> 'end_user';
        staff := turn ->> 'staff_id';
        the_session := NULL;
        said := '[]';
        messages := 0;
        bytes := 0;
        IF wanted IS NOT NULL THEN
            SELECT id INTO the_session FROM sessions
                WHERE account_id = the_account AND id = wanted
                    AND agent_instance_id = the_instance AND deleted_at IS NULL
                    AND (visitor IS NULL OR session_key = visitor)
                    AND (person IS NULL OR end_user = person)
                    AND (staff IS NULL OR user_id = staff)
                FOR NO KEY UPDATE;
            IF the_session IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'no such session';
            END IF;
        ELSIF visitor IS NOT NULL THEN
            SELECT id INTO the_session FROM sessions
                WHERE account_id = the_account AND session_key = visitor
                    AND agent_instance_id = the_instance AND deleted_at IS NULL
                FOR NO KEY UPDATE;
        END IF;
        IF the_session IS NOT NULL THEN
            SELECT coalesce(jsonb_agg(jsonb_build_array(role, content)), '[]'), count(*),
                    coalesce(sum(octet_length(content)), 0)
                INTO said, messages, bytes
                FROM (
                    SELECT role, content FROM messages
                    WHERE account_id = the_account AND session_id = the_session
                        AND agent_instance_id = the_instance AND role IN ('human', 'assistant')
                    ORDER BY created_at DESC, id DESC
                    LIMIT (turn ->> 'most_messages')::integer
                ) AS newest;
        ELSE
            -- Of two first messages of one visitor, the second waits here and finds the first one's
            -- session; its messages are not there yet.
            INSERT INTO sessions (id, account_id, account_slug, agent_instance_id,
                    agent_instance_slug, session_key, end_user, user_id, is_anonymous)
                VALUES ((turn ->> 'new_session_id')::uuid, the_account, turn ->> 'account_slug',
                    the_instance, turn ->> 'agent_instance_slug',
                    coalesce(visitor, turn ->> 'new_session_key'), person, staff,
                    coalesce(person, staff::text) IS NULL)
                ON CONFLICT (session_key) DO UPDATE SET session_key = excluded.session_key
                    WHERE sessions.account_id = excluded.account_id
                        AND sessions.agent_instance_id = excluded.agent_instance_id
                RETURNING id INTO the_session;
            IF the_session IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'another agent''s session';
            END IF;
        END IF;

        -- The most that the turn may cost: what is known of it, and what its history adds.
        reserved := least(9999, round((turn ->> 'cost')::numeric
            + (turn ->> 'cost_per_byte')::numeric * bytes
            + (turn ->> 'cost_per_message')::numeric * messages, 8));
        INSERT INTO llm_requests (id, account_id, account_slug, agent_instance_id,
                agent_instance_slug, agent_type, session_id, config_version_id, provider, model,
                request_body, completion_status, error_code, requests, tokens_estimated,
                cost_source, caller, idempotency_key, idempotency_hash, is_test, reserved_cost)
            VALUES ((turn ->> 'request_id')::uuid, the_account, turn ->> 'account_slug',
                the_instance, turn ->> 'agent_instance_slug', turn ->> 'agent_type', the_session,
                (turn ->> 'config_version_id')::uuid, turn ->> 'provider', turn ->> 'model',
                (turn -> 'request_body')
                    || jsonb_build_object('history_messages', messages, 'history_bytes', bytes),
                'running', '', 0, false, 'unknown', turn ->> 'caller', turn ->> 'idempotency_key',
                coalesce(turn ->> 'idempotency_hash', ''), (turn ->> 'is_test')::boolean, reserved);
        INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
                config_version_id, role, content)
            VALUES ((turn ->> 'message_id')::uuid, the_account, the_instance, the_session,
                (turn ->> 'request_id')::uuid, (turn ->> 'config_version_id')::uuid, 'human',
                turn ->> 'message');
        total := total + reserved;
        opened := opened || jsonb_build_object(
            'session_id', the_session, 'history', said, 'reserved', reserved::text);
    END LOOP;

    taken := app_take_limits(the_account, the_instance, turns -> 0 -> 'rates',
        (turns -> 0 ->> 'most_turns')::integer, jsonb_array_length(turns),
        jsonb_array_length(turns), total, NULL);
    IF taken ->> 'refused' IS NOT NULL THEN
        -- What is refused ends the statement, and with it all that the turns have written.
        RAISE EXCEPTION USING ERRCODE = 'SL429', MESSAGE =
            (taken || jsonb_build_object('cost', total::text))::text;
    END IF;
    RETURN jsonb_build_object('each', opened, 'all', taken -> 'rates');
END
$$
"""

# In the day's row of its model, which only whoever holds the account's limits writes.
COUNT_USAGE = """
CREATE FUNCTION app_count_usage(
    the_account uuid, the_instance uuid, the_day date, turn jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    the_model text := (turn ->> 'provider') || ':' || (turn ->> 'model');
    status text := turn ->> 'completion_status';
    latency integer := turn ->> 'latency_ms';
    price numeric(12, 8) := turn ->> 'total_cost';
    has_failed integer := (status IN ('error', 'partial'))::integer;
    was_cancelled integer := (status = 'cancelled')::integer;
    is_unpriced integer := (price IS NULL)::integer;
    tokens_in integer := coalesce((turn ->> 'prompt_tokens')::integer, 0);
    tokens_cached integer := coalesce((turn ->> 'cached_tokens')::integer, 0);
    tokens_out integer := coalesce((turn ->> 'completion_tokens')::integer, 0);
    was_timed integer := (latency IS NOT NULL)::integer;
    bucket integer := least(33, floor(2 * log(2, greatest(latency, 1)))) + 1;
    buckets integer[];
BEGIN
    UPDATE usage_days SET
            requests = requests + 1,
            failed = failed + has_failed,
            cancelled = cancelled + was_cancelled,
            unpriced = unpriced + is_unpriced,
            input_tokens = input_tokens + tokens_in,
            cached_tokens = cached_tokens + tokens_cached,
            output_tokens = output_tokens + tokens_out,
            cost = cost + coalesce(price, 0),
            latency_ms = latency_ms + coalesce(latency, 0),
            latency_buckets[bucket] = latency_buckets[bucket] + was_timed
        WHERE account_id = the_account AND agent_instance_id = the_instance
            AND day = the_day AND model = the_model;
    IF NOT FOUND THEN
        buckets := array_fill(0, ARRAY[34]);
        buckets[bucket] := was_timed;
        INSERT INTO usage_days (account_id, agent_instance_id, day, model, requests, failed,
                cancelled, unpriced, input_tokens, cached_tokens, output_tokens, cost, latency_ms,
                latency_buckets)
            VALUES (the_account, the_instance, the_day, the_model, 1, has_failed, was_cancelled,
                is_unpriced, tokens_in, tokens_cached, tokens_out, coalesce(price, 0),
                coalesce(latency, 0), buckets);
    END IF;
END
$$
"""

# For who finds a turn abandoned; with the request settled and the account's limits held.
COUNT = """
CREATE FUNCTION app_count_turn(the_account uuid, the_request uuid) RETURNS void
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
    PERFORM app_count_usage(the_account, done.agent_instance_id,
        (coalesce(done.settled_at, done.created_at) AT TIME ZONE 'UTC')::date, to_jsonb(done));
END
$$
"""

SETTLE = """
CREATE FUNCTION app_settle_turns(turns jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
-- Turns of one account and agent: all of them, or none.
DECLARE
    turn jsonb := turns -> 0;
    the_account uuid := turn ->> 'account_id';
    the_instance uuid := turn ->> 'agent_instance_id';
    the_session uuid;
    the_request uuid;
    cost numeric(12, 8);
    moment timestamptz := clock_timestamp();
    settled_at_last timestamptz;
    reserved numeric := 0;
    charged numeric := 0;
    released jsonb;
BEGIN
    PERFORM app_lock_sessions(the_account, turns);
    FOR turn IN SELECT jsonb_array_elements(turns) LOOP
        the_session := turn ->> 'session_id';
        the_request := turn ->> 'request_id';
        cost := turn ->> 'total_cost';
        UPDATE sessions SET
                last_activity_at = moment,
                updated_at = moment,
                turn_count = turn_count + 1,
                total_cost = total_cost + coalesce(cost, 0),
                unpriced_turns = unpriced_turns + (cost IS NULL)::integer,
                last_status = turn ->> 'completion_status'
            WHERE account_id = the_account AND id = the_session;
        UPDATE llm_requests SET
                provider = turn ->> 'provider',
                model = turn ->> 'model',
                completion_status = turn ->> 'completion_status',
                error_code = turn ->> 'error_code',
                requests = (turn ->> 'requests')::integer,
                prompt_tokens = (turn ->> 'prompt_tokens')::integer,
                completion_tokens = (turn ->> 'completion_tokens')::integer,
                cached_tokens = (turn ->> 'cached_tokens')::integer,
                total_tokens = (turn ->> 'total_tokens')::integer,
                tokens_estimated = (turn ->> 'tokens_estimated')::boolean,
                prompt_cost = (turn ->> 'prompt_cost')::numeric,
                completion_cost = (turn ->> 'completion_cost')::numeric,
                total_cost = cost,
                cost_source = turn ->> 'cost_source',
                charged_cost = (turn ->> 'charged_cost')::numeric,
                latency_ms = (turn ->> 'latency_ms')::integer,
                time_to_first_token_ms = (turn ->> 'time_to_first_token_ms')::integer,
                response_body = turn -> 'response_body',
                settled_at = moment
            -- Not by its status: the index of all that run looks smaller than it is, and would be
            -- read.
            WHERE account_id = the_account AND id = the_request AND settled_at IS NULL;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'settled before';
        END IF;
        IF turn ->> 'answer' IS NOT NULL THEN
            INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
                    config_version_id, role, content)
                VALUES ((turn ->> 'answer_id')::uuid, the_account, the_instance, the_session,
                    the_request, (turn ->> 'config_version_id')::uuid, 'assistant',
                    turn ->> 'answer')
                ON CONFLICT (id) DO NOTHING;
        END IF;
        IF (turn ->> 'note_use')::boolean THEN
            UPDATE agent_instances SET last_used_at = moment
                WHERE account_id = the_account AND id = the_instance;
        END IF;
        reserved := reserved + (turn ->> 'reserved')::numeric;
        charged := charged + (turn ->> 'charged_cost')::numeric;
    END LOOP;

    released := app_release_limits(
        the_account, the_instance, jsonb_array_length(turns), reserved, charged, NULL);
    settled_at_last := released ->> 'moment';
    FOR turn IN SELECT jsonb_array_elements(turns) LOOP
        IF (settled_at_last AT TIME ZONE 'UTC')::date <> (moment AT TIME ZONE 'UTC')::date THEN
            -- It counted in the day that began meanwhile: the row must say so too.
            UPDATE llm_requests SET settled_at = settled_at_last
                WHERE account_id = the_account AND id = (turn ->> 'request_id')::uuid;
        END IF;
        PERFORM app_count_usage(
            the_account, the_instance, (settled_at_last AT TIME ZONE 'UTC')::date, turn);
    END LOOP;
    RETURN jsonb_build_object('all', released);
END
$$
"""


class Migration(migrations.Migration):
    """Open and settle the turns that come together together, each by half the statements.

    The functions of 0012 stay: servers that still run while this is migrated call them, and settle
    by them what they have opened.
    """

    dependencies = [("sessions_app", "0013_list_indexes"), ("accounts", "0010_limits_together")]

    operations = [
        migrations.RunSQL("DROP FUNCTION app_count_turn(uuid, uuid)", BEFORE.COUNT),
        migrations.RunSQL(LOCK, "DROP FUNCTION app_lock_sessions(uuid, jsonb)"),
        migrations.RunSQL(OPEN, "DROP FUNCTION app_open_turns(jsonb)"),
        migrations.RunSQL(COUNT_USAGE, "DROP FUNCTION app_count_usage(uuid, uuid, date, jsonb)"),
        migrations.RunSQL(COUNT, "DROP FUNCTION app_count_turn(uuid, uuid)"),
        migrations.RunSQL(SETTLE, "DROP FUNCTION app_settle_turns(jsonb)"),
    ]
