//! TLS for learners: a certificate and its key from two files, read again when they change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{RecursiveMode, Watcher};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::config::edge::TlsFiles;

/// Two files are seldom replaced in one moment.
const SETTLE: Duration = Duration::from_millis(200);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// No certificate in the file.
    #[error("{} has no certificate", .0.display())]
    Empty(PathBuf),
    /// They are no pair, or of a kind that is not spoken here.
    #[error("the certificate and its key cannot be used: {0}")]
    Unfit(#[from] rustls::Error),
    /// The system.
    #[error("the certificate's folder cannot be watched: {0}")]
    Watch(#[from] notify::Error),
}

/// The certificate in use.
pub(super) struct Tls {
    config: Arc<ArcSwap<ServerConfig>>,
    _following: AbortOnDropHandle<()>,
}

impl Tls {
    /// Reads the files, and follows them. Wants a Tokio runtime.
    pub(super) fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        let config = Arc::new(ArcSwap::from_pointee(read(files)?));
        let (changed, changes) = mpsc::channel(1);
        let watcher = watch(files, changed)?;
        let following = follow(files.clone(), config.clone(), watcher, changes);
        Ok(Self {
            config,
            _following: AbortOnDropHandle::new(tokio::spawn(following)),
        })
    }

    /// With the certificate of this moment; connections keep that of theirs.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.config.load_full().into()
    }
}

fn read(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Read { path, source }
    };
    let path = &files.certificates;
    let certificates = CertificateDer::pem_file_iter(path).map_err(failed(path))?;
    let certificates: Vec<_> = certificates
        .collect::<Result<_, _>>()
        .map_err(failed(path))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty(path.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(failed(&files.key))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Whole folders: a file that is replaced, or a link that is turned to another, is a new one there.
fn watch(
    files: &TlsFiles,
    changed: mpsc::Sender<()>,
) -> Result<notify::RecommendedWatcher, TlsError> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A change that is waiting to be looked at is enough.
            let _ = changed.try_send(());
        }
    })?;
    let paths = [&files.certificates, &files.key];
    let folders: BTreeSet<_> = paths.iter().filter_map(|path| path.parent()).collect();
    for folder in folders {
        let here = Path::new(".");
        let folder = Some(folder).filter(|folder| *folder != Path::new(""));
        watcher.watch(folder.unwrap_or(here), RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Reads the files again whenever they may have changed, and when SIGHUP asks.
async fn follow(
    files: TlsFiles,
    config: Arc<ArcSwap<ServerConfig>>,
    _watcher: notify::RecommendedWatcher,
    mut changes: mpsc::Receiver<()>,
) {
    let Ok(mut asked) = signal(SignalKind::hangup()) else {
        return;
    };
    let bytes = || [&files.certificates, &files.key].map(|path| std::fs::read(path).ok());
    let mut known = bytes();
    loop {
        let is_asked = tokio::select! {
            changed = changes.recv() => match changed {
                Some(()) => false,
                None => return,
            },
            _ = asked.recv() => true,
        };
        tokio::time::sleep(SETTLE).await;
        let now = bytes();
        if now == known && !is_asked {
            continue;
        }
        known = now;
        renew(&files, &config);
    }
}

/// A pair that cannot be used leaves the one before in use.
fn renew(files: &TlsFiles, config: &ArcSwap<ServerConfig>) {
    match read(files) {
        Ok(new) => {
            config.store(Arc::new(new));
            tracing::info!("new connections get the certificate that was just read");
        }
        Err(error) => tracing::warn!("the certificate stays the one before: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_does_not_fit_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificates: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (one, other) = (made(), made());
        let (key, others) = (
            one.signing_key.serialize_pem(),
            other.signing_key.serialize_pem(),
        );
        assert!(read(&files).is_err(), "there is none");
        std::fs::write(&files.certificates, one.cert.pem()).unwrap();
        std::fs::write(&files.key, &key).unwrap();
        let config = ArcSwap::from_pointee(read(&files).unwrap());
        let first = config.load_full();
        for broken in ["", "no key", &key[..key.len() / 2], &others] {
            std::fs::write(&files.key, broken).unwrap();
            renew(&files, &config);
            assert!(Arc::ptr_eq(&first, &config.load()), "{broken:.20}");
        }
        std::fs::write(&files.certificates, other.cert.pem()).unwrap();
        renew(&files, &config);
        assert!(!Arc::ptr_eq(&first, &config.load()));
    }
}
