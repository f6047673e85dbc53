//! The private PostgreSQL survives what happens to it and to its host.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use backend::postgres::cluster::{self, Cluster, ClusterError};
use backend::postgres::{PlatformPool, provision};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::runtime::Runtime;

use crate::server::folder;

fn postmaster(cluster: &Cluster) -> Pid {
    let file = fs::read_to_string(cluster.data().join("postmaster.pid")).unwrap();
    Pid::from_raw(file.lines().next().unwrap().parse().unwrap())
}

/// A host of which nothing is left when it is killed: no task, no destructor.
struct Host {
    runtime: Runtime,
    cluster: Cluster,
}

impl Host {
    fn start(folder: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let cluster = runtime.block_on(Cluster::start(folder)).unwrap();
        Self { runtime, cluster }
    }

    fn with_pool<T>(&self, work: impl AsyncFnOnce(&PlatformPool) -> T) -> T {
        self.runtime.block_on(async {
            let pool = provision::platform(self.cluster.config()).await.unwrap();
            let done = work(&pool).await;
            pool.close().await;
            done
        })
    }

    fn stop(self) {
        self.runtime.block_on(self.cluster.stop());
    }

    fn kill(self) {
        std::mem::forget(self.cluster);
        self.runtime.shutdown_background();
    }
}

async fn run(pool: &PlatformPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

#[test]
fn a_cluster_keeps_its_data_over_a_stop_and_a_kill() {
    let folder = folder();
    let host = Host::start(folder.path());
    host.with_pool(async |pool| {
        run(
            pool,
            "create table public.kept (n int); insert into public.kept values (1)",
        )
        .await;
    });
    host.stop();

    let host = Host::start(folder.path());
    host.with_pool(async |pool| run(pool, "insert into public.kept values (2)").await);
    let pid = postmaster(&host.cluster);
    host.kill();
    // The database's own death, without a word.
    kill(pid, Signal::SIGKILL).unwrap();

    let host = Host::start(folder.path());
    let sum: i64 = host.with_pool(async |pool| {
        let sum = sqlx::query_scalar("select sum(n) from public.kept");
        sum.fetch_one(pool).await.unwrap()
    });
    assert_eq!(sum, 3);
    host.stop();
}

#[test]
fn a_cluster_that_outlived_its_host_is_taken_over() {
    let folder = folder();
    let first = Host::start(folder.path());
    let pid = postmaster(&first.cluster);
    first.kill();
    let second = Host::start(folder.path());
    assert_eq!(postmaster(&second.cluster), pid);
    second.stop();
    assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH));
}

/// Until another server than `dead` answers.
async fn answers_anew(cluster: &Cluster, dead: Pid) {
    let started = Instant::now();
    loop {
        let another = fs::read_to_string(cluster.data().join("postmaster.pid"))
            .is_ok_and(|lock| lock.lines().next() != Some(&dead.to_string()));
        if another && provision::connect(cluster.config()).await.is_ok() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "it stays dead");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_each_time() {
    let folder = folder();
    let cluster = Cluster::start(folder.path()).await.unwrap();
    for _ in 0..2 {
        let pid = postmaster(&cluster);
        kill(pid, Signal::SIGKILL).unwrap();
        answers_anew(&cluster, pid).await;
    }
    let pid = postmaster(&cluster);
    cluster.stop().await;
    assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH));
}

#[test]
fn an_adopted_server_that_dies_is_started_again() {
    let folder = folder();
    Host::start(folder.path()).kill();
    let host = Host::start(folder.path());
    let pid = postmaster(&host.cluster);
    kill(pid, Signal::SIGKILL).unwrap();
    host.runtime.block_on(answers_anew(&host.cluster, pid));
    host.stop();
}

#[tokio::test]
async fn another_cluster_s_process_is_not_taken_for_ours() {
    let (folder, other) = (folder(), folder());
    let stranger = Cluster::start(other.path()).await.unwrap();
    let ours = Cluster::start(folder.path()).await.unwrap();
    let (pid, data) = (postmaster(&stranger), ours.data().to_owned());
    ours.stop().await;
    // As after a reboot: the lock is left, and its id is another server's.
    fs::write(
        data.join("postmaster.pid"),
        format!("{pid}\n{}\n", data.display()),
    )
    .unwrap();

    let ours = Cluster::start(folder.path()).await.unwrap();
    assert_ne!(postmaster(&ours), pid);
    ours.stop().await;
    fs::write(data.join("postmaster.pid"), "").unwrap();
    let ours = Cluster::start(folder.path()).await.unwrap();
    ours.stop().await;
    provision::connect(stranger.config()).await.unwrap();
    stranger.stop().await;
}

#[tokio::test]
async fn what_a_killed_first_start_left_is_made_anew() {
    let folder = folder();
    let home = cluster::home(folder.path()).unwrap();
    fs::create_dir_all(home.join("unfinished-abc/base")).unwrap();
    fs::create_dir_all(home.join("data/base")).unwrap();
    fs::write(home.join("password.new"), "half").unwrap();
    fs::write(home.join("password"), "").unwrap();

    let cluster = Cluster::start(folder.path()).await.unwrap();
    let password = fs::metadata(home.join("password")).unwrap();
    assert_eq!((password.len(), password.mode() & 0o777), (40, 0o600));
    assert_eq!(password.uid(), fs::metadata(&home).unwrap().uid());
    assert!(!home.join("unfinished-abc").exists());
    cluster.stop().await;
}

#[tokio::test]
async fn a_password_that_was_not_given_away_yet_is_given() {
    let folder = folder();
    let home = cluster::home(folder.path()).unwrap();
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("password"), "x".repeat(40)).unwrap();
    fs::set_permissions(home.join("password"), fs::Permissions::from_mode(0o600)).unwrap();
    let cluster = Cluster::start(folder.path()).await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn a_lost_password_is_said_and_the_data_stays() {
    let folder = folder();
    let cluster = Cluster::start(folder.path()).await.unwrap();
    let data = cluster.data().to_owned();
    cluster.stop().await;
    let password = data.parent().unwrap().join("password");
    let kept = fs::read(&password).unwrap();
    fs::write(&password, "").unwrap();
    let refused = Cluster::start(folder.path()).await.err();
    assert!(
        matches!(refused, Some(ClusterError::PasswordLost(_))),
        "{refused:?}"
    );
    fs::write(&password, kept).unwrap();
    let cluster = Cluster::start(folder.path()).await.unwrap();
    cluster.stop().await;
}
