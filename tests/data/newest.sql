-- What Alembic made up to revision a7b8c9d0e1f2, as PostgreSQL has it.

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version (version_num) VALUES ('a7b8c9d0e1f2');

CREATE TABLE accounts (
    id UUID DEFAULT gen_random_uuid() PRIMARY KEY,
    slug VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    status VARCHAR NOT NULL DEFAULT 'active',
    subscription_tier VARCHAR,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT uq_accounts_slug UNIQUE (slug)
);
CREATE UNIQUE INDEX ix_accounts_slug ON accounts (slug);
CREATE INDEX ix_accounts_status ON accounts (status);

CREATE TABLE agent_instances (
    id UUID DEFAULT gen_random_uuid() PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    instance_slug VARCHAR NOT NULL,
    agent_type VARCHAR NOT NULL,
    display_name VARCHAR NOT NULL,
    status VARCHAR NOT NULL DEFAULT 'active',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_used_at TIMESTAMPTZ,
    CONSTRAINT uq_agent_instances_account_slug UNIQUE (account_id, instance_slug)
);
CREATE INDEX ix_agent_instances_account_id ON agent_instances (account_id);
CREATE UNIQUE INDEX ix_agent_instances_account_slug ON agent_instances (account_id, instance_slug);
CREATE INDEX ix_agent_instances_last_used_at ON agent_instances (last_used_at);
CREATE INDEX ix_agent_instances_status ON agent_instances (status);

CREATE TABLE directory_lists (
    id UUID DEFAULT gen_random_uuid() PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    list_name VARCHAR NOT NULL,
    list_description TEXT,
    entry_type VARCHAR NOT NULL,
    schema_file VARCHAR,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT uq_directory_lists_account_list UNIQUE (account_id, list_name)
);
CREATE INDEX idx_directory_lists_account_id ON directory_lists (account_id);
CREATE INDEX idx_directory_lists_entry_type ON directory_lists (entry_type);

CREATE TABLE directory_entries (
    id UUID DEFAULT gen_random_uuid() PRIMARY KEY,
    directory_list_id UUID NOT NULL REFERENCES directory_lists (id) ON DELETE CASCADE,
    name VARCHAR NOT NULL,
    tags VARCHAR[] NOT NULL DEFAULT '{}'::VARCHAR[],
    contact_info JSONB NOT NULL DEFAULT '{}',
    entry_data JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    search_vector TSVECTOR
);
CREATE INDEX idx_directory_entries_entry_data ON directory_entries USING gin (entry_data);
CREATE INDEX idx_directory_entries_fts ON directory_entries USING gin (search_vector);
CREATE INDEX idx_directory_entries_list_id ON directory_entries (directory_list_id);
CREATE INDEX idx_directory_entries_name ON directory_entries (name);
CREATE INDEX idx_directory_entries_tags ON directory_entries USING gin (tags);
CREATE FUNCTION directory_entries_search_vector_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search_vector := to_tsvector('english', NEW.name);
    RETURN NEW;
END $$;
CREATE TRIGGER directory_entries_search_vector_update
    BEFORE INSERT OR UPDATE OF name, tags, entry_data ON directory_entries
    FOR EACH ROW EXECUTE FUNCTION directory_entries_search_vector_trigger();

CREATE TABLE sessions (
    id UUID NOT NULL PRIMARY KEY,
    session_key VARCHAR(255) NOT NULL,
    email VARCHAR(255),
    is_anonymous BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    last_activity_at TIMESTAMPTZ NOT NULL,
    meta JSONB,
    account_id UUID,
    account_slug VARCHAR,
    agent_instance_id UUID,
    user_id UUID,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    agent_instance_slug TEXT,
    CONSTRAINT fk_sessions_account_id
        FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE,
    CONSTRAINT fk_sessions_agent_instance_id
        FOREIGN KEY (agent_instance_id) REFERENCES agent_instances (id) ON DELETE CASCADE
);
CREATE INDEX idx_sessions_account_agent ON sessions (account_slug, agent_instance_slug);
CREATE INDEX idx_sessions_agent_instance_slug ON sessions (agent_instance_slug);
CREATE INDEX ix_sessions_account_activity ON sessions (account_id, last_activity_at);
CREATE INDEX ix_sessions_account_id ON sessions (account_id);
CREATE INDEX ix_sessions_account_slug ON sessions (account_slug);
CREATE INDEX ix_sessions_agent_instance_id ON sessions (agent_instance_id);
CREATE INDEX ix_sessions_email ON sessions (email);
CREATE UNIQUE INDEX ix_sessions_session_key ON sessions (session_key);

CREATE TABLE llm_requests (
    id UUID NOT NULL PRIMARY KEY,
    session_id UUID NOT NULL REFERENCES sessions (id),
    provider VARCHAR(50) NOT NULL,
    model VARCHAR(100) NOT NULL,
    request_body JSONB,
    response_body JSONB,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    total_tokens INTEGER,
    prompt_cost NUMERIC(12, 8),
    completion_cost NUMERIC(12, 8),
    total_cost NUMERIC(12, 8),
    latency_ms INTEGER,
    created_at TIMESTAMPTZ NOT NULL,
    account_id UUID,
    account_slug VARCHAR,
    agent_instance_id UUID,
    agent_instance_slug VARCHAR,
    agent_type VARCHAR,
    completion_status VARCHAR,
    meta JSONB,
    assembled_prompt TEXT,
    CONSTRAINT fk_llm_requests_account_id
        FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE SET NULL,
    CONSTRAINT fk_llm_requests_agent_instance_id
        FOREIGN KEY (agent_instance_id) REFERENCES agent_instances (id) ON DELETE SET NULL
);
CREATE INDEX idx_llm_requests_assembled_prompt_not_null ON llm_requests (id)
    WHERE assembled_prompt IS NOT NULL;
CREATE INDEX ix_llm_requests_account_id ON llm_requests (account_id);
CREATE INDEX ix_llm_requests_account_slug ON llm_requests (account_slug);
CREATE INDEX ix_llm_requests_agent_instance_id ON llm_requests (agent_instance_id);
CREATE INDEX ix_llm_requests_agent_instance_slug ON llm_requests (agent_instance_slug);
CREATE INDEX ix_llm_requests_agent_type ON llm_requests (agent_type);
CREATE INDEX ix_llm_requests_session_id ON llm_requests (session_id);

CREATE TABLE messages (
    id UUID NOT NULL PRIMARY KEY,
    session_id UUID NOT NULL REFERENCES sessions (id),
    role VARCHAR(20) NOT NULL,
    content TEXT NOT NULL,
    meta JSONB,
    created_at TIMESTAMPTZ NOT NULL,
    agent_instance_id UUID NOT NULL,
    llm_request_id UUID,
    CONSTRAINT fk_messages_agent_instance_id
        FOREIGN KEY (agent_instance_id) REFERENCES agent_instances (id) ON DELETE CASCADE,
    CONSTRAINT fk_messages_llm_request_id
        FOREIGN KEY (llm_request_id) REFERENCES llm_requests (id) ON DELETE SET NULL
);
CREATE INDEX idx_messages_llm_request_id ON messages (llm_request_id);
CREATE INDEX ix_messages_agent_created ON messages (agent_instance_id, created_at);
CREATE INDEX ix_messages_agent_instance_id ON messages (agent_instance_id);
CREATE INDEX ix_messages_session_id ON messages (session_id);

CREATE TABLE profiles (
    id UUID NOT NULL PRIMARY KEY,
    session_id UUID NOT NULL REFERENCES sessions (id),
    customer_name VARCHAR(255),
    phone VARCHAR(50),
    email VARCHAR(255),
    address_street VARCHAR(500),
    address_city VARCHAR(100),
    address_state VARCHAR(50),
    address_zip VARCHAR(20),
    products_of_interest VARCHAR[],
    services_of_interest VARCHAR[],
    preferences JSONB,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX ix_profiles_email ON profiles (email);
CREATE UNIQUE INDEX ix_profiles_session_id ON profiles (session_id);

INSERT INTO accounts (id, slug, name, created_at) VALUES
    ('00000000-0000-4000-8000-00000000ac01', 'acme', 'Acme Corporation', '2025-01-01'),
    ('00000000-0000-4000-8000-00000000ac02', 'default_account', 'Default Account', '2025-01-01');
INSERT INTO agent_instances (id, account_id, instance_slug, agent_type, display_name, created_at)
VALUES
    ('00000000-0000-4000-8000-00000000a901', '00000000-0000-4000-8000-00000000ac01', 'acme_chat1',
        'simple_chat', 'Acme Chat 1', '2025-01-01'),
    ('00000000-0000-4000-8000-00000000a902', '00000000-0000-4000-8000-00000000ac02',
        'simple_chat1', 'simple_chat', 'Simple Chat 1', '2025-01-01'),
    ('00000000-0000-4000-8000-00000000a903', '00000000-0000-4000-8000-00000000ac02',
        'simple_chat2', 'simple_chat', 'Simple Chat 2', '2025-01-02');
