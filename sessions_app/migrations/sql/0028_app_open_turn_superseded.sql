-- Superseded, kept for servers that run while a newer version migrates. See
-- sessions_app/sql/app_open_turns.sql.
-- Called by servers from before sessions_app.0014.
CREATE OR REPLACE FUNCTION app_open_turn(turn jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
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
            ON CONFLICT (session_key, account_id) DO UPDATE SET session_key = excluded.session_key
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
$$;
