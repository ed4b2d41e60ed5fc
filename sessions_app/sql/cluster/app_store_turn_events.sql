-- As sql/app_store_turn_events.sql does, in the words that Citus' planner sends to one worker: each
-- statement writes one row of VALUES, or has account_id = a variable; no INSERT … SELECT, no CTE that
-- writes, nothing STABLE over a column. tests/schema/test_cluster_functions.py compares the two.
-- Locks, raises: as the plain one.
CREATE OR REPLACE FUNCTION app_store_turn_events(the_account uuid, turns jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    turn record;
BEGIN
    FOR turn IN
        SELECT * FROM jsonb_to_recordset(turns) AS asked (
            request_id uuid, first_number integer, events jsonb
        )
    LOOP
        INSERT INTO turn_event_batches (id, account_id, llm_request_id, first_number, events)
            VALUES (gen_random_uuid(), the_account, turn.request_id, turn.first_number, turn.events)
            ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN '{"all": null}';
END
$$;
