CREATE POLICY tenant ON config_drafts TO salient_tenant USING (account_id = (SELECT app_current_account())) WITH CHECK (account_id = (SELECT app_current_account()));
CREATE POLICY platform ON config_drafts TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE config_drafts ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON config_publications TO salient_tenant USING (account_id = (SELECT app_current_account())) WITH CHECK (account_id = (SELECT app_current_account()));
CREATE POLICY platform ON config_publications TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE config_publications ENABLE ROW LEVEL SECURITY;
