-- Trigger function: writes feedback.created into the outbox when an answer gets a rating, or
-- another one than before. The comment is a text and stays here.
--
-- Locks: new webhook_deliveries rows. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_publish_feedback() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.rating = NEW.rating THEN
            RETURN NULL;
        END IF;
    END IF;
    IF EXISTS (
        SELECT FROM webhook_endpoints
        WHERE account_id = NEW.account_id AND is_enabled AND 'feedback.created' = ANY (events)
    ) THEN
        PERFORM app_publish(
            NEW.account_id,
            'feedback.created',
            'msg_' || replace(gen_random_uuid()::text, '-', ''),
            jsonb_build_object(
                'feedback_id', NEW.id,
                'rating', CASE NEW.rating WHEN 1 THEN 'good' ELSE 'bad' END,
                'has_comment', NEW.comment <> '',
                'message_id', NEW.message_id,
                'turn_id', messages.llm_request_id,
                'session_id', NEW.session_id,
                'agent', agent_instances.instance_slug,
                'agent_id', NEW.agent_instance_id
            )
        )
        FROM messages JOIN agent_instances
            ON agent_instances.account_id = NEW.account_id
                AND agent_instances.id = NEW.agent_instance_id
        WHERE messages.account_id = NEW.account_id AND messages.id = NEW.message_id;
    END IF;
    RETURN NULL;
END
$$;
