//! A cache in Redis, or in a server that speaks as it does. <https://redis.io/docs/latest/commands/>
//!
//! Invariant: no call waits longer than 50 ms for it. One task keeps the connection; while
//! there is none, calls fail at once and the task looks for the server, ever less often until a call
//! has succeeded: a server that only greets well costs a few calls every five seconds.

mod rates;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use capability::cache::{Cache, Error, MAX_VALUE};
use futures::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue,
    IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

/// What a call waits at most, and what a server's first answer may take.
const PATIENCE: Duration = Duration::from_millis(50);
/// Calls in a row that waited in vain, after which the connection is given up.
const FAILURES: u32 = 3;
/// For a connection, which no call waits for.
const CONNECT: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Before every key: the server may be others' too.
const PREFIX: &str = "lectern:";

/// Which server.
#[derive(Clone)]
pub struct Config {
    /// A name or an address.
    pub host: String,
    /// 6379 by custom.
    pub port: u16,
    /// Of the server's numbered databases.
    pub database: u32,
    /// `default` where none is given.
    pub username: Option<String>,
    /// `None` for a server that wants none.
    pub password: Option<SecretString>,
}

impl Config {
    fn client(&self) -> Result<Client, RedisError> {
        let mut login = RedisConnectionInfo::default()
            .set_db(self.database.into())
            // Older servers speak no other.
            .set_protocol(ProtocolVersion::RESP2);
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.expose_secret());
        }
        let address = ConnectionAddr::Tcp(self.host.clone(), self.port);
        Client::open(address.into_connection_info()?.set_redis_settings(login))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis://{}:{}/{}", self.host, self.port, self.database)
    }
}

/// Why the server cannot be used now.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unusable {
    /// It answers, and wants another user or password.
    #[error("it refuses the credentials ({0}): check REDIS_PASSWORD")]
    Credentials(String),
    /// It does not answer, or not as Redis does.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
}

/// How the connection stands.
#[derive(Clone)]
enum Link {
    /// The first is being made.
    Starting,
    /// The connection, and which one it is.
    Up(MultiplexedConnection, u64),
    Down(Unusable),
}

/// A cache in Redis.
pub struct RedisCache {
    client: Client,
    link: watch::Receiver<Link>,
    failures: AtomicU32,
    /// The last connection that calls found broken.
    given_up: watch::Sender<u64>,
    /// The last connection over which a call succeeded.
    proven: Arc<AtomicU64>,
    _keeping: AbortOnDropHandle<()>,
}

impl RedisCache {
    /// Connects in the background, and goes on trying. Fails only where the configuration can be no
    /// server's. Wants a Tokio runtime.
    pub fn new(config: &Config) -> Result<Self, Unusable> {
        let client = config.client().map_err(|e| unusable(&e))?;
        let (given_up, broken) = watch::channel(0);
        let (sender, link) = watch::channel(Link::Starting);
        let proven = Arc::new(AtomicU64::new(0));
        let keeping = keep(client.clone(), sender, broken, proven.clone());
        Ok(Self {
            client,
            link,
            failures: AtomicU32::new(0),
            given_up,
            proven,
            _keeping: AbortOnDropHandle::new(tokio::spawn(keeping)),
        })
    }

    /// Asks the server over a connection of its own, for a little more than two seconds at most. A
    /// server that answers is of no use while calls do without it, which is told too.
    pub async fn check(&self) -> Result<(), Unusable> {
        connect(&self.client).await?;
        let mut link = self.link.clone();
        // At the start the keeper's own connection may be as good as made.
        let up = timeout(PATIENCE, link.wait_for(|link| matches!(link, Link::Up(..)))).await;
        if up.is_ok() {
            return Ok(());
        }
        match &*self.link.borrow() {
            Link::Up(..) => Ok(()),
            Link::Down(why) => Err(why.clone()),
            Link::Starting => Err(silent()),
        }
    }

    async fn ask<T: FromRedisValue + Send>(&self, command: Cmd) -> Result<T, Error> {
        let asked = |mut connection| {
            let answer = async move { command.query_async(&mut connection).await };
            Box::pin(answer) as BoxFuture<'static, _>
        };
        self.run(asked).await
    }

    /// One command or script, within the time that a call may take.
    async fn run<T>(
        &self,
        ask: impl FnOnce(MultiplexedConnection) -> BoxFuture<'static, RedisResult<T>> + Send,
    ) -> Result<T, Error> {
        let mut used = None;
        match timeout(PATIENCE, self.answer(ask, &mut used)).await {
            Ok(answer) => {
                self.failures.store(0, Ordering::Relaxed);
                answer
            }
            Err(_) => {
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
                    self.give_up(used);
                }
                Err(Error::Timeout)
            }
        }
    }

    async fn answer<T>(
        &self,
        ask: impl FnOnce(MultiplexedConnection) -> BoxFuture<'static, RedisResult<T>> + Send,
        used: &mut Option<u64>,
    ) -> Result<T, Error> {
        let mut link = self.link.clone();
        // The keeper holds the other end as long as this holds the keeper.
        let link = link.wait_for(|link| !matches!(link, Link::Starting)).await;
        let link = link.map_err(|e| Error::Unavailable(e.to_string()))?.clone();
        match link {
            Link::Up(connection, number) => {
                *used = Some(number);
                let answer = ask(connection).await;
                let answer = answer.map_err(|error| self.failed(&error, number))?;
                self.proven.fetch_max(number, Ordering::Relaxed);
                Ok(answer)
            }
            Link::Down(why) => Err(Error::Unavailable(why.to_string())),
            Link::Starting => Err(Error::Timeout),
        }
    }

    fn failed(&self, error: &RedisError, number: u64) -> Error {
        if error.is_unrecoverable_error() {
            self.give_up(Some(number));
        }
        Error::Unavailable(reason(error))
    }

    /// That connection, and no later one.
    fn give_up(&self, number: Option<u64>) {
        self.failures.store(0, Ordering::Relaxed);
        if let Some(number) = number {
            self.given_up.send_if_modified(|last| {
                let later = number > *last;
                *last = number.max(*last);
                later
            });
        }
    }
}

/// Between tries, longer each time.
struct Pause(Duration);

impl Pause {
    async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// Until it is aborted: makes a connection, keeps it until it is given up, and makes another.
async fn keep(
    client: Client,
    link: watch::Sender<Link>,
    mut given_up: watch::Receiver<u64>,
    proven: Arc<AtomicU64>,
) {
    let mut pause = Pause(FIRST_PAUSE);
    for number in 1.. {
        let connection = bring_up(&client, &link, &mut pause).await;
        tracing::info!("the cache answers");
        link.send_replace(Link::Up(connection, number));
        if given_up.wait_for(|last| *last >= number).await.is_err() {
            return;
        }
        tracing::warn!("the cache is lost; it is done without until it answers again");
        link.send_replace(Link::Down(silent()));
        // A connection over which nothing ever came is no better than none.
        if proven.load(Ordering::Relaxed) >= number {
            pause = Pause(FIRST_PAUSE);
        }
        pause.wait().await;
    }
}

async fn bring_up(
    client: &Client,
    link: &watch::Sender<Link>,
    pause: &mut Pause,
) -> MultiplexedConnection {
    let mut told = None;
    loop {
        let mut connecting = pin!(connect(client));
        let connected = match timeout(PATIENCE, &mut connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                link.send_if_modified(started);
                connecting.await
            }
        };
        match connected {
            Ok(connection) => return connection,
            Err(why) => {
                if told.as_ref() != Some(&why) {
                    tracing::warn!(%why, "the cache is not used; more tries follow");
                    told = Some(why.clone());
                }
                link.send_replace(Link::Down(why));
            }
        }
        pause.wait().await;
    }
}

/// Nobody waits for the first connection any more.
fn started(link: &mut Link) -> bool {
    let starting = matches!(link, Link::Starting);
    if starting {
        *link = Link::Down(silent());
    }
    starting
}

fn silent() -> Unusable {
    Unusable::Unreachable("it does not answer".into())
}

fn slow() -> Unusable {
    Unusable::Unreachable(format!("it answers too slowly, after {PATIENCE:?} or more"))
}

/// A connection whose first answer came as soon as a call's has to.
async fn connect(client: &Client) -> Result<MultiplexedConnection, Unusable> {
    // The deadlines are this file's.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let connected = timeout(CONNECT, connecting).await.map_err(|_| silent())?;
    let mut connection = connected.map_err(|e| unusable(&e))?;
    let ping = redis::cmd("PING");
    let answered = timeout(PATIENCE, ping.query_async::<()>(&mut connection)).await;
    answered.map_err(|_| slow())?.map_err(|e| unusable(&e))?;
    Ok(connection)
}

fn unusable(error: &RedisError) -> Unusable {
    let refused = error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
    if refused {
        Unusable::Credentials(reason(error))
    } else {
        Unusable::Unreachable(reason(error))
    }
}

/// By its code where the server gave one: what follows the code may quote the command.
fn reason(error: &RedisError) -> String {
    match error.code() {
        Some(code) => code.to_owned(),
        None if error.is_io_error() => error.to_string(),
        None => error.category().to_owned(),
    }
}

fn named(key: &str) -> String {
    format!("{PREFIX}{key}")
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let mut command = redis::cmd("GET");
        command.arg(named(key));
        let value: Option<Vec<u8>> = self.ask(command).await?;
        Ok(value.map(Bytes::from))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Error> {
        if value.len() > MAX_VALUE {
            return Err(Error::QuotaExceeded);
        }
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("SET");
        command.arg(named(key)).arg(&value[..]);
        // Of 100 years at most, which no server takes for more than it can count.
        command.arg("PX").arg(ttl.clamp(1, 3_153_600_000_000));
        self.ask(command).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        let mut command = redis::cmd("DEL");
        command.arg(named(key));
        self.ask::<i64>(command).await.map(drop)
    }
}
