-- Superseded, kept for servers that run while a newer version migrates. See
-- sessions_app/sql/app_settle_turns.sql.
-- Called by servers from before sessions_app.0014.
CREATE OR REPLACE FUNCTION app_settle_turn(turn jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
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
            ON CONFLICT DO NOTHING;
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
$$;
