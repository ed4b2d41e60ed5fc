-- As sql/app_publish.sql does, in the words that Citus' planner sends to one worker: each
-- statement writes one row of VALUES, or has account_id = a variable; no INSERT … SELECT, no CTE that
-- writes, nothing STABLE over a column. tests/schema/test_cluster_functions.py compares the two.
-- Locks: the new webhook_deliveries rows. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_publish(
    the_account uuid,
    the_event text,
    the_message text,
    the_data jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    endpoint record;
BEGIN
    FOR endpoint IN
        SELECT id FROM webhook_endpoints
        WHERE account_id = the_account AND is_enabled AND the_event = ANY (events)
    LOOP
        INSERT INTO webhook_deliveries (id, account_id, endpoint_id, message_id, event, data)
            VALUES (gen_random_uuid(), the_account, endpoint.id, the_message, the_event, the_data)
            ON CONFLICT DO NOTHING;
    END LOOP;
END
$$;
