//! From names to addresses.

use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// What resolving will have come to.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Resolves names; whoever asks limits the time.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`, those to be tried first at the front.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// Threads that wait for the system's resolver at the same time.
const LOOKUPS_MAX: usize = 32;

/// The system's own resolver (`getaddrinfo`), with all that operators configure for it.
///
/// It blocks a thread for each question, and nobody can call it back. So the number of questions that
/// are open is bounded, also of those whose asker has given up.
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let permit = Arc::clone(&self.lookups).acquire_owned().await;
            let permit = permit.map_err(io::Error::other)?;
            let name = name.to_owned();
            let lookup = move || {
                let _permit = permit;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).collect())
            };
            tokio::task::spawn_blocking(lookup)
                .await
                .map_err(io::Error::other)?
        })
    }
}
