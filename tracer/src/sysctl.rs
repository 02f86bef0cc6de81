//! What is known of sysctls by their names: their keys, the namespaces that they are of, which are no
//! settings, and which are secrets. Reading them is `inventory`'s.

use std::path::{Path, PathBuf};

use change::Text;

use crate::observed::Namespaces;

/// Where they are.
pub const ROOT: &str = "/proc/sys";

/// What the kernel moves by itself, or gives another value at each read: no setting. A name that ends
/// in a dot stands for all below it.
const MOVING: [&str; 33] = [
    "debug.kprobes-optimization.",
    "dev.cdrom.info",
    "fs.aio-nr",
    "fs.binfmt_misc.",
    "fs.dentry-state",
    "fs.file-nr",
    "fs.inode-nr",
    "fs.inode-state",
    "fs.quota.",
    "kernel.hung_task_detect_count",
    "kernel.hung_task_warnings",
    "kernel.ns_last_pid",
    // Lowered by the kernel where interrupts take too long.
    "kernel.perf_event_max_sample_rate",
    "kernel.pty.nr",
    "kernel.random.boot_id",
    "kernel.random.entropy_avail",
    "kernel.random.uuid",
    // Of scheduling domains, of which 5.10 tells costs that it measures.
    "kernel.sched_domain.",
    "kernel.spl.",
    "net.core.flow_limit_table_len",
    "net.ipv4.tcp_available_congestion_control",
    "net.ipv4.tcp_available_ulp",
    "net.ipv4.tcp_child_ehash_entries",
    "net.ipv4.tcp_ehash_entries",
    "net.ipv4.udp_child_hash_entries",
    "net.ipv4.udp_hash_entries",
    "net.mptcp.available_path_managers",
    "net.mptcp.available_schedulers",
    "net.netfilter.nf_conntrack_count",
    "net.nf_conntrack_count",
    "sunrpc.transports",
    // To read it does something.
    "vm.stat_refresh",
    "net.vsock.child_ns_mode",
];

/// What does something when it is written, and has no value of its own.
const ACTS: [&str; 6] = [
    "fs.xfs.stats_clear",
    "net.ipv4.route.flush",
    "net.ipv6.route.flush",
    "vm.compact_memory",
    "vm.drop_caches",
    "vm.stat_refresh",
];

/// What of the IPC namespace is not below a name of its own.
const IPC: [&str; 12] = [
    "auto_msgmni",
    "msg_next_id",
    "msgmax",
    "msgmnb",
    "msgmni",
    "sem",
    "sem_next_id",
    "shm_next_id",
    "shm_rmid_forced",
    "shmall",
    "shmmax",
    "shmmni",
];

/// The key of the sysctl with a path below `/proc/sys`, as sysctl(8) writes it: dots between the
/// names, and for a dot inside a name, as in `net.ipv4.conf.eth0/100.rp_filter`, a slash.
pub fn key_of(path: &[u8]) -> Text {
    swapped(path).into()
}

/// Where the sysctl with a key is.
pub fn path_of(key: &Text) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    Path::new(ROOT).join(std::ffi::OsString::from_vec(swapped(key.as_bytes())))
}

fn swapped(name: &[u8]) -> Vec<u8> {
    let swap = |byte: &u8| match byte {
        b'/' => b'.',
        b'.' => b'/',
        byte => *byte,
    };
    name.iter().map(swap).collect()
}

/// Whether the kernel gives it another value all the time.
pub fn is_moving(key: &Text) -> bool {
    let key = key.as_bytes();
    MOVING.iter().any(|name| match name.strip_suffix('.') {
        Some(_) => key.starts_with(name.as_bytes()),
        None => key == name.as_bytes(),
    })
}

/// Whether a write to it does something, and leaves no value.
pub fn is_act(key: &Text) -> bool {
    ACTS.iter().any(|act| key.as_bytes() == act.as_bytes())
}

/// Whether its value is a secret.
pub fn is_secret(key: &Text) -> bool {
    let key = key.as_bytes();
    let last = key.rsplit(|byte| *byte == b'.').next();
    let name = last.unwrap_or_default();
    [
        &b"tcp_fastopen_key"[..],
        b"stable_secret",
        b"netdev_rss_key",
    ]
    .contains(&name)
}

/// The network interface that a sysctl is of, as it is called; `all`, `default` and none are none.
pub fn interface(key: &Text) -> Option<String> {
    let mut names = key.as_bytes().split(|byte| *byte == b'.');
    let is_tree = names.next() == Some(b"net")
        && names.next().is_some()
        && matches!(names.next(), Some(b"conf" | b"neigh"));
    let name = names.next().filter(|_| is_tree)?;
    let has_more = names.next().is_some();
    let name = String::from_utf8_lossy(&swapped(name)).replace('/', ".");
    (has_more && !["all", "default"].contains(&name.as_str())).then_some(name)
}

/// Names the namespace of a sysctl and of who wrote it where that is not the namespace `own`, in which
/// `/proc/sys` is read: `net:4026532177`.
pub fn foreign_namespace(key: &Text, of_writer: Namespaces, own: Namespaces) -> Option<String> {
    let (word, [writer, own]) = match namespace_of(key.as_bytes())? {
        Namespace::Net => ("net", [of_writer.net, own.net]),
        Namespace::Ipc => ("ipc", [of_writer.ipc, own.ipc]),
        Namespace::Uts => ("uts", [of_writer.uts, own.uts]),
        Namespace::User => ("user", [of_writer.user, own.user]),
        Namespace::Pid => ("pid", [of_writer.pid, own.pid]),
    };
    (writer != 0 && own != 0 && writer != own).then(|| format!("{word}:{writer}"))
}

enum Namespace {
    Net,
    Ipc,
    Uts,
    User,
    Pid,
}

fn namespace_of(key: &[u8]) -> Option<Namespace> {
    if key.starts_with(b"net.") {
        return Some(Namespace::Net);
    }
    if key.starts_with(b"user.") {
        return Some(Namespace::User);
    }
    if key.starts_with(b"fs.mqueue.") {
        return Some(Namespace::Ipc);
    }
    match key.strip_prefix(b"kernel.")? {
        b"hostname" | b"domainname" => Some(Namespace::Uts),
        b"pid_max" | b"ns_last_pid" => Some(Namespace::Pid),
        name if IPC.iter().any(|of_ipc| name == of_ipc.as_bytes()) => Some(Namespace::Ipc),
        _ => None,
    }
}

/// What was asked for as the kernel would write it, which prints numbers as decimals with a tab between
/// them: where a value that it printed is known to be numbers.
pub fn as_printed(asked: &str, printed: Option<&str>) -> String {
    let numbers = |text: &str| -> Option<Vec<String>> {
        let each = text.split_whitespace();
        each.map(|word| Some(number(word)?.to_string())).collect()
    };
    let is_numbers = printed.is_none_or(|printed| numbers(printed).is_some());
    match numbers(asked).filter(|_| is_numbers) {
        Some(numbers) => numbers.join("\t"),
        None => asked.to_owned(),
    }
}

/// A number as the kernel reads it: in hexadecimal behind `0x`, in octal behind `0`.
fn number(word: &str) -> Option<i128> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, word),
    };
    let value = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(digits) => i128::from_str_radix(digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => i128::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    value.ok().map(|value| sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_inside_a_name_is_a_slash_in_the_key() {
        let key = key_of(b"net/ipv4/conf/eth0.100/rp_filter");
        assert_eq!(key, "net.ipv4.conf.eth0/100.rp_filter".into());
        let path = path_of(&key);
        assert_eq!(
            path,
            Path::new("/proc/sys/net/ipv4/conf/eth0.100/rp_filter")
        );
        assert_eq!(interface(&key).as_deref(), Some("eth0.100"));
        assert_eq!(interface(&"net.ipv4.conf.all.rp_filter".into()), None);
        assert_eq!(
            interface(&"net.ipv4.neigh.lo.mcast_solicit".into()),
            Some("lo".to_owned())
        );
        assert_eq!(interface(&"vm.swappiness".into()), None);
    }

    #[test]
    fn what_moves_by_itself_is_no_setting_and_keys_are_secrets() {
        for key in ["fs.file-nr", "fs.quota.syncs", "kernel.random.uuid"] {
            assert!(is_moving(&key.into()), "{key}");
        }
        for key in ["fs.file-max", "kernel.random.poolsize", "vm.swappiness"] {
            assert!(!is_moving(&key.into()), "{key}");
        }
        assert!(is_secret(&"net.ipv4.tcp_fastopen_key".into()));
        assert!(is_secret(&"net.ipv6.conf.eth0.stable_secret".into()));
        assert!(!is_secret(&"net.ipv4.tcp_fastopen".into()));
        assert!(is_act(&"vm.drop_caches".into()));
    }

    #[test]
    fn another_namespace_is_named_only_for_what_is_of_it() {
        let own = Namespaces {
            net: 1,
            ipc: 2,
            uts: 3,
            user: 4,
            pid: 5,
        };
        let other = Namespaces {
            net: 11,
            ipc: 12,
            uts: 13,
            user: 14,
            pid: 15,
        };
        let of = |key: &str, writer| foreign_namespace(&key.into(), writer, own);
        assert_eq!(of("net.ipv4.ip_forward", other).as_deref(), Some("net:11"));
        assert_eq!(of("kernel.shmmax", other).as_deref(), Some("ipc:12"));
        assert_eq!(of("fs.mqueue.msg_max", other).as_deref(), Some("ipc:12"));
        assert_eq!(of("kernel.hostname", other).as_deref(), Some("uts:13"));
        assert_eq!(
            of("user.max_net_namespaces", other).as_deref(),
            Some("user:14")
        );
        assert_eq!(of("vm.swappiness", other), None);
        assert_eq!(of("net.ipv4.ip_forward", own), None);
        let unknown = Namespaces::default();
        assert_eq!(of("net.ipv4.ip_forward", unknown), None);
    }

    #[test]
    fn what_was_asked_for_is_told_as_the_kernel_prints_it() {
        assert_eq!(as_printed("4096  1 0x10", Some("1\t2\t3")), "4096\t1\t16");
        assert_eq!(as_printed(" 010\n", Some("7")), "8");
        assert_eq!(as_printed("fq_codel", Some("pfifo_fast")), "fq_codel");
        assert_eq!(as_printed("010", Some("core")), "010");
    }
}
