//! Making a socket's file.

use std::{
    fs, io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
};
use tokio::net::UnixListener;

/// Listens at `path` with the permissions `mode` (e.g. `0o600`). A socket that a dead process left
/// there is replaced.
///
/// # Errors
/// `AddrInUse` when somebody answers there, `AlreadyExists` when it is not a socket, and what the
/// system says otherwise (no directory, no right, a path over 107 bytes).
///
/// # Panics
/// Outside a tokio runtime.
pub fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file that is not a socket",
            ));
        }
        Ok(_) if somebody_answers(path)? => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another process answers on the socket",
            ));
        }
        Ok(_) => fs::remove_file(path)?,
    }
    let listener = UnixListener::bind(path)?;
    // Until here the umask decided: with any usual one nobody but the owner may connect.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Without blocking: a listener whose backlog is full answers too.
fn somebody_answers(path: &Path) -> io::Result<bool> {
    let probe = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    match connect(probe.as_raw_fd(), &UnixAddr::new(path)?) {
        Err(Errno::ECONNREFUSED) => Ok(false),
        Err(Errno::ENOENT) => Ok(false),
        Ok(()) | Err(Errno::EAGAIN) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
