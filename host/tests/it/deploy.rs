//! An operator deploys, tries, rolls back and deletes; what cannot serve is refused, and service goes on.

use host::admin::api::{Canary, SetTraffic};
use host::client::{ClientError, Upload};
use reqwest::Method;
use serde_json::json;

use crate::harness::{TestHost, target};

/// The probe with another configuration: another revision, from the same bytes.
pub(crate) fn probe(config: &str) -> Upload {
    let folder = target().join("test-components");
    let manifest = std::fs::read_to_string(folder.join("probe.toml")).unwrap();
    Upload {
        wasm: std::fs::read(folder.join("probe.wasm")).unwrap(),
        manifest: Some(format!("{manifest}\n[config]\n{config}\n")),
        ..Upload::default()
    }
}

pub(crate) fn version(number: u32) -> Upload {
    probe(&format!("VERSION = \"{number}\""))
}

async fn answers(host: &TestHost) -> String {
    let answer = host.get("/probe/version").await.ok();
    answer
        .as_str()
        .map_or_else(|| answer.to_string(), ToOwned::to_owned)
}

#[tokio::test]
async fn a_revision_passes_its_checks_serves_and_is_rolled_back() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    assert_eq!(answers(&host).await, "");
    let built_in = operator.component("probe").await.unwrap().stable;

    let first = operator.deploy("probe", version(1)).await.unwrap();
    assert_eq!(first.former.as_deref(), Some(built_in.as_str()));
    let passed: Vec<_> = first
        .checks
        .iter()
        .map(|check| check.check.as_str())
        .collect();
    let all = [
        "manifest",
        "imports",
        "routes",
        "secrets",
        "compile",
        "start",
        "migrations",
        "health",
        "switch",
    ];
    assert_eq!(passed, all);
    assert_eq!(answers(&host).await, "1");
    let second = operator.deploy("probe", version(2)).await.unwrap();
    assert_eq!(answers(&host).await, "2");

    assert_eq!(
        operator.rollback("probe").await.unwrap().stable,
        first.revision
    );
    assert_eq!(answers(&host).await, "1");
    assert_eq!(operator.rollback("probe").await.unwrap().stable, built_in);
    let nothing = operator.rollback("probe").await.unwrap_err().to_string();
    assert!(nothing.contains("NOTHING_TO_ROLL_BACK_TO"), "{nothing}");

    let forward = SetTraffic {
        stable: Some(second.revision[..10].to_owned()),
        canary: None,
    };
    operator.set_traffic("probe", &forward).await.unwrap();
    assert_eq!(answers(&host).await, "2");
    let roles: Vec<_> = operator.revisions("probe").await.unwrap().revisions;
    assert_eq!(roles.len(), 3);
    let done = operator.audit(50).await.unwrap().entries;
    let done: Vec<_> = done
        .iter()
        .rev()
        .map(|e| (e.who.as_str(), e.action.as_str()))
        .collect();
    assert_eq!(
        done,
        [
            ("lectern", "built-in"),
            ("olga", "deploy"),
            ("olga", "deploy"),
            ("olga", "rollback"),
            ("olga", "rollback"),
            ("olga", "traffic")
        ]
    );
    host.stop().await;
}

#[tokio::test]
async fn what_was_deployed_serves_after_a_restart() {
    let host = TestHost::probe().await;
    let deployed = host.operator().deploy("probe", version(7)).await.unwrap();
    let mut stored = version(8);
    stored.store_only = true;
    let kept = host.operator().deploy("probe", stored).await.unwrap();
    let restarted = host.restart_with("test-components").await;
    assert_eq!(answers(&restarted).await, "7");
    let now = restarted.operator().component("probe").await.unwrap();
    assert_eq!(now.stable, deployed.revision);
    let wanted = SetTraffic {
        stable: Some(kept.revision),
        canary: None,
    };
    restarted
        .operator()
        .set_traffic("probe", &wanted)
        .await
        .unwrap();
    assert_eq!(answers(&restarted).await, "8");
    restarted.stop().await;
}

/// What cannot serve: the code, the check that finds it, and the upload.
fn unfit() -> Vec<(&'static str, &'static str, Upload)> {
    let bytes = |wasm: &[u8]| Upload {
        wasm: wasm.to_vec(),
        ..version(1)
    };
    let manifest = |change: fn(&str) -> String| Upload {
        manifest: version(1).manifest.map(|text| change(&text)),
        ..version(1)
    };
    let sql = |name: &str, sql: &str| Upload {
        migrations: vec![(name.into(), sql.into())],
        ..version(1)
    };
    let whole = version(1).wasm;
    let half = &whole[..whole.len() / 2];
    let no_grant = manifest(|text| text.replace("[grants.blobs]\n", ""));
    let typo = manifest(|text| text.replace("cpu_ms", "cpu_seconds"));
    let other = manifest(|text| text.replace("\"probe\"\n", "\"other\"\n"));
    let secret = manifest(|text| format!("secrets = [\"NOBODY_HAS_IT\"]\n{text}"));
    let small = manifest(|text| text.replacen("memory_mib = 64", "memory_mib = 1", 1));
    let broken = sql("0001_bad.sql", "create table nonsense (x nothing)");
    vec![
        ("NOT_A_COMPONENT", "component", bytes(b"\0asm\x01\0\0\0")),
        ("NOT_A_COMPONENT", "component", bytes(half)),
        ("NOT_A_COMPONENT", "component", bytes(b"\x7fELF forged")),
        ("NOT_A_COMPONENT", "component", bytes(b"")),
        ("NOT_GRANTED", "imports", no_grant),
        ("NOT_EXPORTED", "compile", bytes(b"\0asm\x0d\0\x01\0")),
        ("INVALID_MANIFEST", "manifest", typo),
        (
            "INVALID_MANIFEST",
            "manifest",
            manifest(|_| "name = ".into()),
        ),
        ("WRONG_COMPONENT", "manifest", other),
        ("SECRET_MISSING", "secrets", secret),
        (
            "MIGRATION_REFUSED",
            "migrations",
            sql("first.sql", "select 1"),
        ),
        ("MIGRATION_FAILED", "migrations", broken),
        ("UNHEALTHY", "health", probe("UNHEALTHY = \"1\"")),
        ("START_FAILED", "start", small),
    ]
}

#[tokio::test]
async fn what_cannot_serve_is_refused_with_its_check_and_what_runs_goes_on() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    operator.deploy("probe", version(1)).await.unwrap();
    for (code, check, upload) in unfit() {
        let Err(ClientError::Refused(refused)) = operator.deploy("probe", upload).await else {
            panic!("{code} was not refused");
        };
        let told = (refused.code.as_str(), refused.check.as_deref());
        assert_eq!(told, (code, Some(check)), "{}", refused.error);
        assert_eq!(answers(&host).await, "1", "{code}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_migration_is_run_before_its_revision_and_what_takes_away_is_refused() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    let with = |number, files: &[(&str, &str)]| Upload {
        migrations: files
            .iter()
            .map(|(n, s)| ((*n).to_owned(), (*s).to_owned()))
            .collect(),
        ..version(number)
    };
    let first = ("0001_create_notes.sql", "create table notes (id bigint)");
    operator.deploy("probe", with(1, &[first])).await.unwrap();
    let rows = host.sql("select count(*)::text from probe.notes").await;
    assert_eq!(rows, ["0"]);
    let drop = ("0002_drop_notes.sql", "drop table notes");
    let refused = operator
        .deploy("probe", with(2, &[first, drop]))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("MIGRATION_REFUSED") && refused.contains("expand"),
        "{refused}"
    );
    let add = (
        "0002_add_text.sql",
        "alter table notes add column text text",
    );
    operator
        .deploy("probe", with(3, &[first, add]))
        .await
        .unwrap();
    assert_eq!(answers(&host).await, "3");
    // The older revision knows less than has been run, and serves all the same.
    operator.rollback("probe").await.unwrap();
    assert_eq!(answers(&host).await, "1");
    host.stop().await;
}

#[tokio::test]
async fn two_deploys_at_once_are_one_deploy_and_one_refusal_or_one_after_the_other() {
    let host = TestHost::probe().await;
    let (a, b) = (host.operator(), host.operator());
    let (first, second) =
        tokio::join!(a.deploy("probe", version(1)), b.deploy("probe", version(2)));
    for outcome in [&first, &second] {
        if let Err(error) = outcome {
            assert!(error.to_string().contains("DEPLOY_IN_PROGRESS"), "{error}");
        }
    }
    assert!(first.is_ok() || second.is_ok());
    assert!(["1", "2"].contains(&answers(&host).await.as_str()));
    host.stop().await;
}

#[tokio::test]
async fn a_revision_in_use_is_not_deleted() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    let first = operator.deploy("probe", version(1)).await.unwrap().revision;
    let in_use = operator
        .delete("probe", &first)
        .await
        .unwrap_err()
        .to_string();
    assert!(in_use.contains("REVISION_IN_USE"), "{in_use}");
    operator.deploy("probe", version(2)).await.unwrap();
    operator.delete("probe", &first).await.unwrap();
    let gone = operator
        .revision("probe", &first)
        .await
        .unwrap_err()
        .to_string();
    assert!(gone.contains("REVISION_NOT_FOUND"), "{gone}");
    let back = operator.rollback("probe").await.unwrap();
    assert_ne!(
        back.stable, first,
        "what is deleted is nowhere to go back to"
    );
    host.stop().await;
}

#[tokio::test]
async fn the_admin_api_is_for_operators_only() {
    let host = TestHost::probe().await;
    let learner = host::token::sign(
        crate::harness::ADMIN_KEY,
        "alice",
        host::token::Role::User,
        std::time::Duration::from_secs(60),
    );
    let client = reqwest::Client::new();
    for (token, status, code) in [
        (None, 401, "UNAUTHENTICATED"),
        (Some("nonsense".to_owned()), 401, "UNAUTHENTICATED"),
        (Some(learner.unwrap()), 403, "FORBIDDEN"),
    ] {
        for (method, path) in [
            (Method::GET, "components"),
            (Method::POST, "components/probe/rollback"),
            (Method::POST, "components/probe/revisions"),
            (Method::GET, "audit"),
            (Method::GET, "nothing"),
        ] {
            let url = format!("{}/admin/v1/{path}", host.admin);
            let mut request = client.request(method, url);
            if let Some(token) = &token {
                request = request.bearer_auth(token);
            }
            let answer = host.send(request).await;
            assert_eq!(answer.code(), (status, code), "{path}");
        }
    }
    // The learners' listener has no such path.
    assert_eq!(host.get("/admin/v1/components").await.code().0, 404);
    let url = format!("{}/admin/v1/openapi.json", host.admin);
    let described = host.send(client.get(url)).await.ok();
    assert_eq!(described["openapi"], "3.1.0");
    assert_eq!(described["paths"].as_object().unwrap().len(), 11);
    host.stop().await;
}

#[tokio::test]
async fn an_upload_beyond_all_bounds_is_refused_before_it_is_read() {
    let host = TestHost::probe().await;
    let valid = std::time::Duration::from_secs(60);
    let token = host::token::sign(
        crate::harness::ADMIN_KEY,
        "olga",
        host::token::Role::Admin,
        valid,
    );
    let zeros = futures::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(bytes::Bytes::from(vec![0; 1 << 20]))
    });
    let part = reqwest::multipart::Part::stream_with_length(
        reqwest::Body::wrap_stream(futures::StreamExt::take(zeros, 1 << 10)),
        1 << 30,
    );
    let form = reqwest::multipart::Form::new().part("component", part);
    let request = reqwest::Client::new()
        .post(format!(
            "{}/admin/v1/components/probe/revisions",
            host.admin
        ))
        .bearer_auth(token.unwrap())
        .multipart(form);
    // The host may close the connection while the client still sends.
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), 413);
    }
    assert_eq!(answers(&host).await, "");
    host.stop().await;
}

#[tokio::test]
async fn a_drained_component_is_out_of_service_until_its_traffic_is_set() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    operator.deploy("probe", version(1)).await.unwrap();
    assert!(operator.drain("probe").await.unwrap().draining);
    let refused = host.get("/probe/version").await;
    assert_eq!(refused.code(), (503, "SERVICE_DRAINING"));
    assert!(refused.headers.contains_key("retry-after"));
    let publish = json!({ "what": "fine" });
    assert_eq!(
        host.post("/probe/publish/probe.asked", publish)
            .await
            .status,
        503
    );
    operator
        .set_traffic("probe", &SetTraffic::default())
        .await
        .unwrap();
    assert_eq!(answers(&host).await, "1");
    host.stop().await;
}

#[tokio::test]
async fn a_canary_is_tried_by_its_share_and_by_its_header() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    let stable = operator.deploy("probe", version(1)).await.unwrap().revision;
    let mut canary = version(2);
    (canary.weight, canary.header) = (Some(50), Some("x-try: yes".into()));
    let canary = operator.deploy("probe", canary).await.unwrap().revision;
    let shown = operator.component("probe").await.unwrap();
    assert_eq!((&shown.stable, shown.canary.unwrap().weight), (&stable, 50));
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for user in 0..200 {
        let path = format!("/probe/version?user_id=user-{user}");
        let (first, again) = (host.get(&path).await.ok(), host.get(&path).await.ok());
        assert_eq!(first, again, "a user stays with a revision");
        *seen.entry(first.to_string()).or_default() += 1;
    }
    assert!(seen["1"] > 60 && seen["2"] > 60, "{seen:?}");
    for _ in 0..5 {
        let marked = host
            .request(Method::GET, "/probe/version")
            .header("x-try", "yes");
        assert_eq!(host.send(marked).await.ok(), json!(2));
    }
    let stats = operator.stats("probe").await.unwrap();
    assert_eq!(stats.revisions.len(), 2);
    assert!(stats.revisions[1].requests > 100 && stats.revisions[1].errors == 0);
    // Named as the stable one, it is promoted.
    let promote = SetTraffic {
        stable: Some(canary.clone()),
        canary: None,
    };
    operator.set_traffic("probe", &promote).await.unwrap();
    assert_eq!(answers(&host).await, "2");
    let twice = Canary {
        revision: "ffff".into(),
        weight: 10,
        header: None,
    };
    let nobody = SetTraffic {
        stable: None,
        canary: Some(twice),
    };
    let refused = operator
        .set_traffic("probe", &nobody)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("REVISION_NOT_FOUND"), "{refused}");
    host.stop().await;
}

/// WASI 0.2, built by cargo-component with `just hello`; in CI it has to be there.
#[tokio::test]
async fn an_author_s_component_of_wasi_0_2_is_deployed_beside_the_others() {
    let folder = target().join("author-components");
    let Ok(wasm) = std::fs::read(folder.join("hello.wasm")) else {
        assert!(std::env::var_os("CI").is_none(), "run `just hello` first");
        eprintln!("NOT TESTED: there is no hello.wasm; build it with `just hello`");
        return;
    };
    let host = TestHost::start().await;
    let hello = |greeting: &str| Upload {
        wasm: wasm.clone(),
        manifest: std::fs::read_to_string(folder.join("hello.toml"))
            .ok()
            .map(|text| format!("{text}\n[config]\nVERSION = \"{greeting}\"\n")),
        ..Upload::default()
    };
    let operator = host.operator();
    let first = operator.deploy("hello", hello("1")).await.unwrap();
    assert_eq!(host.get("/hello").await.ok()["message"], "Hello, world!");
    let second = operator.deploy("hello", hello("2")).await.unwrap();
    assert_eq!(second.former, Some(first.revision));
    assert_eq!(host.get("/hello/health").await.ok()["status"], "healthy");
    assert_eq!(host.get("/chat/health").await.status, 200);
    host.stop().await;
}

/// The probe under another name, at another route.
fn other(name: &str, route: &str) -> Upload {
    let upload = version(1);
    let manifest = upload.manifest.map(|text| {
        text.replace("name = \"probe\"", &format!("name = \"{name}\""))
            .replace("routes = [\"/probe\"]", &format!("routes = [\"{route}\"]"))
            .replace("publish = [\"probe.asked\"]", "publish = []")
            .replace("consume = [\"probe.asked\"]", "consume = []")
    });
    Upload { manifest, ..upload }
}

#[tokio::test]
async fn a_route_that_another_has_taken_meanwhile_changes_nothing() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    operator
        .deploy("mover", other("mover", "/old"))
        .await
        .unwrap();
    let moved = operator
        .deploy("mover", other("mover", "/new"))
        .await
        .unwrap();
    operator
        .deploy("taker", other("taker", "/old"))
        .await
        .unwrap();
    let taken = operator.rollback("mover").await.unwrap_err().to_string();
    assert!(taken.contains("ROUTE_TAKEN"), "{taken}");
    let now = operator.component("mover").await.unwrap();
    assert_eq!((now.stable, now.held_back), (moved.revision, None));
    let restarted = host.restart_with("test-components").await;
    assert_eq!(
        restarted
            .operator()
            .components()
            .await
            .unwrap()
            .components
            .len(),
        3
    );
    restarted.stop().await;
}

#[tokio::test]
async fn a_revision_that_cannot_be_run_after_a_restart_holds_up_no_other() {
    let folder = crate::harness::data_dir();
    let mut config = crate::harness::config(folder.path(), "test-components");
    config.secrets.insert("KEY".into(), "x".into());
    let host = TestHost::on(folder, config).await;
    let operator = host.operator();
    let first = operator
        .deploy("needy", other("needy", "/needy"))
        .await
        .unwrap()
        .revision;
    let upload = other("needy", "/needy");
    let manifest = upload
        .manifest
        .map(|text| format!("secrets = [\"KEY\"]\n{text}"));
    operator
        .deploy("needy", Upload { manifest, ..upload })
        .await
        .unwrap();
    // Without the secret: the revision before it serves, and the host says why.
    let restarted = host.restart_with("test-components").await;
    assert_eq!(answers(&restarted).await, "");
    let needy = restarted.operator().component("needy").await.unwrap();
    assert!(needy.held_back.unwrap().contains("LECTERN_SECRET_KEY"));
    let stats = restarted.operator().stats("needy").await.unwrap();
    assert_eq!(stats.revisions[0].revision, first);
    restarted.stop().await;
}

#[tokio::test]
async fn a_rollback_stays_after_a_restart() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    let built_in = operator.component("probe").await.unwrap().stable;
    operator.deploy("probe", version(1)).await.unwrap();
    operator.rollback("probe").await.unwrap();
    operator.deploy("probe", version(2)).await.unwrap();
    operator.drain("probe").await.unwrap();
    let restarted = host.restart_with("test-components").await;
    let now = restarted.operator().component("probe").await.unwrap();
    assert!(now.draining, "an operator's drain goes on");
    restarted.operator().rollback("probe").await.unwrap();
    let restarted = restarted.restart_with("test-components").await;
    assert_eq!(
        restarted
            .operator()
            .component("probe")
            .await
            .unwrap()
            .stable,
        built_in
    );
    restarted.stop().await;
}

#[tokio::test]
async fn a_candidate_s_time_out_is_its_own() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    operator.deploy("probe", version(1)).await.unwrap();
    let hasty = probe("UNHEALTHY = \"1\"");
    let manifest = hasty.manifest.map(|text| {
        text.replace(
            "[grants.postgres]\n",
            "[grants.postgres]\nstatement_timeout_ms = 1\n",
        )
    });
    operator
        .deploy("probe", Upload { manifest, ..hasty })
        .await
        .unwrap_err();
    for _ in 0..8 {
        let slow = host
            .request(Method::POST, "/probe/sql")
            .body("select pg_sleep(0.1)");
        assert_eq!(host.send(slow).await.ok(), json!(1));
    }
    host.stop().await;
}
