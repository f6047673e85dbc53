//! Components that other languages' toolchains made, as they are. `just others` makes them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use host::client::Upload;

use crate::harness::{TestHost, target};

fn python(version: u32) -> Upload {
    let folder = target().join("others");
    let manifest = std::fs::read_to_string(folder.join("python.toml")).expect("run `just others`");
    Upload {
        wasm: std::fs::read(folder.join("python.wasm")).unwrap(),
        manifest: Some(format!("{manifest}\n[config]\nVERSION = \"{version}\"\n")),
        ..Upload::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants what `just others` makes"]
async fn a_component_in_another_language_is_deployed_and_swapped() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    let began = Instant::now();
    operator.deploy("python", python(1)).await.unwrap();
    let deployed = began.elapsed();
    assert_eq!(host.get("/python/a").await.ok()["path"], "/python/a");
    let over = AtomicBool::new(false);
    let asking = async {
        let mut answers: BTreeMap<String, usize> = BTreeMap::new();
        while !over.load(Ordering::Relaxed) {
            let answer = host.get("/python").await.ok();
            let version = answer["version"].as_str().unwrap().to_owned();
            *answers.entry(version).or_default() += 1;
        }
        answers
    };
    let swapping = async {
        let began = Instant::now();
        operator.deploy("python", python(2)).await.unwrap();
        let swapped = began.elapsed();
        assert_eq!(host.get("/python").await.ok()["version"], "2");
        operator.rollback("python").await.unwrap();
        assert_eq!(host.get("/python").await.ok()["version"], "1");
        over.store(true, Ordering::Relaxed);
        swapped
    };
    let (answers, swapped) = tokio::join!(asking, swapping);
    eprintln!(
        "deployed in {deployed:.1?}, swapped in {swapped:.1?}; answers by version: {answers:?}, none failed"
    );
    host.stop().await;
}
