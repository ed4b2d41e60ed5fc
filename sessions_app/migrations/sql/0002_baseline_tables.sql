ALTER TABLE messages DROP CONSTRAINT messages_session_id_fkey;
ALTER TABLE llm_requests DROP CONSTRAINT llm_requests_session_id_fkey;
ALTER TABLE profiles DROP CONSTRAINT profiles_session_id_fkey;
DROP INDEX ix_messages_session_id;
ALTER TABLE llm_requests RENAME COLUMN unit_cost_prompt TO prompt_cost;
ALTER TABLE llm_requests RENAME COLUMN unit_cost_completion TO completion_cost;
ALTER TABLE llm_requests RENAME COLUMN computed_cost TO total_cost;

ALTER TABLE sessions
    ADD COLUMN account_id uuid,
    ADD COLUMN account_slug varchar(63),
    ADD COLUMN agent_instance_id uuid,
    ADD COLUMN agent_instance_slug varchar(63),
    ADD COLUMN user_id uuid,
    ADD COLUMN updated_at timestamptz,
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN end_user varchar(255),
    ADD COLUMN feedback smallint,
    ADD COLUMN last_status varchar(9) NOT NULL DEFAULT '',
    ADD COLUMN total_cost numeric(20, 8) NOT NULL DEFAULT 0,
    ADD COLUMN turn_count integer NOT NULL DEFAULT 0,
    ADD COLUMN unpriced_turns integer NOT NULL DEFAULT 0,
    ADD COLUMN copied_from uuid;
ALTER TABLE llm_requests
    ADD COLUMN account_id uuid,
    ADD COLUMN account_slug varchar(63),
    ADD COLUMN agent_instance_id uuid,
    ADD COLUMN agent_instance_slug varchar(63),
    ADD COLUMN agent_type varchar(50),
    ADD COLUMN completion_status varchar(9),
    ADD COLUMN config_version_id uuid,
    ADD COLUMN error_code varchar(50) NOT NULL DEFAULT '',
    ADD COLUMN requests integer NOT NULL DEFAULT 0,
    ADD COLUMN cached_tokens integer,
    ADD COLUMN tokens_estimated boolean NOT NULL DEFAULT false,
    ADD COLUMN cost_source varchar(12) NOT NULL DEFAULT 'unknown',
    ADD COLUMN time_to_first_token_ms integer,
    ADD COLUMN settled_at timestamptz,
    ADD COLUMN caller varchar(100) NOT NULL DEFAULT '',
    ADD COLUMN idempotency_hash varchar(64) NOT NULL DEFAULT '',
    ADD COLUMN idempotency_key varchar(255),
    ADD COLUMN is_test boolean NOT NULL DEFAULT false,
    ADD COLUMN reserved_cost numeric(20, 8),
    ADD COLUMN charged_cost numeric(20, 8),
    ADD COLUMN server_process_id uuid;
ALTER TABLE messages
    ADD COLUMN account_id uuid,
    ADD COLUMN agent_instance_id uuid,
    ADD COLUMN llm_request_id uuid,
    ADD COLUMN config_version_id uuid;
ALTER TABLE profiles
    ADD COLUMN account_id uuid;

UPDATE sessions SET
        account_id = instance.account_id,
        account_slug = 'default',
        agent_instance_id = instance.id,
        agent_instance_slug = 'simple-chat',
        updated_at = last_activity_at,
        session_key = CASE
            WHEN session_key ~ '^[0-9a-f]{64}$' THEN session_key
            ELSE encode(sha256(convert_to(session_key, 'UTF8')), 'hex')
        END
    FROM agent_instances AS instance JOIN accounts AS account ON account.id = instance.account_id
    WHERE account.slug = 'default' AND instance_slug = 'simple-chat';
UPDATE llm_requests SET
        account_id = instance.account_id,
        account_slug = 'default',
        agent_instance_id = instance.id,
        agent_instance_slug = 'simple-chat',
        agent_type = 'simple_chat',
        completion_status = 'complete',
        requests = 1,
        cost_source = CASE WHEN total_cost IS NULL THEN 'unknown' ELSE 'reported' END,
        settled_at = llm_requests.created_at
    FROM agent_instances AS instance JOIN accounts AS account ON account.id = instance.account_id
    WHERE account.slug = 'default' AND instance_slug = 'simple-chat';
UPDATE messages SET account_id = instance.account_id, agent_instance_id = instance.id
    FROM agent_instances AS instance JOIN accounts AS account ON account.id = instance.account_id
    WHERE account.slug = 'default' AND instance_slug = 'simple-chat';
UPDATE profiles SET account_id = account.id FROM accounts AS account
    WHERE account.slug = 'default';

-- The costs get another scale, so this table is written once more, without what the UPDATE left.
ALTER TABLE llm_requests
    ALTER COLUMN model TYPE varchar(255),
    ALTER COLUMN prompt_cost TYPE numeric(20, 8),
    ALTER COLUMN completion_cost TYPE numeric(20, 8),
    ALTER COLUMN total_cost TYPE numeric(20, 8),
    ALTER COLUMN created_at SET DEFAULT statement_timestamp(),
    ALTER COLUMN account_id SET NOT NULL,
    ALTER COLUMN account_slug SET NOT NULL,
    ALTER COLUMN agent_instance_id SET NOT NULL,
    ALTER COLUMN agent_instance_slug SET NOT NULL,
    ALTER COLUMN agent_type SET NOT NULL,
    ALTER COLUMN completion_status SET NOT NULL,
    ALTER COLUMN completion_status SET DEFAULT 'running',
    ADD CONSTRAINT ck_llm_requests_completion_status CHECK (
        completion_status IN ('running', 'complete', 'partial', 'error', 'cancelled')
    ),
    ADD CONSTRAINT ck_llm_requests_cost_source CHECK (
        cost_source IN ('reported', 'genai-prices', 'free', 'configured', 'mixed', 'unknown')
    );
ALTER TABLE sessions
    ALTER COLUMN created_at SET DEFAULT statement_timestamp(),
    ALTER COLUMN last_activity_at SET DEFAULT statement_timestamp(),
    ALTER COLUMN account_id SET NOT NULL,
    ALTER COLUMN account_slug SET NOT NULL,
    ALTER COLUMN agent_instance_id SET NOT NULL,
    ALTER COLUMN agent_instance_slug SET NOT NULL,
    ALTER COLUMN updated_at SET NOT NULL,
    ALTER COLUMN updated_at SET DEFAULT statement_timestamp();
ALTER TABLE messages
    ALTER COLUMN created_at SET DEFAULT statement_timestamp(),
    ALTER COLUMN account_id SET NOT NULL,
    ALTER COLUMN agent_instance_id SET NOT NULL,
    ADD CONSTRAINT ck_messages_role CHECK (
        role IN ('human', 'assistant', 'system', 'tool', 'developer')
    );
ALTER TABLE profiles
    ALTER COLUMN account_id SET NOT NULL;
