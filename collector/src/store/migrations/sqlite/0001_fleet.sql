-- The first schema. Times are nanoseconds since 1970, words are the model's own, ids are inner.

-- One row an installation of a machine: a name by certificate, and a log. `first_seq` is the first change
-- that came, `durable` the last; `begins` is the first moment whose state is known; `skew` is how far the
-- sender's clock was ahead at its newest batch.
CREATE TABLE hosts (
    id             INTEGER PRIMARY KEY,
    name           TEXT NOT NULL,
    log            TEXT NOT NULL,
    machine        TEXT NOT NULL,
    hostname       TEXT NOT NULL,
    tracer         TEXT NOT NULL,
    first_seq      INTEGER NOT NULL,
    durable        INTEGER NOT NULL,
    newest         INTEGER NOT NULL,
    begins         INTEGER NOT NULL,
    reported       INTEGER NOT NULL,
    skew           INTEGER NOT NULL,
    complete_until INTEGER,
    cloned         INTEGER,
    UNIQUE (name, log)
) STRICT;
CREATE INDEX hosts_by_machine ON hosts (machine);
CREATE INDEX hosts_by_hostname ON hosts (hostname);

CREATE TABLE labels (
    host  INTEGER NOT NULL REFERENCES hosts,
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (host, name)
) STRICT, WITHOUT ROWID;

-- Where each host's hash chain was: what is sent later must lead through it.
CREATE TABLE heads (
    host  INTEGER NOT NULL REFERENCES hosts,
    seq   INTEGER NOT NULL,
    hash  TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (host, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE subjects (
    id   INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key  BLOB NOT NULL,
    UNIQUE (kind, key)
) STRICT;

-- Values of facts, each once for the whole fleet: JSON, without what is each host's own (the inode), and the
-- first half of its BLAKE3 hash.
CREATE TABLE fact_values (
    id   INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    json TEXT NOT NULL
) STRICT;

-- Actors, each once for the whole fleet, as JSON. `person` is the login user's name, or else the acting one's.
CREATE TABLE actors (
    id     INTEGER PRIMARY KEY,
    hash   BLOB NOT NULL UNIQUE,
    person TEXT NOT NULL,
    author TEXT NOT NULL,
    json   TEXT NOT NULL
) STRICT;

-- The log of each host: append-only. `rest` is JSON of what few changes have.
CREATE TABLE changes (
    host     INTEGER NOT NULL REFERENCES hosts,
    seq      INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    subject  INTEGER NOT NULL REFERENCES subjects,
    op       TEXT NOT NULL,
    before   INTEGER REFERENCES fact_values,
    after    INTEGER REFERENCES fact_values,
    run      INTEGER,
    actor    INTEGER REFERENCES actors,
    hostname TEXT NOT NULL,
    rest     TEXT,
    PRIMARY KEY (host, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX changes_by_time ON changes (time);
-- With `after`, so that the history of a subject over the fleet is read from the index alone.
CREATE INDEX changes_by_subject ON changes (subject, time, after);

-- The state of each host now. `since` null: before anybody watched; `seq` null: no change brought it.
CREATE TABLE facts (
    host    INTEGER NOT NULL REFERENCES hosts,
    subject INTEGER NOT NULL REFERENCES subjects,
    value   INTEGER NOT NULL REFERENCES fact_values,
    since   INTEGER,
    seq     INTEGER,
    PRIMARY KEY (host, subject)
) STRICT, WITHOUT ROWID;

-- What facts were before, from `since` up to `until`, which is later. The state of a past moment is what is now
-- and was then, and what ended since: it costs what has changed since.
CREATE TABLE past_facts (
    host    INTEGER NOT NULL REFERENCES hosts,
    until   INTEGER NOT NULL,
    subject INTEGER NOT NULL REFERENCES subjects,
    value   INTEGER NOT NULL REFERENCES fact_values,
    since   INTEGER,
    seq     INTEGER,
    PRIMARY KEY (host, until, subject)
) STRICT, WITHOUT ROWID;

-- Which hosts have a value now, the other way round than `facts`: sets of hosts, a row for each block of 1024
-- that has any. Counts over any group come from here without looking at a host.
CREATE TABLE holders (
    subject INTEGER NOT NULL REFERENCES subjects,
    value   INTEGER NOT NULL REFERENCES fact_values,
    block   INTEGER NOT NULL,
    hosts   BLOB NOT NULL,
    PRIMARY KEY (subject, value, block)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    host INTEGER NOT NULL REFERENCES hosts,
    id   INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (host, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE gaps (
    host      INTEGER NOT NULL REFERENCES hosts,
    id        INTEGER NOT NULL,
    from_time INTEGER NOT NULL,
    to_time   INTEGER,
    reason    TEXT NOT NULL,
    detail    TEXT NOT NULL,
    PRIMARY KEY (host, id)
) STRICT, WITHOUT ROWID;

-- Bytes of files, each once for the whole fleet. `bytes` is zstd, or the bytes as they are where it has
-- exactly `size` bytes.
CREATE TABLE contents (
    hash  BLOB PRIMARY KEY,
    size  INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;
