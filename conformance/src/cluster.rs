//! A cluster as people meet it: by `kubectl`.
//!
//! In: manifests and questions. Out: objects as JSON, and what did not come to be in time. The program runs inside the cluster's
//! network, so that addresses of pods and of load balancers are reached directly.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// How long something in a cluster may take that people wait for: a pod started, an address given.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster that is up, and the folder of the scripts that drive it.
#[derive(Clone, Debug)]
pub struct Cluster {
    scripts: PathBuf,
}

impl Cluster {
    /// The cluster that these scripts (`conformance/cluster`) have up.
    pub fn new(scripts: &Path) -> Self {
        Self { scripts: scripts.to_owned() }
    }

    /// The control group, of whatever hierarchy, that all of its pods are in: named as the scripts name it.
    #[must_use]
    pub fn control_group(&self) -> String {
        format!("pingora-{}", env::var("CLUSTER").as_deref().unwrap_or("conformance"))
    }

    /// What `kubectl` prints when told this.
    ///
    /// # Errors
    ///
    /// What it says when it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run("kubectl", arguments, "")
    }

    /// Applies a manifest.
    ///
    /// # Errors
    ///
    /// What the API server refused.
    pub fn apply(&self, manifest: &str) -> Result<()> {
        self.run("kubectl", &["apply", "--server-side", "--force-conflicts", "--filename=-"], manifest).map(drop)
    }

    /// An object, or a list of objects, as `kubectl get` would show it.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = vec!["get", "--output=json"];
        all.extend(arguments);
        Ok(serde_json::from_str(&self.kubectl(&all)?)?)
    }

    /// Ends the processes whose command line is this, at once, as a machine's failure would.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn kill(&self, command: &str) -> Result<()> {
        self.run("kill", &[command], "").map(drop)
    }

    /// Ends a container's process, at once, by the container's id.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn kill_container(&self, id: &str) -> Result<()> {
        self.run("kill", &["--container", id], "").map(drop)
    }

    fn run(&self, script: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(self.scripts.join(script));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {script}"))?;
        let mut stdin = child.stdin.take().context("a pipe was asked for")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        let Output { status, stdout, stderr } = child.wait_with_output()?;
        ensure!(status.success(), "{script} {}: {}", arguments.join(" "), String::from_utf8_lossy(&stderr).trim());
        Ok(String::from_utf8(stdout)?)
    }
}

/// Waits until it holds. An error means that it does not hold yet.
///
/// # Errors
///
/// When it does not hold within that time: what was waited for, and the last error.
pub fn soon<T>(what: &str, within: Duration, mut question: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        let why = match question() {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => "it is not so".to_owned(),
            Err(err) => format!("{err:#}"),
        };
        if started.elapsed() > within {
            bail!("{what}: not within {within:?}: {why}");
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Status and reason of a condition, in a list of them. A condition of a pod need not have a reason.
pub fn condition<'a>(conditions: &'a Value, kind: &str) -> Option<(&'a str, &'a str)> {
    let found = conditions.as_array()?.iter().find(|condition| condition["type"] == kind)?;
    Some((found["status"].as_str()?, found["reason"].as_str().unwrap_or_default()))
}
