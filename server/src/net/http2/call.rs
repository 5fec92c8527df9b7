//! One call: its request, the service, its answer, and what cuts it off.

use std::{future::poll_fn, sync::Arc};

use h2::{RecvStream, server::SendResponse};
use tokio::time::timeout;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::{
    Serve, Server,
    answer::{Piece, refuse},
    caller::Caller,
    request::RequestBody,
};
use crate::{budgets::Share, net::Cutoff, words::bounds::CALL_MAX};

impl<S: Serve> Server<S> {
    /// Carries out one call, unless the client gives it up before.
    pub(super) async fn call(
        self: Arc<Self>,
        caller: Caller,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Piece>,
        _share: Share,
    ) {
        let mut request = request.map(|stream| Body::new(RequestBody(stream)));
        request.extensions_mut().insert(caller.proof.clone());
        let response = timeout(CALL_MAX, self.service.clone().oneshot(request));
        let response = tokio::select! {
            _given_up = poll_fn(|context| respond.poll_reset(context)) => return,
            response = response => match response {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_elapsed) => return refuse(respond, &(self.tell)(Cutoff::Unfinished)),
            },
        };
        self.answer(&caller, response, respond).await;
    }
}
