-- Superseded, kept for servers that run while a newer version migrates. See
-- sessions_app/sql/app_open_turns.sql.
-- Called by a call that began before sessions_app.0021.
CREATE OR REPLACE FUNCTION app_lock_sessions(the_account uuid, turns jsonb) RETURNS void
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
$$;
