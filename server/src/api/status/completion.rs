//! Statuses that gRPC itself makes get the details that ours have, and every call ends in time.
//!
//! tonic answers a method that does not exist or a message that cannot be read with a bare code,
//! and so do the health and reflection services for a name that they do not know. Their texts are
//! replaced: some repeat what was sent, of any length. A deadline of the client would end as a
//! bare CANCELLED; it is kept here, a moment before tonic would see it.

use http::HeaderMap;
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use tonic::{Code, Status, body::Body};
use tower::{ServiceExt as _, service_fn};

use crate::{
    api::rejection::{Rejection, Unserved},
    net::{
        call,
        http2::{Request, Response, Serve},
    },
};

/// The headers, or trailers, that a status consists of.
const STATUS: &str = "grpc-status";
const DETAILS: &str = "grpc-status-details-bin";

/// The service, whose every status has details.
pub(crate) fn completing<S: Serve>(service: S) -> impl Serve {
    service_fn(move |request: Request| {
        let limit = call::grpc_timeout(request.headers());
        let answer = service.clone().oneshot(request);
        async move {
            let response = match limit {
                None => answer.await?,
                Some(limit) => match timeout(limit, answer).await {
                    Ok(answer) => answer?,
                    Err(_elapsed) => Status::from(Rejection::from(Unserved::Late)).into_http(),
                },
            };
            Ok(completed(response))
        }
    })
}

/// The response with a complete status, wherever that stands.
fn completed(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if parts.headers.contains_key(STATUS) {
        complete(&mut parts.headers);
        return Response::from_parts(parts, body);
    }
    let body = body.map_frame(|mut frame| {
        if let Some(trailers) = frame.trailers_mut() {
            complete(trailers);
        }
        frame
    });
    Response::from_parts(parts, Body::new(body))
}

/// Completes the status in headers or trailers.
fn complete(headers: &mut HeaderMap) {
    if headers.contains_key(DETAILS) {
        return;
    }
    let unserved = Status::from_header_map(headers).as_ref().and_then(unserved);
    if let Some(rejection) = unserved.map(Rejection::from) {
        // An error means a byte that no header can hold; messages are percent-encoded.
        let _whole_or_bare: Result<(), Status> = Status::from(rejection).add_header(headers);
    }
}

/// What a bare status means; `None` for OK.
fn unserved(status: &Status) -> Option<Unserved> {
    Some(match status.code() {
        Code::Ok => return None,
        // What tonic does not route has no message.
        Code::Unimplemented if status.message().is_empty() => Unserved::NoSuchMethod,
        Code::Unimplemented => Unserved::Compression,
        Code::OutOfRange | Code::ResourceExhausted => Unserved::RequestTooLarge,
        Code::NotFound => Unserved::NoSuchName,
        Code::Internal | Code::InvalidArgument | Code::Unknown => {
            Unserved::Unreadable(status.message().to_owned())
        }
        Code::Cancelled => Unserved::Cancelled,
        Code::DeadlineExceeded => Unserved::Late,
        code @ (Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated) => Unserved::Unexplained(code.into()),
    })
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::pending, time::Duration};

    use mos_text::{DOMAIN, Reason};
    use tonic_types::StatusExt as _;

    use super::*;

    fn bare(code: Code, message: &str) -> HeaderMap {
        let response: http::Response<()> = Status::new(code, message).into_http();
        response.headers().clone()
    }

    #[test]
    fn every_bare_status_gets_a_reason_and_a_text_of_ours() {
        let sent = "x".repeat(100_000);
        for code in (0..17).map(Code::from_i32) {
            let mut headers = bare(code, &sent);
            complete(&mut headers);
            let status = Status::from_header_map(&headers).unwrap();
            if code == Code::Ok {
                assert_eq!(headers, bare(code, &sent));
                continue;
            }
            let details = status.get_error_details();
            let info = details.error_info().unwrap_or_else(|| panic!("{code:?} has no reason"));
            assert_eq!(info.domain, DOMAIN);
            assert!(Reason::from_name(&info.reason).is_some(), "{}", info.reason);
            assert!(status.message().len() < 300, "{code:?}: {}", status.message());
        }
    }

    #[test]
    fn a_status_of_ours_stays_as_it_is() {
        let response: http::Response<()> = Status::from(Rejection::Stopping).into_http();
        let mut headers = response.headers().clone();
        complete(&mut headers);
        assert_eq!(&headers, response.headers());
    }

    #[tokio::test]
    async fn a_status_is_completed_behind_the_messages_too() {
        let trailers = bare(Code::NotFound, "no such symbol");
        let body = http_body_util::Full::new("message".into())
            .with_trailers(std::future::ready(Some(Ok(trailers))));
        let response = completed(Response::new(Body::new(body)));
        let collected = response.into_body().collect().await.unwrap();
        let status = Status::from_header_map(collected.trailers().unwrap()).unwrap();
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "NAME_UNKNOWN");
        assert_eq!(collected.to_bytes(), "message");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_of_the_client_ends_the_call_with_a_reason() {
        let never = service_fn(|_| pending::<Result<Response, Infallible>>());
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert("grpc-timeout", "200m".parse().unwrap());
        let before = tokio::time::Instant::now();
        let response = completing(never).oneshot(request).await.unwrap();
        assert!(before.elapsed() >= Duration::from_millis(200));
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "DEADLINE_EXCEEDED");
    }
}
