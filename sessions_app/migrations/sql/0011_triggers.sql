CREATE TRIGGER recorded AFTER UPDATE OF status ON message_feedback
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION app_record_change(
        'message_id',
        'id,account_id,agent_instance_id,session_id,message_id,rating,comment,caller,handled_by,handled_at,created_at,updated_at',
        ''
    );
DROP TRIGGER recorded ON saved_chats;
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name, messages, expected,
    better_answers, is_gate ON saved_chats
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'name',
        'id,account_id,created_at,updated_at',
        'messages,better_answers'
    );
