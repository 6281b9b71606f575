//! A `RabbitMQ` node of the test's own, which may be stopped, killed, frozen and starved.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::process::{self, ProcessGroup};
use super::queues;
use super::wait::{self, SOON};

/// A node needs about 7 s on a quiet machine.
const START_LIMIT: Duration = Duration::from_mins(2);

/// The broker for tests that do it no harm and only use queues with names of their own.
pub fn shared_broker_url() -> String {
    std::env::var("AMQPOST_TEST_BROKER_URL")
        .unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

/// A node with its own data, ports and cookie. Drop kills it and removes its data.
#[derive(Debug)]
pub struct PrivateNode {
    name: String,
    cookie: String,
    amqp_port: u16,
    dist_port: u16,
    package: Package,
    directory: TempDir,
    running: Option<ProcessGroup>,
}

impl PrivateNode {
    /// Starts a fresh node and waits until it takes connections.
    pub async fn start() -> Self {
        Self::start_with_cookie(None).await
    }

    /// As [`PrivateNode::start`]. Nodes with the same cookie can become a cluster.
    pub async fn start_with_cookie(cookie: Option<&str>) -> Self {
        Self::start_with(cookie, "").await
    }

    /// As [`PrivateNode::start_with_cookie`], with a plugin of the package, unless its name is empty.
    pub async fn start_with(cookie: Option<&str>, plugins: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let pid = std::process::id();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut node = Self {
            name: format!("amqpost_{pid}_{number}@localhost"),
            cookie: cookie.map_or_else(|| format!("amqpost{pid}x{number}"), str::to_owned),
            amqp_port: process::free_port(),
            dist_port: process::free_port(),
            package: Package::find(),
            directory: tempfile::Builder::new()
                .prefix("amqpost-node-")
                .tempdir()
                .expect("there is room for temporary files"),
            running: None,
        };
        node.prepare(plugins);
        node.launch().await;
        node
    }

    /// A node for all tests of one binary that only need a broker that nobody else uses, and do it
    /// no harm. It ends with the process.
    pub async fn shared() -> &'static Self {
        static NODE: OnceCell<PrivateNode> = OnceCell::const_new();
        NODE.get_or_init(Self::start).await
    }

    /// Its name in a cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its AMQP URL, the same after a restart.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.amqp_port)
    }

    /// Whether it was neither killed nor ended by itself.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Its AMQP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.amqp_port
    }

    /// The process id of the virtual machine that the node runs in.
    pub fn beam_pid(&self) -> u32 {
        let file = self.path("pid");
        let text = std::fs::read_to_string(&file).expect("a node that was started has a pid file");
        text.trim().parse().expect("the pid file holds a number")
    }

    /// Runs `rabbitmqctl` with these arguments (about 2 s) and returns what it printed.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = self.package.script("rabbitmqctl");
        self.environment(&mut command);
        command.args(["-q", "-n", &self.name]).args(arguments);
        output_of(command, String::new()).await
    }

    /// Evaluates an Erlang expression in the node (about 10 ms) and returns its value as text.
    pub async fn eval(&self, expression: &str) -> String {
        // Two calls under one name would turn each other away.
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let mut command = self.package.command("erl_call");
        self.environment(&mut command);
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        let caller = format!("call_{}_{number}", std::process::id());
        command.args(["-h", &caller, "-sname", &self.name]);
        command.args(["-c", &self.cookie, "-e"]);
        let dot = if expression.trim_end().ends_with('.') {
            ""
        } else {
            "."
        };
        let answer = output_of(command, format!("{expression}{dot}\n")).await;
        match answer
            .strip_prefix("{ok, ")
            .and_then(|value| value.strip_suffix('}'))
        {
            Some(value) => value.to_owned(),
            None => panic!("{expression}: {answer}"),
        }
    }

    /// Stops the broker inside the virtual machine: clients see an orderly end.
    pub async fn stop_app(&self) {
        self.eval("rabbit:stop()").await;
    }

    /// Starts it again. Right after a stop, on a busy machine, a start was seen to be without effect, so
    /// it is given until the broker runs.
    pub async fn start_app(&mut self) {
        wait::until("the broker runs", SOON * 4, || async {
            self.eval("rabbit:start()").await;
            (self.eval("rabbit:is_running()").await == "true").then_some(())
        })
        .await;
        self.wait_ready().await;
    }

    /// Writes down what quorum queues there are. Up to 3.10 at least, `RabbitMQ` does so
    /// within three minutes only, and a queue declared since then is empty and without a leader after
    /// `kill -9`, whatever it had confirmed. Bindings are in a log that is written with a delay, too: one that
    /// was declared within two seconds may be gone. Call it between declaring and killing.
    pub async fn settle_declarations(&self) {
        self.eval("[ok = dets:sync(T) || T <- dets:all()], ok = mnesia:sync_log(), ok")
            .await;
    }

    /// Kills the node as a power cut would, the machine's memory apart.
    pub fn kill_9(&mut self) {
        if let Some(mut running) = self.running.take() {
            let beam = self.beam_pid();
            running.kill_9();
            assert!(process::wait_gone(beam), "node {} lives on", self.name);
        }
    }

    /// Starts it with the same data on the same port, after killing it if it still runs.
    pub async fn restart(&mut self) {
        self.kill_9();
        self.launch().await;
    }

    /// Freezes the node: connections stay open and nothing answers.
    pub fn suspend(&self) {
        process::signal("STOP", &self.beam_pid().to_string());
    }

    /// Lets it go on.
    pub fn resume(&self) {
        process::signal("CONT", &self.beam_pid().to_string());
    }

    /// Raises the memory alarm: publishers are blocked.
    pub async fn set_alarm(&self) {
        self.eval("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})")
            .await;
    }

    /// Takes the memory alarm back.
    pub async fn clear_alarm(&self) {
        self.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()})")
            .await;
    }

    /// Closes all client connections with 320 `CONNECTION_FORCED`.
    pub async fn close_all_connections(&self) {
        self.eval(
            r#"[catch rabbit_networking:close_connection(C, "closed by a test")
                || C <- rabbit_networking:connections()], ok"#,
        )
        .await;
    }

    /// Freezes one queue: what is routed to it gets no confirm.
    pub async fn suspend_queue(&self, queue: &str) {
        self.with_queue(queue, "sys:suspend(P)").await;
    }

    /// Lets it go on.
    pub async fn resume_queue(&self, queue: &str) {
        self.with_queue(queue, "sys:resume(P)").await;
    }

    /// Kills a classic queue's process; what it had not confirmed is nacked.
    pub async fn kill_queue(&self, queue: &str) {
        self.with_queue(queue, "exit(P, kill)").await;
    }

    async fn with_queue(&self, queue: &str, action: &str) {
        self.eval(&format!(
            r#"{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
               P = amqqueue:get_pid(Q), {action}"#
        ))
        .await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn prepare(&self, plugins: &str) {
        for directory in ["home", "data", "log"] {
            std::fs::create_dir(self.path(directory)).expect("the directory is ours");
        }
        let cookie = self.path("home").join(".erlang.cookie");
        std::fs::write(&cookie, &self.cookie).expect("the directory is ours");
        std::fs::set_permissions(&cookie, std::fs::Permissions::from_mode(0o400))
            .expect("the file is ours");
        let plugins = format!("[{plugins}].");
        std::fs::write(self.path("plugins"), plugins).expect("the directory is ours");
    }

    /// Everything that a machine may have configured for its own node is kept out.
    fn environment(&self, command: &mut Command) {
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", search_path)
            .env("LANG", "C.UTF-8")
            .env("HOME", self.path("home"))
            .env("RABBITMQ_CONF_ENV_FILE", self.path("none"))
            .env("RABBITMQ_CONFIG_FILE", self.path("none"))
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.amqp_port.to_string())
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", self.path("data"))
            .env("RABBITMQ_LOG_BASE", self.path("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("plugins"))
            .env("RABBITMQ_PID_FILE", self.path("pid"))
            .current_dir(self.directory.path());
    }

    async fn launch(&mut self) {
        // An old one would name a process that is gone.
        let _ = std::fs::remove_file(self.path("pid"));
        let log = std::fs::File::create(self.path("output")).expect("the directory is ours");
        let mut command = self.package.script("rabbitmq-server");
        self.environment(&mut command);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        self.running = Some(ProcessGroup::start(
            &mut command,
            Some(self.directory.path()),
        ));
        self.wait_ready().await;
    }

    /// Ready is what a client sees: a connection opens.
    async fn wait_ready(&mut self) {
        let url = self.url();
        let output = self.path("output");
        let running = self.running.as_mut().expect("it was launched");
        wait::until(
            "a private RabbitMQ node takes connections",
            START_LIMIT,
            || {
                let ended = running.ended();
                let url = url.clone();
                let output = output.clone();
                async move {
                    if let Some(status) = ended {
                        let said = std::fs::read_to_string(output).unwrap_or_default();
                        panic!("the node ended ({status}) and said:\n{said}");
                    }
                    queues::try_connect(&url, Duration::from_secs(5)).await.ok()
                }
            },
        )
        .await;
    }
}

impl Drop for PrivateNode {
    fn drop(&mut self) {
        let beam = std::fs::read_to_string(self.path("pid"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        drop(self.running.take());
        // The data can be removed once nobody writes any more.
        if let Some(beam) = beam {
            process::wait_gone(beam);
        }
    }
}

/// Runs a program within the folder of another system, with this one's temporary files.
const WITHIN_ROOT: &str = r#"
    mount -t proc proc "$1/proc" && mount --bind "$2" "$1/$2" || exit 1
    cd / && root=$1 && shift 2 && exec chroot "$root" "$@"
"#;

/// The `RabbitMQ` that nodes are started from: this machine's, or the one in the folder that
/// `AMQPOST_TEST_RABBITMQ_ROOT` names (`scripts/broker4` makes one; it takes root to use it).
#[derive(Debug)]
struct Package {
    root: Option<OsString>,
    scripts: PathBuf,
}

impl Package {
    fn find() -> Self {
        let root = std::env::var_os("AMQPOST_TEST_RABBITMQ_ROOT");
        let inside = Path::new(root.as_deref().unwrap_or("/".as_ref()));
        // Where packages keep the scripts that do not change the user.
        let places = [
            "usr/lib/rabbitmq/bin",
            "opt/rabbitmq/sbin",
            "usr/local/sbin",
        ];
        let scripts = places
            .iter()
            .find(|place| inside.join(place).join("rabbitmq-server").exists())
            .map(|place| Path::new("/").join(place))
            .expect("the package rabbitmq-server is installed; scripts/test installs it");
        Self { root, scripts }
    }

    fn script(&self, name: &str) -> Command {
        self.command(self.scripts.join(name))
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(root) = &self.root else {
            return Command::new(program);
        };
        // What is mounted is gone with the last process.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "/bin/sh", "-c", WITHIN_ROOT, "within"]);
        command.arg(root).arg(std::env::temp_dir()).arg(program);
        command
    }
}

async fn output_of(mut command: Command, input: String) -> String {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let what = command.get_program().display().to_string();
    let run = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn()?;
        // Dropped at the end of the statement: the child sees the end of its input.
        child
            .stdin
            .take()
            .expect("it was piped")
            .write_all(input.as_bytes())?;
        child.wait_with_output()
    });
    let output = wait::within(&what, SOON * 4, run)
        .await
        .expect("the call does not panic")
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success(),
        "{what} failed: {said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}
