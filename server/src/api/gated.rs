//! The gate in front of all services, those of health and reflection included: a call without the
//! role that it needs is answered before anything else looks at it, and a stream ends when a role
//! is gone that it was opened with.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use metrics::counter;
use mos_proto::Method;
use tonic::{Status, body::Body};
use tower::{ServiceExt as _, service_fn};

use crate::{
    api::{convert, rejection::Rejection, status::last_frame},
    auth::{Gate, Proof, Refused, Role, Roles},
    net::http2::{Request, Serve},
};

/// The service, behind the gate.
pub(crate) fn gated<S: Serve>(service: S, gate: Arc<Gate>) -> impl Serve {
    service_fn(move |mut request: Request| {
        let (service, gate) = (service.clone(), Arc::clone(&gate));
        async move {
            let path = request.uri().path();
            // Every listener of ours says what it knows of the other end.
            let Some(proof) = request.extensions().get::<Proof>().cloned() else {
                let (needed, caller) = (Role::Viewer.as_str(), "unknown".to_owned());
                let nobody = Rejection::RoleRequired { needed, caller, held: Roles::default() };
                return Ok(Status::from(nobody).into_http());
            };
            let roles = match gate.admit(&proof, convert::needed(path)) {
                Ok(roles) => roles,
                Err(refused) => return Ok(Status::from(told(&proof, refused)).into_http()),
            };
            let streams = Method::at(path).is_some_and(|method| method.is_streaming);
            request.extensions_mut().insert(roles);
            let response = service.oneshot(request).await?;
            if !streams {
                return Ok(response);
            }
            let lost = async move { told(&proof, gate.lost(&proof, roles).await) };
            Ok(response.map(|body| Body::new(GatedBody { body: Some(body), lost: Box::pin(lost) })))
        }
    })
}

/// What a caller is told who is not let in. The log is told, too.
fn told(proof: &Proof, refused: Refused) -> Rejection {
    let caller = proof.principal().to_string();
    let (role, held) = match refused {
        Refused::Role { role, held } => (role, held),
        Refused::Unproven(why) => {
            counter!("mosd_calls_unproven_total").increment(1);
            tracing::info!(%why, by = caller, "call refused, or stream ended: not proven by whom");
            return Rejection::Unproven(why);
        }
    };
    let needed = role.as_str();
    counter!("mosd_calls_refused_total", "role" => needed).increment(1);
    tracing::info!(role = needed, %held, by = caller, "call refused, or stream ended: no role");
    Rejection::RoleRequired { needed, caller, held }
}

/// The body of a stream, which ends when a role of its caller is gone.
struct GatedBody<L> {
    /// `None` once that has been told.
    body: Option<Body>,
    /// Why it ends then.
    lost: Pin<Box<L>>,
}

impl<L: Future<Output = Rejection>> HttpBody for GatedBody<L> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body: open, lost } = &mut *self;
        let Some(body) = open else { return Poll::Ready(None) };
        if let Poll::Ready(rejection) = lost.as_mut().poll(context) {
            // What the stream held is free from here on.
            *open = None;
            return Poll::Ready(Some(last_frame(rejection)));
        }
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}
