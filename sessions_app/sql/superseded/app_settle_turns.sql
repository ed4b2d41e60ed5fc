-- Superseded, kept for servers that run while a newer version migrates. See
-- sessions_app/sql/app_settle_turns.sql.
-- Called by servers from before sessions_app.0028.
CREATE OR REPLACE FUNCTION app_settle_turns(turns jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN app_settle_turns((turns -> 0 ->> 'account_id')::uuid, turns);
END
$$;
