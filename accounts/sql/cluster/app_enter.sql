-- Enters a context: the role, the account, the time limit and the actor, until the transaction ends.
--
-- The context's own set_config() would stay on the coordinator: only a statement SET LOCAL travels to
-- the workers, with citus.propagate_set_commands = local. Roles are the coordinator's own.
-- Locks: none. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_enter(
    the_role text, the_account text, the_timeout text, the_actor text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL app.account_id TO %L', the_account);
    EXECUTE format('SET LOCAL app.actor TO %L', the_actor);
    EXECUTE format('SET LOCAL statement_timeout TO %L', the_timeout);
    EXECUTE 'SET LOCAL lock_timeout TO ''2s''';
    EXECUTE 'SET LOCAL idle_in_transaction_session_timeout TO ''10s''';
    PERFORM set_config('role', the_role, true);
END $$;
