-- What Alembic made up to revision 4360c1de944b, as SQLAlchemy writes it.

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version (version_num) VALUES ('4360c1de944b');

CREATE TABLE sessions (
    id UUID NOT NULL,
    session_key VARCHAR(255) NOT NULL,
    email VARCHAR(255),
    is_anonymous BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_activity_at TIMESTAMP WITH TIME ZONE NOT NULL,
    meta JSONB,
    PRIMARY KEY (id)
);
CREATE INDEX ix_sessions_email ON sessions (email);
CREATE UNIQUE INDEX ix_sessions_session_key ON sessions (session_key);

CREATE TABLE llm_requests (
    id UUID NOT NULL,
    session_id UUID NOT NULL,
    provider VARCHAR(50) NOT NULL,
    model VARCHAR(100) NOT NULL,
    request_body JSONB,
    response_body JSONB,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    total_tokens INTEGER,
    unit_cost_prompt NUMERIC(10, 6),
    unit_cost_completion NUMERIC(10, 6),
    computed_cost NUMERIC(10, 6),
    latency_ms INTEGER,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(session_id) REFERENCES sessions (id)
);
CREATE INDEX ix_llm_requests_session_id ON llm_requests (session_id);

CREATE TABLE messages (
    id UUID NOT NULL,
    session_id UUID NOT NULL,
    role VARCHAR(20) NOT NULL,
    content TEXT NOT NULL,
    meta JSONB,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(session_id) REFERENCES sessions (id)
);
CREATE INDEX ix_messages_session_id ON messages (session_id);

CREATE TABLE profiles (
    id UUID NOT NULL,
    session_id UUID NOT NULL,
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
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(session_id) REFERENCES sessions (id)
);
CREATE INDEX ix_profiles_email ON profiles (email);
CREATE UNIQUE INDEX ix_profiles_session_id ON profiles (session_id);
