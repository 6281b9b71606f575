//! A certificate with its key, which may be replaced while it is in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::{TlsError, provider, read};
use crate::domain::WallTime;

/// Whoever renews certificates does so earlier.
const RENEWAL: Duration = Duration::from_hours(7 * 24);

/// How PEM names a key that needs a password.
const ENCRYPTED: &str = "BEGIN ENCRYPTED PRIVATE KEY";

/// A certificate chain and the key of its first certificate, as two files have them. Handshakes use what
/// was read last; connections that are open keep theirs.
#[derive(Debug)]
pub struct Identity {
    cert_file: PathBuf,
    key_file: PathBuf,
    current: RwLock<Arc<Current>>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    validity: Validity,
}

/// From when and until when a certificate may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: WallTime,
    /// The last moment.
    pub not_after: WallTime,
}

impl Validity {
    /// Whether clients refuse the certificate at this moment.
    #[must_use]
    pub fn is_over(self, now: WallTime) -> bool {
        now > self.not_after
    }

    /// Whether it should have been renewed: in its last week, or the last eighth of a shorter life.
    #[must_use]
    pub fn ends_soon(self, now: WallTime) -> bool {
        let life_ms = self
            .not_after
            .unix_ms()
            .saturating_sub(self.not_before.unix_ms());
        let last = RENEWAL.min(Duration::from_millis(life_ms / 8));
        now > self.not_after.minus(last)
    }
}

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// [`TlsError::File`], which names the file.
    pub fn from_files(cert_file: &Path, key_file: &Path) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self {
            current: RwLock::new(Arc::new(Current::read(cert_file, key_file)?)),
            cert_file: cert_file.to_owned(),
            key_file: key_file.to_owned(),
        }))
    }

    /// Reads both files again. Unless there is a mistake, handshakes that begin from now on use what is
    /// there; tells whether that is another certificate than before.
    ///
    /// # Errors
    /// [`TlsError::File`]; it is also a mistake to replace a certificate by one that is over. What was used
    /// before stays in use.
    pub fn reload(&self, now: WallTime) -> Result<bool, TlsError> {
        let next = Current::read(&self.cert_file, &self.key_file)?;
        let used = self.current.read().clone();
        if next.key.cert == used.key.cert {
            return Ok(false);
        }
        if next.validity.is_over(now) && !used.validity.is_over(now) {
            let fault = format!("has expired at {}", next.validity.not_after);
            return Err(TlsError::file(&self.cert_file, fault));
        }
        *self.current.write() = Arc::new(next);
        Ok(true)
    }

    /// Of the certificate that is used now.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.current.read().validity
    }

    /// The file of the certificate.
    #[must_use]
    pub fn cert_file(&self) -> &Path {
        &self.cert_file
    }

    /// The files that make it.
    #[must_use]
    pub fn files(&self) -> [PathBuf; 2] {
        [self.cert_file.clone(), self.key_file.clone()]
    }

    fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().key)
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Current {
    fn read(cert_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let chain = chain(cert_file)?;
        let validity = validity(cert_file, &chain)?;
        let key = key(key_file)?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                let cert_file = cert_file.display();
                let fault = format!("is not the key of the certificate in {cert_file}");
                TlsError::file(key_file, fault)
            }
            other => TlsError::file(key_file, format!("cannot be used: {other}")),
        })?;
        Ok(Self {
            key: Arc::new(key),
            validity,
        })
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let chain = chain.map_err(|error| TlsError::file(path, format!("is not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(TlsError::file(path, "holds no certificate in PEM"));
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let fault = match error {
            _ if String::from_utf8_lossy(&text).contains(ENCRYPTED) => {
                "holds a key that needs a password: it must be one that does not".to_owned()
            }
            pem::Error::NoItemsFound => "holds no private key in PEM".to_owned(),
            // What the parser says may quote a line of the key.
            _ => "is not PEM".to_owned(),
        };
        TlsError::file(path, fault)
    })
}

/// When the first certificate, which is the one that speaks, may be used.
fn validity(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Validity, TlsError> {
    let first = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let (_, parsed) = X509Certificate::from_der(first).map_err(|error| {
        TlsError::file(
            path,
            format!("has a first certificate that cannot be read: {error}"),
        )
    })?;
    let time = |seconds: i64| {
        let ms = u64::try_from(seconds)
            .unwrap_or_default()
            .saturating_mul(1000);
        WallTime::from_unix_ms(ms)
    };
    let told = parsed.validity();
    Ok(Validity {
        not_before: time(told.not_before.timestamp()),
        not_after: time(told.not_after.timestamp()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    #[test]
    fn a_certificate_ends_soon_in_its_last_week_or_eighth() {
        for (life_days, soon_days) in [(90, 7), (8, 1)] {
            let validity = Validity {
                not_before: WallTime::from_unix_ms(DAY_MS),
                not_after: WallTime::from_unix_ms(DAY_MS * (1 + life_days)),
            };
            let soon = validity.not_after.unix_ms() - DAY_MS * soon_days;
            assert!(!validity.ends_soon(WallTime::from_unix_ms(soon)));
            assert!(validity.ends_soon(WallTime::from_unix_ms(soon + 1)));
            assert!(!validity.is_over(validity.not_after));
            assert!(validity.is_over(validity.not_after.plus_ms(1)));
        }
    }
}
