-- compatible: 3
-- +goose Up
-- What expires soon is kept in partitions by the time at which it expires, to be dropped as wholes (see partitions.go). What
-- no partition was made for goes into the default one, from which it is deleted. An identifier is the SHA-256 of 256 random
-- bits, or is claimed in a way that keeps it unique (uses); each partition has its own primary key.

-- +goose StatementBegin
DO $$
DECLARE
    name text;
    cut  timestamptz;
BEGIN
    FOREACH name IN ARRAY ARRAY['requests', 'interactions', 'codes', 'access_tokens'] LOOP
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', name);
        EXECUTE format('SELECT max(expires_at) FROM %I', name) INTO cut;
        EXECUTE format('ALTER TABLE %I RENAME TO %I', name, name || '_before');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS) PARTITION BY RANGE (expires_at)', name, name || '_before');
        EXECUTE format('CREATE TABLE %I PARTITION OF %I (PRIMARY KEY (id)) DEFAULT', name || '_default', name);
        EXECUTE format('CREATE INDEX ON %I (%I)', name || '_default', CASE name WHEN 'requests' THEN 'purge_at' ELSE 'expires_at' END);
        IF cut IS NULL THEN
            EXECUTE format('DROP TABLE %I', name || '_before');
        ELSE
            -- What is there stays where it is, as the first partition.
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
                name, name || '_before', date_trunc('hour', cut) + interval '1 hour');
        END IF;
    END LOOP;
END
$$;
-- +goose StatementEnd

ALTER TABLE uses RENAME TO uses_before;
CREATE TABLE uses (
    kind  text COLLATE "C" NOT NULL,
    key   bytea       NOT NULL,
    -- The last microsecond of ten minutes in which the value is remembered; there is a row for each such time.
    until timestamptz NOT NULL
) PARTITION BY RANGE (until);
CREATE TABLE uses_default PARTITION OF uses (PRIMARY KEY (kind, key, until)) DEFAULT;
INSERT INTO uses SELECT kind, key, date_bin('10 minutes', until, '2000-01-01 00:00:00+00') + interval '10 minutes' - interval '1 microsecond' FROM uses_before;
DROP TABLE uses_before;

-- Nodes of the release before write the exact end, and are to meet what nodes of this one write, and to leave alone what is
-- still needed.
-- +goose StatementBegin
CREATE FUNCTION uses_of_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RETURN NULL; -- they go with their partition
    END IF;
    NEW.until := date_bin('10 minutes', NEW.until, '2000-01-01 00:00:00+00') + interval '10 minutes' - interval '1 microsecond';
    IF EXISTS (SELECT FROM uses WHERE kind = NEW.kind AND key = NEW.key AND until = NEW.until) THEN
        RAISE unique_violation USING TABLE = 'uses', MESSAGE = 'the value was used before';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER exact BEFORE INSERT ON uses FOR EACH ROW
    WHEN (NEW.until <> date_bin('10 minutes', NEW.until, '2000-01-01 00:00:00+00') + interval '10 minutes' - interval '1 microsecond')
    EXECUTE FUNCTION uses_of_before();
CREATE TRIGGER kept BEFORE DELETE ON uses FOR EACH ROW EXECUTE FUNCTION uses_of_before();
