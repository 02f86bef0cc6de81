//! Opens the API's Unix socket: takes over a stale one, never one that answers.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::access::group_id;

const BACKLOG: i32 = 128;

/// Says why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers on it.
    #[error("listen on `{}`: another daemon already does; stop it first", .0.display())]
    Taken(PathBuf),
    /// Something else lies where the socket should.
    #[error("listen on `{}`: there is a file that is no socket; move it away", .0.display())]
    NoSocket(PathBuf),
    /// A step failed.
    #[error("listen on `{}`: {step}: {source}", socket.display())]
    Step {
        /// The socket.
        socket: PathBuf,
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Listens on the socket, which root and the members of `group` may use.
pub fn bind(socket: &Path, group: Option<&str>) -> Result<UnixListener, BindError> {
    let at = |step| {
        move |source| BindError::Step {
            socket: socket.to_owned(),
            step,
            source,
        }
    };
    if let Some(parent) = socket.parent() {
        let created = DirBuilder::new().recursive(true).mode(0o755).create(parent);
        created.map_err(at("create its directory"))?;
    }
    remove_stale(socket)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| at("create socket")(error.into()))?;
    let address = SocketAddrUnix::new(socket).map_err(|error| at("read its name")(error.into()))?;
    rustix::net::bind(&fd, &address).map_err(|error| at("bind")(error.into()))?;
    // Nobody can connect before `listen`, so nobody sees the socket with another mode.
    let mode = mode_for(socket, group);
    fs::set_permissions(socket, Permissions::from_mode(mode)).map_err(at("set its mode"))?;
    rustix::net::listen(&fd, BACKLOG).map_err(|error| at("listen")(error.into()))?;
    Ok(fd.into())
}

/// Hands the socket to the group; without the right to do so it stays with its owner alone.
fn mode_for(socket: &Path, group: Option<&str>) -> u32 {
    let Some(id) = group.and_then(group_id) else {
        return 0o660;
    };
    match std::os::unix::fs::chown(socket, None, Some(id)) {
        Ok(()) => 0o660,
        Err(error) => {
            let socket = socket.display();
            tracing::warn!(%socket, group, %error, "hand the socket to its group; only its owner may use it");
            0o600
        }
    }
}

fn remove_stale(socket: &Path) -> Result<(), BindError> {
    let at = |step| {
        move |source| BindError::Step {
            socket: socket.to_owned(),
            step,
            source,
        }
    };
    match fs::symlink_metadata(socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at("look for an old one")(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NoSocket(socket.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(socket) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(socket).map_err(at("remove the old one"))
        }
        Err(error) => Err(at("ask who answers there")(error)),
        Ok(_answered) => Err(BindError::Taken(socket.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_taken_over_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/tracer.sock");
        let live = bind(&socket, Some("no-such-group")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (mode(&socket), mode(socket.parent().unwrap())),
            (0o660, 0o755)
        );
        assert!(matches!(bind(&socket, None), Err(BindError::Taken(_))));
        drop(live);
        drop(bind(&socket, None).unwrap());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&path, None), Err(BindError::NoSocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
