//! What this machine can do to a program that is shown what strangers sent; found out once. By programs
//! that become the next one, as what is set between fork and exec takes unsafe code.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::program::{Limits, find, words};

/// A probe takes milliseconds.
const PROBE: Duration = Duration::from_secs(5);

/// What can be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Isolation {
    /// The words that take the network away.
    network: Option<Vec<OsString>>,
    /// The words that end the program with the host.
    end: Option<Vec<OsString>>,
    /// The words that end with it what it started, too.
    descendants: Option<Vec<OsString>>,
    nice: Option<Vec<OsString>>,
    prlimit: Option<OsString>,
}

/// What cannot be had on this machine, and how it could be, each a sentence.
pub async fn lacks() -> Vec<&'static str> {
    isolation().await.lacks()
}

/// Of this machine.
pub(crate) async fn isolation() -> &'static Isolation {
    static FOUND: OnceCell<Isolation> = OnceCell::const_new();
    FOUND
        .get_or_init(async || {
            let found = Isolation::find().await;
            for lack in found.lacks() {
                tracing::warn!("{lack}");
            }
            found
        })
        .await
}

impl Isolation {
    async fn find() -> Self {
        let mut found = Self {
            nice: find("nice").map(|nice| of(&nice, &["-n", "10"])),
            prlimit: find("prlimit").map(Into::into),
            ..Self::default()
        };
        if let Some(setpriv) = find("setpriv") {
            found.end = working(&[], of(&setpriv, &["--pdeathsig", "KILL", "--"])).await;
        }
        let Some(unshare) = find("unshare") else {
            return found;
        };
        for flags in [&["-n", "--"][..], &["-r", "-n", "--"]] {
            found.network = working(&[], of(&unshare, flags)).await;
            if found.network.is_some() {
                break;
            }
        }
        // Processes of their own are had by whoever may take the network away. The first of them ends with
        // the host, and the kernel ends the others with it.
        if let (Some(network), Some(end)) = (&found.network, &found.end) {
            let before = [&network[..], end].concat();
            let flags = ["--pid", "--fork", "--kill-child", "--"];
            found.descendants = working(&before, of(&unshare, &flags)).await;
        }
        found
    }

    /// The words before a program's own.
    pub(crate) fn words(&self, limits: Limits) -> Vec<OsString> {
        let Limits { memory, file, .. } = limits;
        let mut all = Vec::new();
        // In this order: what is to happen at the host's end is forgotten with a change of rights.
        for part in [&self.network, &self.end, &self.descendants, &self.nice] {
            all.extend(part.iter().flatten().cloned());
        }
        if let Some(prlimit) = &self.prlimit {
            all.push(prlimit.clone());
            all.push(format!("--as={memory}").into());
            all.push(format!("--fsize={file}").into());
            all.extend(words(["--core=0", "--"]));
        }
        all
    }

    fn lacks(&self) -> Vec<&'static str> {
        let lacks = [
            (
                self.network.is_none(),
                "engines on this machine run with its network: install util-linux (`unshare`), and run as root, with \
                 CAP_SYS_ADMIN, or where unprivileged user namespaces are allowed (sysctl user.max_user_namespaces, \
                 kernel.apparmor_restrict_unprivileged_userns=0)",
            ),
            (
                self.prlimit.is_none(),
                "engines on this machine run without limits of memory and files: install util-linux (`prlimit`)",
            ),
            (
                self.end.is_none(),
                "engines on this machine outlive a host that is killed: install util-linux 2.33 or newer (`setpriv \
                 --pdeathsig`)",
            ),
            (
                self.end.is_some() && self.descendants.is_none(),
                "what engines on this machine start themselves outlives a host that is killed: that takes process \
                 namespaces, which are had where the network can be taken away (`unshare --pid --kill-child`)",
            ),
        ];
        lacks
            .into_iter()
            .filter_map(|(is_missing, lack)| is_missing.then_some(lack))
            .collect()
    }
}

fn of(program: &Path, arguments: &[&str]) -> Vec<OsString> {
    std::iter::once(program.into())
        .chain(words(arguments))
        .collect()
}

/// The second words, where both of them together run a program.
async fn working(before: &[OsString], tried: Vec<OsString>) -> Option<Vec<OsString>> {
    let all = [before, &tried].concat();
    let (program, arguments) = all.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).arg("true").stdin(Stdio::null());
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let status = timeout(PROBE, command.status()).await.ok()?.ok()?;
    status.success().then_some(tried)
}
