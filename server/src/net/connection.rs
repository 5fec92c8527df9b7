//! One connection: bytes both ways, and its peer.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::authority::AuthorityFilter;
use crate::auth::{Principal, Proof};

/// Bytes both ways, over whatever transport.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + fmt::Debug> Transport for T {}

/// A connection that has been accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The bytes.
    pub(super) stream: Pin<Box<dyn Transport>>,
    /// The first byte, once the other end has sent it, until it is read.
    pub(super) first: Option<u8>,
    /// What it proves of its other end.
    pub(super) proof: Proof,
    /// Mends what comes in, where the authority of requests may be a path.
    pub(super) authority: Option<AuthorityFilter>,
}

impl Accepted {
    /// Its other end.
    pub(super) fn principal(&self) -> Principal {
        self.proof.principal()
    }

    /// Waits until the other end has said something, before anything is kept for it or said to it.
    pub(super) async fn heard(mut self) -> io::Result<Self> {
        self.first = Some(self.stream.read_u8().await?);
        Ok(self)
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, authority, first, .. } = &mut *self;
        let known = buffer.filled().len();
        let outcome = match first.take_if(|_| buffer.remaining() > 0) {
            Some(first) => {
                buffer.put_slice(&[first]);
                Poll::Ready(Ok(()))
            }
            None => stream.as_mut().poll_read(context, buffer),
        };
        if let Some(authority) = authority {
            authority.pass(&mut buffer.filled_mut()[known..]);
        }
        outcome
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}
