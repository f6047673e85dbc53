//! Whether migrations only add: two revisions share a schema while traffic moves from one to the
//! other, and a rollback goes back to the older one, so what that one uses must stay as it is.

use std::collections::BTreeSet;

use backend::revisions::MigrationFile;
use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, ColumnDef, ColumnOption, ObjectName, SetExpr,
    Statement,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

/// Why a migration is not run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MigrationError {
    /// Not as in `0001_create_sessions.sql`, or a number twice.
    #[error("`{0}` is no migration's name: `0001_verb_noun.sql`, each number once")]
    Name(String),
    /// A file that the running revision has says something else here.
    #[error(
        "`{0}` differs from the migration of that number that has been run: add a new file instead"
    )]
    Changed(String),
    /// Not PostgreSQL's SQL.
    #[error("`{file}` cannot be read: {why}")]
    Syntax {
        /// Its name.
        file: String,
        /// What the parser said.
        why: String,
    },
    /// It takes something away, or may.
    #[error(
        "`{file}` does more than add: {statement}. The running revision uses the schema too: add beside it now, \
         and take away in a later revision (expand, then contract)"
    )]
    NotAdditive {
        /// Its name.
        file: String,
        /// Its beginning.
        statement: String,
    },
}

/// The number that a file's name begins with.
pub fn number(name: &str) -> Option<i64> {
    let (digits, rest) = name.split_once('_')?;
    let sound = rest.len() > 4
        && rest.ends_with(".sql")
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if sound { digits.parse().ok() } else { None }
}

/// Checks the candidate's migrations beside those that have been run.
pub fn check(run: &[MigrationFile], candidate: &[MigrationFile]) -> Result<(), MigrationError> {
    let mut numbers = BTreeSet::new();
    for file in candidate {
        if !number(&file.name).is_some_and(|number| numbers.insert(number)) {
            return Err(MigrationError::Name(file.name.clone()));
        }
    }
    let mut made = BTreeSet::new();
    for file in candidate {
        match run
            .iter()
            .find(|old| number(&old.name) == number(&file.name))
        {
            Some(old) if old.sql == file.sql => {}
            Some(_) => return Err(MigrationError::Changed(file.name.clone())),
            // Nobody uses a schema that is not there yet.
            None if run.is_empty() => {}
            None => additive(file, &mut made)?,
        }
    }
    Ok(())
}

fn additive(file: &MigrationFile, made: &mut BTreeSet<String>) -> Result<(), MigrationError> {
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, &file.sql).map_err(|e| {
        MigrationError::Syntax {
            file: file.name.clone(),
            why: e.to_string(),
        }
    })?;
    for statement in statements {
        if !adds(&statement, made) {
            return Err(MigrationError::NotAdditive {
                file: file.name.clone(),
                statement: statement.to_string().chars().take(120).collect(),
            });
        }
        // One that may have been there before is somebody's.
        if let Statement::CreateTable(table) = statement
            && !table.if_not_exists
        {
            made.insert(key(&table.name));
        }
    }
    Ok(())
}

fn key(name: &ObjectName) -> String {
    name.to_string().to_lowercase().replace('"', "")
}

/// What is not known to add is taken to change. `made` are the tables that these migrations create:
/// with those nobody's code can break.
fn adds(statement: &Statement, made: &BTreeSet<String>) -> bool {
    match statement {
        Statement::CreateTable(table) => !table.or_replace,
        Statement::CreateView(view) => !view.or_replace,
        Statement::CreateFunction(function) => !function.or_replace,
        Statement::CreateIndex(index) => !index.unique || made.contains(&key(&index.table_name)),
        Statement::AlterTable(alter) => {
            made.contains(&key(&alter.name)) || alter.operations.iter().all(extends)
        }
        Statement::CreateSequence { .. }
        | Statement::CreateType { .. }
        | Statement::CreateDomain(_)
        | Statement::Comment { .. }
        | Statement::Update(_) => true,
        // A query may call what was made a moment ago, or change rows in its `with`.
        Statement::Insert(insert) => {
            let source = insert.source.as_ref();
            source.is_none_or(|source| {
                source.with.is_none() && matches!(*source.body, SetExpr::Values(_))
            })
        }
        _ => false,
    }
}

fn extends(operation: &AlterTableOperation) -> bool {
    match operation {
        AlterTableOperation::AddColumn { column_def, .. } => is_optional(column_def),
        AlterTableOperation::AlterColumn { op, .. } => {
            matches!(op, AlterColumnOperation::SetDefault { .. })
        }
        _ => false,
    }
}

/// Whether code that does not know the column can still insert rows.
fn is_optional(column: &ColumnDef) -> bool {
    let has = |wanted: fn(&ColumnOption) -> bool| column.options.iter().any(|o| wanted(&o.option));
    let filled = has(|o| matches!(o, ColumnOption::Default(_) | ColumnOption::Generated { .. }));
    let required = has(|o| matches!(o, ColumnOption::NotNull));
    let bound = has(|o| {
        matches!(
            o,
            ColumnOption::Unique(_)
                | ColumnOption::PrimaryKey(_)
                | ColumnOption::ForeignKey(_)
                | ColumnOption::Check(_)
        )
    });
    !bound && (filled || !required)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, sql: &str) -> MigrationFile {
        MigrationFile {
            name: name.into(),
            sql: sql.into(),
        }
    }

    fn verdict(sql: &str) -> Result<(), MigrationError> {
        let first = file("0001_create_a.sql", "create table a (id bigint)");
        check(
            std::slice::from_ref(&first),
            &[first.clone(), file("0002_next.sql", sql)],
        )
    }

    #[test]
    fn what_adds_is_let_pass() {
        for sql in [
            "create table b (id bigint primary key, a jsonb not null default '[]')",
            "create index b_by_id on a (id desc) where id > 0",
            "alter table a add column note text",
            "alter table a add column note text not null default ''",
            "alter table a alter column id set default 1",
            "create table c (id int); create unique index c_id on c (id); alter table c drop column id",
            "insert into a values (1); update a set id = 2",
            "create function f() returns int language plpgsql as $$ begin return 1; end $$",
            "-- only a comment",
        ] {
            assert_eq!(verdict(sql), Ok(()), "{sql}");
        }
    }

    #[test]
    fn what_takes_away_is_refused_with_its_statement() {
        for sql in [
            "drop table a",
            "alter table a drop column id",
            "alter table a rename to b",
            "alter table a rename column id to key",
            "alter table a alter column id type text",
            "alter table a alter column id set not null",
            "alter table a add column b text not null",
            "alter table a add column b text unique",
            "alter table a add constraint c check (id > 0)",
            "create unique index a_id on a (id)",
            "truncate a",
            "delete from a",
            "do $$ begin drop table a; end $$",
            "create or replace view v as select 1",
            "create table if not exists a (id bigint); alter table a drop column id",
            "with gone as (delete from a returning *) select * from gone",
            "insert into a with gone as (delete from a returning *) select * from gone",
            "create function f() returns int language sql as $$ delete from a; select 1 $$; select f()",
            "alter table a add column b int check (id > 0)",
            "alter table a add column b bigint references a (id)",
        ] {
            let refused = verdict(sql);
            let fits = matches!(
                refused,
                Err(MigrationError::NotAdditive { .. } | MigrationError::Syntax { .. })
            );
            assert!(fits, "{sql}: {refused:?}");
        }
    }

    #[test]
    fn the_services_own_migrations_only_add_to_what_has_been_run() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        for service in ["chat", "documents", "quiz"] {
            let folder = std::fs::read_dir(format!("{root}/{service}")).unwrap();
            let mut files: Vec<MigrationFile> = folder
                .map(|entry| entry.unwrap().path())
                .map(|path| {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    file(&name, &std::fs::read_to_string(&path).unwrap())
                })
                .collect();
            files.sort_by(|a, b| a.name.cmp(&b.name));
            assert_eq!(check(&files[..2], &files), Ok(()), "{service}");
        }
    }

    #[test]
    fn a_file_that_has_been_run_cannot_change() {
        let old = file("0001_create_a.sql", "create table a (id bigint)");
        let changed = file("0001_create_a.sql", "create table a (id text)");
        assert_eq!(
            check(std::slice::from_ref(&old), &[changed]),
            Err(MigrationError::Changed("0001_create_a.sql".into()))
        );
        // An older revision has fewer.
        assert_eq!(
            check(&[old.clone(), file("0002_b.sql", "x")], &[old]),
            Ok(())
        );
    }

    #[test]
    fn names_are_numbers_and_words() {
        for bad in ["a.sql", "1.sql", "0001_a.txt", "0001_../b.sql", "_a.sql"] {
            let refused = check(&[], &[file(bad, "select 1")]);
            assert_eq!(refused, Err(MigrationError::Name(bad.into())));
        }
        let twice = [file("1_a.sql", "select 1"), file("0001_b.sql", "select 1")];
        assert!(check(&[], &twice).is_err());
    }
}
