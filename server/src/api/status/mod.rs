//! Errors as clients see them: the only place that knows errno names and gRPC codes.
//!
//! `rows` says what each reason is: its code, its errno and when to try again. `explain` has one
//! arm for each [`Rejection`]: its reason, what it is about, and the numbers that a program may
//! want. `completion` gives the statuses of gRPC itself the same details. Clients decide by
//! `(code, reason)`; message texts may change.

pub(crate) mod completion;
mod explain;
mod rows;

use std::collections::HashMap;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use mos_text::DOMAIN;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _, pb};

use self::explain::{About, Explanation};
pub use self::rows::ErrorRow;
use crate::api::rejection::Rejection;

/// The code that an RPC ended with.
pub(super) fn code_of<T>(outcome: &Result<T, Status>) -> Code {
    outcome.as_ref().err().map_or(Code::Ok, Status::code)
}

/// The number of the code of a rejection, and its reason: what a record of it says.
pub(super) fn outcome_of(rejection: &Rejection) -> (i32, &'static str) {
    let Explanation { reason, .. } = rejection.explain();
    (ErrorRow::of(reason).code.into(), reason.as_str())
}

/// A rejection as one outcome among several.
pub(super) fn rpc_status(rejection: Rejection) -> pb::Status {
    let status = Status::from(rejection);
    let bare = |_| pb::Status { message: status.message().to_owned(), ..pb::Status::default() };
    let details = pb::Status::decode(status.details()).unwrap_or_else(bare);
    pb::Status { code: status.code().into(), ..details }
}

/// What ends a stream that is under way: its status.
pub(super) fn last_frame(rejection: Rejection) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    Status::from(rejection).add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let (message, wait) = (rejection.to_string(), rejection.wait());
        let Explanation { reason, about, metadata, text } = rejection.explain();
        let ErrorRow { code, errno, retry, .. } = ErrorRow::of(reason);
        let errno = errno.map(|errno| ("errno", errno.to_owned()));
        let metadata = metadata.into_iter().chain(errno);
        let mut details = ErrorDetails::with_error_info(
            reason.as_str(),
            DOMAIN,
            metadata.map(|(key, value)| (key.to_owned(), value)).collect::<HashMap<_, _>>(),
        );
        let retry = wait.or(retry);
        if retry.is_some() {
            details.set_retry_info(retry);
        }
        let text = text.unwrap_or_else(|| message.clone());
        match about {
            About::Nothing => {}
            About::Field(path) => {
                details.add_bad_request_violation(path, text);
            }
            About::Resource { kind, name } => {
                details.set_resource_info(kind, name, "", text);
            }
            About::State(name) => {
                details.add_precondition_failure_violation(reason.as_str(), name, text);
            }
            About::Quota(name) => {
                details.add_quota_failure_violation(name, text);
            }
            About::Request(id) => {
                details.set_request_info(id, "");
            }
        }
        Self::with_error_details(code, message, details)
    }
}
