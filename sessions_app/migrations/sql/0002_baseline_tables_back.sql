-- What the older columns cannot hold is cut: a cost to the most they can, a model's name to 100.
ALTER TABLE profiles
    DROP COLUMN account_id;
ALTER TABLE messages
    DROP CONSTRAINT ck_messages_role,
    DROP COLUMN account_id,
    DROP COLUMN agent_instance_id,
    DROP COLUMN llm_request_id,
    DROP COLUMN config_version_id,
    ALTER COLUMN created_at DROP DEFAULT;
ALTER TABLE sessions
    DROP COLUMN account_id,
    DROP COLUMN account_slug,
    DROP COLUMN agent_instance_id,
    DROP COLUMN agent_instance_slug,
    DROP COLUMN user_id,
    DROP COLUMN updated_at,
    DROP COLUMN deleted_at,
    DROP COLUMN end_user,
    DROP COLUMN feedback,
    DROP COLUMN last_status,
    DROP COLUMN total_cost,
    DROP COLUMN turn_count,
    DROP COLUMN unpriced_turns,
    DROP COLUMN copied_from,
    ALTER COLUMN created_at DROP DEFAULT,
    ALTER COLUMN last_activity_at DROP DEFAULT;
ALTER TABLE llm_requests
    DROP CONSTRAINT ck_llm_requests_completion_status,
    DROP CONSTRAINT ck_llm_requests_cost_source,
    DROP COLUMN account_id,
    DROP COLUMN account_slug,
    DROP COLUMN agent_instance_id,
    DROP COLUMN agent_instance_slug,
    DROP COLUMN agent_type,
    DROP COLUMN completion_status,
    DROP COLUMN config_version_id,
    DROP COLUMN error_code,
    DROP COLUMN requests,
    DROP COLUMN cached_tokens,
    DROP COLUMN tokens_estimated,
    DROP COLUMN cost_source,
    DROP COLUMN time_to_first_token_ms,
    DROP COLUMN settled_at,
    DROP COLUMN caller,
    DROP COLUMN idempotency_hash,
    DROP COLUMN idempotency_key,
    DROP COLUMN is_test,
    DROP COLUMN reserved_cost,
    DROP COLUMN charged_cost,
    DROP COLUMN server_process_id,
    ALTER COLUMN created_at DROP DEFAULT,
    ALTER COLUMN model TYPE varchar(100) USING left(model, 100),
    ALTER COLUMN prompt_cost TYPE numeric(10, 6)
        USING CASE WHEN prompt_cost > 9999.999999 THEN 9999.999999 ELSE prompt_cost END,
    ALTER COLUMN completion_cost TYPE numeric(10, 6)
        USING CASE WHEN completion_cost > 9999.999999 THEN 9999.999999 ELSE completion_cost END,
    ALTER COLUMN total_cost TYPE numeric(10, 6)
        USING CASE WHEN total_cost > 9999.999999 THEN 9999.999999 ELSE total_cost END;

ALTER TABLE llm_requests RENAME COLUMN prompt_cost TO unit_cost_prompt;
ALTER TABLE llm_requests RENAME COLUMN completion_cost TO unit_cost_completion;
ALTER TABLE llm_requests RENAME COLUMN total_cost TO computed_cost;
CREATE INDEX ix_messages_session_id ON messages (session_id);
ALTER TABLE messages ADD CONSTRAINT messages_session_id_fkey
    FOREIGN KEY (session_id) REFERENCES sessions (id);
ALTER TABLE llm_requests ADD CONSTRAINT llm_requests_session_id_fkey
    FOREIGN KEY (session_id) REFERENCES sessions (id);
ALTER TABLE profiles ADD CONSTRAINT profiles_session_id_fkey
    FOREIGN KEY (session_id) REFERENCES sessions (id);
