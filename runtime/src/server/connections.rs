//! Connections: how many, for how long, and how they end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at a time; further ones wait.
const MOST: usize = 256;
/// A request's head must be there within that time; so must the next one on a connection that stays open.
const HEAD: Duration = Duration::from_secs(15);
/// After a failed accept (no file handle left): it does not help to try at once.
const PAUSE: Duration = Duration::from_millis(100);
/// What is under way at the end gets so long.
const FAREWELL: Duration = Duration::from_secs(30);

/// Serves connections until `stopped`; then calls `finish`, which ends what is under way, and lets every request have its
/// answer.
pub async fn serve(
    listener: TcpListener,
    router: Router,
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
            .serve_connection(TokioIo::new(stream), service);
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
        eprintln!("warning: not everything that was under way could be finished in {} seconds", FAREWELL.as_secs());
    }
}
