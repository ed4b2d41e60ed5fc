-- Writes an event into the outbox: one row for each endpoint of the account that asks for it.
--
-- the_event     a name of WebhookEvent
-- the_message   the header webhook-id: an event that was written before is not written again
-- the_data      what the body holds as “data”: ids and figures, no texts
--
-- Called in the transaction of what happened, so that the event is there if and only if that is.
-- Locks, in this order: the endpoints, against deletion; the new webhook_deliveries rows. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_publish(
    the_account uuid,
    the_event text,
    the_message text,
    the_data jsonb
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO webhook_deliveries (id, account_id, endpoint_id, message_id, event, data)
        SELECT gen_random_uuid(), the_account, id, the_message, the_event, the_data
        FROM webhook_endpoints
        WHERE account_id = the_account AND is_enabled AND the_event = ANY (events)
        -- One that is being deleted is left out, and breaks no turn.
        FOR KEY SHARE
        ON CONFLICT DO NOTHING
$$;
