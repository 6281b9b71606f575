//! Certificates of the test's own, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Days for which certificates that are good are good.
const DAYS: u32 = 2;

/// An authority, and the folder where everything that it has signed is kept.
pub struct Authority {
    directory: TempDir,
}

/// A certificate that an authority has signed, and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// PEM.
    pub cert: PathBuf,
    /// PEM, without a password.
    pub key: PathBuf,
}

impl Certificate {
    /// Both as texts.
    pub fn texts(&self) -> [String; 2] {
        [&self.cert, &self.key].map(|file| file.display().to_string())
    }

    /// Puts what is in these files into those of `other`, the key last.
    pub fn replace(&self, other: &Self) {
        std::fs::copy(&self.cert, &other.cert).expect("the directory is ours");
        std::fs::copy(&self.key, &other.key).expect("the directory is ours");
    }
}

impl Authority {
    /// A new one that nobody knows.
    pub fn create() -> Self {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let authority = Self { directory };
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN=authority -keyout authority.key -out authority.pem",
        );
        authority
    }

    /// Signs a certificate for 127.0.0.1 and localhost. `name` is its common name and that of its files.
    pub fn issue(&self, name: &str) -> Certificate {
        self.issue_for(name, DAYS)
    }

    /// Signs one that has expired the moment after.
    pub fn issue_expired(&self, name: &str) -> Certificate {
        self.issue_for(name, 0)
    }

    fn issue_for(&self, name: &str, days: u32) -> Certificate {
        std::fs::write(
            self.path("names"),
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
        )
        .expect("the directory is ours");
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
             -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA authority.pem -CAkey authority.key -CAcreateserial \
             -days {days} -extfile names -out {name}.pem"
        ));
        Certificate {
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// A file next to those that it has made.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs openssl in its folder.
    pub fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.directory.path())
            .output()
            .expect("openssl is installed; scripts/test installs it");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {said}");
    }
}

/// As Erlang writes strings.
pub fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}
