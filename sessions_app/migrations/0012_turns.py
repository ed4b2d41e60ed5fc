from django.db import migrations

OPEN = """
CREATE FUNCTION app_open_turn(turn jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    the_account uuid := turn ->> 'account_id';
    the_instance uuid := turn ->> 'agent_instance_id';
    wanted uuid := turn ->> 'session_id';
    visitor text := turn ->> 'session_key';
    person text := turn ->> 'end_user';
    staff uuid := turn ->> 'staff_id';
    the_session uuid;
    said jsonb := '[]';
    messages integer := 0;
    bytes bigint := 0;
    reserved numeric;
    taken jsonb;
BEGIN
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
            request_body, completion_status, error_code, requests, tokens_estimated, cost_source,
            caller, idempotency_key, idempotency_hash, is_test, reserved_cost)
        VALUES ((turn ->> 'request_id')::uuid, the_account, turn ->> 'account_slug', the_instance,
            turn ->> 'agent_instance_slug', turn ->> 'agent_type', the_session,
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

    taken := app_take_limits(the_account, the_instance,
        ARRAY(SELECT jsonb_array_elements_text(turn -> 'policies')),
        ARRAY(SELECT jsonb_array_elements_text(turn -> 'subjects')),
        ARRAY(SELECT jsonb_array_elements_text(turn -> 'quotas'))::integer[],
        (turn ->> 'most_turns')::integer, true, reserved, NULL);
    IF taken ->> 'refused' IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'SL429', MESSAGE =
            (taken || jsonb_build_object('cost', reserved::text))::text;
    END IF;
    RETURN jsonb_build_object('session_id', the_session, 'history', said,
        'reserved', reserved::text, 'rates', taken -> 'rates');
END
$$
"""

# Both who settles a turn in time and who finds it abandoned call it, with the request settled.
COUNT = """
CREATE FUNCTION app_count_turn(the_account uuid, the_request uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    done llm_requests%ROWTYPE;
    bucket integer;
    buckets integer[];
BEGIN
    SELECT * INTO done FROM llm_requests WHERE account_id = the_account AND id = the_request;
    UPDATE sessions SET
            turn_count = turn_count + 1,
            total_cost = total_cost + coalesce(done.total_cost, 0),
            unpriced_turns = unpriced_turns + (done.total_cost IS NULL)::integer,
            last_status = done.completion_status
        WHERE account_id = the_account AND id = done.session_id;
    bucket := least(33, floor(2 * log(2, greatest(done.latency_ms, 1)))) + 1;
    buckets := array_fill(0, ARRAY[34]);
    IF done.latency_ms IS NOT NULL THEN
        buckets[bucket] := 1;
    END IF;
    INSERT INTO usage_days AS days (account_id, agent_instance_id, day, model, requests, failed,
            cancelled, unpriced, input_tokens, cached_tokens, output_tokens, cost, latency_ms,
            latency_buckets)
        VALUES (the_account, done.agent_instance_id,
            (coalesce(done.settled_at, done.created_at) AT TIME ZONE 'UTC')::date,
            done.provider || ':' || done.model, 1,
            (done.completion_status IN ('error', 'partial'))::integer,
            (done.completion_status = 'cancelled')::integer, (done.total_cost IS NULL)::integer,
            coalesce(done.prompt_tokens, 0), coalesce(done.cached_tokens, 0),
            coalesce(done.completion_tokens, 0), coalesce(done.total_cost, 0),
            coalesce(done.latency_ms, 0), buckets)
        ON CONFLICT (account_id, agent_instance_id, day, model) DO UPDATE SET
            requests = days.requests + 1,
            failed = days.failed + excluded.failed,
            cancelled = days.cancelled + excluded.cancelled,
            unpriced = days.unpriced + excluded.unpriced,
            input_tokens = days.input_tokens + excluded.input_tokens,
            cached_tokens = days.cached_tokens + excluded.cached_tokens,
            output_tokens = days.output_tokens + excluded.output_tokens,
            cost = days.cost + excluded.cost,
            latency_ms = days.latency_ms + excluded.latency_ms,
            latency_buckets[bucket] = days.latency_buckets[bucket]
                + (done.latency_ms IS NOT NULL)::integer;
END
$$
"""

SETTLE = """
CREATE FUNCTION app_settle_turn(turn jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    the_account uuid := turn ->> 'account_id';
    the_instance uuid := turn ->> 'agent_instance_id';
    the_session uuid := turn ->> 'session_id';
    the_request uuid := turn ->> 'request_id';
    moment timestamptz := clock_timestamp();
    released jsonb;
BEGIN
    UPDATE sessions SET last_activity_at = moment, updated_at = moment
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
            total_cost = (turn ->> 'total_cost')::numeric,
            cost_source = turn ->> 'cost_source',
            charged_cost = (turn ->> 'charged_cost')::numeric,
            latency_ms = (turn ->> 'latency_ms')::integer,
            time_to_first_token_ms = (turn ->> 'time_to_first_token_ms')::integer,
            response_body = turn -> 'response_body',
            settled_at = moment
        -- Not by its status: the index of all that run looks smaller than it is, and would be read.
        WHERE account_id = the_account AND id = the_request AND settled_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'settled before';
    END IF;
    IF turn ->> 'answer' IS NOT NULL THEN
        INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
                config_version_id, role, content)
            VALUES ((turn ->> 'answer_id')::uuid, the_account, the_instance, the_session,
                the_request, (turn ->> 'config_version_id')::uuid, 'assistant', turn ->> 'answer')
            ON CONFLICT (id) DO NOTHING;
    END IF;
    IF (turn ->> 'note_use')::boolean THEN
        UPDATE agent_instances SET last_used_at = moment
            WHERE account_id = the_account AND id = the_instance;
    END IF;
    released := app_release_limits(the_account, the_instance, (turn ->> 'reserved')::numeric,
        (turn ->> 'charged_cost')::numeric, NULL);
    IF ((released ->> 'moment')::timestamptz AT TIME ZONE 'UTC')::date
        <> (moment AT TIME ZONE 'UTC')::date THEN
        -- It counted in the day that began meanwhile: the row must say so too.
        UPDATE llm_requests SET settled_at = (released ->> 'moment')::timestamptz
            WHERE account_id = the_account AND id = the_request;
    END IF;
    PERFORM app_count_turn(the_account, the_request);
    RETURN released;
END
$$
"""


class Migration(migrations.Migration):
    """Open a turn in one statement, and settle it in one."""

    dependencies = [("sessions_app", "0011_usage"), ("accounts", "0005_limits")]

    operations = [
        # Each turn writes a row of it: as accounts' 0008_hot_rows.
        migrations.RunSQL(
            "ALTER TABLE usage_days SET (fillfactor = 50)",
            "ALTER TABLE usage_days RESET (fillfactor)",
        ),
        migrations.RunSQL(OPEN, "DROP FUNCTION app_open_turn(jsonb)"),
        migrations.RunSQL(COUNT, "DROP FUNCTION app_count_turn(uuid, uuid)"),
        migrations.RunSQL(SETTLE, "DROP FUNCTION app_settle_turn(jsonb)"),
    ]
