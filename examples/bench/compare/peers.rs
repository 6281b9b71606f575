//! Other gateways for RabbitMQ, where they are installed, each run by its own instructions.
//!
//! - `mq-bridge-app` on the path (`cargo install mq-bridge-app --no-default-features --features http,amqp`),
//!   with a route from HTTP to the queue.
//! - `bunny-rest-proxy` where `--bunny DIR` says: a checkout after `npm ci` and `npm run build`. It declares
//!   its queue itself, which is a classic one without a limit.
//!
//! Both answer after the broker's confirm, as single posts that wait do, and neither stores anything or says
//! later what became of a message.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::amqpost_tests::broker_node::PrivateNode;
use super::amqpost_tests::process::{self, ProcessGroup};
use super::beside::Posted;
use super::case::{Case, Way};
use super::load::{self, Request};
use super::management::listens;
use super::measured::Sample;
use crate::{Failure, text_argument};

/// Messages that `mq-bridge` has under way at a time.
const CONCURRENCY: usize = 64;
/// Where `bunny-rest-proxy` always listens.
const BUNNY_ADDRESS: &str = "127.0.0.1:3672";

const MQ_BRIDGE: &str = "mq-bridge";
const BUNNY_REST_PROXY: &str = "bunny-rest-proxy";
/// As they are told.
pub const NAMES: [&str; 2] = [MQ_BRIDGE, BUNNY_REST_PROXY];

/// One that runs.
pub struct Peer {
    name: &'static str,
    address: String,
    request: Request,
    process: ProcessGroup,
    _directory: TempDir,
}

impl Peer {
    /// All that are installed, with routes to `queue`.
    pub async fn installed(uri: &str, queue: &str) -> Result<Vec<Self>, Failure> {
        let mut all = Vec::new();
        if on_path("mq-bridge-app").is_some() {
            all.extend(Self::mq_bridge(uri, queue).await?);
        } else {
            eprintln!("mq-bridge-app is not on the path, so it is not measured");
        }
        if let Some(checkout) = text_argument("--bunny") {
            all.extend(Self::bunny_rest_proxy(uri, Path::new(&checkout)).await?);
        }
        Ok(all)
    }

    async fn mq_bridge(uri: &str, queue: &str) -> Result<Option<Self>, Failure> {
        let address = format!("127.0.0.1:{}", process::free_port());
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("mq-bridge.yaml");
        let config = format!(
            "routes:\n  posts:\n    concurrency: {CONCURRENCY}\n    input:\n      http:\n        \
             url: \"{address}\"\n        method: POST\n    output:\n      amqp:\n        \
             url: \"{uri}\"\n        queue: \"{queue}\"\n        no_declare_queue: true\n"
        );
        std::fs::write(&file, config)?;
        let mut command = Command::new("mq-bridge-app");
        command
            .args(["--no-ui", "--no-metrics", "--config"])
            .arg(file);
        Self::start(MQ_BRIDGE, command, directory, address, "POST /").await
    }

    async fn bunny_rest_proxy(uri: &str, checkout: &Path) -> Result<Option<Self>, Failure> {
        let directory = tempfile::tempdir()?;
        // It reads its configuration from beside its code.
        copy(&checkout.join("build"), &directory.path().join("build"))?;
        let modules = std::fs::canonicalize(checkout.join("node_modules"))?;
        std::os::unix::fs::symlink(modules, directory.path().join("node_modules"))?;
        let queue = "amqpost.bench.bunny";
        let config = format!(
            "---\npublishers:\n  - queueName: {queue}\n    contentType: binary\n    confirm: true\n"
        );
        std::fs::write(directory.path().join("config.yml"), config)?;
        let mut command = Command::new("node");
        command
            .arg(directory.path().join("build/index.js"))
            .env("NODE_ENV", "production")
            .env("BRP_LOG_LEVEL", "error")
            .env("BRP_CONN_STR", uri);
        let line = format!("POST /publish/{queue}");
        Self::start(
            BUNNY_REST_PROXY,
            command,
            directory,
            BUNNY_ADDRESS.to_owned(),
            &line,
        )
        .await
    }

    async fn start(
        name: &'static str,
        mut command: Command,
        directory: TempDir,
        address: String,
        line: &str,
    ) -> Result<Option<Self>, Failure> {
        let log = directory.path().join("log");
        let output = std::fs::File::create(&log)?;
        command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let process = ProcessGroup::start(&mut command, Some(directory.path()));
        if !listens(&address).await {
            let told = std::fs::read_to_string(&log).unwrap_or_default();
            eprintln!("{name} does not listen, so it is not measured: {told}");
            return Ok(None);
        }
        let payload = "x".repeat(Case::SMALL.payload_bytes);
        let headers = "Content-Type: application/octet-stream\r\n";
        let request = load::request(line, &address, headers, payload.as_bytes(), 1);
        Ok(Some(Self {
            name,
            address,
            request,
            process,
            _directory: directory,
        }))
    }

    /// As it is told.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Posts as many messages as [`Way::Waiting`] does.
    pub async fn measure(&self, node: &PrivateNode, scale: f64) -> Result<Sample, Failure> {
        let posts = Posted {
            pid: self.process.id().to_string(),
            address: self.address.clone(),
            request: self.request.clone(),
            requests: Way::Waiting.messages(Case::SMALL.payload_bytes, scale),
        };
        posts.measure(node).await
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&path).map(|directory| directory.join(program));
    files.find(|file| file.is_file())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
