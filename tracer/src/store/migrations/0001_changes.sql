-- The first schema. Times are nanoseconds since 1970, words are the model's own, ids are inner.

-- What has one value only: the host's secret, heartbeats, the head of the chain.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE hosts (
    id      INTEGER PRIMARY KEY,
    machine TEXT NOT NULL,
    name    TEXT NOT NULL,
    UNIQUE (machine, name)
) STRICT;

-- `since`: when the subject was first heard of.
CREATE TABLE subjects (
    id    INTEGER PRIMARY KEY,
    kind  TEXT NOT NULL,
    key   BLOB NOT NULL,
    since INTEGER NOT NULL,
    UNIQUE (kind, key)
) STRICT;

-- Values of facts. A change's `before` is usually the `after` of the change before it: the same row.
-- A setting has `value` alone. A file has `size`, `mode`, `uid`, `gid` and `inode`; `type` null is a
-- regular file, `content` null is kept; `keyed` says that the hash is keyed with the host's secret;
-- `extra` is JSON of what is rare: `target`, `xattrs`, and a hash or mode in another form.
CREATE TABLE states (
    id      INTEGER PRIMARY KEY,
    hash    BLOB,
    keyed   INTEGER,
    size    INTEGER,
    mode    INTEGER,
    uid     INTEGER,
    gid     INTEGER,
    inode   INTEGER,
    type    TEXT,
    content TEXT,
    value   TEXT,
    extra   TEXT
) STRICT;

-- The state of the host now: one row a subject that exists.
CREATE TABLE facts (
    subject  INTEGER PRIMARY KEY REFERENCES subjects,
    state    INTEGER NOT NULL REFERENCES states,
    time     INTEGER NOT NULL,
    dev      INTEGER,
    inode    INTEGER,
    ctime_ns INTEGER,
    mtime_ns INTEGER
) STRICT;

-- `bytes` is zstd, or the bytes as they are where it has exactly `size` bytes. The index holds the
-- first 8 bytes of the hash, which is enough to find it and half as large.
CREATE TABLE contents (
    id    INTEGER PRIMARY KEY,
    hash  BLOB NOT NULL,
    size  INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX contents_by_hash ON contents (substr(hash, 1, 8));

-- Where actors come from: users, session, unit and container, shared by all processes of a login.
CREATE TABLE origins (
    id                INTEGER PRIMARY KEY,
    uid               INTEGER NOT NULL,
    user_name         TEXT,
    login_uid         INTEGER,
    login_name        TEXT,
    session           INTEGER,
    session_kind      TEXT,
    tty               TEXT,
    remote            TEXT,
    unit              TEXT,
    container         TEXT,
    container_runtime TEXT
) STRICT;
CREATE INDEX origins_by_session ON origins (session) WHERE session IS NOT NULL;

-- Processes above an actor: `parent` is the next one up. `argv` is a JSON array.
CREATE TABLE ancestors (
    id     INTEGER PRIMARY KEY,
    pid    INTEGER NOT NULL,
    exe    TEXT,
    argv   TEXT NOT NULL,
    parent INTEGER REFERENCES ancestors
) STRICT;

CREATE TABLE actors (
    id             INTEGER PRIMARY KEY,
    pid            INTEGER NOT NULL,
    start          INTEGER NOT NULL,
    exe            TEXT,
    argv           TEXT NOT NULL,
    argv_truncated INTEGER NOT NULL,
    cwd            TEXT,
    parent         INTEGER REFERENCES ancestors,
    origin         INTEGER NOT NULL REFERENCES origins,
    author         TEXT NOT NULL
) STRICT;
CREATE INDEX actors_by_origin ON actors (origin);

-- The log: append-only. `lag` is how far `time` lies behind the newest time of any change up to this
-- one, so that `time + lag` never falls and a search by halves finds a moment without an index.
-- `chain` is the BLAKE3 hash of the chain value before and this change with all it refers to.
CREATE TABLE changes (
    seq          INTEGER PRIMARY KEY,
    time         INTEGER NOT NULL,
    lag          INTEGER NOT NULL,
    host         INTEGER NOT NULL REFERENCES hosts,
    subject      INTEGER NOT NULL REFERENCES subjects,
    op           TEXT NOT NULL,
    from_subject INTEGER REFERENCES subjects,
    before       INTEGER REFERENCES states,
    after        INTEGER REFERENCES states,
    late         INTEGER NOT NULL,
    between_from INTEGER,
    between_to   INTEGER,
    run          INTEGER,
    operations   INTEGER NOT NULL,
    notes        TEXT,
    actor        INTEGER REFERENCES actors,
    chain        BLOB NOT NULL
) STRICT;
CREATE INDEX changes_by_subject ON changes (subject);
CREATE INDEX changes_by_actor ON changes (actor) WHERE actor IS NOT NULL;
CREATE INDEX changes_by_from ON changes (from_subject) WHERE from_subject IS NOT NULL;
CREATE INDEX changes_renames ON changes (subject, from_subject) WHERE from_subject IS NOT NULL;
CREATE INDEX changes_behind ON changes (time) WHERE lag > 0;

CREATE TABLE sessions (
    id         INTEGER NOT NULL,
    start      INTEGER NOT NULL,
    end        INTEGER,
    kind       TEXT NOT NULL,
    tty        TEXT,
    remote     TEXT,
    uid        INTEGER,
    user_name  TEXT,
    PRIMARY KEY (id, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE gaps (
    id        INTEGER PRIMARY KEY,
    from_time INTEGER NOT NULL,
    to_time   INTEGER,
    reason    TEXT NOT NULL,
    detail    TEXT NOT NULL
) STRICT;
