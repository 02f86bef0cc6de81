//! Secrets that are planted wherever a host has them, and looked for in all that the daemon leaves
//! behind: the raw files of its store, its answers, its log.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use nix::sys::resource::{Resource, setrlimit};
use rustix::process::{Pid, Signal, kill_process};
use tests::Daemon;

use crate::{shell, start};

/// A file's name, what is in it, and the part that must never be found.
const FILES: [(&str, &str, &str); 12] = [
    (
        "id_rsa.txt",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaFNFQ1JFVA\n",
        "b3BlbnNzaFNFQ1JFVA",
    ),
    (
        "notes",
        "my key:\n-----BEGIN RSA PRIVATE KEY-----\nMIIEpSECRET1\n",
        "MIIEpSECRET1",
    ),
    (
        "shadow.bak",
        "root:$y$j9T$saltSECRET2$hash:19000:0:99999:7:::\n",
        "saltSECRET2",
    ),
    (
        "old-shadow",
        "bob:$6$rounds$SECRET3hash:1::::::\n",
        "SECRET3hash",
    ),
    (
        "aws",
        "[default]\naws_access_key_id = AKIAQ7Z3X1M5N8B2V6C4\naws_secret_access_key = wJalrSECRET4\n",
        "wJalrSECRET4",
    ),
    (
        "git",
        "https://x:ghp_a8Kq2mZx91LpTv03RbYw7NcEd5HsUg6JfQ4i@example.org\n",
        "ghp_a8Kq2mZx91LpTv03RbYw7NcEd5HsUg6JfQ4i",
    ),
    (
        "ci.yml",
        "token: glpat-x7Qm2Zk9Lp4Rv8Tn1Bw6\n",
        "glpat-x7Qm2Zk9Lp4Rv8Tn1Bw6",
    ),
    (
        "slack.json",
        "{\"bot\": \"xoxb-3141592653-2718281828-a1B2c3D4e5F6\"}\n",
        "xoxb-3141592653-2718281828-a1B2c3D4e5F6",
    ),
    (
        "jwt",
        "auth=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9\n",
        "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9",
    ),
    (
        "kube",
        "client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpTRUNSRVQ1\n",
        "LS0tLQpTRUNSRVQ1",
    ),
    ("tls.key", "anything SECRET6 at all\n", "SECRET6 at all"),
    (
        ".netrc",
        "machine h login a password SECRET7pass\n",
        "SECRET7pass",
    ),
];

/// A command line that writes a file, and the part of it that must never be found.
const COMMANDS: [(&str, &str); 7] = [
    ("sh -c 'echo 1 > c1' --password=SECRETa1pw", "SECRETa1pw"),
    ("sh -c 'echo 1 > c2' --token SECRETb2tok", "SECRETb2tok"),
    (
        "env DB_PASSWORD=SECRETc3env sh -c 'echo 1 > c3'",
        "SECRETc3env",
    ),
    (
        "env AWS_ACCESS_KEY_ID=AKIAR4T6Y8U1I3O5P7A9 sh -c 'echo 1 > c4'",
        "AKIAR4T6Y8U1I3O5P7A9",
    ),
    ("sh -c 'PGPASSWORD=SECRETd4sh; echo 1 > c5'", "SECRETd4sh"),
    (
        "sh -c 'echo 1 > c6' https://bob:SECRETe5url@example.org/",
        "SECRETe5url",
    ),
    (
        "sh -c 'echo 1 > c7' ghp_b9Lr3nAy02MqUw14ScZx8OdFe6ItVh7KgR5j",
        "ghp_b9Lr3nAy02MqUw14ScZx8OdFe6ItVh7KgR5j",
    ),
];

/// All that the daemon has left behind, by where it is.
fn left_behind(daemon: &Daemon) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(daemon.state()).unwrap();
    let mut all: Vec<(String, Vec<u8>)> = files
        .map(|file| file.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        .collect();
    all.push(("the log".to_owned(), daemon.read_log().into_bytes()));
    let mut asked = vec![
        vec!["log", "-n", "1000", "--json"],
        vec!["log", "-n", "1000"],
    ];
    let paths: Vec<String> = fs::read_dir(daemon.tree())
        .unwrap()
        .map(|file| file.unwrap().path().display().to_string())
        .collect();
    for path in &paths {
        asked.extend(["who", "blame", "diff"].map(|command| vec![command, path.as_str()]));
    }
    for arguments in asked {
        all.push((arguments.join(" "), daemon.tell(&arguments).into_bytes()));
    }
    all
}

fn is_in(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn planted_secrets_are_found_nowhere() {
    let daemon = start();
    for (name, content, _) in FILES {
        let path = daemon.tree().join(name);
        fs::write(&path, "nothing yet\n").unwrap();
        daemon.one(&path);
        fs::write(&path, content).unwrap();
        let change = daemon.who(&path).remove(0);
        assert_eq!(change["after"]["content"], "secret", "{change:#}");
        let hash = change["after"]["hash"].as_str().unwrap_or_default();
        assert!(hash.starts_with("k3:"), "{change:#}");
        // Away again, so that it is the content before, too.
        fs::write(&path, "nothing any more\n").unwrap();
        assert_eq!(daemon.who(&path).len(), 3);
    }
    for (command, _) in COMMANDS {
        shell(&daemon, &format!("{command}; true"));
    }
    let told = daemon.log(daemon.tree());
    assert!(
        told.len() >= 3 * FILES.len() + COMMANDS.len(),
        "{}",
        told.len()
    );
    let left = left_behind(&daemon);
    let plain = left
        .iter()
        .any(|(_, bytes)| is_in(bytes, "nothing any more"));
    assert!(plain, "the search does not work");
    let secrets = FILES.map(|(_, _, secret)| secret).into_iter();
    for secret in secrets.chain(COMMANDS.map(|(_, secret)| secret)) {
        for (place, bytes) in &left {
            assert!(!is_in(bytes, secret), "`{secret}` is in {place}");
        }
    }
}

#[test]
fn no_core_dump_is_made_of_the_daemon() {
    let unlimited = nix::sys::resource::RLIM_INFINITY;
    setrlimit(Resource::RLIMIT_CORE, unlimited, unlimited).unwrap();
    let mut daemon = start();
    let mut other = Command::new("sleep");
    let other = other.arg("60").current_dir(daemon.outside()).spawn();
    let mut other = other.unwrap();
    kill_process(Pid::from_child(&other), Signal::ABORT).unwrap();
    let is_dumped = other.wait().unwrap().core_dumped();
    assert!(
        is_dumped,
        "nothing dumps core here, so that this shows nothing"
    );
    assert!(!daemon.abort().core_dumped());
}
