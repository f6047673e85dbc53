//! A private PostgreSQL: a cluster of the installed server's own programs, in the data directory, on
//! a unix socket, with a generated password. It is recovered after a kill, started again when it
//! dies, and stopped with the host.

mod postmaster;

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, fchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{User, geteuid};
use postmaster::{Keeper, Server, running};
use rand::distr::{Alphanumeric, SampleString};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Config;

/// The database all components share.
const DATABASE: &str = "lectern";
const ADMINISTRATOR: &str = "lectern";
const PASSWORD: usize = 40;
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
    /// The cluster is there, and what opens it is not.
    #[error(
        "the cluster's password in {} is lost: put it back, or remove the folder to begin anew without its data",
        .0.display()
    )]
    PasswordLost(PathBuf),
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

/// A running private cluster, kept running until it is stopped.
pub struct Cluster {
    config: Config,
    data: PathBuf,
    version: String,
    keeping: Option<Keeping>,
}

/// The task that keeps the server running, and what ends it.
struct Keeping {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Keeper>,
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
        self.give(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(io(path))
    }

    /// To the database's user.
    fn give(&self, path: &Path) -> Result<(), ClusterError> {
        match &self.user {
            Some(user) => {
                chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(io(path))
            }
            None => Ok(()),
        }
    }

    /// Whole and the database user's alone, or not at all.
    fn write_private(&self, path: &Path, text: &str) -> std::io::Result<()> {
        let beside = path.with_extension("new");
        match fs::remove_file(&beside) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        if let Some(user) = &self.user {
            fchown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent()
            .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
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
        let exists = data.join("PG_VERSION").exists();
        let password = password(&home, &installation, exists)?;
        if !exists {
            initialise(&installation, &home, &data)?;
        }
        let data = fs::canonicalize(&data).map_err(io(&data))?;
        let socket = socket_folder(&home);
        installation.make_folder(&socket)?;
        let config = Config {
            host: socket.to_string_lossy().into_owned(),
            port: 5432,
            database: DATABASE.into(),
            user: ADMINISTRATOR.into(),
            password,
        };
        let mut keeper = Keeper::new(Server {
            installation,
            config: config.clone(),
            log: home.join("server.log"),
            data: data.clone(),
            socket,
        });
        let version = keeper.bring_up().await?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(keeper.keep(stopped));
        Ok(Self {
            config,
            data,
            version,
            keeping: Some(Keeping { stop, task }),
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
    pub async fn stop(mut self) {
        let Some(Keeping { stop, task }) = self.keeping.take() else {
            return;
        };
        // A task that is gone has nobody to tell; the server goes with the cluster's drop.
        let _ = stop.send(());
        if let Ok(keeper) = task.await {
            keeper.stop().await;
        }
    }
}

/// Only when nobody called [`Cluster::stop`]: a panicking test must not leave a server behind.
impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(keeping) = self.keeping.take() {
            keeping.task.abort();
        }
        if let Some(pid) = running(&self.data) {
            let _ = kill(pid, Signal::SIGINT);
        }
    }
}

/// The administrator's password, generated once and readable by the database's user alone.
fn password(
    home: &Path,
    installation: &Installation,
    exists: bool,
) -> Result<SecretString, ClusterError> {
    installation.make_folder(home)?;
    let file = home.join("password");
    match fs::read_to_string(&file) {
        Ok(password) if password.len() == PASSWORD => {
            installation.give(&file)?;
            return Ok(password.into());
        }
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(io(&file)(e)),
        // Short or missing: the host was killed before it made a cluster with it.
        _ if exists => return Err(ClusterError::PasswordLost(file)),
        _ => {}
    }
    let password = Alphanumeric.sample_string(&mut rand::rng(), PASSWORD);
    installation
        .write_private(&file, &password)
        .map_err(io(&file))?;
    Ok(password.into())
}

/// What a killed host left half made, and what is in the way of a cluster without being one.
fn sweep(home: &Path, data: &Path) -> Result<(), ClusterError> {
    for entry in fs::read_dir(home).map_err(io(home))?.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("unfinished") {
            // An orphaned initdb may still write there; the next start tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    if data.exists() {
        let aside = home.join(format!("incomplete-{}", random_name()));
        fs::rename(data, &aside).map_err(io(data))?;
    }
    Ok(())
}

fn random_name() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 8)
}

/// Beside first, then renamed, so that a kill in the middle leaves nothing that looks like a
/// cluster; in a folder of its own, as a killed host's initdb may outlive it.
fn initialise(installation: &Installation, home: &Path, data: &Path) -> Result<(), ClusterError> {
    sweep(home, data)?;
    let unfinished = home.join(format!("unfinished-{}", random_name()));
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

fn tail(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(4)..].join("; ")
}
