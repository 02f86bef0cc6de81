-- Hosts by their certificates. `name` is what a certificate says, the machine id; `labels` is JSON and what
-- the operators say the host is. `rewritten` is when the host's log first was another one than was sent before.
CREATE TABLE enrolled (
    name      TEXT PRIMARY KEY,
    hostname  TEXT NOT NULL,
    labels    TEXT NOT NULL,
    enrolled  INTEGER NOT NULL,
    revoked   INTEGER,
    rewritten INTEGER,
    finding   TEXT
) STRICT, WITHOUT ROWID;

-- Every certificate that was made for a host, by its SHA-256. `ended`: it does not count any more.
CREATE TABLE certificates (
    fingerprint BLOB PRIMARY KEY,
    name        TEXT NOT NULL REFERENCES enrolled,
    issued      INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    ended       INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_by_name ON certificates (name);

-- Tokens by the SHA-256 of their secrets. `hostname`: for the host of that name only; `replaces`: also for one
-- that is enrolled already.
CREATE TABLE tokens (
    hash     BLOB PRIMARY KEY,
    hostname TEXT,
    labels   TEXT NOT NULL,
    replaces INTEGER NOT NULL,
    made     INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    used     INTEGER,
    used_by  TEXT
) STRICT, WITHOUT ROWID;
