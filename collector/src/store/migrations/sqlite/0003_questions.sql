-- What questions over the fleet look for: sessions as hosts tell of them, named moments, and runs by when they
-- began.

-- `end` null: it goes on, or its end was not seen. Who logged in is `uid` and `user_name`.
CREATE TABLE sessions (
    host      INTEGER NOT NULL REFERENCES hosts,
    id        INTEGER NOT NULL,
    start     INTEGER NOT NULL,
    "end"     INTEGER,
    kind      TEXT NOT NULL,
    tty       TEXT,
    remote    TEXT,
    uid       INTEGER,
    user_name TEXT,
    PRIMARY KEY (host, id, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_start ON sessions (start);

-- `host` is a machine id and `hosts` a group, as it was written; none of both is the whole fleet. `made` is when
-- it was noted.
CREATE TABLE markers (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    time  INTEGER NOT NULL,
    name  TEXT NOT NULL,
    host  TEXT,
    hosts TEXT,
    made  INTEGER NOT NULL
) STRICT;
CREATE INDEX markers_by_time ON markers (time);

-- Times in JSON are always written in full: `2026-11-21T14:02:11.123456789Z`.
ALTER TABLE runs ADD COLUMN start INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET start = unixepoch(substr(json_extract(json, '$.start'), 1, 19)) * 1000000000
    + CAST(substr(json_extract(json, '$.start'), 21, 9) AS INTEGER);
CREATE INDEX runs_by_start ON runs (start);

ALTER TABLE actors ADD COLUMN session INTEGER;
UPDATE actors SET session = json_extract(json, '$.session.id');

-- A rename is looked for by the old name, too, and there are few.
CREATE INDEX changes_renamed ON changes (time) WHERE op = 'rename';
