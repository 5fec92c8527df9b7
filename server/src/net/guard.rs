//! The guard in front of everything: only what a gRPC client sends gets further.
//!
//! A browser asks for what any web page tells it to, with the certificate or from the address of
//! its user. Neither tonic nor HTTP/2 looks at what tells such a request from a client's: its
//! method, its content type, and the headers that only browsers send. A name that a page had
//! resolved to our address gains it nothing: what its browser sends has those headers, too.

use http::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_TYPE, HeaderName, ORIGIN},
};
use metrics::counter;
use tonic::body::Body;
use tower::{ServiceExt as _, service_fn};

use super::http2::{Request, Response, Serve};
use crate::auth::Proof;

/// What the content types of gRPC begin with. One with more to its name is another: grpc-web.
const GRPC: &str = "application/grpc";

/// Says which site has asked for a request. Pages cannot leave it out.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The service, behind the guard.
pub(crate) fn guarded<S: Serve>(service: S) -> impl Serve {
    service_fn(move |request: Request| {
        let foreign = foreign(&request);
        let answer = match foreign {
            Some(why) => Err(refused(&request, why)),
            None => Ok(service.clone().oneshot(request)),
        };
        async {
            match answer {
                Ok(answer) => answer.await,
                Err(refused) => Ok(refused),
            }
        }
    })
}

/// Why this is no request of a gRPC client.
fn foreign(request: &Request) -> Option<StatusCode> {
    let headers = request.headers();
    if request.method() != Method::POST {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !is_grpc(headers) {
        return Some(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let by_browser = headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE);
    by_browser.then_some(StatusCode::FORBIDDEN)
}

/// Whether there is one content type, and that of gRPC: alone, or with `+proto` or parameters.
fn is_grpc(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(first), None) = (types.next(), types.next()) else { return false };
    let rest = first.to_str().ok().and_then(|text| text.strip_prefix(GRPC));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

fn refused(request: &Request, why: StatusCode) -> Response {
    let by = request.extensions().get::<Proof>().map(|proof| proof.principal().to_string());
    let by = by.unwrap_or_else(|| "unknown".to_owned());
    counter!("mosd_foreign_requests_total", "status" => why.as_u16().to_string()).increment(1);
    tracing::info!(%why, by, "a request that no gRPC client sends was refused");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = why;
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    async fn status(method: Method, headers: &[(&'static str, &str)]) -> u16 {
        let served = service_fn(async |_| Ok::<_, Infallible>(Response::new(Body::empty())));
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        guarded(served).oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn only_what_a_grpc_client_sends_gets_further() {
        let grpc = ("content-type", "application/grpc");
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
            assert_eq!(status(Method::POST, &[("content-type", kind)]).await, 200, "{kind}");
        }
        for method in [Method::GET, Method::OPTIONS, Method::PUT, Method::HEAD] {
            assert_eq!(status(method.clone(), &[grpc]).await, 405, "{method}");
        }
        for kinds in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/grpc-web")],
            &[("content-type", "application/grpc-web+proto")],
            &[("content-type", "application/grpcx")],
            &[("content-type", "application/json")],
            &[grpc, ("content-type", "text/plain")],
        ] {
            assert_eq!(status(Method::POST, kinds).await, 415, "{kinds:?}");
        }
        for header in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:50551"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(status(Method::POST, &[grpc, header]).await, 403, "{header:?}");
        }
    }
}
