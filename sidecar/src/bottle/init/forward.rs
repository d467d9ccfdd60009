//! For tools that know TCP only: bytes between a port on the loopback and the sidecar's socket.
//!
//! It reads nothing of what it carries and decides nothing; the sidecar bounds sizes and times.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::copy_bidirectional_with_sizes,
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinSet,
};

/// Connections at a time: half of what the sidecar takes, so that calls always find a place. More
/// wait in the port's backlog.
const CONNECTIONS_MAX: usize = protocol::limits::CONNECTIONS_MAX / 2;
/// Buffer per direction: a pack streams well, and 64 connections stay within 2 MiB.
const BUFFER_BYTES: usize = 16 * 1024;
/// Pause after a failed `accept`, which is how running out of file descriptors shows.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// Carries connections until it is dropped.
pub async fn serve(listener: TcpListener, socket: PathBuf) {
    let socket = Arc::new(socket);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let socket = Arc::clone(&socket);
                connections.spawn(async move {
                    if let Err(error) = carry(stream, &socket).await {
                        tracing::debug!(%error, "a connection was cut");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

/// Carries one connection; each direction ends by itself, so that a side that has said all can
/// still hear the answer.
async fn carry(mut tcp: TcpStream, socket: &std::path::Path) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut unix = UnixStream::connect(socket).await?;
    copy_bidirectional_with_sizes(&mut tcp, &mut unix, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}
