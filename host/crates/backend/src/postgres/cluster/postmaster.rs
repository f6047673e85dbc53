//! The server's process: launched or adopted, waited for, launched again when it ends, and told from
//! any other process that got its id.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection, PgConnection};
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::{ClusterError, DATABASE, Installation, io, tail};
use crate::postgres::Config;

/// A crash recovery can take a while; a healthy start takes a fraction of a second.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// How often a starting server is asked.
const ASK: Duration = Duration::from_millis(25);
/// How often an adopted server, which is no child to wait for, is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Between two launches: doubled by each, and forgotten by a server that lived [`HEALTHY`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const HEALTHY: Duration = Duration::from_secs(60);
/// The server's log is begun anew beyond this.
const LOG_BYTES: u64 = 1 << 20;

/// What a server is launched with.
pub(super) struct Server {
    pub(super) installation: Installation,
    pub(super) config: Config,
    pub(super) data: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) log: PathBuf,
}

/// Who runs the server.
enum Postmaster {
    Child(Child),
    /// Of a host that was killed.
    Adopted,
    Nobody,
}

/// Keeps one server running.
pub(super) struct Keeper {
    server: Server,
    postmaster: Postmaster,
    pause: Duration,
}

impl Server {
    /// Adopts the one that runs, or launches one.
    fn postmaster(&self) -> Result<Postmaster, ClusterError> {
        if running(&self.data).is_some() {
            return Ok(Postmaster::Adopted);
        }
        clear_lock(&self.data)?;
        self.launch().map(Postmaster::Child)
    }

    fn launch(&self) -> Result<Child, ClusterError> {
        let log = self.open_log().map_err(io(&self.log))?;
        let errors = log.try_clone().map_err(io(&self.log))?;
        let mut command = self.installation.command("postgres");
        command
            .arg("-D")
            .arg(&self.data)
            .args(["-c", "listen_addresses="])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.socket.display()))
            .args(["-c", "max_connections=200", "-c", "shared_buffers=64MB"])
            // Ends a statement whose client is gone, as a killed host's.
            .args(["-c", "client_connection_check_interval=1s"])
            .stdout(log)
            .stderr(errors);
        tokio::process::Command::from(command)
            .spawn()
            .map_err(io(&self.installation.bin.join("postgres")))
    }

    fn open_log(&self) -> std::io::Result<File> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        if log.metadata()?.len() > LOG_BYTES {
            log.set_len(0)?;
        }
        Ok(log)
    }

    /// Answers the server's version once the database exists.
    async fn ask(&self) -> Result<String, sqlx::Error> {
        let maintenance = self.config.options().database("postgres");
        let asked = timeout(CONNECT, async {
            let mut connection = PgConnection::connect_with(&maintenance).await?;
            make_database(&mut connection).await
        });
        asked.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    fn failed(&self, error: &sqlx::Error) -> ClusterError {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = tail(&String::from_utf8_lossy(&log));
        ClusterError::Program {
            program: "postgres",
            message: format!("{error}; {log}"),
        }
    }
}

impl Postmaster {
    async fn ended(&mut self, data: &Path) {
        match self {
            Self::Child(child) => {
                // Fails only where somebody else has waited for it, which is an end too.
                let _ = child.wait().await;
            }
            Self::Adopted => {
                while running(data).is_some() {
                    sleep(LOOK).await;
                }
            }
            Self::Nobody => {}
        }
    }

    fn has_ended(&mut self, data: &Path) -> bool {
        match self {
            Self::Child(child) => !matches!(child.try_wait(), Ok(None)),
            Self::Adopted => running(data).is_none(),
            Self::Nobody => true,
        }
    }

    /// A child is known by its handle, even before it wrote its id down.
    fn pid(&self, data: &Path) -> Option<Pid> {
        match self {
            Self::Child(child) => Some(Pid::from_raw(child.id()?.try_into().ok()?)),
            Self::Adopted => running(data),
            Self::Nobody => None,
        }
    }
}

impl Keeper {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            postmaster: Postmaster::Nobody,
            pause: FIRST_PAUSE,
        }
    }

    /// Until it answers. Launches whenever no server runs: the one that was found may have been on
    /// its way out, and a killed one's last processes keep a new one from starting.
    pub(super) async fn bring_up(&mut self) -> Result<String, ClusterError> {
        let started = Instant::now();
        if self.postmaster.has_ended(&self.server.data) {
            self.postmaster = self.server.postmaster()?;
        }
        loop {
            match self.server.ask().await {
                Ok(version) => return Ok(version),
                Err(error) if started.elapsed() > START => return Err(self.server.failed(&error)),
                Err(_) => sleep(ASK).await,
            }
            if self.postmaster.has_ended(&self.server.data) {
                self.rest().await;
                self.postmaster = self.server.postmaster()?;
            }
        }
    }

    async fn rest(&mut self) {
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Until it is told to stop.
    pub(super) async fn keep(mut self, mut stopped: oneshot::Receiver<()>) -> Self {
        loop {
            tokio::select! {
                // A sender that is gone is a cluster that is gone.
                _ = &mut stopped => return self,
                () = self.revive() => {}
            }
        }
    }

    /// Waits for the end, then until a server answers again.
    async fn revive(&mut self) {
        let since = Instant::now();
        self.postmaster.ended(&self.server.data).await;
        if since.elapsed() > HEALTHY {
            self.pause = FIRST_PAUSE;
        }
        let died = Instant::now();
        tracing::error!("the private PostgreSQL has ended; it is started again");
        let mut told = false;
        loop {
            self.rest().await;
            match self.bring_up().await {
                Ok(_) => break,
                Err(error) if !told => {
                    told = true;
                    tracing::error!(%error, "the private PostgreSQL does not start; more tries follow");
                }
                Err(_) => {}
            }
        }
        let took = died.elapsed().as_millis();
        tracing::info!("the private PostgreSQL answers again after {took} ms");
    }

    pub(super) async fn stop(mut self) {
        if let Some(pid) = self.postmaster.pid(&self.server.data) {
            let _ = kill(pid, Signal::SIGINT);
        }
        if timeout(STOP, self.postmaster.ended(&self.server.data))
            .await
            .is_err()
        {
            tracing::warn!("the private PostgreSQL does not stop; it is left to itself");
        }
    }
}

async fn make_database(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut *connection)
            .await?;
    if !exists {
        sqlx::raw_sql("create database lectern")
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query_scalar("show server_version")
        .fetch_one(&mut *connection)
        .await
}

/// The postmaster's process id, where one runs on that folder.
pub(super) fn running(data: &Path) -> Option<Pid> {
    recorded(data).filter(|pid| serves(*pid, data))
}

/// What the lock says; a reboot may have given the id to anybody.
fn recorded(data: &Path) -> Option<Pid> {
    let lock = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: i32 = lock.lines().next()?.trim().parse().ok()?;
    // Negative where a single-user server holds it; to kill(2) that is a whole group.
    (pid > 0).then(|| Pid::from_raw(pid))
}

/// Whether that process is a postmaster of that folder. A zombie is none.
fn serves(pid: Pid, data: &Path) -> bool {
    let proc = Path::new("/proc").join(pid.to_string());
    if !Path::new("/proc/self/stat").exists() {
        return command_by_ps(pid).is_some_and(|command| names(&command, data));
    }
    let name = fs::read_to_string(proc.join("comm")).unwrap_or_default();
    if !name.contains("postgres") {
        return false;
    }
    match fs::read_link(proc.join("cwd")) {
        Ok(folder) => folder == data,
        // Another user's, and a container's root may not look; a command line is anybody's to read.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            let command = fs::read(proc.join("cmdline")).unwrap_or_default();
            command
                .split(|byte| *byte == 0)
                .any(|argument| argument == data.as_os_str().as_encoded_bytes())
        }
        Err(_) => false,
    }
}

/// Where there is no /proc.
fn command_by_ps(pid: Pid) -> Option<String> {
    let output = std::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()
}

fn names(command: &str, data: &Path) -> bool {
    command.contains("postgres") && command.contains(&format!("-D {} ", data.display()))
}

/// PostgreSQL refuses a folder whose lock is empty, as a power cut leaves it, or names a process
/// that lives, as anybody's may after a reboot. Should processes of a dead postmaster be left, the
/// next one still finds their shared memory by the folder's inode, and waits its turn.
fn clear_lock(data: &Path) -> Result<(), ClusterError> {
    let lock = data.join("postmaster.pid");
    let dead = recorded(data).is_some_and(|pid| kill(pid, None) == Err(Errno::ESRCH));
    if dead || !lock.exists() {
        return Ok(());
    }
    match fs::remove_file(&lock) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(io(&lock)(e)),
        _ => Ok(()),
    }
}
