CREATE POLICY tenant ON agent_instances TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON agent_instances TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE agent_instances ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON config_versions TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON config_versions TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE config_versions ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON provider_connections TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON provider_connections TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE provider_connections ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON config_drafts TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON config_drafts TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE config_drafts ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON config_publications TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON config_publications TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE config_publications ENABLE ROW LEVEL SECURITY;
