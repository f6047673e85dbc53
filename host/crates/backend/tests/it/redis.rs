//! The cache in Redis: the contract against the server of `just services`, and
//! what a server that hangs, refuses or comes back costs.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backend::redis::{Config, RedisCache, Unusable};
use capability::cache::{Cache, Error, contract};
use capability::rates;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::services;

const LONG: Duration = Duration::from_secs(10);

fn config(port: u16) -> Config {
    Config {
        host: "127.0.0.1".into(),
        port,
        database: 0,
        username: None,
        password: None,
    }
}

fn server() -> Option<Config> {
    let host = services::wanted("REDIS_HOST")?;
    let port = services::variable("REDIS_PORT")?;
    Some(Config {
        host,
        ..config(port.parse().unwrap())
    })
}

/// Until a call has its answer from the server.
async fn connected(cache: &RedisCache) {
    let answered = async {
        while cache.get("none").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, answered).await.expect("answers");
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let Some(config) = server() else { return };
    let cache = RedisCache::new(&config).unwrap();
    connected(&cache).await;
    for key in ["contract:a", "contract:b", "contract:c"] {
        cache.delete(key).await.unwrap();
    }
    contract::a_value_is_found_until_it_is_deleted(&cache).await;
    contract::a_value_is_replaced_with_its_time(&cache).await;
    contract::a_value_is_gone_after_its_time(&cache).await;
    assert_eq!(cache.check().await, Ok(()));
}

#[tokio::test]
async fn rates_in_redis_keep_the_contract() {
    let Some(config) = server() else { return };
    let redis = RedisCache::new(&config).unwrap();
    connected(&redis).await;
    rates::contract::as_many_pass_as_a_rate_says(&redis).await;
    rates::contract::keys_and_names_are_counted_apart(&redis).await;
    rates::contract::a_request_comes_back_after_its_interval(&redis).await;
    rates::contract::what_the_first_rate_refuses_is_not_counted_by_the_next(&redis).await;
}

#[tokio::test]
async fn a_user_that_redis_does_not_know_is_told() {
    let Some(config) = server() else { return };
    let stranger = Config {
        username: Some("nobody".into()),
        password: Some("secret".to_owned().into()),
        ..config
    };
    let cache = RedisCache::new(&stranger).unwrap();
    let why = cache.check().await.unwrap_err();
    assert!(matches!(why, Unusable::Credentials(_)), "{why:?}");
}

/// Passes connections on while it is told to; hangs up, or holds them without a word, when not.
struct Gate {
    port: u16,
    open: watch::Sender<bool>,
}

async fn gate(to: Config) -> Gate {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (open, opened) = watch::channel(true);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let (mut opened, address) = (opened.clone(), (to.host.clone(), to.port));
            tokio::spawn(async move {
                if !*opened.borrow() {
                    return;
                }
                let mut server = TcpStream::connect(address).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    _ = opened.wait_for(|open| !open) => {}
                }
            });
        }
    });
    Gate { port, open }
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let Some(config_) = server() else { return };
    let gate = gate(config_).await;
    let cache = RedisCache::new(&config(gate.port)).unwrap();
    connected(&cache).await;
    gate.open.send_replace(false);
    let lost = async { while cache.get("none").await.is_ok() {} };
    tokio::time::timeout(LONG, lost).await.expect("is lost");
    assert!(matches!(
        cache.get("none").await,
        Err(Error::Unavailable(_))
    ));
    gate.open.send_replace(true);
    connected(&cache).await;
}

/// Answers the greeting as Redis would, and then nothing more.
async fn hanging() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let mut greeted = false;
                while let Ok(read @ 1..) = client.read(&mut asked).await {
                    let commands = asked[..read].iter().filter(|byte| **byte == b'*').count();
                    for _ in 0..if greeted { 0 } else { commands } {
                        client.write_all(b"+PONG\r\n").await.unwrap();
                    }
                    greeted |= asked[..read].ends_with(b"PING\r\n");
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_server_that_hangs_costs_little_and_then_nothing() {
    let cache = RedisCache::new(&config(hanging().await)).unwrap();
    let (mut waited, started) = (0, Instant::now());
    while waited < 12 {
        let asked = Instant::now();
        let answer = cache.get("none").await;
        assert!(answer.is_err(), "{answer:?}");
        assert!(asked.elapsed() < Duration::from_millis(500));
        waited += usize::from(answer == Err(Error::Timeout));
        assert!(started.elapsed() < LONG);
        tokio::task::yield_now().await;
    }
    // Given up three times at least, each time for longer: 100 and 200 ms between them.
    assert!(started.elapsed() >= Duration::from_millis(12 * 50 + 300));
    let asked = Instant::now();
    while cache.get("none").await == Err(Error::Timeout) {}
    assert!(asked.elapsed() < LONG);
    // It still greets well.
    assert!(matches!(cache.check().await, Err(Unusable::Unreachable(_))));
}

/// Answers the greeting at once, and PING after 300 ms. Tells what it was asked.
async fn slow() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(String::new()));
    let keep = heard.clone();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let keep = keep.clone();
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                while let Ok(read @ 1..) = client.read(&mut asked).await {
                    let text = String::from_utf8_lossy(&asked[..read]).into_owned();
                    if text.ends_with("PING\r\n") {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                    }
                    let answer = "+PONG\r\n".repeat(text.matches('*').count());
                    keep.lock().unwrap().push_str(&text);
                    // Fails where it was given up meanwhile.
                    let _ = client.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    (port, heard)
}

#[tokio::test]
async fn a_server_that_answers_ping_late_is_never_used_and_costs_nothing() {
    let (port, heard) = slow().await;
    let cache = RedisCache::new(&config(port)).unwrap();
    // The first call may wait for the connection.
    assert!(cache.get("none").await.is_err());
    let (mut calls, started) = (0, Instant::now());
    let mut spent = Duration::ZERO;
    while started.elapsed() < Duration::from_millis(1_500) {
        let asked = Instant::now();
        let answer = cache.get("none").await;
        spent += asked.elapsed();
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
        calls += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        spent < Duration::from_millis(200),
        "{calls} calls: {spent:?}"
    );
    assert!(matches!(cache.check().await, Err(Unusable::Unreachable(_))));
    let heard = heard.lock().unwrap();
    assert!(heard.matches("PING").count() > 1, "{heard}");
    assert!(!heard.contains("GET"), "{heard}");
}

#[tokio::test]
async fn a_server_that_never_answers_costs_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let cache = Arc::new(RedisCache::new(&config(port)).unwrap());
    let asked = Instant::now();
    assert!(cache.get("none").await.is_err());
    assert!(asked.elapsed() < Duration::from_millis(500));
    let asked = Instant::now();
    for _ in 0..100 {
        assert!(matches!(
            cache.get("none").await,
            Err(Error::Unavailable(_))
        ));
    }
    assert!(asked.elapsed() < Duration::from_millis(500));
    assert!(matches!(cache.check().await, Err(Unusable::Unreachable(_))));
}

#[tokio::test]
async fn a_server_that_is_away_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let cache = RedisCache::new(&config(port)).unwrap();
    assert!(cache.set("a", "b".into(), LONG).await.is_err());
    assert!(matches!(cache.check().await, Err(Unusable::Unreachable(_))));
}

/// Answers every command as a server does that wants another password.
async fn refusing(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                while let Ok(read @ 1..) = client.read(&mut asked).await {
                    let commands = asked[..read].iter().filter(|byte| **byte == b'*');
                    for _ in 0..commands.count() {
                        client.write_all(answer).await.unwrap();
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_wrong_password_is_told_from_a_server_that_is_away() {
    let answers: [&[u8]; 2] = [
        b"-NOAUTH Authentication required.\r\n",
        b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    ];
    for answer in answers {
        let config = Config {
            password: Some("secret".to_owned().into()),
            ..config(refusing(answer).await)
        };
        assert!(!format!("{config:?}").contains("secret"));
        let cache = RedisCache::new(&config).unwrap();
        let why = cache.check().await.unwrap_err();
        assert!(matches!(why, Unusable::Credentials(_)), "{why:?}");
        assert!(!why.to_string().contains("secret"), "{why}");
    }
}
