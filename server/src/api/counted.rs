//! Services of others, whose streams count like ours: health and reflection.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

use super::{state::Control, streams::Admission};
use crate::auth::Proof;

/// Their methods that stream, by the ends of their paths.
const STREAMING: [&str; 2] = ["/Watch", "/ServerReflectionInfo"];

/// A service of others.
#[derive(Debug, Clone)]
pub(crate) struct Counted<S> {
    inner: S,
    control: Arc<Control>,
}

impl<S> Counted<S> {
    /// Counts the streams of this service.
    pub(crate) const fn new(inner: S, control: Arc<Control>) -> Self {
        Self { inner, control }
    }
}

impl<S: NamedService> NamedService for Counted<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !STREAMING.iter().any(|end| request.uri().path().ends_with(end)) {
            return Box::pin(self.inner.call(request));
        }
        let principal = request.extensions().get::<Proof>().map(Proof::principal);
        match self.control.streams.admit(principal) {
            Ok(admission) => {
                let response = self.inner.call(request);
                Box::pin(async {
                    let held = |body| Body::new(Held { body, _admission: admission });
                    Ok(response.await?.map(held))
                })
            }
            Err(rejection) => Box::pin(async { Ok(Status::from(rejection).into_http()) }),
        }
    }
}

/// The body of a stream, with its right to run.
struct Held {
    body: Body,
    _admission: Admission,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
