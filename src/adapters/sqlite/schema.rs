//! The form of the state file: what marks it as ours, its tables, and the steps from older forms to the present one.
//!
//! The format number is SQLite's `user_version`, and the number of migrations that were applied; a file is only ever
//! brought forward. Whether the content makes sense is not judged here, except for what a quick look at header and
//! schema tells.

use std::path::Path;

use rusqlite::Connection;

use crate::adapters::sqlite::sound;
use crate::adapters::sqlite::trouble::Trouble;
use crate::store::StoreError;

/// Marks a SQLite file as a state of this program: `PIPE` in ASCII.
const APPLICATION_ID: i32 = 0x5049_5045;

/// The steps from an empty file to the present form; a step that was released never changes.
pub(super) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE lease (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        holder TEXT NOT NULL,
        since TEXT NOT NULL,
        expires INTEGER NOT NULL            -- Seconds since 1970.
    ) STRICT;

    CREATE TABLE table_map (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;

    -- The numbers by which a base names fields.
    CREATE TABLE field (
        table_map INTEGER NOT NULL REFERENCES table_map,
        number INTEGER NOT NULL,
        key TEXT NOT NULL,
        PRIMARY KEY (table_map, number),
        UNIQUE (table_map, key)
    ) STRICT, WITHOUT ROWID;

    -- The id is table_map << 40 plus a running number, so that the couplings of one table map lie side by side, in the
    -- order in which they were made, and are read in one sweep.
    CREATE TABLE coupling (
        id INTEGER PRIMARY KEY,
        table_map INTEGER NOT NULL REFERENCES table_map,
        erp BLOB NOT NULL CHECK (length(erp) = 16),
        crm BLOB NOT NULL CHECK (length(crm) = 16),
        origin TEXT NOT NULL,               -- `rule 2`, `created in erp`, `created in crm`, `by hand`
        coupled_at INTEGER NOT NULL,        -- Seconds since 1970, like settled_at.
        settled_at INTEGER,
        base BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX coupling_erp ON coupling (table_map, erp);
    CREATE UNIQUE INDEX coupling_crm ON coupling (table_map, crm);

    -- The values behind the bases, for people only; a run never reads them all.
    CREATE TABLE base_value (
        coupling INTEGER PRIMARY KEY REFERENCES coupling ON DELETE CASCADE,
        data TEXT NOT NULL
    ) STRICT;

    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        run TEXT NOT NULL UNIQUE,
        started TEXT NOT NULL,
        finished TEXT,
        outcome TEXT NOT NULL,
        report TEXT NOT NULL,
        journal_before INTEGER NOT NULL     -- The last journal number before the run.
    ) STRICT;

    CREATE TABLE journal (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL,
        table_map INTEGER NOT NULL REFERENCES table_map,
        side TEXT NOT NULL,
        action TEXT NOT NULL,
        record_id BLOB NOT NULL,
        partner_id BLOB NOT NULL,
        record TEXT NOT NULL,
        fields TEXT NOT NULL,               -- JSON: [[column, old, new], …]
        intended_at TEXT NOT NULL,
        outcome TEXT,
        message TEXT,
        answered_at TEXT
    ) STRICT;
    CREATE INDEX journal_open ON journal (table_map) WHERE outcome IS NULL;

    CREATE TABLE inbox (
        id INTEGER PRIMARY KEY,
        table_map INTEGER NOT NULL REFERENCES table_map,
        record TEXT NOT NULL,
        kind TEXT NOT NULL,
        erp_id BLOB,
        crm_id BLOB,
        field TEXT,
        base TEXT,
        erp TEXT,
        crm TEXT,
        message TEXT NOT NULL,
        since TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        run TEXT                            -- The run that counted last.
    ) STRICT;
    CREATE INDEX inbox_table_map ON inbox (table_map);
",
    "
    -- Records that were refused when they were last sent.
    CREATE TABLE refusal (
        table_map INTEGER NOT NULL REFERENCES table_map,
        erp_id BLOB CHECK (length(erp_id) = 16),
        crm_id BLOB CHECK (length(crm_id) = 16),
        message TEXT NOT NULL,
        print INTEGER NOT NULL,             -- Of all that the attempt depended on.
        times INTEGER NOT NULL              -- In a row, for the same reason.
    ) STRICT;
    CREATE INDEX refusal_table_map ON refusal (table_map);
",
    // What the state belongs to; no row before the first run.
    "
    CREATE TABLE binding (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        pipeline TEXT NOT NULL,
        erp_id BLOB NOT NULL CHECK (length(erp_id) = 16),
        erp_name TEXT NOT NULL,             -- As it was called last.
        crm_id BLOB NOT NULL CHECK (length(crm_id) = 16),
        crm_name TEXT NOT NULL
    ) STRICT;
",
    "
    -- Records that are neither matched nor given a new partner.
    CREATE TABLE apart (
        table_map INTEGER NOT NULL REFERENCES table_map,
        side TEXT NOT NULL,
        id BLOB NOT NULL CHECK (length(id) = 16),
        since INTEGER NOT NULL,             -- Seconds since 1970.
        PRIMARY KEY (table_map, side, id)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- How far a table map was read and settled; times are milliseconds since 1970 by the clock of their side.
    CREATE TABLE watermark (
        table_map INTEGER PRIMARY KEY REFERENCES table_map,
        fingerprint TEXT NOT NULL,
        erp_read_to INTEGER,
        crm_read_to INTEGER,
        erp_token TEXT,
        crm_token TEXT,
        -- Records that will come again: 16 bytes of id and 8 of a fingerprint each.
        erp_seen BLOB NOT NULL,
        crm_seen BLOB NOT NULL
    ) STRICT;
",
    "
    -- What people decided about what waited.
    CREATE TABLE decision (
        id INTEGER PRIMARY KEY,
        table_map INTEGER NOT NULL REFERENCES table_map,
        record TEXT NOT NULL,
        erp_id BLOB NOT NULL CHECK (length(erp_id) = 16),
        crm_id BLOB NOT NULL CHECK (length(crm_id) = 16),
        field TEXT,                         -- The key of a contested field; none for the whole pair.
        decided TEXT NOT NULL,              -- `take erp`, `take crm`, `take value=…`, `restore`, `delete`
        erp TEXT NOT NULL,                  -- Both values that it was decided on.
        crm TEXT NOT NULL,
        seen INTEGER,                       -- What the survivor of a deletion held: see `survivor`.
        at TEXT NOT NULL,
        ended TEXT                          -- Null as long as it stands.
    ) STRICT;
    CREATE INDEX decision_table_map ON decision (table_map);

    -- What the survivors of deletions held when a run last saw them, as far as they wait for a decision.
    CREATE TABLE survivor (
        table_map INTEGER NOT NULL REFERENCES table_map,
        erp_id BLOB NOT NULL CHECK (length(erp_id) = 16),
        crm_id BLOB NOT NULL CHECK (length(crm_id) = 16),
        side TEXT NOT NULL,                 -- Where it is.
        print INTEGER,                      -- Null where it was outside its filter.
        PRIMARY KEY (table_map, erp_id, crm_id)
    ) STRICT, WITHOUT ROWID;

    ALTER TABLE apart ADD COLUMN record TEXT;
    ALTER TABLE journal ADD COLUMN why TEXT NOT NULL DEFAULT '';
",
    "
    -- What is known besides of what waits: whom a reference leads to, and when and by whom the records were modified.
    ALTER TABLE inbox ADD COLUMN crm_record TEXT;
    ALTER TABLE inbox ADD COLUMN erp_modified TEXT;
    ALTER TABLE inbox ADD COLUMN crm_modified TEXT;
    ALTER TABLE inbox ADD COLUMN crm_modified_by TEXT;
    -- When a run last found that it could not be carried out; null where the next run is to do it.
    ALTER TABLE decision ADD COLUMN unmet TEXT;
",
    "
    -- Of all that decides what a coupling means: see sound.rs.
    ALTER TABLE coupling ADD COLUMN print INTEGER;

    -- To which file a log belongs: see log.rs.
    CREATE TABLE stamp (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        stamp BLOB NOT NULL,                -- Of the last opening for writing.
        before BLOB NOT NULL,               -- What the file may bear as long as the log is not in it.
        turn INTEGER NOT NULL               -- Counts transactions.
    ) STRICT;
",
    // What is agreed on is JSON: [[key of a field, fingerprint of the ERP, of the CRM, value of the ERP, of the CRM, and since
    // terms are remembered, these], …].
    "
    -- What a record is called on the other side, where a pair ends.
    ALTER TABLE journal ADD COLUMN also TEXT NOT NULL DEFAULT '';
    -- What both sides agree on once it is carried out; null once it is answered.
    ALTER TABLE journal ADD COLUMN agreed TEXT;
",
    "
    -- Whether a decision stands that does not help. The message says no more of it.
    ALTER TABLE inbox ADD COLUMN outstanding INTEGER NOT NULL DEFAULT 0;
    UPDATE inbox SET outstanding = 1, message = CASE
        WHEN message LIKE '% matches it; decided on %'
        THEN substr(message, 1, instr(message, '; decided on ') - 1) || '; nothing is done until somebody decides'
        WHEN message LIKE '% decides again; decided on %'
        THEN substr(message, 1, instr(message, ' again; decided on ') - 1)
        ELSE substr(message, 1, instr(message, '; decided on ') - 1)
    END
    WHERE kind IN ('contested', 'deleted') AND instr(message, '; decided on ') > 0;
",
    "
    -- A table for a spreadsheet may bring thousands of decisions at once.
    DROP INDEX decision_table_map;
    CREATE INDEX decision_pair ON decision (table_map, erp_id, crm_id);
    CREATE INDEX inbox_pair ON inbox (table_map, erp_id, crm_id);
    DROP INDEX inbox_table_map;
",
    "
    -- How the two values of settled fields are to each other, as far as they do not agree, or lead to a record that has lost its
    -- partner since; null where a program settled them that did not remember it.
    ALTER TABLE coupling ADD COLUMN terms BLOB;
",
    "
    -- The side that refused it. Of a pair it was not kept: what does not fit the attempt is forgotten by the next run.
    ALTER TABLE refusal ADD COLUMN side TEXT NOT NULL DEFAULT 'crm';
    UPDATE refusal SET side = 'erp' WHERE erp_id IS NULL;
    INSERT INTO refusal (table_map, erp_id, crm_id, message, print, times, side)
    SELECT table_map, erp_id, crm_id, message, print, times, 'erp' FROM refusal
    WHERE erp_id IS NOT NULL AND crm_id IS NOT NULL;
",
    "
    -- What tells a coupled record from others where its id does not: JSON, [value of the first key column, …].
    CREATE TABLE record_key (
        coupling INTEGER NOT NULL REFERENCES coupling ON DELETE CASCADE,
        side TEXT NOT NULL,
        key TEXT NOT NULL,
        PRIMARY KEY (coupling, side)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- Of which tables the couplings are; null before a run that knows.
    ALTER TABLE table_map ADD COLUMN erp_table TEXT;
    ALTER TABLE table_map ADD COLUMN crm_table TEXT;
",
    "
    -- Whether it is about a record that could not be read. Of what waited before, each that may be.
    ALTER TABLE inbox ADD COLUMN unreadable INTEGER NOT NULL DEFAULT 0;
    UPDATE inbox SET unreadable = 1 WHERE kind = 'failed' AND message LIKE '%cannot be read: %';
",
];

/// The first format in which each coupling has a print.
const PRINTS_SINCE: i32 = 8;

/// What a look at header and schema tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing is in it yet.
    Empty,
    /// Ours, and of the present format.
    Present,
    /// Ours, and of an older format.
    Older,
}

/// Looks at header and schema; fails for a file that is not ours, newer than this program, or has lost tables.
pub(super) fn inspect(connection: &Connection, path: &Path) -> Result<Form, Trouble> {
    let damaged = |message: String| StoreError::Damaged { message: format!("{}: {message}", path.display()) };
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables = tables(connection)?;
    if application == 0 && version == 0 && tables.is_empty() {
        return Ok(Form::Empty);
    }
    if application != APPLICATION_ID {
        let message = "this is a database of another application; name another `state`".to_owned();
        return Err(damaged(message).into());
    }
    let known = i32::try_from(MIGRATIONS.len()).expect("there are a few migrations");
    if version > known {
        let message = format!(
            "the file has format {version} and this program knows formats up to {known}; use the newer program that \
             wrote it"
        );
        return Err(damaged(message).into());
    }
    let expected = {
        let fresh = Connection::open_in_memory()?;
        migrate(&fresh, 0, version)?;
        self::tables(&fresh)?
    };
    // More is no harm: a person may have added a view or an index to look at the state.
    if let Some((name, _)) = expected.iter().find(|table| !tables.contains(table)) {
        return Err(Trouble::Broken(format!("`{name}` is missing or altered")));
    }
    Ok(if version == known { Form::Present } else { Form::Older })
}

/// Brings an empty or older file to the present form, within the caller's transaction.
pub(super) fn bring_up_to_date(connection: &Connection) -> Result<(), Trouble> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i32::try_from(MIGRATIONS.len()).expect("there are a few migrations");
    migrate(connection, version, known)
}

pub(super) fn migrate(connection: &Connection, from: i32, to: i32) -> Result<(), Trouble> {
    for (step, version) in MIGRATIONS.iter().zip(1..=to) {
        if version > from {
            connection.execute_batch(step)?;
            if version == PRINTS_SINCE {
                sound::seal(connection)?;
            }
        }
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", to)?;
    Ok(())
}

/// Returns name and definition of each table and index that somebody made.
fn tables(connection: &Connection) -> Result<Vec<(String, String)>, Trouble> {
    let mut statement =
        connection.prepare("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~'")?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
