//! The private PostgreSQL survives what happens to its host.

use backend::postgres::cluster::Cluster;
use backend::postgres::provision;

use crate::server::folder;

fn postmaster(cluster: &Cluster) -> nix::unistd::Pid {
    let file = std::fs::read_to_string(cluster.data().join("postmaster.pid")).unwrap();
    nix::unistd::Pid::from_raw(file.lines().next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_cluster_keeps_its_data_over_a_stop_and_a_kill() {
    let folder = folder();
    let cluster = Cluster::start(folder.path()).await.unwrap();
    let pool = provision::platform(cluster.config()).await.unwrap();
    sqlx::raw_sql("create table kept (n int); insert into kept values (1)")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    cluster.stop().await;

    let cluster = Cluster::start(folder.path()).await.unwrap();
    let pool = provision::platform(cluster.config()).await.unwrap();
    sqlx::raw_sql("insert into kept values (2)")
        .execute(&pool)
        .await
        .unwrap();
    // The database's own death, without a word.
    nix::sys::signal::kill(postmaster(&cluster), nix::sys::signal::Signal::SIGKILL).unwrap();
    std::mem::forget(cluster);

    let cluster = Cluster::start(folder.path()).await.unwrap();
    let pool = provision::platform(cluster.config()).await.unwrap();
    let sum: i64 = sqlx::query_scalar("select sum(n) from kept")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(sum, 3);
    pool.close().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_cluster_that_outlived_its_host_is_taken_over() {
    let folder = folder();
    let first = Cluster::start(folder.path()).await.unwrap();
    let pid = postmaster(&first);
    std::mem::forget(first);
    let second = Cluster::start(folder.path()).await.unwrap();
    assert_eq!(postmaster(&second), pid);
    second.stop().await;
}
