ALTER TABLE provider_connections DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON provider_connections;
DROP POLICY platform ON provider_connections;
ALTER TABLE config_versions DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON config_versions;
DROP POLICY platform ON config_versions;
ALTER TABLE agent_instances DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON agent_instances;
DROP POLICY platform ON agent_instances;
