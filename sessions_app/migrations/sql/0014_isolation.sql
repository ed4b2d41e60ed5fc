ALTER TABLE legal_holds DROP CONSTRAINT legal_holds_pkey, ADD PRIMARY KEY (id, account_id);
CREATE POLICY tenant ON legal_holds TO salient_tenant USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON legal_holds TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE legal_holds ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON retentions TO salient_tenant USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON retentions TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE retentions ENABLE ROW LEVEL SECURITY;
CREATE TRIGGER recorded AFTER INSERT OR UPDATE OF released_at ON legal_holds
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'reason',
        'id,account_id,created_at',
        ''
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF texts_days, figures_days ON retentions
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'account_id',
        'account_id,updated_at,finished_at,erased_sessions,erased_figures,held_sessions',
        ''
    );
