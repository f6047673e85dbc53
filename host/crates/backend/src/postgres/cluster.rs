//! A private PostgreSQL: a cluster of the installed server's own programs, in the data directory, on
//! a unix socket, with a generated password. It is recovered after a kill and stopped with the host.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};

use super::Config;

/// The database all components share.
const DATABASE: &str = "lectern";
const ADMINISTRATOR: &str = "lectern";
/// A crash recovery can take a while; a healthy start takes a fraction of a second.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
/// A socket's path has 107 bytes at most (unix(7)), of which `.s.PGSQL.5432` takes 14.
const SOCKET_FOLDER: usize = 90;

/// Why there is no private database.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// PostgreSQL is not installed.
    #[error(
        "PostgreSQL is not installed (no `initdb` in PATH, /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin or Homebrew): \
         install the package `postgresql` (Debian, Ubuntu, Homebrew) or `postgresql-server` (Fedora), \
         run `just setup`, or set DB_HOST"
    )]
    NotInstalled,
    /// Started as root, and no other user to run the database as.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as"
    )]
    NoUser,
    /// A program of PostgreSQL's failed.
    #[error("{program} failed: {message}")]
    Program {
        /// `initdb` or `postgres`.
        program: &'static str,
        /// The end of what it printed.
        message: String,
    },
    /// A file could not be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A running private cluster.
pub struct Cluster {
    config: Config,
    data: PathBuf,
    version: String,
}

/// Where the programs are, and who is to run them.
struct Installation {
    bin: PathBuf,
    user: Option<User>,
}

/// The folder of the newest installed server.
pub fn find_programs() -> Option<PathBuf> {
    let path =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let versioned = [
        "/usr/lib/postgresql",
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/usr",
    ]
    .iter()
    .flat_map(|root| fs::read_dir(root).into_iter().flatten().flatten())
    .filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(|c: char| c.is_ascii_digit())
            || name.starts_with("postgresql")
            || name.starts_with("pgsql-")
    })
    .map(|entry| entry.path().join("bin"));
    let mut versioned: Vec<_> = versioned.collect();
    versioned.sort_by_key(|folder| std::cmp::Reverse(version_of(folder)));
    // `postgres` beside `initdb` after links are followed: a wrapper in PATH may point elsewhere.
    path.into_iter().chain(versioned).find_map(|folder| {
        let initdb = fs::canonicalize(folder.join("initdb")).ok()?;
        let bin = initdb.parent()?.to_owned();
        bin.join("postgres").is_file().then_some(bin)
    })
}

fn version_of(folder: &Path) -> u32 {
    let digits = |part: &str| {
        part.trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap_or(0)
    };
    folder
        .components()
        .map(|c| digits(&c.as_os_str().to_string_lossy()))
        .max()
        .unwrap_or(0)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ClusterError + '_ {
    |source| ClusterError::Io {
        path: path.to_owned(),
        source,
    }
}

impl Installation {
    fn find() -> Result<Self, ClusterError> {
        let bin = find_programs().ok_or(ClusterError::NotInstalled)?;
        let user = if geteuid().is_root() {
            Some(unprivileged_user()?)
        } else {
            None
        };
        Ok(Self { bin, user })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        // A process group of its own: Ctrl-C at the terminal is for the host, which stops the
        // database when its own work is done.
        command
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    fn make_folder(&self, path: &Path) -> Result<(), ClusterError> {
        fs::create_dir_all(path).map_err(io(path))?;
        if let Some(user) = &self.user {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(io(path))?;
        }
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(io(path))
    }

    /// Whether the user can walk down to that folder.
    fn can_reach(&self, path: &Path) -> bool {
        self.user.is_none()
            || path
                .ancestors()
                .filter_map(|folder| fs::metadata(folder).ok())
                .all(|folder| folder.permissions().mode() & 0o001 != 0)
    }
}

fn unprivileged_user() -> Result<User, ClusterError> {
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .ok_or(ClusterError::NoUser)
}

fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest
        .iter()
        .take(6)
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Where the cluster of that data directory lives: in it, or under /var/lib/lectern where the
/// database's user cannot walk into it.
pub fn home(data_dir: &Path) -> Result<PathBuf, ClusterError> {
    let installation = Installation::find()?;
    let data_dir = fs::canonicalize(data_dir).map_err(io(data_dir))?;
    Ok(if installation.can_reach(&data_dir) {
        data_dir.join("postgres")
    } else {
        Path::new("/var/lib/lectern")
            .join(short_hash(&data_dir))
            .join("postgres")
    })
}

impl Cluster {
    /// Makes the cluster where there is none, starts it where it does not run (it may have outlived
    /// a killed host), and waits until it answers.
    pub async fn start(data_dir: &Path) -> Result<Self, ClusterError> {
        let installation = Installation::find()?;
        let home = home(data_dir)?;
        let data = home.join("data");
        let password = password(&home, &installation)?;
        if !data.join("PG_VERSION").exists() {
            initialise(&installation, &home, &data, &password)?;
        }
        let socket = socket_folder(&home);
        installation.make_folder(&socket)?;
        let config = Config {
            host: socket.to_string_lossy().into_owned(),
            port: 5432,
            database: DATABASE.into(),
            user: ADMINISTRATOR.into(),
            password,
        };
        let launch = || match running(&data) {
            Some(_) => Ok(()),
            None => launch(&installation, &home, &data, &socket),
        };
        let version = await_server(&config, &home, launch).await?;
        Ok(Self {
            config,
            data,
            version,
        })
    }

    /// How to connect as its administrator.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// As the server says it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The cluster's folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Stops it with a checkpoint (PostgreSQL's "fast" shutdown) and waits until it is down.
    pub async fn stop(self) {
        let Some(pid) = running(&self.data) else {
            return;
        };
        let _ = kill(pid, Signal::SIGINT);
        let started = Instant::now();
        while running(&self.data).is_some() && started.elapsed() < STOP {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Only when nobody called [`Cluster::stop`]: a panicking test must not leave a server behind.
impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(pid) = running(&self.data) {
            let _ = kill(pid, Signal::SIGINT);
        }
    }
}

/// The administrator's password, generated once and readable by the host's user alone.
fn password(home: &Path, installation: &Installation) -> Result<SecretString, ClusterError> {
    let file = home.join("password");
    if let Ok(password) = fs::read_to_string(&file) {
        return Ok(password.into());
    }
    installation.make_folder(home)?;
    let password = Alphanumeric.sample_string(&mut rand::rng(), 40);
    fs::write(&file, &password).map_err(io(&file))?;
    fs::set_permissions(&file, Permissions::from_mode(0o600)).map_err(io(&file))?;
    if let Some(user) = &installation.user {
        chown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(io(&file))?;
    }
    Ok(password.into())
}

/// Beside first, then renamed, so that a kill in the middle leaves nothing that looks like a cluster.
fn initialise(
    installation: &Installation,
    home: &Path,
    data: &Path,
    password: &SecretString,
) -> Result<(), ClusterError> {
    let unfinished = home.join("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(io(&unfinished))?;
    }
    debug_assert!(!password.expose_secret().is_empty());
    let output = installation
        .command("initdb")
        .args([
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth=scram-sha-256",
            "--no-instructions",
        ])
        .arg(format!("--username={ADMINISTRATOR}"))
        .arg(format!("--pwfile={}", home.join("password").display()))
        .arg("-D")
        .arg(&unfinished)
        .output()
        .map_err(io(&installation.bin.join("initdb")))?;
    if !output.status.success() {
        let message = tail(&String::from_utf8_lossy(&output.stderr));
        return Err(ClusterError::Program {
            program: "initdb",
            message,
        });
    }
    fs::rename(&unfinished, data).map_err(io(data))
}

fn socket_folder(home: &Path) -> PathBuf {
    let near = home.join("socket");
    if near.as_os_str().len() <= SOCKET_FOLDER {
        near
    } else {
        std::env::temp_dir().join(format!("lectern-{}", short_hash(home)))
    }
}

/// The postmaster's process id, where one runs on that folder.
fn running(data: &Path) -> Option<Pid> {
    let file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid = Pid::from_raw(file.lines().next()?.trim().parse().ok()?);
    // Signal 0 only asks; a zombie child of ours that was never waited for is not running.
    kill(pid, None).ok()?;
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = state
        .rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('Z'));
    let is_postgres = state.is_empty() || state.contains("(postgres)");
    (!zombie && is_postgres).then_some(pid)
}

fn launch(
    installation: &Installation,
    home: &Path,
    data: &Path,
    socket: &Path,
) -> Result<(), ClusterError> {
    let log = home.join("server.log");
    let file = fs::File::create(&log).map_err(io(&log))?;
    let errors = file.try_clone().map_err(io(&log))?;
    installation
        .command("postgres")
        .arg("-D")
        .arg(data)
        .args(["-c", "listen_addresses="])
        .args([
            "-c",
            &format!("unix_socket_directories={}", socket.display()),
        ])
        .args(["-c", "max_connections=200", "-c", "shared_buffers=64MB"])
        // Ends a statement whose client is gone, as a killed host's.
        .args(["-c", "client_connection_check_interval=1s"])
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map(|mut child| {
            // Waits for it, so that it leaves no zombie.
            std::thread::spawn(move || child.wait());
        })
        .map_err(io(&installation.bin.join("postgres")))
}

/// Answers the server's version once the database exists. Launches whenever no server runs: the one
/// that was found may have been on its way out.
async fn await_server(
    config: &Config,
    home: &Path,
    launch: impl Fn() -> Result<(), ClusterError>,
) -> Result<String, ClusterError> {
    let maintenance = config.options().database("postgres");
    let started = Instant::now();
    loop {
        launch()?;
        match PgConnection::connect_with(&maintenance).await {
            Ok(mut connection) => {
                return make_database(&mut connection).await.map_err(program_failed);
            }
            Err(error) if started.elapsed() > START => {
                let log = fs::read_to_string(home.join("server.log")).unwrap_or_default();
                let message = format!("{error}; {}", tail(&log));
                return Err(ClusterError::Program {
                    program: "postgres",
                    message,
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
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

fn program_failed(error: sqlx::Error) -> ClusterError {
    ClusterError::Program {
        program: "postgres",
        message: error.to_string(),
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(4)..].join("; ")
}
