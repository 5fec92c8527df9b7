//! What the commands that follow a stream have in common.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use mos_proto::v1::Subscribed;
use tonic::{Status, Streaming};

use super::Session;
use crate::{client::CallError, error::Failure};

/// Follows a stream of `method` for that long; without a timeout, to its end.
pub(super) async fn within<T>(
    timeout: Option<Duration>,
    method: &str,
    follow: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(after) = timeout else { return follow.await };
    let late = |_elapsed| CallError::TimedOut { method: method.to_owned(), after };
    tokio::time::timeout(after, follow).await.map_err(late)?
}

/// Says that a subscription has begun.
pub(super) fn note_subscribed(session: &mut Session, subscribed: &Subscribed) {
    let Subscribed { boot_id, subscription } = subscribed;
    session.output.note(&format!("watching: {subscription}, boot {boot_id}"));
}

/// The next message. Flushes the output before it waits.
///
/// # Errors
///
/// The status with which the stream ends; also where it ends without one.
pub(super) async fn next<T>(
    session: &mut Session,
    stream: &mut Streaming<T>,
    method: &str,
) -> Result<T, Failure> {
    let failed = |status: Status| CallError::new(method, status, Duration::default());
    let mut coming = pin!(stream.message());
    let ready = poll_fn(|context| {
        Poll::Ready(match coming.as_mut().poll(context) {
            Poll::Ready(message) => Some(message),
            Poll::Pending => None,
        })
    })
    .await;
    let message = match ready {
        Some(message) => message,
        None => {
            session.output.flush()?;
            coming.await
        }
    };
    let ended = || Failure::Contract("the server ended the stream without a word".to_owned());
    message.map_err(failed)?.ok_or_else(ended)
}
