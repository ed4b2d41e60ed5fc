-- Opens turns of one account and one agent whose calls count under the same limits: all or none.
--
-- For each turn it finds or makes the session, reads the newest messages, stores the user's
-- message and a running llm_requests row; then it takes the limits of all of them at once.
--
-- turns: [{
--     "agent_instance_id", "account_slug", "agent_instance_slug", "agent_type",   the same in all
--     "rates", "most_turns",        as app_take_limits takes them; the same in all
--     "session_id",                 an existing session, or null
--     "session_key",                the visitor's key, or null
--     "end_user", "staff_id",       whose session it must be, where not null
--     "new_session_id", "new_session_key",   for a session that is made
--     "request_id", "message_id", "message", "config_version_id", "provider", "model",
--     "message_role",               optional: human, or tool for results of client tools
--     "message_tools",              optional: those results, kept as the message's meta -> tools
--     "is_stored",                  optional: false keeps no message, and a new session is deleted
--     "request_body", "caller", "is_test", "server_process_id",
--     "idempotency_key", "idempotency_hash",   optional
--     "most_messages",              how many messages of the history are read
--     "cost", "cost_per_byte", "cost_per_message"   USD, of which the reservation is made
-- }]
-- Returns {"each": [{"session_id", "history": [[role, content], …] newest first, "reserved"}],
--     "all": rates as app_take_limits returns them}. A message with calls or results of client tools
--     is [role, content, meta -> tools].
--
-- Locks, in this order: “turns” of the agent, shared (accounts/tenancy/locks.py); existing sessions by id; new sessions; new llm_requests and messages; then
-- those of app_take_limits. With more than one turn a locked session is not waited for (55P03):
-- the caller opens them one by one.
-- Raises: SL404 no such session; SL423 the session is closed; SL429 refused by a limit (the message is app_take_limits' JSON
-- with "cost"); 55P03; 23505 uq_llm_requests_running_in_session or uq_llm_requests_idempotency.
--
-- Sequential scans are off: plans are made while tables are small and kept when they have grown.
-- Rows that may exist are found one by one, because a join with a table that was never analysed
-- may read all of it. New rows are written by one statement a table.
CREATE OR REPLACE FUNCTION app_open_turns(the_account uuid, turns jsonb) RETURNS jsonb
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    the_instance uuid := turns -> 0 ->> 'agent_instance_id';
    many integer := jsonb_array_length(turns);
    caller_timeout text := current_setting('lock_timeout');
    turn record;
    session record;
    history record;
    -- In the order of the turns; null for a turn that begins a conversation.
    known uuid[];
    histories jsonb[];
    messages integer[];
    bytes bigint[];
    the_sessions uuid[];
    reserved numeric[];
    total numeric;
    opened jsonb;
    limits jsonb;
BEGIN
    -- A rename has this lock of each of its agents alone, before it locks the account or the agent.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('turns/' || the_instance, 0));
    -- Existing sessions are locked by id, before any other row.
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
            SELECT id, closed_at INTO session FROM sessions
                WHERE account_id = the_account AND id = turn.wanted
                    AND agent_instance_id = the_instance AND deleted_at IS NULL
                    AND (turn.session_key IS NULL OR session_key = turn.session_key)
                    AND (turn.session_id IS NULL OR (
                        (turn.end_user IS NULL OR end_user = turn.end_user)
                        AND (turn.staff_id IS NULL OR user_id = turn.staff_id)))
                FOR NO KEY UPDATE;
            IF FOUND AND session.closed_at IS NOT NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'SL423', MESSAGE = 'the session is closed';
            ELSIF FOUND THEN
                SELECT coalesce(jsonb_agg(
                            CASE WHEN tools IS NULL THEN jsonb_build_array(role, content)
                                ELSE jsonb_build_array(role, content, tools) END), '[]') AS texts,
                        count(*) AS messages,
                        coalesce(sum(octet_length(content)
                            + coalesce(octet_length(tools::text), 0)), 0) AS bytes
                    INTO history
                    FROM (
                        SELECT role, content, meta -> 'tools' AS tools FROM messages
                        WHERE account_id = the_account AND session_id = session.id
                            AND agent_instance_id = the_instance
                            AND role IN ('human', 'assistant', 'tool')
                        ORDER BY created_at DESC, id DESC
                        LIMIT turn.most_messages
                    ) AS newest;
                known[turn.ordinality] := session.id;
                histories[turn.ordinality] := history.texts;
                messages[turn.ordinality] := history.messages;
                bytes[turn.ordinality] := history.bytes;
            ELSIF turn.session_id IS NOT NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'no such session';
            END IF;
        END LOOP;
        PERFORM set_config('lock_timeout', caller_timeout, true);
    END IF;

    -- Of two first messages of one visitor the second waits here and gets the session of the first.
    -- The messages of the first are not visible yet.
    WITH made AS (
        INSERT INTO sessions (id, account_id, account_slug, agent_instance_id,
                agent_instance_slug, session_key, end_user, user_id, is_anonymous, deleted_at)
            SELECT new_session_id, the_account, account_slug, the_instance, agent_instance_slug,
                coalesce(session_key, new_session_key),
                CASE WHEN coalesce(is_stored, true) THEN end_user END, staff_id,
                coalesce(end_user, staff_id::text) IS NULL,
                CASE WHEN NOT coalesce(is_stored, true) THEN now() END
            FROM ROWS FROM (jsonb_to_recordset(turns) AS (
                new_session_id uuid, account_slug text, agent_instance_slug text, session_key text,
                new_session_key text, end_user text, staff_id uuid, is_stored boolean
            )) WITH ORDINALITY AS asked
            WHERE known[ordinality] IS NULL
            ON CONFLICT (session_key, account_id) DO UPDATE SET session_key = excluded.session_key
                WHERE sessions.agent_instance_id = excluded.agent_instance_id
            RETURNING id, session_key
    ), placed AS (
        SELECT ordinality AS place, coalesce(known[ordinality], made.id) AS session_id,
            -- The most that the turn may cost: the request itself, and what its history adds.
            least(999999999, round(cost + cost_per_byte * coalesce(bytes[ordinality], 0)
                + cost_per_message * coalesce(messages[ordinality], 0), 8)) AS most
        FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            session_key text, new_session_key text, cost numeric, cost_per_byte numeric,
            cost_per_message numeric
        )) WITH ORDINALITY AS asked
        LEFT JOIN made ON made.session_key = coalesce(asked.session_key, asked.new_session_key)
    )
    SELECT array_agg(session_id ORDER BY place), array_agg(most ORDER BY place), sum(most),
            jsonb_agg(jsonb_build_object(
                'session_id', session_id, 'history', coalesce(histories[place], '[]'),
                'reserved', most::text
            ) ORDER BY place)
        INTO the_sessions, reserved, total, opened FROM placed;
    IF array_position(the_sessions, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'another agent''s session';
    END IF;

    INSERT INTO llm_requests (id, account_id, account_slug, agent_instance_id,
            agent_instance_slug, agent_type, session_id, config_version_id, provider, model,
            request_body, completion_status, error_code, requests, tokens_estimated,
            cost_source, caller, idempotency_key, idempotency_hash, is_test, server_process_id,
            reserved_cost)
        SELECT request_id, the_account, account_slug, the_instance, agent_instance_slug,
            agent_type, the_sessions[ordinality], config_version_id, provider, model,
            request_body || jsonb_build_object(
                'history_messages', coalesce(messages[ordinality], 0),
                'history_bytes', coalesce(bytes[ordinality], 0)
            ),
            'running', '', 0, false, 'unknown', caller, idempotency_key,
            coalesce(idempotency_hash, ''), is_test, server_process_id, reserved[ordinality]
        FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            request_id uuid, account_slug text, agent_instance_slug text, agent_type text,
            config_version_id uuid, provider text, model text, request_body jsonb, caller text,
            idempotency_key text, idempotency_hash text, is_test boolean, server_process_id uuid
        )) WITH ORDINALITY AS asked;
    INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
            config_version_id, role, content, meta)
        SELECT message_id, the_account, the_instance, the_sessions[ordinality], request_id,
            config_version_id, coalesce(message_role, 'human'), message,
            CASE WHEN message_tools IS NOT NULL
                THEN jsonb_build_object('tools', message_tools) END
        FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            message_id uuid, request_id uuid, config_version_id uuid, message text,
            message_role text, message_tools jsonb, is_stored boolean
        )) WITH ORDINALITY AS asked
        WHERE coalesce(is_stored, true);

    limits := app_take_limits(the_account, the_instance, turns -> 0 -> 'rates',
        (turns -> 0 ->> 'most_turns')::integer, many, many, total, NULL);
    IF limits ->> 'refused' IS NOT NULL THEN
        -- The error rolls the statement back, with all rows that it has written.
        RAISE EXCEPTION USING ERRCODE = 'SL429', MESSAGE =
            (limits || jsonb_build_object('cost', total::text))::text;
    END IF;
    RETURN jsonb_build_object('each', opened, 'all', limits -> 'rates');
END
$$;
