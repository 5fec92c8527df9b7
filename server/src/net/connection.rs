//! One connection: bytes both ways, its peer, and its place among the others.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use super::limits::Place;
use crate::auth::Peer;

/// Bytes both ways, over whatever transport.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + fmt::Debug> Transport for T {}

/// A transport that has been accepted.
pub(super) type Stream = Pin<Box<dyn Transport>>;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    principal: Peer,
    _place: Place,
}

impl Connection {
    /// A connection to this principal, which has this place.
    pub(super) const fn new(stream: Stream, principal: Peer, place: Place) -> Self {
        Self { stream, principal, _place: place }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.principal
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
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
