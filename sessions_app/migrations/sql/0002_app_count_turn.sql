-- Adds one settled turn to its session and to its day, as read from its llm_requests row.
--
-- For a turn that was found abandoned and settled by the application.
-- the_account, the_request   the settled llm_requests row
-- Locks, in this order: the session; usage_days. The caller holds the account_limits row.
-- Raises: nothing of its own.
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
$$;
