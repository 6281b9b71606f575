//! What happens to the gateway process, its disk and its clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::bad_disk::{SmallDisk, Tampered};
use super::plan::{Fault, Plan, Step, Track};
use super::site::Site;
use super::support::gateway::Gateway;
use super::support::process;
use super::support::wait;

/// How long a gateway may take to notice that it cannot sync, and to end in order.
const END_LIMIT: Duration = Duration::from_secs(40);

/// What this machine can do to a process; the others say why not.
pub(crate) struct Means {
    pub(crate) disk: Result<SmallDisk, String>,
    pub(crate) tamper: Result<(), String>,
    /// The file that says how far the gateway's clock is off.
    pub(crate) clock: Result<PathBuf, String>,
}

/// See the module.
pub(crate) struct GatewayFaults {
    pub(crate) site: Arc<Site>,
    pub(crate) gateway: Gateway,
    pub(crate) means: Means,
    /// How far the gateway's clock is ahead; behind when it is negative.
    pub(crate) ahead_seconds: i64,
}

impl GatewayFaults {
    /// Goes on until it is told to stop; then the gateway is well again.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Self {
        for step in Plan::new(self.site.seed, Track::Gateway) {
            if paused(&mut stop, step.pause_ms).await {
                break;
            }
            self.look().await;
            match self.inflict(&step).await {
                Ok(()) => self.site.faults.did(step.fault),
                Err(why) => self.site.faults.left_out(step.fault, &why),
            }
            self.look().await;
        }
        self
    }

    /// It must not end by itself.
    async fn look(&mut self) {
        if let Some(status) = self.gateway.ended() {
            self.site
                .incident(format!("the gateway ended by itself: {status}"));
            self.gateway.restart_full().await;
        }
    }

    async fn inflict(&mut self, step: &Step) -> Result<(), String> {
        let lasts = Duration::from_millis(step.lasts_ms);
        match step.fault {
            Fault::GatewayTerminated => {
                self.terminate().await;
                // It was long in ending, so it is back soon.
                tokio::time::sleep(lasts.min(Duration::from_secs(1))).await;
                self.gateway.restart_full().await;
            }
            Fault::GatewayFrozen => {
                let pid = self.gateway.pid().to_string();
                process::signal("STOP", &pid);
                tokio::time::sleep(lasts).await;
                process::signal("CONT", &pid);
            }
            Fault::FullDisk => {
                let disk = self.means.disk.as_ref().map_err(Clone::clone)?;
                disk.fill()?;
                tokio::time::sleep(lasts).await;
                disk.free()?;
            }
            Fault::SlowDisk => {
                self.means.tamper.clone()?;
                let slow = Tampered::slow(self.gateway.pid(), step.sync_ms)?;
                tokio::time::sleep(lasts).await;
                drop(slow);
            }
            Fault::FailedSync => {
                self.means.tamper.clone()?;
                self.fail_sync().await?;
                self.gateway.restart_full().await;
            }
            Fault::ClockStep => {
                let file = self.means.clock.as_ref().map_err(Clone::clone)?;
                self.ahead_seconds += step.clock_step_seconds;
                set_clock(file, self.ahead_seconds)?;
            }
            _ => {
                self.gateway.kill_9();
                tokio::time::sleep(lasts / 2).await;
                self.gateway.restart_full().await;
            }
        }
        Ok(())
    }

    async fn terminate(&mut self) {
        process::signal("TERM", &self.gateway.pid().to_string());
        match self.ended_within(END_LIMIT).await {
            Some(status) if status.success() => {}
            other => {
                let what = format!("SIGTERM ended the gateway so: {other:?}");
                self.site.incident(what);
            }
        }
    }

    async fn fail_sync(&mut self) -> Result<(), String> {
        let failing = Tampered::failing(self.gateway.pid())?;
        match self.ended_within(END_LIMIT).await {
            Some(status) if !status.success() => {}
            other => {
                let what = format!("a sync that fails ended the gateway so: {other:?}");
                self.site.incident(what);
            }
        }
        drop(failing);
        Ok(())
    }

    async fn ended_within(&mut self, limit: Duration) -> Option<std::process::ExitStatus> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let ended = self.gateway.ended();
            if ended.is_some() || tokio::time::Instant::now() >= deadline {
                return ended;
            }
            tokio::time::sleep(wait::LOOK_EVERY).await;
        }
    }
}

/// The gateway's clock is so far ahead of the true time, or behind it when that is negative.
pub(crate) fn set_clock(file: &Path, ahead_seconds: i64) -> Result<(), String> {
    // Renamed, so that nobody reads half of it.
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{ahead_seconds:+}\n"))
        .and_then(|()| std::fs::rename(&new, file))
        .map_err(|error| error.to_string())
}

/// What a gateway is started with whose clock is as far off as `file` says.
pub(crate) fn clock_variables(file: &Path, library: &Path) -> Vec<(String, String)> {
    [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_CACHE_DURATION", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("NO_FAKE_STAT", "1".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Waits for so long. Whether it is time to stop.
pub(crate) async fn paused(stop: &mut watch::Receiver<bool>, ms: u64) -> bool {
    let told = stop.wait_for(|stop| *stop);
    tokio::time::timeout(Duration::from_millis(ms), told)
        .await
        .is_ok()
}
