-- The schema of `migrations/sqlite`, which says what each table and column is, as PostgreSQL has it. All integers are
-- BIGINT, texts are in the order of their bytes, and nothing refers by a constraint, so that tables may be distributed:
-- each table of what hosts have begins its key with `host`.

CREATE TABLE hosts (
    id             BIGINT PRIMARY KEY,
    name           TEXT COLLATE "C" NOT NULL,
    log            TEXT COLLATE "C" NOT NULL,
    machine        TEXT COLLATE "C" NOT NULL,
    hostname       TEXT COLLATE "C" NOT NULL,
    tracer         TEXT COLLATE "C" NOT NULL,
    first_seq      BIGINT NOT NULL,
    durable        BIGINT NOT NULL,
    newest         BIGINT NOT NULL,
    begins         BIGINT NOT NULL,
    reported       BIGINT NOT NULL,
    skew           BIGINT NOT NULL,
    complete_until BIGINT,
    cloned         BIGINT,
    UNIQUE (name, log)
) WITH (fillfactor = 50);
CREATE INDEX hosts_by_machine ON hosts (machine);
CREATE INDEX hosts_by_hostname ON hosts (hostname);

CREATE TABLE labels (
    host  BIGINT NOT NULL,
    name  TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (host, name)
);

CREATE TABLE heads (
    host  BIGINT NOT NULL,
    seq   BIGINT NOT NULL,
    hash  TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (host, seq)
);

CREATE TABLE subjects (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    key  BYTEA NOT NULL,
    UNIQUE (kind, key)
);

CREATE TABLE fact_values (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash BYTEA NOT NULL UNIQUE,
    json TEXT COLLATE "C" NOT NULL
);

CREATE TABLE actors (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash    BYTEA NOT NULL UNIQUE,
    person  TEXT COLLATE "C" NOT NULL,
    author  TEXT COLLATE "C" NOT NULL,
    session BIGINT,
    uid     BIGINT,
    json    TEXT COLLATE "C" NOT NULL
);

-- By months, each a table of its own, which the collector makes before it comes. That a host has each number once is
-- kept by its row in `hosts`, which whoever folds its log holds; the key has the time only since it must.
CREATE TABLE changes (
    host     BIGINT NOT NULL,
    seq      BIGINT NOT NULL,
    time     BIGINT NOT NULL,
    subject  BIGINT NOT NULL,
    op       TEXT COLLATE "C" NOT NULL,
    before   BIGINT,
    after    BIGINT,
    run      BIGINT,
    actor    BIGINT,
    hostname TEXT COLLATE "C" NOT NULL,
    rest     TEXT COLLATE "C",
    PRIMARY KEY (host, seq, time)
) PARTITION BY RANGE (time);
CREATE INDEX changes_by_time ON changes (time);
CREATE INDEX changes_by_subject ON changes (subject, time);
CREATE INDEX changes_renamed ON changes (time) WHERE op = 'rename';
CREATE TABLE changes_default PARTITION OF changes DEFAULT;

-- What changes again and again stays on its page.
CREATE TABLE facts (
    host    BIGINT NOT NULL,
    subject BIGINT NOT NULL,
    value   BIGINT NOT NULL,
    since   BIGINT,
    seq     BIGINT,
    PRIMARY KEY (host, subject)
) WITH (fillfactor = 90);

CREATE TABLE past_facts (
    host    BIGINT NOT NULL,
    until   BIGINT NOT NULL,
    subject BIGINT NOT NULL,
    value   BIGINT NOT NULL,
    since   BIGINT,
    seq     BIGINT,
    PRIMARY KEY (host, until, subject)
) PARTITION BY RANGE (until);
CREATE TABLE past_facts_default PARTITION OF past_facts DEFAULT;

-- A bit for each host of a block of 1024, the first host first: two collectors that change other bits of a set need
-- not read it.
CREATE TABLE holders (
    subject BIGINT NOT NULL,
    value   BIGINT NOT NULL,
    block   BIGINT NOT NULL,
    hosts   BIT(1024) NOT NULL,
    PRIMARY KEY (subject, value, block)
) WITH (fillfactor = 80);

CREATE TABLE runs (
    host   BIGINT NOT NULL,
    id     BIGINT NOT NULL,
    json   TEXT COLLATE "C" NOT NULL,
    start  BIGINT NOT NULL,
    parent BIGINT,
    PRIMARY KEY (host, id)
);
CREATE INDEX runs_by_start ON runs (start);

CREATE TABLE gaps (
    host      BIGINT NOT NULL,
    id        BIGINT NOT NULL,
    from_time BIGINT NOT NULL,
    to_time   BIGINT,
    reason    TEXT COLLATE "C" NOT NULL,
    detail    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (host, id)
);

CREATE TABLE contents (
    hash     BYTEA PRIMARY KEY,
    size     BIGINT NOT NULL,
    bytes    BYTEA NOT NULL,
    received BIGINT NOT NULL
);
-- They are compressed already.
ALTER TABLE contents ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE sessions (
    host      BIGINT NOT NULL,
    id        BIGINT NOT NULL,
    start     BIGINT NOT NULL,
    "end"     BIGINT,
    kind      TEXT COLLATE "C" NOT NULL,
    tty       TEXT COLLATE "C",
    remote    TEXT COLLATE "C",
    uid       BIGINT,
    user_name TEXT COLLATE "C",
    PRIMARY KEY (host, id, start)
);
CREATE INDEX sessions_by_start ON sessions (start);

CREATE TABLE enrolled (
    name      TEXT COLLATE "C" PRIMARY KEY,
    hostname  TEXT COLLATE "C" NOT NULL,
    labels    TEXT COLLATE "C" NOT NULL,
    enrolled  BIGINT NOT NULL,
    revoked   BIGINT,
    rewritten BIGINT,
    finding   TEXT COLLATE "C"
);

CREATE TABLE certificates (
    fingerprint BYTEA PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL,
    issued      BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    ended       BIGINT
);
CREATE INDEX certificates_by_name ON certificates (name);

-- The one whose certificates hosts trust, by its SHA-256: all collectors of the store have it.
CREATE TABLE authority (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    fingerprint BYTEA NOT NULL
);

CREATE TABLE tokens (
    hash     BYTEA PRIMARY KEY,
    hostname TEXT COLLATE "C",
    labels   TEXT COLLATE "C" NOT NULL,
    replaces BIGINT NOT NULL,
    made     BIGINT NOT NULL,
    expires  BIGINT NOT NULL,
    used     BIGINT,
    used_by  TEXT COLLATE "C"
);

CREATE TABLE markers (
    id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time  BIGINT NOT NULL,
    name  TEXT COLLATE "C" NOT NULL,
    host  TEXT COLLATE "C",
    hosts TEXT COLLATE "C",
    made  BIGINT NOT NULL
);
CREATE INDEX markers_by_time ON markers (time);

CREATE TABLE retention (
    id         BIGINT PRIMARY KEY CHECK (id = 1),
    horizon    BIGINT,
    sweeping   BIGINT NOT NULL,
    generation BIGINT NOT NULL
);
INSERT INTO retention (id, horizon, sweeping, generation) VALUES (1, NULL, 0, 0);

CREATE TABLE spared (
    sort TEXT COLLATE "C" NOT NULL,
    id   BIGINT NOT NULL,
    PRIMARY KEY (sort, id)
);

CREATE TABLE view_tokens (
    hash    BYTEA PRIMARY KEY,
    name    TEXT COLLATE "C" NOT NULL,
    scopes  TEXT COLLATE "C" NOT NULL,
    made    BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    revoked BIGINT
);
CREATE UNIQUE INDEX view_tokens_by_name ON view_tokens (name) WHERE revoked IS NULL;

CREATE TABLE restores (
    restored BIGINT PRIMARY KEY,
    taken    BIGINT NOT NULL
);

CREATE TABLE snapshots (
    name TEXT COLLATE "C" PRIMARY KEY,
    at   BIGINT NOT NULL,
    made BIGINT NOT NULL,
    note TEXT COLLATE "C"
);

CREATE TABLE snapshot_hosts (
    snapshot TEXT COLLATE "C" NOT NULL,
    host     BIGINT NOT NULL,
    PRIMARY KEY (snapshot, host)
);

CREATE TABLE drift_rules (
    id    BIGINT PRIMARY KEY CHECK (id = 1),
    text  TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    pass  BIGINT NOT NULL
);
INSERT INTO drift_rules (id, text, since, pass) VALUES (1, '', 0, 0);

CREATE TABLE drift_cursors (
    host  BIGINT PRIMARY KEY,
    seq   BIGINT NOT NULL,
    facts BIGINT NOT NULL
);

CREATE TABLE fact_batches (
    host  BIGINT PRIMARY KEY,
    count BIGINT NOT NULL
);

CREATE TABLE drift_events (
    id       BIGINT GENERATED ALWAYS AS IDENTITY,
    rule     TEXT COLLATE "C" NOT NULL,
    host     BIGINT NOT NULL,
    subject  BIGINT NOT NULL,
    expected BIGINT,
    value    BIGINT,
    cause    TEXT COLLATE "C" NOT NULL,
    began    BIGINT NOT NULL,
    since    BIGINT,
    seq      BIGINT,
    ended    BIGINT,
    end_seq  BIGINT,
    ended_by TEXT COLLATE "C",
    PRIMARY KEY (host, id)
);
CREATE UNIQUE INDEX drift_events_open ON drift_events (rule, host, subject) WHERE ended IS NULL;
CREATE INDEX drift_events_by_beginning ON drift_events (began);
CREATE INDEX drift_events_by_end ON drift_events (ended);

CREATE TABLE reversals (
    host   BIGINT NOT NULL,
    seq    BIGINT NOT NULL,
    undone BIGINT NOT NULL,
    time   BIGINT NOT NULL,
    way    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (host, seq)
);
CREATE INDEX reversals_by_time ON reversals (time);

CREATE TABLE human_changes (
    host    BIGINT NOT NULL,
    subject BIGINT NOT NULL,
    seq     BIGINT NOT NULL,
    time    BIGINT NOT NULL,
    PRIMARY KEY (host, subject, seq)
);
CREATE INDEX human_changes_by_time ON human_changes (time);
