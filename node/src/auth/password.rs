//! Passwords: hashed with Argon2id, a few at a time, off the async threads.
//!
//! # Invariants
//!
//! * At most one hash a core is computed at once; at most [`WAITING_MAX`] more wait, and the next
//!   is refused as `busy`.
//! * Checking a password for a name that is not there costs what checking a real one costs, so the
//!   time of an answer does not tell which names exist.
//! * Neither a password nor its hash is ever shown by `Debug` or logged.

use std::{fmt, sync::Arc};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use hubbub_protocol::error::{ErrorCode, Refusal};
use tokio::sync::Semaphore;

/// Memory of one hash, in KiB: the second of the OWASP sets, 19 MiB and two passes. One hash took 18 ms on a
/// machine with 2 busy cores (the mean of 20).
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
const PASSES: u32 = 2;
/// Hashes that may wait for a core.
const WAITING_MAX: usize = 128;
/// What a caller is told to wait when too many wait already.
const BUSY_RETRY_MS: u64 = 2_000;

/// Hashes and checks passwords.
#[derive(Clone)]
pub struct Passwords {
    cores: Arc<Semaphore>,
    places: Arc<Semaphore>,
    dummy: Arc<str>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("cores", &self.cores).finish_non_exhaustive()
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Computes a hash here and now, with a fresh salt.
fn hash_now(password: &str) -> Result<String, Refusal> {
    let failed = |_| Refusal::new(ErrorCode::Internal, "the password could not be hashed");
    let salt: [u8; 16] = rand::random();
    let hash: PasswordHash = argon2().hash_password_with_salt(password.as_bytes(), &salt).map_err(failed)?;
    Ok(hash.to_string())
}

fn verify_now(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

impl Passwords {
    /// Gets ready: computes the hash that stands in for names that are not there.
    ///
    /// # Errors
    /// `internal` when hashing does not work at all.
    pub fn new() -> Result<Self, Refusal> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            cores: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(cores + WAITING_MAX)),
            dummy: hash_now("nobody has this password")?.into(),
        })
    }

    async fn on_a_core<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let busy = || Refusal::new(ErrorCode::Busy, "too many people sign in at once").after_ms(BUSY_RETRY_MS);
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| busy())?;
        // The permits travel with the work: it goes on when its caller has gone.
        let work = move || {
            let done = work();
            drop((place, core));
            done
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Refusal::new(ErrorCode::Internal, "hashing a password failed"))
    }

    /// Hashes `password` into a PHC string, `$argon2id$v=19$m=19456,t=2,p=1$…`.
    ///
    /// # Errors
    /// `busy` when too many wait already.
    pub async fn hash(&self, password: &str) -> Result<String, Refusal> {
        let password = password.to_owned();
        self.on_a_core(move || hash_now(&password)).await?
    }

    /// Whether `password` is the one of `hash`; without a hash, false after the same time.
    ///
    /// # Errors
    /// `busy` when too many wait already.
    pub async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool, Refusal> {
        let (password, dummy) = (password.to_owned(), Arc::clone(&self.dummy));
        self.on_a_core(move || match hash {
            Some(hash) => verify_now(&password, &hash),
            None => {
                verify_now(&password, &dummy);
                false
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits_its_hash() {
        let passwords = Passwords::new().expect("argon2 works");
        let hash = passwords.hash("correct horse").await.expect("not busy");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let fits = |password: &'static str, hash: Option<String>| {
            let passwords = passwords.clone();
            async move { passwords.verify(password, hash).await.expect("not busy") }
        };
        assert!(fits("correct horse", Some(hash.clone())).await);
        assert!(!fits("correct horsf", Some(hash)).await);
        assert!(!fits("nobody has this password", None).await);
        assert!(!fits("correct horse", Some("garbage".into())).await);
    }

    #[tokio::test]
    async fn the_same_password_is_hashed_differently_each_time() {
        let passwords = Passwords::new().expect("argon2 works");
        let one = passwords.hash("correct horse").await.expect("not busy");
        let two = passwords.hash("correct horse").await.expect("not busy");
        assert_ne!(one, two);
    }

    #[tokio::test]
    async fn too_many_at_once_are_refused_as_busy() {
        let passwords = Passwords::new().expect("argon2 works");
        let places = passwords.places.available_permits();
        let _all = Arc::clone(&passwords.places)
            .try_acquire_many_owned(u32::try_from(places).expect("few cores"))
            .expect("nobody else");
        let refused = passwords.hash("correct horse").await.expect_err("full");
        assert_eq!(refused.code, ErrorCode::Busy);
        assert_eq!(refused.retry_after_ms, Some(BUSY_RETRY_MS));
    }

    #[test]
    fn debug_output_keeps_the_hash_to_itself() {
        let passwords = Passwords::new().expect("argon2 works");
        assert!(!format!("{passwords:?}").contains("argon2id"));
    }
}
