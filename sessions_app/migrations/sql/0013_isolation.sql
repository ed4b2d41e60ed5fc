ALTER TABLE erasures DROP CONSTRAINT erasures_pkey, ADD PRIMARY KEY (id, account_id);
CREATE POLICY tenant ON erasures TO salient_tenant USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON erasures TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE erasures ENABLE ROW LEVEL SECURITY;
CREATE TRIGGER recorded AFTER INSERT OR UPDATE OF finished_at ON erasures
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'person_hash',
        'id,account_id,created_at,position',
        ''
    );
-- What an answer must contain are words, too, and the log is for ever.
DROP TRIGGER recorded ON saved_chats;
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name, messages, expected,
    better_answers, is_gate ON saved_chats
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'name',
        'id,account_id,created_at,updated_at',
        'messages,expected,better_answers'
    );
