//! An accepted connection that neither hangs on a client that does not read nor cuts off what a
//! client has yet to read.

use super::auth::Hold;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

/// What the kernel may hold of a connection's output. More would hide from us for too long that
/// nobody reads: this is some seconds of speech.
const SEND_BUFFER: usize = 128 * 1024;

/// How long a closed connection's remaining input is waited for and thrown away.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_READ: Duration = Duration::from_secs(2);

/// A TCP connection with two manners of its own:
///
/// A write that makes no progress for `stall` fails, which ends whatever the connection served.
///
/// When it is dropped while the client still sends, it says that nothing more will come and reads
/// on for a while. To close at once would make the kernel reset the connection, and the client
/// would lose the answer to a request that was refused before it was read.
pub struct Socket {
    /// None only during drop.
    stream: Option<TcpStream>,
    stall: Duration,
    /// Since when a write waits, as its deadline.
    blocked: Option<Pin<Box<Sleep>>>,
    /// The client ended, or the connection failed: there is nothing to linger for.
    over: bool,
    /// The connection's place among all, kept until the lingering is over.
    slot: Option<OwnedSemaphorePermit>,
    /// What it holds as a WebSocket.
    hold: Hold,
}

impl Socket {
    pub fn new(stream: TcpStream, stall: Duration, slot: OwnedSemaphorePermit, hold: Hold) -> Self {
        // Both only tune: a connection works without.
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
        Self { stream: Some(stream), stall, blocked: None, over: false, slot: Some(slot), hold }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Passes on a write's result, failing one that has waited too long.
    fn timed<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(result) => {
                self.blocked = None;
                self.over |= result.is_err();
                Poll::Ready(result)
            }
            Poll::Pending => {
                let stall = self.stall;
                let blocked = self.blocked.get_or_insert_with(|| {
                    Box::pin(tokio::time::sleep_until(Instant::now() + stall))
                });
                if blocked.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.over = true;
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client does not read",
                )))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining() > 0;
        let result = self.stream()?.poll_read(cx, buf);
        if let Poll::Ready(result) = &result {
            self.over |= result.is_err() || (room && buf.filled().len() == before);
        }
        result
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream()?.poll_write(cx, buf);
        self.timed(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream()?.poll_write_vectored(cx, bufs);
        self.timed(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.hold.release();
        let (Some(stream), slot) = (self.stream.take(), self.slot.take()) else { return };
        if self.over {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(LINGER, linger(stream)).await;
                drop(slot);
            });
        }
    }
}

async fn linger(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut waste = vec![0; 64 * 1024];
    while let Ok(Ok(1..)) = tokio::time::timeout(LINGER_READ, stream.read(&mut waste)).await {}
}
