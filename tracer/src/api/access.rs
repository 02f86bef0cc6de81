//! Who may use the API: root, the daemon's own user and the members of one group.
//! The socket's mode says the same, so the kernel refuses others before this does; this holds also
//! where somebody loosened the mode, or handed a connection over.

use std::fs;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;

use super::seats::{Seat, Seats};
use super::{ApiState, Error};

/// The process at the other end of a connection, as it was when it connected.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    credentials: Option<Credentials>,
    /// Held as long as the connection is.
    _seat: Option<Seat>,
}

#[derive(Clone, Debug)]
struct Credentials {
    pid: Option<u32>,
    uid: u32,
    groups: Vec<u32>,
}

impl Peer {
    /// The process at the other end, if it is root's or of the daemon's own user.
    pub(super) fn root_pid(&self) -> Result<u32, Error> {
        let own = rustix::process::geteuid().as_raw();
        let peer = self.credentials.as_ref();
        let peer = peer.filter(|peer| peer.uid == 0 || peer.uid == own);
        peer.and_then(|peer| peer.pid).ok_or(Error::RootOnly)
    }
}

impl Connected<IncomingStream<'_, Seats>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Seats>) -> Self {
        let credentials = stream.io().peer_cred().ok().map(|peer| {
            let mut groups = peer.pid().map_or(Vec::new(), supplementary_groups);
            groups.push(peer.gid());
            Credentials {
                pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()),
                uid: peer.uid(),
                groups,
            }
        });
        Self {
            credentials,
            _seat: Some(stream.remote_addr().clone()),
        }
    }
}

/// Lets a request pass, or answers 403.
pub(super) async fn check(
    State(state): State<ApiState>,
    ConnectInfo(Peer { credentials, _seat }): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let own = rustix::process::geteuid().as_raw();
    match credentials {
        Some(peer) if may_ask(&peer, own, state.group) => Ok(next.run(request).await),
        Some(peer) => Err(Error::Forbidden(peer.uid.to_string())),
        None => Err(Error::Forbidden("unknown".to_owned())),
    }
}

fn may_ask(peer: &Credentials, own: u32, group: Option<u32>) -> bool {
    let member = |group| peer.groups.contains(&group);
    peer.uid == 0 || peer.uid == own || group.is_some_and(member)
}

/// The peer may have ended and its pid be another's by now. That is no way in: who got as far as
/// connecting passed the socket's mode.
fn supplementary_groups(pid: i32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Groups:"));
    let numbers = line.unwrap_or_default().split_whitespace();
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// The numeric id of a group of this host; read from `/etc/group`, because a static program has no
/// other name service.
pub fn group_id(name: &str) -> Option<u32> {
    id_in(&fs::read_to_string("/etc/group").ok()?, name)
}

fn id_in(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        found.then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_daemons_user_and_the_group_may_ask() {
        let peer = |uid, groups: &[u32]| Credentials {
            pid: Some(1),
            uid,
            groups: groups.to_vec(),
        };
        assert!(may_ask(&peer(0, &[]), 5, None));
        assert!(may_ask(&peer(5, &[]), 5, None));
        assert!(may_ask(&peer(1000, &[1000, 77]), 5, Some(77)));
        assert!(!may_ask(&peer(1000, &[1000, 0]), 5, Some(77)));
        assert!(!may_ask(&peer(1000, &[1000, 0]), 5, None));
    }

    #[test]
    fn only_root_and_the_daemons_user_may_make_it_forget() {
        let own = rustix::process::geteuid().as_raw();
        let root_pid = |uid| {
            let (pid, groups) = (Some(7), vec![0]);
            let credentials = Some(Credentials { pid, uid, groups });
            let peer = Peer {
                credentials,
                _seat: None,
            };
            peer.root_pid()
        };
        assert_eq!(root_pid(0).ok(), Some(7));
        assert_eq!(root_pid(own).ok(), Some(7));
        assert!(matches!(root_pid(own + 1000), Err(Error::RootOnly)));
        let unknown = Peer {
            credentials: None,
            _seat: None,
        };
        assert!(unknown.root_pid().is_err());
    }

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups = "root:x:0:\ntracers:x:7:\ntracer:x:998:alice,bob\nbroken\n";
        assert_eq!(id_in(groups, "tracer"), Some(998));
        assert_eq!(id_in(groups, "trace"), None);
        assert_eq!(id_in(groups, "broken"), None);
    }

    #[test]
    fn the_groups_of_a_process_are_read() {
        assert_eq!(supplementary_groups(-1), Vec::<u32>::new());
        let own = supplementary_groups(i32::try_from(std::process::id()).unwrap());
        let expected = rustix::process::getgroups().unwrap();
        assert_eq!(own.len(), expected.len());
    }
}
