//! Accounts and jobs as the programs that keep them change them, seen by programs in the kernel and by fanotify at
//! once.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tests::{Daemon, wait_for};

use crate::stage::{both, succeed, watching};

/// The programs lock their files for each other, and give up at once.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn sh(script: &str) {
    succeed(Command::new("sh").args(["-ec", script]));
}

/// The newest of exactly so many changes of a subject.
fn newest(daemon: &Daemon, subject: &str, count: usize) -> Value {
    let mut all = wait_for("the change is told", || {
        let all = daemon.ask(&["who", subject, "-n", "100"]);
        let is_told = all.len() >= count;
        is_told
            .then(|| all.clone())
            .ok_or(format!("{subject}: {all:#?}"))
    });
    assert_eq!(all.len(), count, "{subject}: {all:#?}");
    all.remove(0)
}

/// The same for what one program did, in both ways of watching.
fn done(subject: &str, (count, op, by): (usize, &str, &str)) -> Value {
    let all = both().map(|daemon| {
        let change = newest(daemon, subject, count);
        assert_eq!(change["op"], op, "{change:#}");
        assert_eq!(change["certainty"], "exact", "{change:#}");
        let exe = change["actor"]["process"]["exe"]
            .as_str()
            .unwrap_or_default();
        let program = exe.rsplit('/').next().unwrap_or_default();
        assert_eq!(program, by, "{change:#}");
        change
    });
    let [by_probes, by_fanotify] = all;
    // But for the hash of a password, which is each store's own.
    let state = |change: &Value| change["after"]["state"].clone();
    assert_eq!(state(&by_probes), state(&by_fanotify));
    by_probes
}

/// How many changes of accounts there are.
fn told_of(daemon: &Daemon) -> usize {
    daemon.ask(&["log", "--kind", "account", "-n", "100"]).len()
}

fn told(subject: &str, words: &str) {
    for daemon in both() {
        let said = daemon.tell(&["who", subject]);
        assert!(said.contains(words), "{subject}: {said}");
    }
}

#[test]
fn users_groups_and_passwords_are_told_by_meaning() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    both();
    sh("useradd --create-home --shell /bin/sh carol");
    let user = done("account:user/carol", (1, "create", "useradd"));
    assert_eq!(user["after"]["home"], "/home/carol", "{user:#}");
    assert_eq!(user["after"]["shell"], "/bin/sh", "{user:#}");
    let password = done("account:password/carol", (1, "create", "useradd"));
    assert_eq!(password["after"]["state"], "locked", "{password:#}");
    done("account:group/carol", (1, "create", "useradd"));

    sh("groupadd docker");
    done("account:group/docker", (1, "create", "groupadd"));
    sh("usermod -aG docker carol");
    let group = done("account:group/docker", (2, "set", "usermod"));
    assert_eq!(group["after"]["members"], "carol", "{group:#}");
    told("account:group/docker", "added carol to group docker");
    let log = both()[0].tell(&["log", "--kind", "account"]);
    assert!(log.contains("added carol to group docker"), "{log}");
    sh("gpasswd -d carol docker");
    let group = done("account:group/docker", (3, "set", "gpasswd"));
    assert_eq!(group["after"].get("members"), None, "{group:#}");
    told("account:group/docker", "removed carol from group docker");
    sh("usermod --shell /bin/bash carol");
    let user = done("account:user/carol", (2, "set", "usermod"));
    assert_eq!(user["after"]["shell"], "/bin/bash", "{user:#}");

    sh("echo carol:correct-horse | chpasswd");
    let password = done("account:password/carol", (2, "set", "chpasswd"));
    assert_eq!(password["after"]["state"], "set", "{password:#}");
    told("account:password/carol", "gave carol a password");
    sh(r"printf 'battery\nbattery\n' | passwd carol");
    let again = done("account:password/carol", (3, "set", "passwd"));
    let hash = again["after"]["hash"].as_str().unwrap_or_default();
    assert!(hash.starts_with("k3:"), "{again:#}");
    assert_ne!(again["after"]["hash"], password["after"]["hash"]);
    told("account:password/carol", "changed the password of carol");
    sh("passwd --lock carol");
    let locked = done("account:password/carol", (4, "set", "passwd"));
    assert_eq!(
        locked["after"]["hash"], again["after"]["hash"],
        "{locked:#}"
    );
    told("account:password/carol", "locked the password of carol");

    sh("userdel --remove carol");
    for subject in ["user/carol", "password/carol", "group/carol"] {
        let count = match subject {
            "user/carol" => 3,
            "password/carol" => 5,
            _ => 2,
        };
        done(&format!("account:{subject}"), (count, "delete", "userdel"));
    }
    for daemon in both() {
        let all = daemon.ask(&["log", "--kind", "account", "-n", "1000"]);
        let all = serde_json::to_string(&all).unwrap();
        assert!(!all.contains("$y$"), "{all}");
    }
}

#[test]
fn a_rule_of_sudo_is_told_by_whom_it_is_for() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    both();
    let subject = "account:sudo/%story";
    let file = "/etc/sudoers.d/90-story";
    sh(&format!("echo '%story ALL = (root) /bin/ls' > {file}"));
    let rule = done(subject, (1, "create", "dash"));
    assert_eq!(rule["after"][file], "ALL=(root) /bin/ls", "{rule:#}");
    sh(&format!("sed -i 's/(root)/(ALL) NOPASSWD :/' {file}"));
    let rule = done(subject, (2, "set", "sed"));
    assert_eq!(
        rule["after"][file], "ALL=(ALL) NOPASSWD:/bin/ls",
        "{rule:#}"
    );
    // An editor that puts the old file aside before it writes the new one has not taken anything away.
    for (aside, count, rule) in [("yes", 3, "/bin/ps"), ("no", 4, "/bin/id")] {
        let set = format!("set backup backupcopy={aside}");
        let edit = format!("s,/bin/..,{rule},");
        sh(&format!(
            "vim -u NONE -N -es -c '{set}' -c '{edit}' -c wq {file}"
        ));
        done(subject, (count, "set", "vim.basic"));
    }
    sh(&format!("mv {file} /root/story.rule"));
    done(subject, (5, "delete", "mv"));
    sh(&format!("mv /root/story.rule {file}"));
    done(subject, (6, "create", "mv"));
    // What says the same is no news.
    sh(&format!("sed -i 's/ALL = /ALL=/' {file}"));
    sh(&format!("rm {file}"));
    done(subject, (7, "delete", "rm"));
    told(subject, "no longer allows %story by sudo");
}

#[test]
fn a_key_that_lets_in_is_told_by_its_fingerprint() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let file = "/root/.ssh/authorized_keys";
    sh(&format!(
        "ssh-keygen -q -t ed25519 -N '' -C dave@laptop -f /root/story && touch {file}"
    ));
    both();
    let printed = succeed(Command::new("ssh-keygen").args(["-lf", "/root/story.pub"]));
    let fingerprint = printed.split(' ').nth(1).unwrap();
    let subject = format!("account:key/root/{fingerprint}");
    sh(&format!("tee -a {file} < /root/story.pub"));
    let key = done(&subject, (1, "create", "tee"));
    assert_eq!(key["after"]["comment"], "dave@laptop", "{key:#}");
    told(
        &subject,
        &format!("gave root the key {fingerprint} (ssh-ed25519 dave@laptop)"),
    );
    sh(&format!("sed -i '/dave@laptop/s/^/restrict /' {file}"));
    let key = done(&subject, (2, "set", "sed"));
    assert_eq!(key["after"]["options"], "restrict", "{key:#}");
    sh(&format!("sed -i /dave@laptop/d {file}"));
    done(&subject, (3, "delete", "sed"));
}

#[test]
fn jobs_of_cron_are_told_by_what_they_run() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    both();
    let subject = "job:crontab/root/backup --password=*** --all";
    sh("echo '0 3 * * * backup --password=hunter2 --all' > /root/tab && crontab /root/tab");
    let job = done(subject, (1, "create", "crontab"));
    assert_eq!(job["after"]["schedule"], "0 3 * * *", "{job:#}");
    sh("crontab -l | sed 's/^0 3/30 4/' > /root/tab && crontab /root/tab");
    let job = done(subject, (2, "set", "crontab"));
    assert_eq!(job["after"]["schedule"], "30 4 * * *", "{job:#}");
    told(subject, "schedule '0 3 * * *' → '30 4 * * *'");
    sh("crontab -r");
    done(subject, (3, "delete", "crontab"));

    let subject = "job:cron/cron.d/tidy/nobody/tidy up";
    sh("echo '@weekly nobody tidy up' | tee /etc/cron.d/tidy");
    let job = done(subject, (1, "create", "tee"));
    assert_eq!(job["after"]["user"], "nobody", "{job:#}");
    sh("rm /etc/cron.d/tidy");
    done(subject, (2, "delete", "rm"));

    let script = "/etc/cron.daily/story";
    let subject = "job:cron/cron.daily/story";
    sh(&format!("echo '#!/bin/sh' | tee {script}"));
    let job = done(subject, (1, "create", "tee"));
    assert_eq!(job["after"]["runs"], "no", "{job:#}");
    sh(&format!("chmod 755 {script}"));
    let job = done(subject, (2, "set", "chmod"));
    assert_eq!(job["after"]["runs"], "yes", "{job:#}");
    sh(&format!("rm {script}"));
    done(subject, (3, "delete", "rm"));
}

#[test]
fn a_timer_is_told_by_its_unit_and_what_is_dropped_in() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    both();
    let unit = "/etc/systemd/system/story.timer";
    let subject = "job:timer/story.timer";
    let text = r"[Timer]\nOnCalendar=daily\nUnit=x.service\n[Install]\nWantedBy=timers.target\n";
    sh(&format!("printf '{text}' | tee {unit}"));
    let timer = done(subject, (1, "create", "tee"));
    assert_eq!(timer["after"]["OnCalendar"], "daily", "{timer:#}");
    assert_eq!(timer["after"]["enabled"], "no", "{timer:#}");
    told(subject, "made timer story.timer for x.service");
    // The manager makes the link, for whoever asks it to.
    sh("systemctl enable story.timer");
    done(subject, (2, "enable", "systemctl"));
    told(subject, "enabled timer story.timer");
    sh(&format!("mkdir {unit}.d"));
    for daemon in both() {
        newest(daemon, &format!("{unit}.d"), 1);
    }
    sh(&format!(
        r"printf '[Timer]\nOnCalendar=\nOnCalendar=hourly\n' | tee {unit}.d/10-often.conf"
    ));
    let timer = done(subject, (3, "set", "tee"));
    assert_eq!(timer["after"]["OnCalendar"], "hourly", "{timer:#}");
    sh(&format!("rm {unit}"));
    done(subject, (4, "delete", "rm"));
}

#[test]
fn an_account_that_came_while_nobody_watched_is_told_late() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut daemon = Daemon::start(&watching("accounts-late"));
    assert_eq!(daemon.terminate(), Some(0));
    sh("useradd --no-create-home erin");
    daemon.start_again();
    for subject in [
        "account:user/erin",
        "account:password/erin",
        "account:group/erin",
    ] {
        let change = newest(&daemon, subject, 1);
        assert_eq!(change["op"], "create", "{change:#}");
        assert_eq!(change["certainty"], "late", "{change:#}");
        assert_eq!(change["actor"], Value::Null, "{change:#}");
        assert!(change["between"].is_array(), "{change:#}");
    }
    // Nothing but that has changed, and nothing more does by another start.
    assert_eq!(told_of(&daemon), 3);
    assert_eq!(daemon.terminate(), Some(0));
    sh("userdel erin");
    daemon.start_again();
    newest(&daemon, "account:user/erin", 2);
    assert_eq!(told_of(&daemon), 6);
}
