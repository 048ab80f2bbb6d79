//! Connections: how many, for how long, and how they end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;

use super::patience::Patient;
use crate::console;

/// Connections at a time; further ones wait.
const MOST: usize = 256;
/// A request's head must be there within that time; so must the next one on a connection that stays open.
const HEAD: Duration = Duration::from_secs(15);
/// After a failed accept (no file handle left): it does not help to try at once.
const PAUSE: Duration = Duration::from_millis(100);
/// A caller that takes nothing of its answer for that long has gone.
pub const READING: Duration = Duration::from_secs(30);
/// Bytes that the system takes on behalf of a caller. It takes more only when a third of them is gone: with the megabytes
/// that it allows by itself, a slow line would look as if nobody read.
const SEND_BUFFER: u32 = 256 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// What is under way at the end gets so long.
const FAREWELL: Duration = Duration::from_secs(30);

/// Listens; what is accepted has a small send buffer.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As `TcpListener::bind` does it: a server that starts anew gets its port back.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves connections until `stopped`; then calls `finish`, which ends what is under way, and lets every request have its
/// answer. A caller that takes nothing of its answer for `reading` is given up.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    reading: Duration,
    stopped: impl Future<Output = ()>,
    finish: impl FnOnce() -> tokio::task::JoinHandle<()>,
) {
    let room = Arc::new(Semaphore::new(MOST));
    let open = GracefulShutdown::new();
    let mut stopped = std::pin::pin!(stopped);
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stopped => break,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(Patient::new(stream, reading)), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // A caller that breaks off is no error of ours.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let finished = finish();
    let all = async {
        open.shutdown().await;
        let _ = finished.await;
    };
    if tokio::time::timeout(FAREWELL, all).await.is_err() {
        let seconds = FAREWELL.as_secs();
        console::warning(format_args!("not everything that was under way could be finished in {seconds} seconds"));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::io::Write;

    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures_util::StreamExt;
    use futures_util::stream::repeat;
    use tokio::sync::Notify;

    use super::*;

    /// Tells when an answer is no longer wanted.
    struct Answering(Arc<Notify>);

    impl Drop for Answering {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    #[tokio::test]
    async fn a_caller_that_never_reads_is_given_up() {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let mut caller = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ended = Arc::<Notify>::default();
        let told = Arc::clone(&ended);
        let answer = async move || {
            let answering = Answering(told);
            Body::from_stream(repeat(Bytes::from(vec![1; 64 * 1024])).map(move |bytes| {
                let _ = &answering;
                Ok::<_, Infallible>(bytes)
            }))
        };
        let router = Router::new().route("/", get(answer));
        let reading = Duration::from_millis(200);
        let server = tokio::spawn(serve(listener, router, reading, pending(), || tokio::spawn(async {})));
        caller.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        tokio::time::timeout(Duration::from_secs(20), ended.notified()).await.expect("the answer is given up");
        server.abort();
    }
}
