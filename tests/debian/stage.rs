//! What the stories play on: the daemon as a service, and a client machine with its own address.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tests::{Daemon, Options, run, wait_for};

use crate::packages;

/// The client's address; the server's is the next one down the road.
pub(crate) const CLIENT: &str = "10.1.2.3";
const SERVER: &str = "10.1.2.1";

/// Lays a cable between the guest and a network namespace that plays the client, and lets bob in.
const CLIENT_MACHINE: &str = "
set -e
ip netns add client
ip link add veth0 type veth peer name veth1 netns client
ip address add 10.1.2.1/24 dev veth0
ip link set veth0 up
ip -n client link set lo up
ip -n client address add 10.1.2.3/24 dev veth1
ip -n client link set veth1 up
install -d -o bob -g bob -m 700 /home/bob/.ssh
install -o bob -g bob -m 600 /root/.ssh/id_ed25519.pub /home/bob/.ssh/authorized_keys
";

/// What daemons watch beside their own trees, but for the one that only compares.
const WATCHED: [&str; 4] = ["/etc", "/home/*/.ssh", "/root/.ssh", "/var/spool/cron"];

/// The daemon that all stories share, with everything around it.
pub(crate) fn daemon() -> &'static Daemon {
    static DAEMON: OnceLock<Daemon> = OnceLock::new();
    DAEMON.get_or_init(|| {
        packages::prepare();
        let daemon = Daemon::start(&Options {
            name: "stories",
            also_watch: WATCHED.map(str::to_owned).to_vec(),
            settings: "mode = \"trampolines\"".to_owned(),
            unit: Some("tracer"),
            ..Options::default()
        });
        for user in [("root", 0), ("alice", 1000), ("bob", 1001)] {
            let folder = daemon.tree().join(user.0);
            fs::create_dir(&folder).unwrap();
            chown(&folder, Some(user.1), Some(user.1)).unwrap();
        }
        let job = daemon.tree().join("root/by-cron");
        let job = format!("* * * * * root echo x >> {}\n", job.display());
        fs::write("/etc/cron.d/story", job).unwrap();
        succeed(Command::new("sh").args(["-c", CLIENT_MACHINE]));
        wait_for("the client reaches the server", || {
            let asked = run(&mut ssh_command("bob", "true"));
            (asked.code == Some(0)).then_some(()).ok_or(asked.errors)
        });
        daemon
    })
}

/// One daemon for each way of watching: the one of the stories, by programs at functions, and one by fanotify.
pub(crate) fn both() -> [&'static Daemon; 2] {
    static BY_FANOTIFY: OnceLock<Daemon> = OnceLock::new();
    let by_fanotify = BY_FANOTIFY.get_or_init(|| {
        packages::prepare();
        Daemon::start(&watching("fanotify"))
    });
    [daemon(), by_fanotify]
}

/// What a daemon is told that watches by fanotify what the stories' daemon watches.
pub(crate) fn watching(name: &'static str) -> Options {
    Options {
        name,
        also_watch: WATCHED.map(str::to_owned).to_vec(),
        settings: "mode = \"fanotify\"".to_owned(),
        ..Options::default()
    }
}

/// Where the job of cron writes.
pub(crate) fn cron_file() -> PathBuf {
    daemon().tree().join("root/by-cron")
}

/// A path in the folder of a user in the watched tree.
pub(crate) fn place(user: &str, name: &str) -> String {
    let path = daemon().tree().join(user).join(name);
    path.to_str().expect("it is text").to_owned()
}

/// Runs a program that must succeed.
pub(crate) fn succeed(command: &mut Command) -> String {
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{command:?}: {ended:?}");
    ended.output
}

/// Runs a command on the server as a user who comes from the client.
pub(crate) fn ssh(user: &str, command: &str) -> String {
    succeed(&mut ssh_command(user, command))
}

fn ssh_command(user: &str, command: &str) -> Command {
    let mut ssh = Command::new("ip");
    ssh.args(["netns", "exec", "client", "ssh", "-o", "BatchMode=yes"])
        .arg(format!("{user}@{SERVER}"))
        .arg(command)
        .env("HOME", "/root");
    ssh
}

/// The words that open a shell of alice from the client.
pub(crate) fn alices_shell() -> String {
    format!("ip netns exec client ssh -t alice@{SERVER}")
}

/// Builds a version of a package that has nothing but configuration files.
pub(crate) fn dpkg_deb(name: &str, version: &str, files: &[&str]) -> PathBuf {
    let folder = Path::new("/var/lib/packages").join(name).join(version);
    fs::create_dir_all(folder.join("DEBIAN")).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\n\
         Maintainer: Nobody <nobody@localhost>\nDescription: greets\n"
    );
    fs::write(folder.join("DEBIAN/control"), control).unwrap();
    fs::write(folder.join("DEBIAN/conffiles"), files.join("\n") + "\n").unwrap();
    for file in files {
        let path = folder.join(file.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("greeting = hello, this is {version}\n")).unwrap();
    }
    let package = folder.with_extension("deb");
    let mut dpkg_deb = Command::new("dpkg-deb");
    dpkg_deb.args(["--root-owner-group", "-Znone", "--build"]);
    succeed(dpkg_deb.arg(&folder).arg(&package));
    package
}

/// Installs a package from a file, as an administrator does.
pub(crate) fn apt_get(package: &Path) {
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "--no-install-recommends"])
        .args(["-o", "Dpkg::Options::=--force-confnew"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    succeed(apt.arg(package));
}
