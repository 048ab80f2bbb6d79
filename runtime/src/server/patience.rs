//! Patience with a peer that does not read.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream whose writes fail with [`ErrorKind::TimedOut`] once the peer has taken nothing for too long.
///
/// The time runs only while a write or a flush waits for the peer: one who is told nothing may stay for ever.
#[derive(Debug)]
pub struct Patient<S> {
    stream: S,
    patience: Duration,
    writing: Wait,
    flushing: Wait,
}

/// When a wait ends; nothing while nothing waits.
type Wait = Option<Pin<Box<Sleep>>>;

impl<S> Patient<S> {
    /// Lets a write of `stream` wait for `patience` at most.
    pub fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, writing: None, flushing: None }
    }
}

/// Passes on how a call went, unless it has waited for too long.
fn judge<T>(
    outcome: Poll<io::Result<T>>,
    wait: &mut Wait,
    patience: Duration,
    context: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    if outcome.is_ready() {
        *wait = None;
        return outcome;
    }
    let end = wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
    end.as_mut().poll(context).map(|()| Err(ErrorKind::TimedOut.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, patience, writing, .. } = self.get_mut();
        judge(Pin::new(stream).poll_write(context, bytes), writing, *patience, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, patience, writing, .. } = self.get_mut();
        judge(Pin::new(stream).poll_write_vectored(context, parts), writing, *patience, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, patience, flushing, .. } = self.get_mut();
        judge(Pin::new(stream).poll_flush(context), flushing, *patience, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;

    use tokio::net::TcpStream;

    use super::*;

    const KIB: usize = 1024;
    /// More than the system takes on a peer's behalf.
    const MUCH: usize = 16 * 1024 * KIB;

    /// A stream of that patience, and its peer.
    async fn pair(patience: Duration) -> (Patient<TcpStream>, std::net::TcpStream) {
        let listener = super::super::connections::listen(([127, 0, 0, 1], 0).into()).unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (Patient::new(stream, patience), peer)
    }

    async fn write(stream: &mut Patient<TcpStream>, mut bytes: &[u8], vectored: bool) -> io::Result<()> {
        while !bytes.is_empty() {
            let some = std::future::poll_fn(|context| {
                let stream = Pin::new(&mut *stream);
                if vectored {
                    stream.poll_write_vectored(context, &[IoSlice::new(bytes)])
                } else {
                    stream.poll_write(context, bytes)
                }
            });
            bytes = &bytes[some.await?..];
        }
        std::future::poll_fn(|context| Pin::new(&mut *stream).poll_flush(context)).await
    }

    #[tokio::test]
    async fn a_peer_that_never_reads_is_given_up() {
        for vectored in [false, true] {
            let (mut stream, _peer) = pair(Duration::from_millis(200)).await;
            assert_eq!(stream.is_write_vectored(), stream.stream.is_write_vectored());
            let much = vec![1; MUCH];
            let written = write(&mut stream, &much, vectored);
            let written = tokio::time::timeout(Duration::from_secs(20), written).await.expect("it ends by itself");
            assert_eq!(written.unwrap_err().kind(), ErrorKind::TimedOut, "vectored: {vectored}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_reads_slowly_is_served_whole() {
        let patience = Duration::from_millis(800);
        let (mut stream, mut peer) = pair(patience).await;
        let reading = thread::spawn(move || {
            let (mut all, mut some) = (0, vec![0; 256 * KIB]);
            loop {
                match peer.read(&mut some).unwrap() {
                    0 => return all,
                    count => all += count,
                }
                thread::sleep(Duration::from_millis(25));
            }
        });
        let started = std::time::Instant::now();
        write(&mut stream, &vec![1; MUCH], false).await.unwrap();
        assert!(started.elapsed() > patience, "too fast to tell anything");
        drop(stream);
        assert_eq!(reading.join().unwrap(), MUCH);
    }

    #[tokio::test]
    async fn an_idle_peer_stays() {
        let patience = Duration::from_millis(50);
        let (mut stream, mut peer) = pair(patience).await;
        for _ in 0..2 {
            write(&mut stream, b"word", true).await.unwrap();
            let read = std::future::poll_fn(|context| {
                Pin::new(&mut stream).poll_read(context, &mut ReadBuf::new(&mut [0; 1]))
            });
            assert!(tokio::time::timeout(4 * patience, read).await.is_err(), "nothing comes, and nothing ends");
        }
        drop(stream);
        let mut all = String::new();
        peer.read_to_string(&mut all).unwrap();
        assert_eq!(all, "wordword");
    }
}
