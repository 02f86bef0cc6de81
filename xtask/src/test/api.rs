//! The collector's HTTP API, held against its own description: schemathesis asks the real program what the description
//! allows, and what it does not.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, copy, sink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::output::{line, step};
use crate::process::{follow, quiet, read};
use crate::{build, cache};

/// The version whose findings were gone through.
const VERSION: &str = "4.32.5";
/// So many requests are made up for each route and each sort of fault, always the same.
const EXAMPLES: [&str; 4] = ["--max-examples", "30", "--seed", "1"];
/// What the hosts are held against, so that there is drift to ask for.
const RULES: &str = "[[baseline]]\non = \"all\"\nlike = \"majority\"\n";

/// Fills a store, serves it, and lets schemathesis ask.
pub(super) fn run() -> Result<()> {
    step("test: api");
    let schemathesis = schemathesis()?;
    let (collector, simulate) = (build::collector()?, build::simulate()?);
    let state = cache::folder("api")?.join("state");
    if state.exists() {
        fs::remove_dir_all(&state).with_context(|| format!("remove `{}`", state.display()))?;
    }
    fs::create_dir(&state).with_context(|| format!("make `{}`", state.display()))?;
    let mut fill = Command::new(simulate);
    quiet(fill.args(["--hosts", "100", "--state-dir"]).arg(&state))?;
    let ask = |args: &[&str]| {
        let mut command = Command::new(&collector);
        command.arg("--state-dir").arg(&state).args(args);
        command
    };
    let scopes = "read,content,metrics";
    let token = read(&mut ask(&[
        "token",
        "make",
        "schemathesis",
        "--scope",
        scopes,
    ]))?;
    let rules = state.join("rules.toml");
    fs::write(&rules, RULES).with_context(|| format!("write `{}`", rules.display()))?;
    let mut serve = ask(&["serve", "--listen", "127.0.0.1:0", "--view", "127.0.0.1:0"]);
    serve.arg("--rules").arg(&rules);
    let serving = Serving::start(serve)?;
    let description = format!("http://{}/v1/openapi.json", serving.address);
    let authorization = format!("Authorization: Bearer {}", token.trim());
    let asked = follow(
        Command::new(schemathesis.join("bin/python"))
            .args([
                "-c",
                "from schemathesis.cli import schemathesis; schemathesis()",
            ])
            .arg("--config-file")
            .arg(build::root().join("collector/schemathesis.toml"))
            .args(["run", &description, "--header", &authorization])
            .args(["--phases", "examples,coverage,fuzzing", "--no-color"])
            .args(EXAMPLES)
            .current_dir(&state),
        |text| line(format!("api | {text}")),
    );
    asked.context("schemathesis found fault with the API; its output above says how to repeat it")
}

/// The folder of schemathesis, which pip puts into the cache.
fn schemathesis() -> Result<PathBuf> {
    let python = read(Command::new("python3").arg("--version"))?;
    let made_from = [VERSION.as_bytes(), python.as_bytes()];
    cache::entry("tools", "schemathesis", &made_from, |folder| {
        line(format!("installing schemathesis {VERSION} …"));
        quiet(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let wanted = format!("schemathesis=={VERSION}");
        let mut pip = Command::new(folder.join("bin/python"));
        quiet(pip.args(["-m", "pip", "install", "--quiet", &wanted]))
    })
}

/// A running collector; ended when dropped.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    /// Starts it, and waits until viewers can connect.
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let mut log = BufReader::new(child.stderr.take().context("the log is piped")?);
        let mut serving = Self {
            child,
            address: String::new(),
        };
        serving.address = address_in(&mut log)?;
        // Whoever writes a log wants it read.
        thread::spawn(move || copy(&mut log, &mut sink()));
        Ok(serving)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself, which its requests have told.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn address_in(log: &mut BufReader<impl Read>) -> Result<String> {
    let (mut said, mut text) = (String::new(), String::new());
    while log.read_line(&mut text)? > 0 {
        if let Some((_, address)) = text.split_once("viewers on ") {
            return Ok(address.trim().to_owned());
        }
        said.push_str(&text);
        text.clear();
    }
    bail!("the collector ended:\n{said}")
}
