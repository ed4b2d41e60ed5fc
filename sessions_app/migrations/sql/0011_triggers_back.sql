DROP TRIGGER recorded ON saved_chats;
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name, messages, expected, is_gate ON
    saved_chats
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'name',
        'id,account_id,created_at,updated_at',
        'messages'
    );
DROP TRIGGER recorded ON message_feedback;
