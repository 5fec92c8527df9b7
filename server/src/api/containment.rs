//! A panic while a request is answered: the client gets INTERNAL, and everything else goes on.
//!
//! One layer around all services, so that no handler can be forgotten: those of health and
//! reflection, and the bodies of streams, are covered as well.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body};
use tower::{ServiceExt as _, service_fn};

use crate::{
    api::{rejection::Rejection, status::last_frame},
    net::http2::{Request, Serve},
    panics::{self, Panicked},
};

/// The service, whose panics are answered.
pub(crate) fn containing<S: Serve>(service: S) -> impl Serve {
    service_fn(move |request: Request| {
        let answer = service.clone().oneshot(request);
        async {
            match panics::contained(answer).await {
                Ok(answer) => answer.map(|response| response.map(ContainedBody::of)),
                Err(Panicked { id }) => Ok(Status::from(Rejection::Panicked(id)).into_http()),
            }
        }
    })
}

/// The body of an answer; `None` once it has panicked.
struct ContainedBody(Option<Body>);

impl ContainedBody {
    fn of(body: Body) -> Body {
        Body::new(Self(Some(body)))
    }
}

impl HttpBody for ContainedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        panics::caught(|| Pin::new(body).poll_frame(context)).unwrap_or_else(|panicked| {
            self.0 = None;
            Poll::Ready(Some(last_frame(Rejection::Panicked(panicked.id))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn};

    use http::HeaderMap;
    use tonic::Code;
    use tower::Service;

    use super::*;
    use crate::net::http2::Response;

    /// Where a service panics.
    #[derive(Debug, Clone, Copy)]
    enum Place {
        Call,
        Answer,
        Body,
    }

    /// Answers with a body of one frame, and panics behind it.
    struct OneFrame(Option<Frame<Bytes>>);

    impl HttpBody for OneFrame {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let frame = self.0.take().expect("no second frame");
            Poll::Ready(Some(Ok(frame)))
        }
    }

    impl Service<Request> for Place {
        type Response = Response;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

        fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _request: Request) -> Self::Future {
            let place = *self;
            assert!(!matches!(place, Self::Call), "in the call");
            Box::pin(async move {
                assert!(!matches!(place, Self::Answer), "in the answer");
                let frame = Frame::data(Bytes::from_static(b"data"));
                Ok(Response::new(Body::new(OneFrame(Some(frame)))))
            })
        }
    }

    async fn answer(place: Place) -> Response {
        containing(place).oneshot(Request::new(Body::default())).await.unwrap()
    }

    fn is_internal(headers: &HeaderMap) -> bool {
        Status::from_header_map(headers).is_some_and(|status| status.code() == Code::Internal)
    }

    #[tokio::test]
    async fn a_panic_before_the_answer_is_the_answer() {
        for place in [Place::Call, Place::Answer] {
            let response = answer(place).await;
            assert!(is_internal(response.headers()), "{place:?}: {response:?}");
        }
    }

    #[tokio::test]
    async fn a_panic_in_a_stream_ends_it_with_its_status() {
        let mut body = answer(Place::Body).await.into_body();
        let mut frames = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            frames.push(frame.unwrap());
        }
        let [data, trailers] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(data.data_ref().map(Bytes::as_ref), Some(&b"data"[..]));
        assert!(is_internal(trailers.trailers_ref().unwrap()), "{trailers:?}");
        assert!(body.is_end_stream());
    }
}
