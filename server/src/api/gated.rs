//! The gate in front of all services, those of health and reflection included: a call without the
//! role that it needs is answered before anything else looks at it, and a stream ends when a role
//! is gone that it was opened with.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, header::AUTHORIZATION};
use http_body::{Body as HttpBody, Frame, SizeHint};
use metrics::counter;
use mos_proto::Method;
use mos_text::{Echo, Token};
use tonic::{Status, body::Body};
use tower::{ServiceExt as _, service_fn};

use crate::{
    api::{
        audited::entry,
        convert,
        rejection::Rejection,
        status::{last_frame, outcome_of},
    },
    audit::{Audit, Entry, Event},
    auth::{Counted, Gate, Proof, Refused, Role, Roles, Shown, TooFast},
    net::http2::{Request, Serve},
};

/// What stands before a token.
const BEARER: &str = "Bearer ";

/// The service, behind the gate.
pub(crate) fn gated<S: Serve>(service: S, gate: Arc<Gate>, audit: Arc<Audit>) -> impl Serve {
    let door = Arc::new(Door { gate, audit });
    service_fn(move |mut request: Request| {
        let (service, door) = (service.clone(), Arc::clone(&door));
        async move {
            let path = request.uri().path();
            // Every listener of ours says what it knows of the other end.
            let Some(proof) = request.extensions().get::<Proof>().cloned() else {
                let (needed, caller) = (Role::Viewer.as_str(), "unknown".to_owned());
                let nobody = Rejection::RoleRequired { needed, caller, held: Roles::default() };
                return Ok(Status::from(nobody).into_http());
            };
            let needed = convert::needed(path);
            let proof = match proof.clone().showing(shown(request.headers())) {
                Ok(proof) => proof,
                // Health and reflection are for those who show nonsense, too.
                Err(_unproven) if needed.is_none() && Method::at(path).is_none() => proof,
                Err(why) => {
                    let refused = Refused::Unproven(why);
                    return Ok(Status::from(door.refuse(&proof, path, refused)).into_http());
                }
            };
            let roles = match door.gate.admit(&proof, needed) {
                Ok(roles) => roles,
                Err(refused) => {
                    return Ok(Status::from(door.refuse(&proof, path, refused)).into_http());
                }
            };
            if let Err(rejection) = door.count(&proof, path, needed) {
                return Ok(Status::from(rejection).into_http());
            }
            if needed.is_some() {
                door.welcome(&proof);
            }
            let method = Method::at(path).filter(|method| method.is_streaming);
            request.headers_mut().remove(AUTHORIZATION);
            request.extensions_mut().insert(proof.clone());
            request.extensions_mut().insert(roles);
            let response = service.oneshot(request).await?;
            let Some(method) = method else { return Ok(response) };
            let lost = async move {
                let refused = door.gate.lost(&proof, roles).await;
                door.refuse(&proof, method.path, refused)
            };
            Ok(response.map(|body| Body::new(GatedBody { body: Some(body), lost: Box::pin(lost) })))
        }
    })
}

/// The token that a call shows. What is wrong with one is not told apart.
fn shown(headers: &HeaderMap) -> Shown {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let token = match (all.next(), all.next()) {
        (None, _) => return Shown::Nothing,
        (Some(one), None) => one.to_str().ok().and_then(|text| text.strip_prefix(BEARER)),
        (Some(_), Some(_)) => None,
    };
    token.and_then(Token::read).map_or(Shown::Other, Shown::Token)
}

/// The gate, and who is told of what happens there.
struct Door {
    gate: Arc<Gate>,
    audit: Arc<Audit>,
}

impl Door {
    /// What a caller is told who is not let in. The log and the audit are told, too.
    fn refuse(&self, proof: &Proof, path: &str, refused: Refused) -> Rejection {
        let rejection = told(proof, refused);
        let (code, reason) = outcome_of(&rejection);
        let denied = entry(&self.gate, Event::Denied, proof);
        let method = Echo(path.trim_start_matches('/')).head().to_owned();
        let (code, reason) = (Some(code), reason.to_owned());
        self.audit.post_some(Entry { method, code, reason, ..denied });
        rejection
    }

    /// Counts a call, where its caller has a rate. Health and reflection are free.
    fn count(&self, proof: &Proof, path: &str, needed: Option<Role>) -> Result<(), Rejection> {
        if Method::at(path).is_none() {
            return Ok(());
        }
        let counted = self.gate.count(proof, Counted::Calls);
        let counted = counted.and_then(|()| match needed {
            Some(Role::Operator) => self.gate.count(proof, Counted::Changes),
            Some(Role::Viewer | Role::Payload | Role::Admin) | None => Ok(()),
        });
        counted.map_err(|TooFast { counted, max, wait }| {
            let what = match counted {
                Counted::Calls => "calls",
                Counted::Changes => "changes",
            };
            counter!("mosd_calls_rate_limited_total", "what" => what).increment(1);
            let by = proof.principal().to_string();
            tracing::info!(what, %max, by, "call refused: it came too soon");
            Rejection::RateLimited { what, max: max.get(), wait }
        })
    }

    /// Enters the first call of a connection over TLS.
    fn welcome(&self, proof: &Proof) {
        if proof.is_new() {
            self.audit.post_some(entry(&self.gate, Event::SignIn, proof));
        }
    }
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
