//! SQL through the capability, and the walls around a component.

use std::time::Duration;

use capability::events::{Events, Message};
use capability::postgres::{Error, Postgres, Value};
use futures::StreamExt;

use crate::server::Server;

fn sqlstate(error: Error) -> String {
    match error {
        Error::Db { sqlstate, .. } => sqlstate,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_type_comes_back_as_it_went() {
    let server = Server::start().await;
    let pool = server.component("types").await;
    let all = vec![
        Value::Boolean(true),
        Value::Int(-7),
        Value::Int(40_000),
        Value::Int(1 << 40),
        Value::Float(1.5),
        Value::Text("grüße\n".into()),
        Value::Bytes(vec![0, 255]),
        Value::Timestamp(1_764_930_600_123_456),
        Value::Uuid("01a20db3-04ef-7546-baf0-33ddf6493555".into()),
        Value::Json(r#"{"a": [1, null]}"#.into()),
        Value::Null,
    ];
    pool.execute(
        "create table t (b bool, s int2, i int4, l int8, f float8, t varchar(20), y bytea, \
         z timestamptz, u uuid, j jsonb, n int4)",
        vec![],
    )
    .await
    .unwrap();
    let stored = "insert into t values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    assert_eq!(pool.execute(stored, all.clone()).await.unwrap(), 1);
    assert_eq!(
        pool.fetch("select * from t", vec![]).await.unwrap(),
        vec![all]
    );
    // A statement is prepared once, whatever its parameters are later.
    let by_n = "select 1 from t where n is not distinct from $1";
    assert_eq!(pool.fetch(by_n, vec![Value::Null]).await.unwrap().len(), 1);
    assert_eq!(
        pool.fetch(by_n, vec![Value::Int(1)]).await.unwrap().len(),
        0
    );
    server.stop().await;
}

#[tokio::test]
async fn mistakes_are_errors_by_meaning() {
    let server = Server::start().await;
    let pool = server
        .component_within("mistakes", Duration::from_secs(3))
        .await;
    pool.execute("create table t (i int4 primary key)", vec![])
        .await
        .unwrap();
    let too_large = pool
        .execute("insert into t values ($1)", vec![Value::Int(1 << 40)])
        .await;
    assert!(matches!(too_large, Err(Error::Invalid(_))), "{too_large:?}");
    let mistyped = pool
        .execute("insert into t values ($1)", vec![Value::Text("x".into())])
        .await;
    assert!(matches!(mistyped, Err(Error::Invalid(_))), "{mistyped:?}");
    let missing = pool.execute("insert into t values ($1)", vec![]).await;
    assert!(matches!(missing, Err(Error::Invalid(_))), "{missing:?}");
    let unreadable = pool.fetch("select 1.5::numeric", vec![]).await;
    assert!(
        matches!(unreadable, Err(Error::Invalid(_))),
        "{unreadable:?}"
    );
    assert_eq!(
        sqlstate(pool.fetch("selec", vec![]).await.unwrap_err()),
        "42601"
    );
    pool.execute("insert into t values (1)", vec![])
        .await
        .unwrap();
    match pool
        .execute("insert into t values (1)", vec![])
        .await
        .unwrap_err()
    {
        Error::Db {
            sqlstate,
            constraint,
            ..
        } => {
            assert_eq!(
                (sqlstate.as_str(), constraint.as_deref()),
                ("23505", Some("t_pkey"))
            );
        }
        other => panic!("{other:?}"),
    }
    let slow = pool.fetch("select pg_sleep(5)", vec![]).await;
    assert!(matches!(slow, Err(Error::Timeout)), "{slow:?}");
    assert_eq!(
        pool.fetch("select 1::int8", vec![]).await.unwrap().len(),
        1,
        "the pool lives on"
    );
    server.stop().await;
}

#[tokio::test]
async fn results_are_bounded_and_streams_are_not() {
    let server = Server::start().await;
    let pool = server.component("bounds").await;
    let many = "select n, 'x' from generate_series(1, 50000) n";
    assert!(matches!(
        pool.fetch(many, vec![]).await,
        Err(Error::QuotaExceeded)
    ));
    let large = "select repeat('x', 9000000) from generate_series(1, 3)";
    assert!(matches!(
        pool.fetch(large, vec![]).await,
        Err(Error::QuotaExceeded)
    ));
    let found = pool.query(many, vec![]).await.unwrap();
    assert_eq!(found.columns[0].type_name, "INT4");
    assert_eq!(
        found
            .rows
            .filter(|row| std::future::ready(row.is_ok()))
            .count()
            .await,
        50_000
    );
    // A stream that fails half way says so at its end.
    let broken = pool
        .query("select 10 / (3 - n) from generate_series(1, 5) n", vec![])
        .await
        .unwrap();
    let outcomes: Vec<_> = broken.rows.map(|row| row.is_ok()).collect().await;
    assert_eq!(outcomes, [true, true, false]);
    // Streams that are dropped early give their connections back.
    for _ in 0..20 {
        drop(pool.query(many, vec![]).await.unwrap());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_transaction_takes_effect_when_it_commits() {
    let server = Server::start().await;
    let pool = server.component("transactions").await;
    pool.execute("create table t (n int8)", vec![])
        .await
        .unwrap();
    let count = async || pool.fetch("select * from t", vec![]).await.unwrap().len();
    let message = Message {
        topic: "t".into(),
        key: "k".into(),
        payload: "{}".into(),
        trace: None,
        request_id: None,
    };
    let outbox = async || -> i64 {
        sqlx::query_scalar("select count(*) from lectern.outbox")
            .fetch_one(&server.platform)
            .await
            .unwrap()
    };

    let mut dropped = pool.begin().await.unwrap();
    dropped
        .execute("insert into t values (1)", vec![])
        .await
        .unwrap();
    dropped.publish(&message).await.unwrap();
    drop(dropped);
    let mut rolled_back = pool.begin().await.unwrap();
    rolled_back
        .execute("insert into t values (2)", vec![])
        .await
        .unwrap();
    rolled_back.rollback().await.unwrap();
    assert_eq!((count().await, outbox().await), (0, 0));

    let mut committed = pool.begin().await.unwrap();
    committed
        .execute("insert into t values (3)", vec![])
        .await
        .unwrap();
    committed.publish(&message).await.unwrap();
    assert_eq!(
        committed.fetch("select * from t", vec![]).await.unwrap(),
        vec![vec![Value::Int(3)]]
    );
    assert_eq!((count().await, outbox().await), (0, 0));
    committed.commit().await.unwrap();
    assert_eq!((count().await, outbox().await), (1, 1));
    server.stop().await;
}

#[tokio::test]
async fn one_component_cannot_reach_another_s_schema_or_the_host_s() {
    let server = Server::start().await;
    let (mallory, alice) = (
        server.component("mallory").await,
        server.component("alice").await,
    );
    alice
        .execute("create table secret (n int4)", vec![])
        .await
        .unwrap();
    for attempt in [
        "select * from alice.secret",
        "drop table alice.secret",
        "create table alice.mine (n int4)",
        "select * from lectern.outbox",
        "insert into lectern.outbox (component, topic, key, payload) values ('alice', 't', 'k', '{}')",
        "delete from lectern.inbox",
        "create schema more",
        "select * from pg_authid",
        "copy (select 1) to '/tmp/lectern-escape'",
        "copy (select 1) to program 'true'",
        "select pg_read_file('/etc/passwd')",
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'lectern' and pid <> pg_backend_pid()",
        "set role lectern",
        "set session authorization lectern",
        "alter role lectern_lectern_mallory superuser",
        "create role more",
        "create extension plpython3u",
    ] {
        let outcome = mallory.execute(attempt, vec![]).await;
        assert!(outcome.is_err(), "{attempt}: {outcome:?}");
    }
    // A component publishes in its own name, whatever it sets.
    mallory
        .execute("set lectern.component = 'alice'", vec![])
        .await
        .unwrap();
    let message = Message {
        topic: "t".into(),
        key: "k".into(),
        payload: "{}".into(),
        trace: None,
        request_id: None,
    };
    mallory.publish(&message).await.unwrap();
    let who: String = sqlx::query_scalar("select component from lectern.outbox")
        .fetch_one(&server.platform)
        .await
        .unwrap();
    assert_eq!(who, "mallory");
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_stored_is_refused() {
    let server = Server::start().await;
    let pool = server.component("messages").await;
    let long = format!("\"{}\"", "x".repeat(2 << 20));
    for payload in ["", "{", "\"\\u0000\"", long.as_str()] {
        let message = Message {
            topic: "t".into(),
            key: "k".into(),
            payload: payload.into(),
            trace: None,
            request_id: None,
        };
        assert!(pool.publish(&message).await.is_err(), "{payload:.20}");
    }
    server.stop().await;
}

/// The default before PostgreSQL 15 lets every role put functions into `public`; one of these named
/// like PostgreSQL's own must not be the one that the host calls (CVE-2018-1058).
#[tokio::test]
async fn a_component_s_function_is_never_called_by_the_host() {
    let server = Server::start().await;
    let pool = server.component("chat").await;
    sqlx::query("grant create, usage on schema public to public")
        .execute(&server.platform)
        .await
        .unwrap();
    let trap =
        "create function public.upper(name) returns text language sql as $$ select 'theirs' $$";
    pool.execute(trap, vec![]).await.unwrap();
    let called: String = sqlx::query_scalar("select upper('a'::name)")
        .fetch_one(&server.platform)
        .await
        .unwrap();
    assert_eq!(called, "A");
    server.stop().await;
}
