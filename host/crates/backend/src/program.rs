//! Programs of the machine's that are shown what strangers sent: each in a process group of its own,
//! with a deadline, little memory, low priority, no network where that can be had, nothing of the
//! host's environment but where programs and languages are, and an end no later than the host's.

mod spawner;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::isolation::isolation;

/// What a program may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of address space.
    pub(crate) memory: u64,
    /// From its start to its end.
    pub(crate) time: Duration,
    /// Bytes that it may print.
    pub(crate) output: usize,
    /// Bytes of a file that it writes.
    pub(crate) file: u64,
}

/// Why there is no output.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Failure {
    #[error("`{0}` cannot be started: {1}")]
    Start(String, String),
    #[error("`{0}` took longer than {1} s")]
    Timeout(String, u64),
    #[error("`{0}` printed more than {1} bytes")]
    TooMuch(String, usize),
    /// With the last line that it printed about it.
    #[error("`{0}` failed ({1}): {2}")]
    Ended(String, String, String),
}

/// What of the host's environment a program sees.
const ENVIRONMENT: [&str; 7] = [
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "TESSDATA_PREFIX",
    "POCKETSPHINX_PATH",
    "TMPDIR",
];
/// Of what it says about itself.
const COMPLAINT: usize = 64 << 10;
const EXCERPT: usize = 200;

/// Where it is, by PATH; a path stays as it is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = match program.contains('/') {
        true => vec![PathBuf::from(program)],
        false => std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .collect(),
    };
    let executable = |path: &PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        path.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    candidates.into_iter().find(executable)
}

/// A program to run.
pub(crate) struct Program<'a> {
    pub(crate) path: &'a Path,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) input: Option<Bytes>,
    /// Where it runs; the only folder that is its own.
    pub(crate) folder: &'a Path,
    pub(crate) limits: Limits,
}

/// A process group, killed with whatever is left of it: also after its first process has ended well,
/// for what that left behind has no deadline.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // ESRCH where none is left, which is well.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Program<'_> {
    /// Answers what it printed. Dropped before the end, it kills the program and its children.
    pub(crate) async fn run(mut self) -> Result<Vec<u8>, Failure> {
        let name = self.name();
        let cannot = |e: std::io::Error| Failure::Start(name.clone(), e.to_string());
        let command = self.command().await;
        let mut child = spawner::spawn(command).await.map_err(cannot)?;
        let input = self.input.take();
        let _group = Group(
            child
                .id()
                .and_then(|id| id.try_into().ok())
                .map(Pid::from_raw),
        );
        let most = self.limits.output;
        let worked = timeout(self.limits.time, work(&mut child, input, most));
        let Ok(worked) = worked.await else {
            return Err(Failure::Timeout(name, self.limits.time.as_secs()));
        };
        let (status, output, complaint) = worked.map_err(cannot)?;
        let Some(output) = output else {
            return Err(Failure::TooMuch(name, most));
        };
        if status.success() {
            Ok(output)
        } else {
            Err(Failure::Ended(
                name,
                status.to_string(),
                last_line(&complaint, &self.own_folder()),
            ))
        }
    }

    /// As it stands in what the program says, where nobody else needs to know it.
    fn own_folder(&self) -> String {
        format!("{}/", self.folder.display())
    }

    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    async fn command(&self) -> Command {
        let mut words = isolation().await.words(self.limits);
        words.push(self.path.into());
        words.extend(self.arguments.iter().cloned());
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .env_clear()
            .envs(
                ENVIRONMENT
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .env("HOME", self.folder)
            // Each page and each recording takes one core, however many there are.
            .env("OMP_THREAD_LIMIT", "1")
            .current_dir(self.folder)
            .stdin(if self.input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

type Worked = (ExitStatus, Option<Vec<u8>>, Vec<u8>);

async fn work(child: &mut Child, input: Option<Bytes>, most: usize) -> std::io::Result<Worked> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A program that has read enough hangs up, which is no failure.
            let _ = stdin.write_all(&input).await;
        }
    };
    let output = async {
        let output = read(stdout, most).await?;
        if output.is_none() {
            // At once: the first process of a namespace does not die of nobody listening, and goes on
            // complaining.
            child.start_kill()?;
        }
        std::io::Result::Ok(output)
    };
    let ((), output, complaint) = tokio::join!(feed, output, read_end(stderr));
    let output = output?;
    Ok((child.wait().await?, output, complaint))
}

/// `None` where there is more.
async fn read(
    from: Option<impl AsyncRead + Unpin>,
    most: usize,
) -> std::io::Result<Option<Vec<u8>>> {
    let mut read = Vec::new();
    if let Some(from) = from {
        from.take(most as u64 + 1).read_to_end(&mut read).await?;
    }
    Ok((read.len() <= most).then_some(read))
}

/// What came last.
async fn read_end(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut end = Vec::new();
    let Some(mut from) = from else { return end };
    while let Ok(1..) = from.read_buf(&mut end).await {
        if end.len() > 2 * COMPLAINT {
            end.drain(..COMPLAINT);
        }
    }
    end
}

fn last_line(complaint: &[u8], folder: &str) -> String {
    let complaint = String::from_utf8_lossy(complaint);
    let line = complaint.lines().rfind(|line| !line.trim().is_empty());
    let line = line.unwrap_or("it does not say why").trim();
    line.replace(folder, "")
        .chars()
        .filter(|c| !c.is_control())
        .take(EXCERPT)
        .collect()
}

/// As arguments.
pub(crate) fn words<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Vec<OsString> {
    words
        .into_iter()
        .map(|word| word.as_ref().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        memory: 1 << 30,
        time: Duration::from_secs(20),
        output: 1_000,
        file: 1 << 20,
    };

    async fn shell(
        script: &str,
        input: Option<&'static str>,
        limits: Limits,
    ) -> Result<Vec<u8>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = find("sh").unwrap();
        let program = Program {
            path: &path,
            arguments: words(["-c", script]),
            input: input.map(|input| Bytes::from_static(input.as_bytes())),
            folder: folder.path(),
            limits,
        };
        program.run().await
    }

    #[tokio::test]
    async fn a_program_answers_what_it_printed() {
        assert_eq!(
            shell("cat; pwd >&2", Some("hello"), LIMITS).await,
            Ok(b"hello".to_vec())
        );
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why() {
        let failed = shell("echo first >&2; echo last >&2; exit 3", None, LIMITS).await;
        let why = failed.unwrap_err().to_string();
        assert!(
            why.contains("exit status: 3") && why.ends_with("last"),
            "{why}"
        );
    }

    #[tokio::test]
    async fn output_has_a_limit() {
        let failed = shell("while :; do echo more; done", None, LIMITS).await;
        assert!(matches!(failed, Err(Failure::TooMuch(..))), "{failed:?}");
    }

    /// Whether a process with those words runs, in whatever namespace.
    fn runs(words: &str) -> bool {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let line = |process: std::fs::DirEntry| std::fs::read(process.path().join("cmdline"));
        let mut lines = processes.filter_map(|process| line(process).ok());
        lines.any(|line| String::from_utf8_lossy(&line).replace('\0', " ").trim() == words)
    }

    #[tokio::test]
    async fn a_deadline_ends_the_children_too() {
        let limits = Limits {
            time: Duration::from_secs(1),
            ..LIMITS
        };
        // No other test's.
        let child = format!("sleep 1000.{}", std::process::id());
        assert!(matches!(
            shell(&format!("{child} & wait"), None, limits).await,
            Err(Failure::Timeout(..))
        ));
        for _ in 0..500 {
            if !runs(&child) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the child lives");
    }

    #[tokio::test]
    async fn a_complaint_does_not_tell_where_files_are() {
        let failed = shell(
            "echo \"no sound in $PWD/input.wav\" >&2; exit 1",
            None,
            LIMITS,
        )
        .await;
        let why = failed.unwrap_err().to_string();
        assert!(why.ends_with("no sound in input.wav"), "{why}");
    }

    #[tokio::test]
    async fn the_host_s_environment_stays_its_own() {
        let printed = shell("env", None, LIMITS).await.unwrap();
        let printed = String::from_utf8(printed).unwrap();
        assert!(!printed.contains("CARGO"), "{printed}");
    }

    #[tokio::test]
    async fn memory_has_a_limit() {
        if find("prlimit").is_none() {
            let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
            assert!(!ci, "prlimit is missing, and CI has to have it");
            eprintln!("NOT TESTED: prlimit is missing");
            return;
        }
        let limits = Limits {
            memory: 64 << 20,
            ..LIMITS
        };
        let script = "head -c 200000000 /dev/zero | tail -c 199999999 | wc -c";
        let printed = shell(script, None, limits).await;
        assert_ne!(printed, Ok(b"199999999\n".to_vec()));
    }
}
