//! Certificates, keys and authorities from PEM files, and what TLS connections are made with.
//!
//! TLS 1.2 and 1.3 on rustls with ring. A file that cannot be used is one sentence that names it and
//! says what is wrong; keys and passwords are never shown.

mod identity;
mod roots;
mod unverified;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ServerConfig};

pub use identity::{Identity, Validity};
pub use roots::Roots;
pub use unverified::unverified_client;

/// The protocols of the listener as ALPN names them, the preferred one first.
const HTTP_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why TLS cannot be spoken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file is not what it should be.
    #[error("{} {fault}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The system trusts nobody.
    #[error("the system has no certificate authorities to trust: {0}")]
    NoRoots(String),
    /// Whatever else rustls refuses.
    #[error("TLS cannot be used: {0}")]
    Unusable(String),
}

impl TlsError {
    fn file(path: &Path, fault: impl Into<String>) -> Self {
        Self::File {
            path: path.to_owned(),
            fault: fault.into(),
        }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// What an HTTPS listener speaks with: HTTP/2 and HTTP/1.1, as the client prefers, under the certificate
/// that `identity` has at the time of each handshake.
///
/// # Errors
/// [`TlsError::Unusable`].
pub fn https(identity: Arc<Identity>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(identity);
    config.alpn_protocols = HTTP_PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}

/// What a client speaks with that trusts `roots`, and shows the certificate of `identity` to servers
/// that ask for one.
///
/// # Errors
/// [`TlsError::Unusable`].
pub fn client(
    roots: Roots,
    identity: Option<Arc<Identity>>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots.into_store());
    Ok(Arc::new(match identity {
        Some(identity) => {
            let mut config = builder.with_client_cert_resolver(identity);
            // A session that is resumed goes on under the certificate that it began with.
            config.resumption = Resumption::disabled();
            config
        }
        None => builder.with_no_client_auth(),
    }))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::file(path, format!("cannot be read: {error}")))
}
