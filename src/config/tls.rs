//! The certificates of the gateway: of its listener, and of its connections to the broker.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::tls::{self, Identity, Roots, TlsError};

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The chain, in PEM, the gateway's own certificate first.
    pub cert: PathBuf,
    /// The key of that certificate, in PEM, without a password.
    pub key: PathBuf,
}

impl IdentityFiles {
    /// What the files hold.
    ///
    /// # Errors
    /// [`TlsError`], which names the file.
    pub fn read(&self) -> Result<Arc<Identity>, TlsError> {
        Identity::from_files(&self.cert, &self.key)
    }
}

/// Whom connections to the broker trust, and what they show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerTls {
    /// The authorities, in PEM, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client certificate, if there is one.
    pub identity: Option<IdentityFiles>,
}

/// What connections to the broker speak TLS with.
pub struct BrokerClient {
    /// For all of them.
    pub config: Arc<ClientConfig>,
    /// The client certificate, which may be read again.
    pub identity: Option<Arc<Identity>>,
}

impl BrokerTls {
    /// What the files hold.
    ///
    /// # Errors
    /// [`TlsError`], which names the file.
    pub fn read(&self) -> Result<BrokerClient, TlsError> {
        let roots = match &self.ca_file {
            Some(file) => Roots::from_file(file)?,
            None => Roots::of_system()?,
        };
        let identity = self
            .identity
            .as_ref()
            .map(IdentityFiles::read)
            .transpose()?;
        let config = tls::client(roots, identity.clone())?;
        Ok(BrokerClient { config, identity })
    }
}
