//! The API without `mosctl`: for requests that `mosctl` would not send, and for errors with all
//! their details.

use std::net::IpAddr;

use mos_proto::v1::flow_service_client::FlowServiceClient;
use mos_proto::v1::{
    GetFlowRequest, GetSockOptRequest, GetSockOptResponse, PeekFlowRequest, PeekFlowResponse,
    SetSockOptRequest, SetSockOptResponse, SideStats,
};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::service::Mosd;

/// Bytes of one peek, at most.
const PEEK_BYTES_MAX: i32 = 1 << 20;

/// A blocking client.
#[derive(Debug)]
pub struct Rpc {
    runtime: Runtime,
    flows: FlowServiceClient<Channel>,
}

impl Rpc {
    /// Connects to a running service.
    #[track_caller]
    pub fn connect(service: &Mosd) -> Self {
        let address = format!("unix://{}", service.socket().display());
        Self::over(&Endpoint::from_shared(address).expect("an endpoint"))
    }

    /// Connects over TCP, from this address of the client.
    #[track_caller]
    pub fn connect_from(address: &str, from: IpAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an endpoint");
        Self::over(&endpoint.local_address(Some(from)))
    }

    #[track_caller]
    fn over(endpoint: &Endpoint) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let channel = runtime.block_on(endpoint.connect()).expect("the service answers");
        let flows = FlowServiceClient::new(channel).max_decoding_message_size(8 << 20);
        Self { runtime, flows }
    }

    /// Sets options.
    ///
    /// # Errors
    ///
    /// The error that the service returns.
    pub fn set(&mut self, request: SetSockOptRequest) -> Result<SetSockOptResponse, Box<Refused>> {
        let answer = self.runtime.block_on(self.flows.set_sock_opt(request));
        answer.map(tonic::Response::into_inner).map_err(|status| Box::new(status.into()))
    }

    /// Reads options.
    ///
    /// # Errors
    ///
    /// The error that the service returns.
    pub fn get(&mut self, flow: &str) -> Result<GetSockOptResponse, Box<Refused>> {
        let request = GetSockOptRequest { flow: flow.to_owned(), raw: None };
        let answer = self.runtime.block_on(self.flows.get_sock_opt(request));
        answer.map(tonic::Response::into_inner).map_err(|status| Box::new(status.into()))
    }

    /// Peeks once.
    ///
    /// # Errors
    ///
    /// The error that the service returns.
    pub fn peek(&mut self, request: PeekFlowRequest) -> Result<PeekFlowResponse, Box<Refused>> {
        let answer = self.runtime.block_on(self.flows.peek_flow(request));
        answer.map(tonic::Response::into_inner).map_err(|status| Box::new(status.into()))
    }

    /// Bytes of both directions of a flow that its buffers have received in order, evicted ones
    /// included. A side without a buffer counts as 0. `None` if the flow is gone.
    #[track_caller]
    pub fn taken(&mut self, flow: &str) -> Option<usize> {
        let request = GetFlowRequest { flow: flow.to_owned(), view: 0 };
        let answer = match self.runtime.block_on(self.flows.get_flow(request)) {
            Ok(answer) => answer.into_inner().flow?,
            Err(status) if status.code() == Code::NotFound => return None,
            Err(status) => panic!("GetFlow: {status:?}"),
        };
        let taken = |stats: Option<SideStats>| {
            let at = stats.and_then(|stats| stats.positions).unwrap_or_default();
            at.next_byte_expected.wrapping_sub(at.init_seq) as usize
        };
        Some(taken(answer.client_stats) + taken(answer.server_stats))
    }

    /// Every held run of bytes of one side's buffer, with its offset, oldest first.
    #[track_caller]
    pub fn held(&mut self, flow: &str, side: mos_proto::v1::Side) -> Vec<(usize, Vec<u8>)> {
        let mut runs: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut offset = None;
        loop {
            let request = PeekFlowRequest {
                flow: flow.to_owned(),
                side: side.into(),
                offset,
                max_bytes: PEEK_BYTES_MAX,
            };
            let answer = self.peek(request).unwrap_or_else(|refused| panic!("peek: {refused:?}"));
            let from = usize::try_from(answer.offset).expect("an offset");
            let joins = runs.last().is_some_and(|(at, run)| at + run.len() == from);
            match runs.last_mut() {
                Some((_, run)) if joins => run.extend_from_slice(&answer.data),
                Some(_) | None => runs.push((from, answer.data)),
            }
            let Some(next) = answer.next_held_offset else { return runs };
            assert!(offset != Some(next), "peek does not go on at {next}");
            offset = Some(next);
        }
    }
}

/// An error with its decoded details.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The gRPC code.
    pub code: Code,
    /// `ErrorInfo.reason`.
    pub reason: String,
    /// `ErrorInfo.domain`.
    pub domain: String,
    /// `ErrorInfo.metadata["errno"]`.
    pub errno: String,
    /// Fields of `BadRequest`.
    pub fields: Vec<String>,
    /// The message.
    pub message: String,
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let errno = info.and_then(|info| info.metadata.get("errno").cloned());
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice());
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            domain: info.map(|info| info.domain.clone()).unwrap_or_default(),
            errno: errno.unwrap_or_default(),
            fields: violations.into_iter().flatten().map(|one| one.field.clone()).collect(),
            message: status.message().to_owned(),
        }
    }
}
