-- Executions of commands that own changes: `changes.run`. `first` and `last` are the numbers of the first and
-- the last change that a run owns, between which its changes are looked for without an index of their
-- own. `running`: its process is not known to have ended.
CREATE TABLE runs (
    id        INTEGER PRIMARY KEY,
    kind      TEXT NOT NULL,
    tool      TEXT NOT NULL,
    actor     INTEGER NOT NULL REFERENCES actors,
    start     INTEGER NOT NULL,
    end       INTEGER,
    exit_code INTEGER,
    signal    INTEGER,
    running   INTEGER NOT NULL,
    parent    INTEGER REFERENCES runs,
    more      INTEGER NOT NULL,
    changes   INTEGER NOT NULL DEFAULT 0,
    first     INTEGER,
    last      INTEGER
) STRICT;
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE INDEX runs_at_work ON runs (id) WHERE running;
