DROP TRIGGER guarded ON agent_instances;
ALTER TABLE former_agent_slugs DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON former_agent_slugs;
DROP POLICY platform ON former_agent_slugs;
