"""The tables of the index, as they came to be. Nothing but text."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE counters (
        project TEXT NOT NULL, kind TEXT NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (project, kind)
    ) WITHOUT ROWID;
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, project TEXT NOT NULL, counter INTEGER NOT NULL, final INTEGER NOT NULL,
        created TEXT NOT NULL, owner TEXT NOT NULL, row TEXT
    );
    CREATE TABLE executions (
        id TEXT PRIMARY KEY, run TEXT NOT NULL, project TEXT NOT NULL, counter INTEGER NOT NULL,
        final INTEGER NOT NULL, created TEXT NOT NULL, row TEXT NOT NULL
    );
    CREATE INDEX runs_open ON runs (id) WHERE final = 0;
    CREATE INDEX runs_counter ON runs (project, counter);
    CREATE INDEX executions_counter ON executions (project, counter);
    CREATE INDEX executions_run ON executions (run);
    """,
    """
    CREATE TABLE data (id BLOB PRIMARY KEY, digest TEXT NOT NULL, execution TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX data_digest ON data (digest)
    """,
    """
    CREATE TABLE inputs (digest BLOB NOT NULL, execution TEXT NOT NULL, PRIMARY KEY (digest, execution)) WITHOUT ROWID;
    ALTER TABLE runs ADD COLUMN seal BLOB;
    ALTER TABLE executions ADD COLUMN seal BLOB;
    CREATE INDEX runs_newest ON runs (project, final, id);
    CREATE INDEX executions_newest ON executions (project, final, id)
    """,
    """
    CREATE TABLE keys (base BLOB NOT NULL, execution TEXT NOT NULL, PRIMARY KEY (base, execution)) WITHOUT ROWID;
    CREATE TABLE steps (
        project TEXT NOT NULL, step TEXT NOT NULL, execution TEXT NOT NULL, PRIMARY KEY (project, step, execution)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE reuses (execution TEXT NOT NULL, run TEXT NOT NULL, PRIMARY KEY (execution, run)) WITHOUT ROWID;
    CREATE INDEX reuses_run ON reuses (run)
    """,
)
"""Appended to, never edited; `user_version` counts how many have been applied."""
