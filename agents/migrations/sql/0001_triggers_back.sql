DROP TRIGGER recorded ON config_publications;
DROP TRIGGER recorded ON provider_connections;
DROP TRIGGER recorded ON agent_instances;
