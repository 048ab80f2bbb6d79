-- What was drafted, decided and signed. Nothing is ever changed; what is purged leaves a line that says so.

CREATE TABLE studies (
    id           TEXT PRIMARY KEY NOT NULL,
    -- Times are UTC, RFC 3339.
    submitted    TEXT NOT NULL,
    -- Name of the file as it was handed in; it may name a patient.
    name         TEXT NOT NULL,
    image_sha256 TEXT NOT NULL,
    image_bytes  INTEGER NOT NULL,
    bundle       TEXT NOT NULL,
    variant      TEXT NOT NULL
) STRICT;

CREATE INDEX studies_by_image ON studies (image_sha256);

CREATE TABLE events (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    study    TEXT NOT NULL REFERENCES studies (id),
    -- From 1 within a study: whoever adds one says which he has seen last.
    revision INTEGER NOT NULL,
    time     TEXT NOT NULL,
    -- drafted, decided, added, signed
    kind     TEXT NOT NULL,
    -- JSON
    body     TEXT NOT NULL,
    UNIQUE (study, revision)
) STRICT;

CREATE TABLE purges (
    study  TEXT PRIMARY KEY NOT NULL,
    time   TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

CREATE TRIGGER studies_stay_as_they_are BEFORE UPDATE ON studies
BEGIN SELECT RAISE(ABORT, 'records are not changed'); END;

CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'records are not changed'); END;

CREATE TRIGGER purges_stay_as_they_are BEFORE UPDATE ON purges
BEGIN SELECT RAISE(ABORT, 'records are not changed'); END;

CREATE TRIGGER purges_are_kept BEFORE DELETE ON purges
BEGIN SELECT RAISE(ABORT, 'records are not deleted'); END;

-- A purge is written down before anything is deleted.
CREATE TRIGGER studies_are_kept BEFORE DELETE ON studies
WHEN NOT EXISTS (SELECT 1 FROM purges WHERE study = OLD.id)
BEGIN SELECT RAISE(ABORT, 'records are not deleted'); END;

CREATE TRIGGER events_are_kept BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM purges WHERE study = OLD.study)
BEGIN SELECT RAISE(ABORT, 'records are not deleted'); END;

-- Nothing follows a signature.
CREATE TRIGGER signed_reports_are_closed BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE study = NEW.study AND kind = 'signed')
BEGIN SELECT RAISE(ABORT, 'the report is signed'); END;
