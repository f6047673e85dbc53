//! Revisions that turn out bad, and hosts that follow one another.

use std::time::{Duration, Instant};

use backend::postgres::cluster::Cluster;
use host::client::Upload;

use crate::deploy::{probe, version};
use crate::harness::{PATIENCE, TestHost, config, data_dir};

/// How many requests until the bad canary is gone, and how long that took.
async fn until_rolled_back(host: &TestHost, canary: Upload) -> (u32, Duration, String) {
    let operator = host.operator();
    let canary = Upload {
        weight: Some(50),
        ..canary
    };
    operator.deploy("probe", canary).await.unwrap();
    let began = Instant::now();
    let mut seen = 0;
    let gone = async {
        loop {
            let path = format!("/probe/version?user_id=user-{seen}");
            host.get(&path).await;
            seen += 1;
            if operator.component("probe").await.unwrap().canary.is_none() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("a rollback");
    let last = operator.audit(1).await.unwrap().entries.remove(0);
    assert_eq!(
        (last.who.as_str(), last.action.as_str()),
        ("lectern", "canary rolled back")
    );
    (seen, began.elapsed(), last.detail["why"].to_string())
}

#[tokio::test]
async fn a_bad_canary_is_rolled_back_by_itself() {
    let host = TestHost::probe().await;
    let stable = host
        .operator()
        .deploy("probe", version(1))
        .await
        .unwrap()
        .revision;
    // What is usual, for the times to be compared with.
    for _ in 0..20 {
        host.get("/probe/version").await.ok();
    }
    for (bad, why) in [
        ("VERSION = \"2\"\nFAIL_EACH = \"10\"", "errors"),
        // Far beyond what a busy machine may do to the stable one.
        (
            "VERSION = \"3\"\nDELAY_MS = \"1500\"\n[canary]\nmin_requests = 5",
            "p99",
        ),
        ("VERSION = \"4\"\nTRAP_EACH = \"10\"", "traps"),
    ] {
        let (seen, took, said) = until_rolled_back(&host, probe(bad)).await;
        eprintln!(
            "{why}: rolled back after {seen} requests of both, {} ms: {said}",
            took.as_millis()
        );
        assert!(said.contains(why), "{said}");
        let now = host.operator().component("probe").await.unwrap();
        assert_eq!(now.stable, stable);
        for _ in 0..20 {
            assert_eq!(host.get("/probe/version").await.ok(), 1);
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn users_of_a_canary_that_is_no_longer_asked_are_the_stable_revision_s() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    operator.deploy("probe", version(1)).await.unwrap();
    // Never judged, so that only the breaker stands between it and all users.
    let patient = "[canary]\nmax_traps = 100000\nmin_requests = 100000";
    let mut bad = probe(&format!("VERSION = \"2\"\nTRAP_EACH = \"1\"\n{patient}"));
    bad.weight = Some(100);
    operator.deploy("probe", bad).await.unwrap();
    let answered = async {
        let mut failed = 0;
        loop {
            let answer = host.get("/probe/version").await;
            if answer.status == 200 {
                return (failed, answer.body);
            }
            failed += 1;
        }
    };
    let answered = tokio::time::timeout(PATIENCE, answered).await.unwrap();
    // As many in a row open it.
    assert_eq!(answered, (20, serde_json::json!(1)));
    assert!(operator.component("probe").await.unwrap().canary.is_some());
    host.stop().await;
}

#[tokio::test]
async fn a_canary_within_its_bounds_is_promoted_by_the_manifest_s_rule() {
    let host = TestHost::probe().await;
    let mut canary = probe("VERSION = \"2\"\n[canary]\npromote_after_s = 0\nmin_requests = 5");
    canary.weight = Some(100);
    let promoted = host
        .operator()
        .deploy("probe", canary)
        .await
        .unwrap()
        .revision;
    let done = async {
        loop {
            host.get("/probe/version").await.ok();
            let now = host.operator().component("probe").await.unwrap();
            if now.stable == promoted {
                return now;
            }
        }
    };
    let now = tokio::time::timeout(PATIENCE, done)
        .await
        .expect("a promotion");
    assert!(now.canary.is_none());
    host.stop().await;
}

async fn beside(database: &backend::postgres::Config) -> TestHost {
    let folder = data_dir();
    let mut config = config(folder.path(), "test-components");
    config.backends.database = Some(database.clone());
    TestHost::on(folder, config).await
}

async fn answers(host: &TestHost, wanted: u64) -> Duration {
    let began = Instant::now();
    let there = async {
        while host.get("/probe/version").await.ok() != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, there)
        .await
        .expect("the host follows");
    began.elapsed()
}

#[tokio::test]
async fn hosts_on_one_database_follow_a_change() {
    let folder = data_dir();
    let cluster = Cluster::start(folder.path()).await.unwrap();
    let (one, two) = (
        beside(cluster.config()).await,
        beside(cluster.config()).await,
    );
    let revision = one
        .operator()
        .deploy("probe", version(5))
        .await
        .unwrap()
        .revision;
    assert_eq!(one.get("/probe/version").await.ok(), 5);
    let took = answers(&two, 5).await;
    eprintln!("the other host follows in {} ms", took.as_millis());
    two.operator().deploy("probe", version(6)).await.unwrap();
    answers(&one, 6).await;
    two.operator().rollback("probe").await.unwrap();
    answers(&one, 5).await;
    let both = async {
        loop {
            let hosts = one.operator().hosts().await.unwrap().hosts;
            let stables: Vec<_> = hosts
                .iter()
                .map(|host| &host.components["probe"]["stable"])
                .collect();
            if stables.len() == 2 && stables.iter().all(|stable| **stable == revision.as_str()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, both)
        .await
        .expect("both hosts say what they run");
    // One that starts later runs what the others run.
    let three = beside(cluster.config()).await;
    assert_eq!(three.get("/probe/version").await.ok(), 5);
    three.stop().await;
    two.stop().await;
    one.stop().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_host_that_cannot_run_a_revision_holds_it_back_and_says_so() {
    let folder = data_dir();
    let cluster = Cluster::start(folder.path()).await.unwrap();
    let one = {
        let folder = data_dir();
        let mut config = config(folder.path(), "test-components");
        config.backends.database = Some(cluster.config().clone());
        config.secrets.insert("ONLY_ONE".into(), "x".into());
        TestHost::on(folder, config).await
    };
    let two = beside(cluster.config()).await;
    one.operator().deploy("probe", version(1)).await.unwrap();
    answers(&two, 1).await;
    let upload = version(2);
    let manifest = upload
        .manifest
        .map(|text| format!("secrets = [\"ONLY_ONE\"]\n{text}"));
    one.operator()
        .deploy("probe", Upload { manifest, ..upload })
        .await
        .unwrap();
    answers(&one, 2).await;
    let told = async {
        loop {
            let held = two.operator().component("probe").await.unwrap().held_back;
            if let Some(held) = held {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let held = tokio::time::timeout(PATIENCE, told)
        .await
        .expect("it says so");
    assert!(held.contains("LECTERN_SECRET_ONLY_ONE"), "{held}");
    assert_eq!(two.get("/probe/version").await.ok(), 1, "service goes on");
    two.stop().await;
    one.stop().await;
    cluster.stop().await;
}

#[tokio::test]
async fn clients_that_do_not_wait_for_a_slow_canary_are_its_failures() {
    let host = TestHost::probe().await;
    host.operator().deploy("probe", version(1)).await.unwrap();
    let mut slow = probe("VERSION = \"2\"\nDELAY_MS = \"2500\"");
    slow.weight = Some(100);
    host.operator().deploy("probe", slow).await.unwrap();
    let gone = async {
        while host
            .operator()
            .component("probe")
            .await
            .unwrap()
            .canary
            .is_some()
        {
            let impatient = (0..10).map(|_| {
                let request = host.request(reqwest::Method::GET, "/probe/version");
                request.timeout(Duration::from_millis(100)).send()
            });
            futures::future::join_all(impatient).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("a rollback");
    host.stop().await;
}

#[tokio::test]
async fn what_a_canary_rejects_the_stable_revision_is_asked() {
    let host = TestHost::probe().await;
    host.get("/probe/effects").await.ok();
    host.operator().deploy("probe", version(1)).await.unwrap();
    let mut canary = probe("REJECT_ALL = \"1\"\n[canary]\nmin_requests = 5");
    canary.weight = Some(100);
    host.operator().deploy("probe", canary).await.unwrap();
    for number in 0..10 {
        let what = serde_json::json!({ "what": format!("event {number}") });
        assert_eq!(
            host.post("/probe/publish/probe.asked", what).await.status,
            200
        );
    }
    let done = async {
        while host
            .get("/probe/effects")
            .await
            .ok()
            .as_array()
            .unwrap()
            .len()
            < 10
            || host
                .operator()
                .component("probe")
                .await
                .unwrap()
                .canary
                .is_some()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done)
        .await
        .expect("all ten, and a rollback");
    assert!(
        host.sql("select reason from lectern.dead_letters")
            .await
            .is_empty()
    );
    host.stop().await;
}

#[tokio::test]
async fn a_rollback_does_not_wait_for_a_deploy() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    operator.deploy("probe", version(1)).await.unwrap();
    let slow = probe("VERSION = \"2\"\nHEALTH_DELAY_MS = \"1500\"");
    let deploy = async {
        host.operator().deploy("probe", slow).await.unwrap();
        Instant::now()
    };
    let rollback = async {
        operator.rollback("probe").await.unwrap();
        Instant::now()
    };
    let (deployed, rolled_back) = tokio::join!(deploy, rollback);
    assert!(rolled_back < deployed);
    assert_eq!(host.get("/probe/version").await.ok(), 2);
    host.stop().await;
}
