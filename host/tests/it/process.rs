//! The real program as a process of its own, which tests kill; and what its database says of effects.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use sqlx::Row;
use sqlx::postgres::PgConnection;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{PATIENCE, target};

pub(crate) struct Host {
    pub(crate) child: Child,
    pub(crate) base: String,
}

/// Answers once it listens. `FAILPOINTS` as the `fail` crate reads it; its lines go to `host.log` in the
/// folder.
pub(crate) async fn start(folder: &Path, failpoints: &str, variables: &[(String, String)]) -> Host {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lectern"))
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen"])
        .args(["127.0.0.1:0", "--data-dir"])
        .arg(folder)
        .env("LECTERN_COMPONENTS", target().join("components"))
        .env("FAILPOINTS", failpoints)
        .env_remove("LECTERN_LOG")
        .envs(variables.iter().map(|(key, value)| (key, value)))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut printed = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        // A line of either format.
        if let Some((_, rest)) = line.split_once("listening on ") {
            let base = rest.split('"').next().unwrap_or(rest).to_owned();
            let log = folder.join("host.log");
            let mut log = std::fs::File::create(log).unwrap();
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let _ = writeln!(log, "{line}");
                }
            });
            return Host { child, base };
        }
        printed.push_str(&line);
        printed.push('\n');
    }
    panic!("the host did not start:\n{printed}");
}

impl Host {
    pub(crate) async fn stop(mut self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.expect("the host stops").unwrap().success());
    }
}

/// How often each event took effect, by consumer and topic.
pub(crate) async fn effects(connection: &mut PgConnection) -> Vec<(String, i64)> {
    let rows = sqlx::query(
        "select 'documents ' || topic, count(*) from documents.inbox group by 1 union all \
         select 'chat ' || topic, count(*) from chat.inbox group by 1 union all \
         select 'quiz ' || topic, count(*) from quiz.inbox group by 1 order by 1",
    );
    let rows = rows.fetch_all(connection).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

pub(crate) async fn count(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}
