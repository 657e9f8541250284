//! TLS on the public listener: the certificate, the handshake, and a new certificate without a restart.
//!
//! Certificate and key are PEM files (`listen.tls_cert`, `listen.tls_key`). They are looked at every
//! [`LOOK_EVERY`]; when one has changed and the two fit each other, handshakes from then on show the new certificate,
//! and connections that stand go on under the old one.
//!
//! # Failure
//!
//! * At the start, files that cannot be used end the node with a sentence. Later they are told in the log, and the
//!   certificate before stays in use.
//! * A client that does not finish its handshake within [`HANDSHAKE_WITHIN`] is cut, and so is one that speaks
//!   something else than TLS, at its first bytes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use hubbub_cluster::identity::validity;
use hubbub_protocol::{ports::Clock, time::Timestamp};
use parking_lot::{Mutex, RwLock};
use rustls::{
    ServerConfig,
    crypto::ring::Ticketer,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{cli::failure::Failure, config::ListenConfig};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a handshake may take, with the wait for its turn.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Handshakes at once: some 30 KiB each, 15 MiB together; one takes a millisecond of a core.
const HANDSHAKES_MAX: usize = 512;
/// What is spoken over it, the newest first: a browser makes its requests over the first and its WebSocket over the
/// second.
const SPOKEN: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Life that is left of a certificate when the log begins to warn: enough to look at the renewal within working days.
const WARN_BEFORE_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// When each of the two files was changed last.
type Changed = [Option<SystemTime>; 2];

/// See the module.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
    /// Of the files that were read last.
    read: Mutex<Changed>,
    turns: Semaphore,
}

impl Tls {
    /// What is set, if anything is.
    ///
    /// # Errors
    /// A sentence with the remedy: one of the two is not set, a file cannot be read, or they do not fit.
    pub fn open(listen: &ListenConfig, now: Timestamp) -> Result<Option<Arc<Self>>, Failure> {
        let (certificate, key) = (PathBuf::from(&listen.tls_cert), PathBuf::from(&listen.tls_key));
        match (listen.tls_cert.is_empty(), listen.tls_key.is_empty()) {
            (true, true) => return Ok(None),
            (false, false) => {}
            (true, false) => return Err(half("listen.tls_cert", "listen.tls_key")),
            (false, true) => return Err(half("listen.tls_key", "listen.tls_cert")),
        }
        let changed = changed(&certificate, &key);
        let config = load(&certificate, &key, now).map_err(Failure::Failed)?;
        Ok(Some(Arc::new(Self {
            certificate,
            key,
            current: RwLock::new(config),
            read: Mutex::new(changed),
            turns: Semaphore::new(HANDSHAKES_MAX),
        })))
    }

    /// Shakes hands; nothing for a client that does not get through with it.
    pub async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let shaken = async {
            let _turn = self.turns.acquire().await.ok()?;
            let config = self.current.read().clone();
            TlsAcceptor::from(config).accept(stream).await.ok()
        };
        timeout(HANDSHAKE_WITHIN, shaken).await.ok().flatten()
    }

    /// Looks at the files, and takes them when they have changed.
    fn look(&self, now: Timestamp) {
        let changed = changed(&self.certificate, &self.key);
        if *self.read.lock() == changed {
            return;
        }
        match load(&self.certificate, &self.key, now) {
            Ok(config) => {
                *self.current.write() = config;
                tracing::info!("a new certificate is shown from now on: {}", self.certificate.display());
            }
            Err(why) => tracing::warn!("the certificate before stays in use: {why}"),
        }
        *self.read.lock() = changed;
    }

    /// Looks again and again until the node stops.
    pub async fn watch(self: Arc<Self>, clock: Arc<dyn Clock>, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => self.look(clock.now()),
            }
        }
    }
}

fn half(missing: &str, given: &str) -> Failure {
    Failure::Usage(format!("`{given}` needs `{missing}`: set both for TLS, or neither"))
}

fn changed(certificate: &Path, key: &Path) -> Changed {
    let of = |path| fs::metadata(path).and_then(|facts| facts.modified()).ok();
    [of(certificate), of(key)]
}

/// Reads both files; or says what is wrong, and what to do.
fn load(certificate: &Path, key: &Path, now: Timestamp) -> Result<Arc<ServerConfig>, String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{} is no PEM file: {error}", certificate.display()))?;
    let Some(first) = chain.first() else {
        return Err(format!(
            "there is no certificate in {}: it must hold the server's, in PEM, and those between it and a root",
            certificate.display()
        ));
    };
    if let Some(warning) = age(first, now) {
        tracing::warn!("{}: {warning}", certificate.display());
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| {
        format!("there is no private key in {}, in PEM and without a password: {error}", key.display())
    })?;
    let unfit = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("the key in {} is not that of the certificate in {}", key.display(), certificate.display())
        }
        error => format!("{} and {} cannot be used: {error}", certificate.display(), key.display()),
    };
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private).map_err(unfit)?;
    config.alpn_protocols = SPOKEN.map(<[u8]>::to_vec).to_vec();
    // A client that comes back, as all do after a node's death, pays a fraction of a handshake; nothing is kept of it.
    config.ticketer = Ticketer::new().map_err(|error| format!("TLS cannot be set up: {error}"))?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// What is to be said of a certificate's life.
fn age(certificate: &CertificateDer<'_>, now: Timestamp) -> Option<String> {
    let (begin, end) = validity(certificate)?;
    let ms = |time: time::OffsetDateTime| time.unix_timestamp().saturating_mul(1_000);
    if now.0 >= ms(end) {
        return Some(format!("the certificate has ended at {end}: clients refuse it until it is renewed"));
    }
    if now.0 < ms(begin) {
        return Some(format!("the certificate begins at {begin} only: look at this machine's clock"));
    }
    (ms(end) - now.0 < WARN_BEFORE_MS).then(|| format!("the certificate ends at {end}: renew it"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;
    use time::{Duration as Days, OffsetDateTime};

    use super::*;
    use crate::clock::SystemClock;

    fn now() -> Timestamp {
        SystemClock.now()
    }

    /// Writes a certificate for `localhost` that is good for so many days more, and its key.
    fn write(folder: &TempDir, days: i64) -> (ListenConfig, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.not_before = OffsetDateTime::now_utc() - Days::days(400);
        params.not_after = OffsetDateTime::now_utc() + Days::days(days);
        let certificate = params.self_signed(&key).expect("a certificate");
        let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        fs::write(&cert_file, certificate.pem()).expect("a writable folder");
        fs::write(&key_file, key.serialize_pem()).expect("a writable folder");
        let listen = ListenConfig {
            tls_cert: cert_file.display().to_string(),
            tls_key: key_file.display().to_string(),
            ..ListenConfig::default()
        };
        (listen, certificate.pem())
    }

    fn refused(listen: &ListenConfig) -> String {
        Tls::open(listen, now()).expect_err("it cannot be used").to_string()
    }

    #[test]
    fn what_cannot_be_used_is_said_with_its_file() {
        let (folder, other) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
        assert!(Tls::open(&ListenConfig::default(), now()).expect("nothing is set").is_none());
        let (listen, _) = write(&folder, 30);
        assert!(Tls::open(&listen, now()).expect("it is good").is_some());
        let half = ListenConfig { tls_key: String::new(), ..listen.clone() };
        assert!(refused(&half).contains("`listen.tls_cert` needs `listen.tls_key`"));
        let (of_another, _) = write(&other, 30);
        let mixed = ListenConfig { tls_key: of_another.tls_key, ..listen.clone() };
        assert!(refused(&mixed).contains("is not that of the certificate"), "{}", refused(&mixed));
        let swapped = ListenConfig { tls_key: listen.tls_cert.clone(), ..listen.clone() };
        assert!(refused(&swapped).contains("there is no private key in"));
        let empty = folder.path().join("empty.pem");
        fs::write(&empty, "").expect("a writable folder");
        let nothing = ListenConfig { tls_cert: empty.display().to_string(), ..listen.clone() };
        assert!(refused(&nothing).contains("there is no certificate in"));
        let missing = ListenConfig { tls_cert: "/nonexistent/cert.pem".to_owned(), ..listen };
        assert!(refused(&missing).contains("cannot read /nonexistent/cert.pem"));
    }

    #[test]
    fn a_certificate_that_ends_is_told_and_used_all_the_same() {
        let folder = TempDir::new().expect("a folder");
        for (days, wanted) in [(-1, Some("has ended")), (3, Some("renew it")), (30, None)] {
            let (listen, pem) = write(&folder, days);
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
            let told = age(&certificate, now());
            assert_eq!(told.is_some(), wanted.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(wanted.unwrap_or_default()));
            assert!(Tls::open(&listen, now()).is_ok());
        }
    }

    #[test]
    fn files_that_changed_are_taken_when_they_can_be_used() {
        let folder = TempDir::new().expect("a folder");
        let (listen, _) = write(&folder, 30);
        let tls = Tls::open(&listen, now()).expect("good").expect("set");
        let first = tls.current.read().clone();
        tls.look(now());
        assert!(Arc::ptr_eq(&first, &tls.current.read()), "nothing has changed");
        let later = SystemTime::now() + Duration::from_secs(5);
        let touch =
            |path: &str, at| fs::File::options().write(true).open(path).and_then(|file| file.set_modified(at));
        fs::write(&listen.tls_key, "half of a key").expect("a writable folder");
        touch(&listen.tls_key, later).expect("a time");
        tls.look(now());
        assert!(Arc::ptr_eq(&first, &tls.current.read()), "the one before stays in use");
        write(&folder, 60);
        touch(&listen.tls_key, later + Duration::from_secs(5)).expect("a time");
        tls.look(now());
        assert!(!Arc::ptr_eq(&first, &tls.current.read()), "the new one is taken");
    }
}
