-- How far back the store reaches. `horizon` null: nothing was ever removed. While `sweeping`, what nothing refers to
-- is being removed, and what is looked up meanwhile is noted in `spared`. `generation` rises when that begins: who
-- remembers ids from before forgets them.
CREATE TABLE retention (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    horizon    INTEGER,
    sweeping   INTEGER NOT NULL,
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO retention (id, horizon, sweeping, generation) VALUES (1, NULL, 0, 0);

CREATE TABLE spared (
    sort TEXT NOT NULL,
    id   INTEGER NOT NULL,
    PRIMARY KEY (sort, id)
) STRICT, WITHOUT ROWID;

-- A content comes before the change that leads to it.
ALTER TABLE contents ADD COLUMN received INTEGER NOT NULL DEFAULT 0;
