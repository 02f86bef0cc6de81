//! Proving a table of ways: each acts in a process of its own, and what the daemon told is compared
//! with what it must tell.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use serde_json::Value;

use super::{Act, Acting, Outcome, Way, Witness};

/// Says to a child of a test which way it is to go, and where.
const WAY: &str = "TRACER_TESTS_WAY";
const FOLDER: &str = "TRACER_TESTS_ACT_IN";

/// The column that is proven by fanotify.
const HOST: &str = "host";

/// Longer than a change rests before it is told.
const REST: Duration = Duration::from_millis(1500);

/// More than one way makes; each that is asked for costs time under emulation.
const FEW: usize = 20;

/// What the child begins its line with.
const ACTED: &str = "@@acted ";
const MISSING: &str = "@@missing ";

/// Lets a child of this process go each way in turn, before the eyes of a daemon, and prints what was
/// proven for the column of the table.
///
/// The child is this executable once more, running the same test: what a test does before calling
/// this must therefore be nothing.
pub fn prove(heading: &str, column: &str, witness: impl FnOnce() -> Witness) {
    let ways = super::group(heading);
    if let Some(name) = env::var_os(WAY) {
        let way = ways.iter().find(|way| *way.name == *name);
        go(way.expect("the parent names a way of the table"));
    }
    let mut proof = Proof {
        heading,
        column,
        witness: witness(),
        wrong: Vec::new(),
    };
    for way in ways {
        proof.prepare(way);
    }
    proof.settle();
    let is_found = |way: &Way| matches!(way.expected(column).0, Outcome::Late(_));
    let is_blind = column == HOST || proof.witness.daemon().is_on_btrfs();
    if is_blind && ways.iter().any(is_found) {
        // What is not seen there must be known before.
        proof.witness.compare();
    }
    let late: Vec<Tried<'_>> = ways.iter().filter_map(|way| proof.try_way(way)).collect();
    if !late.is_empty() {
        proof.compare(late);
    }
    let Proof { witness, wrong, .. } = proof;
    drop(witness);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Prints what was proven of a way, for `cargo xtask test`; past the harness, which keeps what a
/// passing test prints to itself.
pub fn tell(heading: &str, name: &str, outcome: &str, why: Option<&str>) {
    let why = why.unwrap_or_default();
    let line = format!("\n@@way | {heading} | {name} | {outcome} | {why}\n");
    io::stdout().write_all(line.as_bytes()).unwrap();
}

/// The child's part.
#[expect(
    clippy::exit,
    reason = "the child has done its part of the test, and the rest is its parent's"
)]
fn go(way: &Way) -> ! {
    let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
    let acting = match way.act {
        Act::Itself(act) => {
            act(&folder);
            Acting::Done
        }
        Act::Telling(act) => act(&folder),
    };
    let line = match acting {
        Acting::Done => format!("\n{ACTED}{} 0\n", process::id()),
        Acting::By { pid, uid } => format!("\n{ACTED}{pid} {uid}\n"),
        Acting::Missing(what) => format!("\n{MISSING}{what}\n"),
    };
    io::stdout().write_all(line.as_bytes()).unwrap();
    process::exit(0)
}

struct Proof<'a> {
    heading: &'a str,
    column: &'a str,
    witness: Witness,
    /// What is not as it must be.
    wrong: Vec<String>,
}

/// A way that was gone, of which comparing has the last word.
struct Tried<'a> {
    way: &'a Way,
    folder: PathBuf,
    /// The last change that was told before.
    known: u64,
}

struct Actor {
    pid: u32,
    uid: u32,
}

impl Proof<'_> {
    /// A folder for one way.
    fn folder(&self, way: &Way) -> PathBuf {
        let name = way.name.replace(['/', ' ', ','], "-");
        self.witness.daemon().tree().join(name)
    }

    fn prepare(&self, way: &Way) {
        let folder = self.folder(way);
        fs::create_dir(&folder).unwrap();
        (way.prepare)(&folder);
    }

    /// Lets everything until now be told, also of what another test's child, before it runs its program, still holds
    /// open of it.
    fn settle(&self) {
        thread::sleep(if self.column == HOST { 2 * REST } else { REST });
        self.changes_since(0);
    }

    /// What was told of a way. That is at once, but for what is being written at this moment: a ring
    /// of `io_uring` is taken down after its process, and fanotify does not tell of an end of writing.
    fn changes_of(&self, known: u64, folder: &Path, way: &Way) -> Vec<Value> {
        let changes = self.changes_here(known, folder);
        let is_all = changes.len() >= way.told.len();
        let is_other = matches!(way.expected(self.column).0, Outcome::Otherwise(_));
        if is_all && (self.column != HOST || !changes.is_empty() && !is_other) {
            return changes;
        }
        thread::sleep(REST);
        self.changes_here(known, folder)
    }

    /// What was told since, but for what comparing finds elsewhere: another way's mount may have begun it.
    fn changes_here(&self, known: u64, folder: &Path) -> Vec<Value> {
        let mut changes = self.changes_since(known);
        changes.retain(|change| change["certainty"] != "late" || lies_in(folder, change));
        changes
    }

    /// What was told of a folder before.
    fn before(&self, known: u64, folder: &Path) -> Vec<Value> {
        let mut changes = self.changes_since(0);
        changes.retain(|change| number(change) <= known && lies_in(folder, change));
        changes
    }

    /// Goes one way; gives it back where comparing must find it.
    fn try_way<'a>(&mut self, way: &'a Way) -> Option<Tried<'a>> {
        let folder = self.folder(way);
        let known = self.last();
        let acted = send(way, &folder);
        let (outcome, why) = way.expected(self.column);
        let changes = self.changes_of(known, &folder, way);
        // What is to be found by comparing must stay until then.
        if !matches!(outcome, Outcome::Late(_)) {
            (way.tidy)(&folder);
        }
        let actor = match acted {
            Ok(actor) => actor,
            Err(Stopped::Missing(what)) => {
                tell(self.heading, way.name, "no such call", Some(&what));
                return None;
            }
            Err(Stopped::Failed(why)) => {
                self.wrong.push(format!("{}: {why}", way.name));
                return None;
            }
        };
        let told = told(&changes, &folder);
        let exact = changes.iter().all(is_exact);
        let by_actor = changes.iter().all(|change| is_by(change, &actor));
        let contents = changes.iter().all(is_content);
        let is_as_expected = match outcome {
            Outcome::Exact(wanted) => told == wanted && exact && by_actor && contents,
            Outcome::Otherwise(wanted) => told == wanted && exact && by_actor,
            Outcome::Misattributed(wanted) => told == wanted && exact && !by_actor && contents,
            Outcome::Contentless(wanted) => told == wanted && exact && by_actor && !contents,
            // A mount makes the daemon compare at once: what that finds may be told already.
            Outcome::Late(_) => changes.iter().all(|change| change["certainty"] == "late"),
            Outcome::Unseen => told.is_empty(),
        };
        if !is_as_expected {
            self.wrong.push(format!(
                "{}: wanted {outcome:?}, told {told:?}, exact: {exact}, by {}: {by_actor}, content: {contents}: {}\n  before: {}",
                way.name,
                actor.pid,
                brief(&changes),
                brief(&self.before(known, &folder))
            ));
            return None;
        }
        match outcome {
            Outcome::Exact([]) => tell(self.heading, way.name, "nothing to tell", why),
            Outcome::Exact(_) => tell(self.heading, way.name, "exact", why),
            Outcome::Misattributed(_) => tell(self.heading, way.name, "exact, another actor", why),
            Outcome::Otherwise(_) => tell(self.heading, way.name, "told otherwise", why),
            Outcome::Contentless(_) => tell(self.heading, way.name, "exact, content unknown", why),
            Outcome::Late(_) | Outcome::Unseen => {
                return Some(Tried { way, folder, known });
            }
        }
        None
    }

    /// Makes the daemon compare the trees with the facts, and looks for what it finds.
    fn compare(&mut self, tried: Vec<Tried<'_>>) {
        self.witness.compare();
        for tried in tried {
            let (outcome, why) = tried.way.expected(self.column);
            let wanted = match outcome {
                Outcome::Late(wanted) => wanted,
                _ => &[],
            };
            let found = self.await_late(&tried, wanted.len());
            let is_late = found.iter().all(|change| {
                change["certainty"] == "late"
                    && change["actor"].is_null()
                    && change["between"].is_array()
            });
            (tried.way.tidy)(&tried.folder);
            let name = tried.way.name;
            if told(&found, &tried.folder) != wanted || !is_late {
                self.wrong.push(format!(
                    "{name}: wanted {outcome:?} by comparing, found: {}",
                    brief(&found)
                ));
                continue;
            }
            let word = if wanted.is_empty() { "unseen" } else { "late" };
            tell(self.heading, name, word, why);
        }
    }

    /// What was told since a way was gone, once it is so much.
    fn await_late(&self, tried: &Tried<'_>, count: usize) -> Vec<Value> {
        let find = || {
            let mut changes = self.changes_since(tried.known);
            changes.retain(|change| lies_in(&tried.folder, change));
            changes
        };
        let mut found = find();
        for _ in 0..100 {
            if found.len() >= count {
                break;
            }
            thread::sleep(Duration::from_millis(100));
            found = find();
        }
        found
    }

    fn last(&self) -> u64 {
        self.witness.daemon().status()["last_seq"].as_u64().unwrap()
    }

    /// What was told of files since, wherever they are, oldest first.
    fn changes_since(&self, known: u64) -> Vec<Value> {
        let mut changes = self.witness.daemon().newest(FEW);
        if changes
            .last()
            .is_some_and(|oldest| number(oldest) > known + 1)
        {
            changes = self.witness.daemon().newest(1000);
        }
        // That something was mounted is a change of its own.
        changes.retain(|change| change["subject"]["kind"] == "file" && number(change) > known);
        changes.reverse();
        changes
    }
}

fn lies_in(folder: &Path, change: &Value) -> bool {
    let key = change["subject"]["key"].as_str().unwrap_or_default();
    key.starts_with(&format!("{}/", folder.display()))
}

fn number(change: &Value) -> u64 {
    change["seq"].as_u64().unwrap()
}

enum Stopped {
    Missing(String),
    Failed(String),
}

/// Lets a child go a way; tells who acted.
fn send(way: &Way, folder: &Path) -> Result<Actor, Stopped> {
    let test = thread::current();
    let test = test.name().expect("a test runs on a thread of its name");
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(WAY, way.name)
        .env(FOLDER, folder)
        .env("RUST_BACKTRACE", "0");
    command.stderr(Stdio::piped()).stdin(Stdio::null());
    let ended = crate::run(&mut command);
    let mut lines = ended.output.lines();
    let said = lines.find(|line| line.starts_with(ACTED) || line.starts_with(MISSING));
    if let Some(what) = said.and_then(|line| line.strip_prefix(MISSING)) {
        return Err(Stopped::Missing(what.to_owned()));
    }
    let actor = said.and_then(|line| line.strip_prefix(ACTED)?.split_once(' '));
    let actor = actor.and_then(|(pid, uid)| {
        let (pid, uid) = (pid.parse().ok()?, uid.parse().ok()?);
        Some(Actor { pid, uid })
    });
    actor
        .filter(|_| ended.code == Some(0))
        .ok_or_else(|| Stopped::Failed(format!("the acting process failed: {ended:?}")))
}

/// The changes as `op name`, sorted, with names relative to the folder.
fn told(changes: &[Value], folder: &Path) -> Vec<String> {
    let prefix = format!("{}/", folder.display());
    let relative = |key: &str| key.strip_prefix(&prefix).unwrap_or(key).to_owned();
    let mut told: Vec<String> = changes
        .iter()
        .map(|change| {
            let op = change["op"].as_str().unwrap_or_default();
            let key = change["subject"]["key"].as_str().unwrap_or_default();
            if key.starts_with(&prefix) {
                return format!("{op} {}", relative(key));
            }
            // Moved out of the tree: told of the name that is gone.
            let from = change["from"].as_str().unwrap_or_default();
            format!("{op} from {}", relative(from))
        })
        .collect();
    told.sort();
    told
}

fn is_exact(change: &Value) -> bool {
    change["certainty"] == "exact" && change["subject"]["kind"] == "file"
}

fn is_by(change: &Value, actor: &Actor) -> bool {
    let Actor { pid, uid } = actor;
    let told = &change["actor"];
    told["process"]["pid"] == *pid && told["user"]["uid"] == *uid
}

/// Whether the state after the change is that of the file, which nobody changed since.
fn is_content(change: &Value) -> bool {
    let after = &change["after"];
    if after["hash"].is_null() {
        return after["content"] != "moved-on";
    }
    let key = change["subject"]["key"].as_str().unwrap_or_default();
    let bytes = fs::read(key).unwrap_or_default();
    let hash = format!("b3:{}", blake3::hash(&bytes).to_hex());
    after["hash"] == hash && after["size"] == bytes.len()
}

/// What a failure shows of changes.
fn brief(changes: &[Value]) -> String {
    let lines = changes.iter().map(|change| {
        format!(
            "\n    {} {} {} {} from {} notes {} after {} by {} {} between {}",
            change["seq"],
            change["time"],
            change["op"],
            change["subject"]["key"],
            change["from"],
            change["notes"],
            change["after"],
            change["actor"]["process"],
            change["actor"]["user"],
            change["between"],
        )
    });
    lines.collect()
}
