//! What a large store costs: bytes on the disk for each change, and how long questions take. Prints a
//! table; nothing is asserted. `cargo xtask bench --store` runs it.
//!
//! The log is that of a busy host: 20 000 files, each change by a process of its own below one of a
//! thousand logins, nine of ten without content. A hundred small files have contents, for `blame`.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "its numbers are small, or shown without their last digits"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context as _, Result};
use change::{
    Actor, Ancestor, Change, ChangeQuery, FactValue, FileState, Op, Process, Session, SessionKind,
    Subject, Text, Timestamp, User,
};
use tempfile::TempDir;
use tracer::answers::Answers;
use tracer::store::{Batch, Content, Fact, Writer, content_name};

/// How many changes the log has unless asked otherwise.
const CHANGES: u64 = 10_000_000;
const FILES: u64 = 20_000;
/// Files with contents, and how often they change.
const KEPT_FILES: u64 = 100;
const KEPT_EACH: u64 = 1000;
const BATCH: u64 = 1024;
/// How often each question is asked, each time of another subject.
const QUESTIONS: u64 = 5000;

fn main() -> Result<()> {
    let changes = env::args().find_map(|argument| argument.parse().ok());
    let changes = changes.unwrap_or(CHANGES);
    println!(
        "| {changes} changes, no contents | bytes on the disk a change | microseconds a change |"
    );
    println!("|---|---|---|");
    // The first is a tenth as large: it only shows what sharing an actor spares.
    measure_filling("ten changes of a process", changes / 10, 10)?;
    let (_folder, path) = measure_filling("each change of a process of its own", changes, 1)?;
    keep(&path)?;
    ask(&path)
}

fn measure_filling(what: &str, changes: u64, each: u64) -> Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().context("make a folder for the store")?;
    let path = folder.path().join("tracer.db");
    let begun = Instant::now();
    fill(&path, changes, each)?;
    let micros = begun.elapsed().as_secs_f64() * 1e6;
    let bytes = fs::metadata(&path)?.len();
    let a_change = |amount: f64| amount / changes.max(1) as f64;
    println!(
        "| {what} | {:.0} | {:.1} |",
        a_change(bytes as f64),
        a_change(micros)
    );
    Ok((folder, path))
}

/// Writes the log without contents; each process makes so many changes.
fn fill(path: &Path, changes: u64, each: u64) -> Result<()> {
    let mut writer = Writer::open(path)?;
    let mut last: Vec<Option<FactValue>> = vec![None; FILES as usize];
    for start in (0..changes).step_by(BATCH as usize) {
        let mut batch = Batch::default();
        for number in start..changes.min(start + BATCH) {
            let file = scattered(number) % FILES;
            let after = state(number, None);
            let before = last[file as usize].replace(after.clone());
            let states = [before, Some(after)];
            push(&mut batch, &subject(file), states, (number, number / each));
        }
        writer.commit(batch)?;
    }
    writer.checkpoint()?;
    Ok(())
}

/// Adds files of forty lines of which each change changes one.
fn keep(path: &Path) -> Result<()> {
    let mut writer = Writer::open(path)?;
    for file in 0..KEPT_FILES {
        let mut lines: Vec<String> = (0..40).map(|line| format!("key-{line} = 0\n")).collect();
        let mut before = None;
        for number in 0..KEPT_EACH {
            let mut batch = Batch::default();
            lines[(scattered(number) % 40) as usize] = format!("key = {number}\n");
            let bytes = format!("# {file}\n{}", lines.concat()).into_bytes();
            let hash = *blake3::hash(&bytes).as_bytes();
            let after = state(number, Some(hash));
            batch.contents.push(Content { hash, bytes });
            let states = [before.replace(after.clone()), Some(after)];
            push(&mut batch, &kept_subject(file), states, (number, number));
            writer.commit(batch)?;
        }
    }
    writer.checkpoint()?;
    Ok(())
}

fn ask(path: &Path) -> Result<()> {
    let answers = Answers::new(path.to_owned());
    println!("\n| question | median µs | 99th percentile µs |\n|---|---|---|");
    time("who of a file, with its diff", |number| {
        answers.who(&kept_subject(number % KEPT_FILES), 1)?;
        Ok(())
    })?;
    time("who of a file without content", |number| {
        answers.who(&subject(scattered(number) % FILES), 1)?;
        Ok(())
    })?;
    time("log, the newest 100", |_| {
        answers.changes(&query(100))?;
        Ok(())
    })?;
    time("log of one folder, the newest 100", |number| {
        let path = Some(format!("/etc/app-{:03}/**", number % 100));
        answers.changes(&ChangeQuery { path, ..query(100) })?;
        Ok(())
    })?;
    time("blame of a file with 1000 changes", |number| {
        answers.blame(&kept_subject(number % KEPT_FILES))?;
        Ok(())
    })
}

fn query(limit: u32) -> ChangeQuery {
    ChangeQuery {
        limit: Some(limit),
        ..ChangeQuery::default()
    }
}

fn time(question: &str, mut ask: impl FnMut(u64) -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    let mut micros = Vec::new();
    for number in 0..QUESTIONS {
        let asked = Instant::now();
        ask(number).with_context(|| question.to_owned())?;
        micros.push(asked.elapsed().as_secs_f64() * 1e6);
        if begun.elapsed().as_secs() > 60 {
            break;
        }
    }
    micros.sort_by(f64::total_cmp);
    let at = |part: f64| micros[((micros.len() - 1) as f64 * part) as usize];
    println!("| {question} | {:.0} | {:.0} |", at(0.5), at(0.99));
    Ok(())
}

fn push(
    batch: &mut Batch,
    subject: &Subject,
    states: [Option<FactValue>; 2],
    (number, process): (u64, u64),
) {
    let [before, after] = states;
    let time = Timestamp::from_parts(1_795_000_000, 0).plus_nanos(number.cast_signed() * 1_234_567);
    batch.facts.push(Fact {
        subject: subject.clone(),
        value: after.clone(),
        identity: None,
        time,
    });
    batch.changes.push(Change {
        host: "3d1219c7c4c5404aaa1f6d2a48adfda4".to_owned(),
        hostname: "web-1".to_owned(),
        seq: 0,
        time,
        subject: subject.clone(),
        op: if before.is_some() {
            Op::Modify
        } else {
            Op::Create
        },
        from: None,
        before,
        after,
        certainty: change::Certainty::Exact,
        between: None,
        run: None,
        operations: 1,
        package: None,
        notes: Vec::new(),
        actor: Some(actor(process).into()),
    });
}

fn subject(file: u64) -> Subject {
    Subject::file(Text::from(
        format!("/etc/app-{:03}/conf.d/{file}-site.conf", file % 100).as_str(),
    ))
}

fn kept_subject(file: u64) -> Subject {
    Subject::file(Text::from(format!("/etc/kept/{file}.conf").as_str()))
}

fn state(number: u64, hash: Option<[u8; 32]>) -> FactValue {
    let hash = hash.unwrap_or_else(|| *blake3::hash(&number.to_le_bytes()).as_bytes());
    FactValue::File(FileState {
        hash: Some(content_name(&hash)),
        size: 1480 + number % 100,
        mode: "0644".to_owned(),
        inode: 100_000 + number % FILES,
        ..FileState::default()
    })
}

/// A process of its own for each change, below one of a thousand logins.
fn actor(number: u64) -> Actor {
    let login = (number / 100 % 1000) as u32;
    let of = |program: &str, argv: &[&str], pid: u32| Ancestor {
        pid,
        exe: Some(program.to_owned()),
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
    };
    Actor {
        user: user(0, "root"),
        login_user: Some(user(1000, "alice")),
        process: Process {
            pid: 4711 + (number % 30_000) as u32,
            start: Timestamp::from_parts(1_795_000_000 + number.cast_signed() / 100, 5),
            exe: Some("/usr/bin/sed".to_owned()),
            argv: ["sed", "-i", "s/768/4096/", "site.conf"]
                .map(str::to_owned)
                .to_vec(),
            argv_truncated: false,
            cwd: Some("/root".to_owned()),
        },
        ancestry: vec![
            of("/usr/bin/sudo", &["sudo", "-i"], 4000 + login * 3),
            of("/usr/bin/bash", &["-bash"], 4001 + login * 3),
            of("/usr/sbin/sshd", &["sshd: alice@pts/0"], 4002 + login * 3),
        ],
        session: Some(Session {
            id: login,
            kind: SessionKind::Ssh,
            tty: Some("pts/0".to_owned()),
            remote: Some("10.1.2.3".to_owned()),
        }),
        unit: Some(format!("session-{login}.scope")),
        container: None,
        by: None,
    }
}

fn user(uid: u32, name: &str) -> User {
    User {
        uid,
        name: Some(name.to_owned()),
    }
}

/// A number that follows from another and looks like chance.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}
