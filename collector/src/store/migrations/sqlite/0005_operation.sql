-- Tokens of viewers by the SHA-256 of their secrets. `scopes` is words with blanks between.
CREATE TABLE view_tokens (
    hash    BLOB PRIMARY KEY,
    name    TEXT NOT NULL,
    scopes  TEXT NOT NULL,
    made    INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX view_tokens_by_name ON view_tokens (name) WHERE revoked IS NULL;

-- When the store was put back from a backup, and when that had been taken: certificates made in between are not
-- in it.
CREATE TABLE restores (
    restored INTEGER PRIMARY KEY,
    taken    INTEGER NOT NULL
) STRICT;
