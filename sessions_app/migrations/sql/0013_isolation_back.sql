DROP TRIGGER recorded ON erasures;
ALTER TABLE erasures DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON erasures;
DROP POLICY platform ON erasures;
DROP TRIGGER recorded ON saved_chats;
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name, messages, expected,
    better_answers, is_gate ON saved_chats
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'name',
        'id,account_id,created_at,updated_at',
        'messages,better_answers'
    );
