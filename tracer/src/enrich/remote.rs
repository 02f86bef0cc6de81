//! Where a login came from: what logind wrote down about the session, or else the socket that the
//! ssh server's process holds.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::procfs::Procfs;
use crate::bounded;
use crate::observed::ProcessId;

/// How many files of logind are looked through for one session.
const MAX_LOGIND_FILES: usize = 1024;

/// How much of the table of TCP sockets is read.
const MAX_TABLE_BYTES: u64 = 8 << 20;

/// The state `TCP_ESTABLISHED`:
/// <https://github.com/torvalds/linux/blob/v6.12/include/net/tcp_states.h>.
const ESTABLISHED: &str = "01";

/// What logind knows of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) tty: Option<String>,
    pub(super) remote: Option<String>,
    /// The name under which PAM was called, like `sshd`.
    pub(super) service: Option<String>,
    audit: Option<u32>,
}

/// Reads what logind knows of an audit session.
pub(super) fn login(root: &Path, session: u32) -> Option<Login> {
    let folder = root.join("run/systemd/sessions");
    // logind names its sessions by the audit session wherever it can:
    // https://github.com/systemd/systemd/blob/v256/src/login/logind-dbus.c (`method_create_session`)
    let named = read_login(&folder.join(session.to_string()));
    if let Some(login) = named.filter(|login| login.audit.is_none_or(|audit| audit == session)) {
        return Some(login);
    }
    fs::read_dir(&folder)
        .ok()?
        .flatten()
        .take(MAX_LOGIND_FILES)
        // Beside the sessions lie pipes (`41.ref`).
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| read_login(&entry.path()))
        .find(|login| login.audit == Some(session))
}

fn read_login(path: &Path) -> Option<Login> {
    let text = bounded::read(path, 16 * 1024)?;
    let text = String::from_utf8_lossy(&text);
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
            .filter(|value| !value.is_empty())
    };
    Some(Login {
        tty: field("TTY").map(|tty| tty.trim_start_matches("/dev/").to_owned()),
        remote: field("REMOTE_HOST").map(plain_address),
        service: field("SERVICE").map(str::to_owned),
        audit: field("AUDIT").and_then(|audit| audit.parse().ok()),
    })
}

/// An IPv4 address in the guise of an IPv6 one without it; anything else as it is.
fn plain_address(text: &str) -> String {
    text.parse::<IpAddr>().map_or_else(
        |_| text.to_owned(),
        |address| address.to_canonical().to_string(),
    )
}

/// The address at the other end of the connection that a process of the ssh server serves.
pub(super) fn peer(proc: &Procfs, server: ProcessId) -> Option<String> {
    proc.alive(server)?;
    let sockets = sockets(&proc.path(server.pid, "fd"));
    let mut wanted: HashSet<&str> = sockets.iter().map(String::as_str).collect();
    wanted.remove("");
    let mut peers = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        peers.extend(established(&proc.path(server.pid, table), &wanted));
    }
    // The connection itself has the lowest descriptor: those it forwards were opened later.
    let peer = sockets
        .iter()
        .find_map(|socket| peers.iter().find(|(inode, _)| inode == socket))?;
    proc.alive(server)?;
    Some(peer.1.to_canonical().to_string())
}

/// The inode numbers of a process's sockets, by ascending descriptor.
fn sockets(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut sockets: Vec<(u32, String)> = entries
        .flatten()
        .filter_map(|entry| {
            let descriptor = entry.file_name().to_str()?.parse().ok()?;
            let target: PathBuf = fs::read_link(entry.path()).ok()?;
            let inode = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            Some((descriptor, inode.to_owned()))
        })
        .collect();
    sockets.sort();
    sockets.into_iter().map(|(_, inode)| inode).collect()
}

/// The established ones of some sockets, with the address of the other end.
fn established(table: &Path, wanted: &HashSet<&str>) -> Vec<(String, IpAddr)> {
    let Some(table) = bounded::open(table).filter(|_| !wanted.is_empty()) else {
        return Vec::new();
    };
    BufReader::new(table.take(MAX_TABLE_BYTES))
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| {
            // sl local_address rem_address st queues timer retransmits uid timeout inode
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (&remote, &state, &inode) = (fields.get(2)?, fields.get(3)?, fields.get(9)?);
            if state != ESTABLISHED || !wanted.contains(inode) {
                return None;
            }
            Some((inode.to_owned(), parse_address(remote)?))
        })
        .collect()
}

/// An address as the kernel prints it: words of 32 bits in hexadecimal, each in the host's order.
/// <https://github.com/torvalds/linux/blob/v6.12/net/ipv6/tcp_ipv6.c> (`get_tcp6_sock`)
fn parse_address(text: &str) -> Option<IpAddr> {
    let (address, _port) = text.split_once(':')?;
    let word = |index: usize| {
        let digits = address.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match address.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            bytes.copy_from_slice(words.as_flattened());
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn logind_is_asked_by_the_audit_session() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            "run/systemd/sessions/41",
            "UID=1000\nAUDIT=7\n",
        );
        write(
            root.path(),
            "run/systemd/sessions/c3",
            "TTY=pts/0\nREMOTE_HOST=::ffff:10.1.2.3\nSERVICE=sshd\nAUDIT=41\n",
        );
        let pipe = root.path().join("run/systemd/sessions/41.ref");
        rustix::fs::mkfifoat(rustix::fs::CWD, pipe, 0o600.into()).unwrap();
        let found = login(root.path(), 41).unwrap();
        assert_eq!(found.tty.as_deref(), Some("pts/0"));
        assert_eq!(found.remote.as_deref(), Some("10.1.2.3"));
        assert_eq!(found.service.as_deref(), Some("sshd"));
        assert_eq!(login(root.path(), 42), None);
    }

    #[test]
    fn the_peer_is_the_other_end_of_the_first_connection() {
        let root = tempfile::tempdir().unwrap();
        let stat = "7 (sshd) S 1 7 7 0 7 0 1 0 0 0 1 1 0 0 20 0 1 0 500 1 1";
        write(root.path(), "proc/7/stat", stat);
        write(
            root.path(),
            "proc/7/net/tcp6",
            "  sl  local_address remote_address st\n\
             0: 0:0016 0000000000000000FFFF00000302010A:D2F0 01 0:0 0:0 0 0 0 900 1\n\
             1: 0:0016 00000000000000000000000001000000:D2F0 01 0:0 0:0 0 0 0 800 1\n\
             2: 0:0016 00000000000000000000000002000000:0000 0A 0:0 0:0 0 0 0 700 1\n",
        );
        let folder = root.path().join("proc/7/fd");
        fs::create_dir(&folder).unwrap();
        symlink("socket:[700]", folder.join("3")).unwrap();
        symlink("socket:[900]", folder.join("4")).unwrap();
        symlink("socket:[800]", folder.join("10")).unwrap();
        let proc = Procfs::new(root.path());
        let server = ProcessId {
            pid: 7,
            start_ns: 5_000_000_000,
        };
        if cfg!(target_endian = "little") {
            assert_eq!(peer(&proc, server).as_deref(), Some("10.1.2.3"));
        }
        let other = ProcessId {
            pid: 7,
            start_ns: 6_000_000_000,
        };
        assert_eq!(peer(&proc, other), None);
    }

    #[test]
    fn a_real_connection_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _server = listener.accept().unwrap();
        let proc = Procfs::new(Path::new("/"));
        let me = proc.stat(std::process::id()).unwrap().process;
        assert_eq!(peer(&proc, me).as_deref(), Some("127.0.0.1"));
    }
}
