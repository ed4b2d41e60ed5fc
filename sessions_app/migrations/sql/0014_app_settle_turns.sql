CREATE OR REPLACE FUNCTION app_settle_turns(turns jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
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
$$;
