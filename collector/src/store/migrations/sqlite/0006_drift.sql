-- Names for the state of some hosts at a moment. The state itself is in `facts` and `past_facts`.
CREATE TABLE snapshots (
    name TEXT PRIMARY KEY,
    at   INTEGER NOT NULL,
    made INTEGER NOT NULL,
    note TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot_hosts (
    snapshot TEXT NOT NULL REFERENCES snapshots,
    host     INTEGER NOT NULL REFERENCES hosts,
    PRIMARY KEY (snapshot, host)
) STRICT, WITHOUT ROWID;

-- One row: the rules' file in force, as it was written, and since when. `pass` counts what was written to these
-- tables: whoever has looked at another number writes nothing.
CREATE TABLE drift_rules (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    text  TEXT NOT NULL,
    since INTEGER NOT NULL,
    pass  INTEGER NOT NULL
) STRICT;
INSERT INTO drift_rules (id, text, since, pass) VALUES (1, '', 0, 0);

-- Up to which change each host's log was gone through, and how many batches had brought facts without a change then.
CREATE TABLE drift_cursors (
    host  INTEGER PRIMARY KEY REFERENCES hosts,
    seq   INTEGER NOT NULL,
    facts INTEGER NOT NULL
) STRICT;

-- How many batches of each host have brought facts without a change, as its first one does.
CREATE TABLE fact_batches (
    host  INTEGER PRIMARY KEY REFERENCES hosts,
    count INTEGER NOT NULL
) STRICT;

-- When a fact of a host began to deviate from a rule, and when that ended. `since` and `seq` tell since when the
-- host had the value and which change brought it; `cause` and `ended_by` what made it drift, and no drift any more.
CREATE TABLE drift_events (
    id       INTEGER PRIMARY KEY,
    rule     TEXT NOT NULL,
    host     INTEGER NOT NULL REFERENCES hosts,
    subject  INTEGER NOT NULL REFERENCES subjects,
    expected INTEGER REFERENCES fact_values,
    value    INTEGER REFERENCES fact_values,
    cause    TEXT NOT NULL,
    began    INTEGER NOT NULL,
    since    INTEGER,
    seq      INTEGER,
    ended    INTEGER,
    end_seq  INTEGER,
    ended_by TEXT
) STRICT;
CREATE UNIQUE INDEX drift_events_open ON drift_events (rule, host, subject) WHERE ended IS NULL;
CREATE INDEX drift_events_by_beginning ON drift_events (began);
CREATE INDEX drift_events_by_end ON drift_events (ended);

-- Changes that undid what another sort of author had done just before: `undone` is that author's change.
CREATE TABLE reversals (
    host   INTEGER NOT NULL REFERENCES hosts,
    seq    INTEGER NOT NULL,
    undone INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    way    TEXT NOT NULL,
    PRIMARY KEY (host, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX reversals_by_time ON reversals (time);

-- Where people have changed something lately: only there can automation undo what a person did.
CREATE TABLE human_changes (
    host    INTEGER NOT NULL REFERENCES hosts,
    subject INTEGER NOT NULL REFERENCES subjects,
    seq     INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    PRIMARY KEY (host, subject, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX human_changes_by_time ON human_changes (time);
