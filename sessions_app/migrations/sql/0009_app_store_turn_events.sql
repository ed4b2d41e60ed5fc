-- Stores what has happened in background turns of one account, for readers in other processes.
--
-- the_account   whose turns
-- turns   [{
--     "request_id",
--     "first_number",   the place of the first event in the turn, from 0
--     "events"          array, as sessions_app/background/event_log.py writes it
-- }]
-- Returns {"all": null}. A batch that is stored already stays as it is: a call may be repeated.
--
-- Locks: the new turn_event_batches rows; their llm_requests rows FOR KEY SHARE. Raises: 23503 a
-- turn that is not there.
CREATE OR REPLACE FUNCTION app_store_turn_events(the_account uuid, turns jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO turn_event_batches (id, account_id, llm_request_id, first_number, events)
        SELECT gen_random_uuid(), the_account, request_id, first_number, events
        FROM jsonb_to_recordset(turns) AS asked (
            request_id uuid, first_number integer, events jsonb
        )
        ON CONFLICT DO NOTHING;
    RETURN '{"all": null}';
END
$$;
