-- Trigger function: writes session.closed into the outbox when a session is closed or deleted.
--
-- Locks: new webhook_deliveries rows. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_publish_session() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM webhook_endpoints
        WHERE account_id = NEW.account_id AND is_enabled AND 'session.closed' = ANY (events)
    ) THEN
        PERFORM app_publish(
            NEW.account_id,
            'session.closed',
            'msg_' || replace(gen_random_uuid()::text, '-', ''),
            jsonb_build_object(
                'session_id', NEW.id,
                'reason', CASE WHEN NEW.deleted_at IS NULL THEN 'closed' ELSE 'deleted' END,
                'agent', NEW.agent_instance_slug,
                'agent_id', NEW.agent_instance_id,
                -- A deleted session has none any more.
                'end_user', NEW.end_user,
                'turns', NEW.turn_count,
                'cost', NEW.total_cost::text,
                'unpriced_turns', NEW.unpriced_turns,
                'feedback', CASE NEW.feedback WHEN 1 THEN 'good' WHEN -1 THEN 'bad' END
            )
        );
    END IF;
    RETURN NULL;
END
$$;
