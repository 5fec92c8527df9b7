//! One connection: bytes both ways, its peer, and its place among the others.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use super::{authority::AuthorityFilter, limits::Place};
use crate::auth::Peer;

/// Bytes both ways, over whatever transport.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + fmt::Debug> Transport for T {}

/// A transport that has been accepted.
pub(super) type Stream = Pin<Box<dyn Transport>>;

/// A transport that has been accepted, and what is known of it.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The bytes.
    pub(super) stream: Stream,
    /// Its other end.
    pub(super) principal: Peer,
    /// Mends what comes in, where the authority of requests may be a path.
    pub(super) authority: Option<AuthorityFilter>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    accepted: Accepted,
    _place: Place,
}

impl Connection {
    /// A connection that has this place.
    pub(super) const fn new(accepted: Accepted, place: Place) -> Self {
        Self { accepted, _place: place }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.accepted.principal
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Accepted { stream, authority, .. } = &mut self.accepted;
        let known = buffer.filled().len();
        let outcome = stream.as_mut().poll_read(context, buffer);
        if let Some(authority) = authority {
            authority.pass(&mut buffer.filled_mut()[known..]);
        }
        outcome
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.accepted.stream.as_mut().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.accepted.stream.as_mut().poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.accepted.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.accepted.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.accepted.stream.as_mut().poll_shutdown(context)
    }
}
