//! The gateway as its users run it: a process, its log, and HTTP.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use super::process::{self, ProcessGroup};
use super::wait::{self, SOON};

/// How long a message may take to its final status when the broker is well.
const FINAL_LIMIT: Duration = Duration::from_secs(30);

/// What the gateway answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
    /// The body as JSON, `null` when it is none.
    pub json: Value,
}

impl Answer {
    /// The message's id. Panics, saying what came instead, when there is none.
    pub fn id(&self) -> String {
        self.text_at("/id")
    }

    /// The message's status as the body says it.
    pub fn message_status(&self) -> String {
        self.text_at("/status")
    }

    /// The string at a JSON pointer.
    pub fn text_at(&self, pointer: &str) -> String {
        match self.json.pointer(pointer).and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => panic!("no string at {pointer}: {} {}", self.status, self.text),
        }
    }

    /// The value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A gateway process. Drop kills it; when the test is failing, its log is printed.
#[derive(Debug)]
pub struct Gateway {
    environment: BTreeMap<String, String>,
    port: u16,
    directory: TempDir,
    scheme: &'static str,
    client: Client,
    running: Option<ProcessGroup>,
}

impl Gateway {
    /// Starts it with these variables over the defaults (a free port of 127.0.0.1, a store
    /// in its directory) and waits until it accepts messages.
    pub async fn start<K: Into<String>, V: Into<String>>(
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut gateway = Self::prepare(environment);
        gateway.launch();
        gateway.wait_ready().await;
        gateway
    }

    /// As [`Gateway::start`], where the variables name a certificate that `authority` has signed.
    pub async fn start_https<K: Into<String>, V: Into<String>>(
        environment: impl IntoIterator<Item = (K, V)>,
        authority: &Path,
    ) -> Self {
        let mut gateway = Self::prepare(environment);
        gateway.scheme = "https";
        gateway.client = trusting(authority).build().expect("a client");
        gateway.launch();
        gateway.wait_ready().await;
        gateway
    }

    /// Starts it and waits for nothing.
    pub fn launch_only<K: Into<String>, V: Into<String>>(
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut gateway = Self::prepare(environment);
        gateway.launch();
        gateway
    }

    /// Starts it where it is expected to end on its own, and returns how it ended and its log.
    pub fn start_in_vain<K: Into<String>, V: Into<String>>(
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> (ExitStatus, String) {
        let mut gateway = Self::prepare(environment);
        gateway.launch();
        let running = gateway.running.as_mut().expect("it was launched");
        let status = running.wait(SOON);
        (status, gateway.log())
    }

    /// Starts it again with the same settings, after killing it if it still runs.
    pub async fn restart(&mut self) {
        self.kill_9();
        self.launch();
        self.wait_ready().await;
    }

    /// Sets a variable for its next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// As [`Gateway::restart`], where it may have no room to accept anything: waits until it answers.
    pub async fn restart_full(&mut self) {
        self.kill_9();
        self.launch();
        self.wait_answer(|_| true).await;
    }

    /// The base of all its URLs, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// A directory of its own, for a store that shall last over restarts.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("it is running").id()
    }

    /// All that it has logged, over all its starts.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Any request. `headers` are names and values; the body is sent as it is.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        match self.try_request(method, path, headers, body).await {
            Ok(answer) => answer,
            Err(error) => panic!("{path}: {error:?}"),
        }
    }

    /// As [`Gateway::request`], where the gateway may be gone.
    pub async fn try_request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Result<Answer> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.url()))
            .body(body);
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("the test sends a proper header");
            request = request.header(*name, value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer {
            status,
            headers,
            text,
            json,
        })
    }

    /// `POST /v1/messages`.
    pub async fn post(&self, message: &Value) -> Answer {
        self.post_with(message, &[]).await
    }

    /// `POST /v1/messages` with more headers, as `Prefer: wait=10`.
    pub async fn post_with(&self, message: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.request(Method::POST, "/v1/messages", &all, message.to_string())
            .await
    }

    /// `GET /v1/messages/{id}`.
    pub async fn get(&self, id: &str) -> Answer {
        self.get_path(&format!("/v1/messages/{id}")).await
    }

    /// Any `GET`.
    pub async fn get_path(&self, path: &str) -> Answer {
        self.request(Method::GET, path, &[], "").await
    }

    /// Asks for the message until its status is final, and returns that answer.
    pub async fn wait_final(&self, id: &str) -> Answer {
        self.wait_final_within(id, FINAL_LIMIT).await
    }

    /// As [`Gateway::wait_final`], with a limit.
    pub async fn wait_final_within(&self, id: &str, limit: Duration) -> Answer {
        let path = format!("/v1/messages/{id}");
        let what = format!("message {id} is final");
        wait::until(&what, limit, || async {
            let answer = self
                .request(Method::GET, &path, &[("prefer", "wait=5")], "")
                .await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            (answer.message_status() != "pending").then_some(answer)
        })
        .await
    }

    /// Asks until `GET path` answers what `holds` accepts.
    pub async fn wait_for(&self, path: &str, holds: impl Fn(&Answer) -> bool) -> Answer {
        wait::until(path, FINAL_LIMIT, || async {
            let answer = self.get_path(path).await;
            holds(&answer).then_some(answer)
        })
        .await
    }

    /// SIGTERM, and waits for its end within `limit`.
    pub fn terminate_within(&mut self, limit: Duration) -> ExitStatus {
        process::signal("TERM", &self.pid().to_string());
        let status = self.running.as_mut().expect("it is running").wait(limit);
        self.running = None;
        status
    }

    /// SIGTERM, and waits for its end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.terminate_within(FINAL_LIMIT)
    }

    /// SIGKILL.
    pub fn kill_9(&mut self) {
        drop(self.running.take());
    }

    /// How it ended, if it has by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.running.as_mut()?.ended()
    }

    /// Waits for its own end, as after a failed fsync.
    pub fn wait_end(&mut self) -> ExitStatus {
        let status = self.running.as_mut().expect("it is running").wait(SOON);
        self.running = None;
        status
    }

    fn prepare<K: Into<String>, V: Into<String>>(
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let port = process::free_port();
        let mut all = BTreeMap::from([("AMQPOST_LISTEN".to_owned(), format!("127.0.0.1:{port}"))]);
        all.extend(
            environment
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        Self {
            environment: all,
            port,
            directory: tempfile::Builder::new()
                .prefix("amqpost-gateway-")
                .tempdir()
                .expect("there is room for temporary files"),
            scheme: "http",
            client: Client::builder()
                .no_proxy()
                .build()
                .expect("a client without TLS needs nothing"),
            running: None,
        }
    }

    /// The binary with the gateway's own settings, to do something else.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command
            .args(arguments)
            .envs(&self.environment)
            .current_dir(self.directory.path());
        command
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn launch(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the directory is ours");
        let mut command = self.command(&["serve"]);
        command
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let directory = Some(self.directory.path());
        self.running = Some(ProcessGroup::start(&mut command, directory));
    }

    async fn wait_ready(&mut self) {
        self.wait_answer(|status| status == StatusCode::OK).await;
    }

    async fn wait_answer(&mut self, is_good: impl Fn(StatusCode) -> bool) {
        let started = Instant::now();
        loop {
            let running = self.running.as_mut().expect("it was launched");
            if let Some(status) = running.ended() {
                panic!("the gateway ended: {status}");
            }
            let ready = self.try_request(Method::GET, "/readyz", &[], "").await;
            if ready.is_ok_and(|answer| is_good(answer.status)) {
                return;
            }
            assert!(
                started.elapsed() < SOON * 2,
                "the gateway does not get ready"
            );
            tokio::time::sleep(wait::LOOK_EVERY).await;
        }
    }
}

impl Drop for Gateway {
    #[expect(
        clippy::print_stderr,
        reason = "the test runner shows it with the failure"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- log of the gateway ----\n{}---- end ----", self.log());
        }
    }
}

/// A client that trusts those whom `authority` has signed, and nobody else.
pub fn trusting(authority: &Path) -> ClientBuilder {
    let pem = std::fs::read(authority).expect("the directory is ours");
    let root = Certificate::from_pem(&pem).expect("a certificate");
    Client::builder()
        .no_proxy()
        .tls_built_in_root_certs(false)
        .add_root_certificate(root)
}

/// The binary, deaf to the environment that the tests run in, and without input.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AMQPOST_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// The binary of this build, or the one that `AMQPOST_TEST_BINARY` names.
pub fn binary() -> PathBuf {
    std::env::var_os("AMQPOST_TEST_BINARY")
        .or_else(|| option_env!("CARGO_BIN_EXE_amqpost").map(Into::into))
        .expect("the crate has a binary amqpost")
        .into()
}
