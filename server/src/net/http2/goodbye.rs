//! Tells a client why it is not let in: GOAWAY with a reason, instead of a connection that just
//! ends.

use std::time::Duration;

use h2::Reason;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
    time::timeout,
};

use crate::{budgets::Spent, net::connection::Accepted};

/// Clients that may be told at once. Beyond, connections end without a word.
const GOODBYES_MAX: usize = 32;

/// Time to tell it.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// An empty SETTINGS frame: what a server says first (RFC 9113, section 3.4).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Type of GOAWAY.
const GOAWAY: u8 = 7;

/// Ends this connection; tells why, if not too many are told already.
pub(super) fn refuse(goodbyes: &mut JoinSet<()>, accepted: Accepted, Spent { max }: Spent) {
    let principal = accepted.principal();
    tracing::debug!(?principal, max, "connection refused: too many");
    if goodbyes.len() < GOODBYES_MAX {
        goodbyes.spawn(async move {
            // Too slow to be told.
            let _told: Result<(), _> = timeout(GOODBYE_MAX, say(accepted, max)).await;
        });
    }
}

async fn say(mut accepted: Accepted, max: usize) {
    let text = format!("{max} connections are open and busy already: more are not allowed");
    let words = [&SETTINGS[..], &goaway(Reason::ENHANCE_YOUR_CALM, text.as_bytes())].concat();
    let stream = &mut accepted.stream;
    if stream.write_all(&words).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    // If what it sends were left unread, closing would take back what it was told.
    let mut unheard = [0; 1024];
    while stream.read(&mut unheard).await.is_ok_and(|count| count > 0) {}
}

/// A GOAWAY frame after which no stream was begun (RFC 9113, section 6.8).
fn goaway(reason: Reason, text: &[u8]) -> Vec<u8> {
    let last_stream = 0_u32;
    let payload = [&last_stream.to_be_bytes(), &u32::from(reason).to_be_bytes(), text].concat();
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&length[1..], &[GOAWAY, 0, 0, 0, 0, 0], &payload].concat()
}
