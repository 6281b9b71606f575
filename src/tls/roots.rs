//! The certificate authorities that a client trusts.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{TlsError, read};

/// At least one authority.
pub struct Roots(RootCertStore);

impl Roots {
    /// Those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    ///
    /// # Errors
    /// [`TlsError::NoRoots`].
    pub fn of_system() -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        let (usable, _) = store.add_parsable_certificates(found.certs);
        if usable == 0 {
            let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(TlsError::NoRoots(errors.join("; ")));
        }
        Ok(Self(store))
    }

    /// Those of a PEM file, and no others.
    ///
    /// # Errors
    /// [`TlsError::File`].
    pub fn from_file(path: &Path) -> Result<Self, TlsError> {
        let text = read(path)?;
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            certificate
                .map_err(|error| error.to_string())
                .and_then(|one| store.add(one).map_err(|error| error.to_string()))
                .map_err(|error| {
                    let fault = format!("has a certificate that cannot be used: {error}");
                    TlsError::file(path, fault)
                })?;
        }
        if store.is_empty() {
            return Err(TlsError::file(path, "holds no certificate in PEM"));
        }
        Ok(Self(store))
    }

    pub(super) fn into_store(self) -> RootCertStore {
        self.0
    }
}
