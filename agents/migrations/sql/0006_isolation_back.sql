ALTER TABLE config_publications DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON config_publications;
DROP POLICY platform ON config_publications;
ALTER TABLE config_drafts DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON config_drafts;
DROP POLICY platform ON config_drafts;
