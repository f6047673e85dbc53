//! Starts programs from one thread that lasts as long as the host: what a program is told of its parent's
//! death is told by the thread that started it, and threads of a pool come and go.

use std::io;
use std::sync::{OnceLock, mpsc};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Start {
    command: Command,
    runtime: Handle,
    started: oneshot::Sender<io::Result<Child>>,
}

/// Its child is watched by the runtime that asks.
pub(super) async fn spawn(command: Command) -> io::Result<Child> {
    let (started, child) = oneshot::channel();
    let start = Start {
        command,
        runtime: Handle::current(),
        started,
    };
    let gone = || io::Error::other("the thread that starts programs is gone");
    thread()?.send(start).map_err(|_| gone())?;
    child.await.map_err(|_| gone())?
}

fn thread() -> io::Result<&'static mpsc::Sender<Start>> {
    static THREAD: OnceLock<mpsc::Sender<Start>> = OnceLock::new();
    if let Some(thread) = THREAD.get() {
        return Ok(thread);
    }
    let (sender, starts) = mpsc::channel::<Start>();
    let work = move || {
        for mut start in starts {
            let _runtime = start.runtime.enter();
            // Nobody waits any more: the child is killed as it is dropped.
            let _ = start.started.send(start.command.spawn());
        }
    };
    let thread = std::thread::Builder::new().name("programs".into());
    thread.spawn(work)?;
    Ok(THREAD.get_or_init(|| sender))
}
