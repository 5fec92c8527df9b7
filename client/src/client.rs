//! Typed calls to mosd, each bounded in time.

use std::{error::Error, fmt, time::Duration};

use mos_proto::v1::{
    ApplySockOptRequest, ApplySockOptResponse, BatchSetSockOptRequest, BatchSetSockOptResponse,
    ConfirmPoliciesRequest, ConfirmPoliciesResponse, CountFlowsRequest, CountFlowsResponse,
    CreatePolicyRequest, CreatePolicyResponse, DeletePolicyRequest, DeletePolicyResponse,
    ExplainPolicyRequest, ExplainPolicyResponse, ExportFlowsRequest, ExportFlowsResponse,
    GetCallerRequest, GetCallerResponse, GetFlowRequest, GetFlowResponse, GetPolicyRequest,
    GetPolicyResponse, GetServerInfoRequest, GetServerInfoResponse, GetSockOptRequest,
    GetSockOptResponse, GetStatusRequest, GetStatusResponse, ListAuditEntriesRequest,
    ListAuditEntriesResponse, ListFlowsRequest, ListFlowsResponse, ListPoliciesRequest,
    ListPoliciesResponse, ListPolicyGenerationsRequest, ListPolicyGenerationsResponse,
    PeekFlowRequest, PeekFlowResponse, RankFlowsRequest, RankFlowsResponse, ReadFlowRequest,
    ReadFlowResponse, ReplacePoliciesRequest, ReplacePoliciesResponse, RollbackPoliciesRequest,
    RollbackPoliciesResponse, SetSockOptRequest, SetSockOptResponse, UndoSockOptRequest,
    UndoSockOptResponse, WatchEventsRequest, WatchEventsResponse, WatchFlowsRequest,
    WatchFlowsResponse, event_service_client::EventServiceClient,
    flow_service_client::FlowServiceClient, policy_service_client::PolicyServiceClient,
    system_service_client::SystemServiceClient,
};
use mos_text::{Endpoint, Token};
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::{
    connect::{ConnectError, connect},
    tls::{TlsFiles, Untrusted},
};

/// Why a call failed.
#[derive(Debug)]
pub enum CallError {
    /// No answer came in time: whether the server acted is not known.
    TimedOut {
        /// Service and method.
        method: String,
        /// The timeout that passed.
        after: Duration,
    },
    /// The connection was lost, or what is at its other end does not speak gRPC. Whether the server
    /// acted is not known.
    Lost {
        /// Service and method.
        method: String,
        /// What happened to the connection.
        cause: String,
    },
    /// One end of TLS does not trust the other.
    Untrusted {
        /// Service and method.
        method: String,
        /// Why not.
        why: Untrusted,
    },
    /// The server answered with an error.
    Status {
        /// Service and method.
        method: String,
        /// The error with its details.
        status: Box<Status>,
    },
}

impl CallError {
    /// Converts the status that `method` returned. `after` is the timeout of the call.
    pub(crate) fn new(method: &str, status: Status, after: Duration) -> Self {
        // tonic enforces `grpc-timeout` in the client, too, and returns this as if the server had
        // sent it.
        let own_clock = status.code() == Code::Cancelled && status.message() == "Timeout expired";
        let method = method.to_owned();
        if own_clock {
            return Self::TimedOut { method, after };
        }
        // What tonic makes of an error of the connection has a source, and a code that no server
        // has sent.
        match status.source() {
            Some(error) => match Untrusted::among(error) {
                Some(why) => Self::Untrusted { method, why },
                None => Self::Lost { method, cause: root_cause(error) },
            },
            None => Self::Status { method, status: Box::new(status) },
        }
    }
}

/// The innermost cause of an error.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { method, after } => write!(f, "{method}: no answer within {after:?}"),
            Self::Lost { method, cause } => write!(f, "{method}: connection lost: {cause}"),
            Self::Untrusted { method, why } => write!(f, "{method}: {why}"),
            Self::Status { method, status } => write!(f, "{method}: {}", status.message()),
        }
    }
}

impl Error for CallError {}

/// A channel that adds a token to each call, where there is one.
pub type Authorized = InterceptedService<Channel, Bearer>;

/// The token of a channel, if it has one.
#[derive(Debug, Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A connection to mosd. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    bearer: Bearer,
    timeout: Duration,
}

impl Client {
    /// Connects within `connect_timeout`, with `files` where the endpoint is one of TLS; every
    /// later call is bounded by `timeout`.
    ///
    /// # Errors
    ///
    /// As [`connect`].
    pub async fn connect(
        endpoint: &Endpoint,
        files: &TlsFiles,
        connect_timeout: Duration,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let channel = connect(endpoint, files, connect_timeout).await?;
        Ok(Self { channel, bearer: Bearer::default(), timeout })
    }

    /// The same, with a token in each call.
    #[must_use]
    pub fn showing(self, token: &Token) -> Self {
        let value = format!("Bearer {}", token.secret_text());
        // An error means a byte that no header can hold, which a token has none of.
        let value = value.parse::<MetadataValue<Ascii>>().ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Self { bearer: Bearer(value), ..self }
    }

    /// The channel, for calls that have no method here.
    #[must_use]
    pub fn channel(&self) -> Authorized {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    /// The time that a call may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// One page of flows.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn list_flows(&self, m: ListFlowsRequest) -> Result<ListFlowsResponse, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        self.bounded("mos.v1.FlowService/ListFlows", flows.list_flows(self.request(m))).await
    }

    /// One flow.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn get_flow(&self, m: GetFlowRequest) -> Result<GetFlowResponse, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        self.bounded("mos.v1.FlowService/GetFlow", flows.get_flow(self.request(m))).await
    }

    /// The number of matching flows, in groups if asked to.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn count_flows(&self, m: CountFlowsRequest) -> Result<CountFlowsResponse, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        self.bounded("mos.v1.FlowService/CountFlows", flows.count_flows(self.request(m))).await
    }

    /// The flows with the largest values of a field.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn rank_flows(&self, m: RankFlowsRequest) -> Result<RankFlowsResponse, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        self.bounded("mos.v1.FlowService/RankFlows", flows.rank_flows(self.request(m))).await
    }

    /// Every matching flow, in chunks. The timeout bounds the opening of the stream.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn export_flows(
        &self,
        m: ExportFlowsRequest,
    ) -> Result<Streaming<ExportFlowsResponse>, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        // No `grpc-timeout`: it would bound the whole stream.
        self.bounded("mos.v1.FlowService/ExportFlows", flows.export_flows(Request::new(m))).await
    }

    /// The options of one flow.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn get_sock_opt(
        &self,
        m: GetSockOptRequest,
    ) -> Result<GetSockOptResponse, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        self.bounded("mos.v1.FlowService/GetSockOpt", flows.get_sock_opt(self.request(m))).await
    }

    /// Changes options of one flow.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time. In the latter case the
    /// change may have been applied; values are absolute, so asking again is safe.
    pub async fn set_sock_opt(
        &self,
        m: SetSockOptRequest,
    ) -> Result<SetSockOptResponse, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        self.bounded("mos.v1.FlowService/SetSockOpt", flows.set_sock_opt(self.request(m))).await
    }

    /// Changes options of several flows, each with an outcome of its own.
    ///
    /// # Errors
    ///
    /// As [`Self::set_sock_opt`].
    pub async fn batch_set_sock_opt(
        &self,
        m: BatchSetSockOptRequest,
    ) -> Result<BatchSetSockOptResponse, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        let answer = flows.batch_set_sock_opt(self.request(m));
        self.bounded("mos.v1.FlowService/BatchSetSockOpt", answer).await
    }

    /// Changes options of every flow that a filter matches, or only counts them.
    ///
    /// # Errors
    ///
    /// As [`Self::set_sock_opt`].
    pub async fn apply_sock_opt(
        &self,
        m: ApplySockOptRequest,
    ) -> Result<ApplySockOptResponse, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        self.bounded("mos.v1.FlowService/ApplySockOpt", flows.apply_sock_opt(self.request(m))).await
    }

    /// Puts back what a change of many flows has replaced.
    ///
    /// # Errors
    ///
    /// As [`Self::set_sock_opt`].
    pub async fn undo_sock_opt(
        &self,
        m: UndoSockOptRequest,
    ) -> Result<UndoSockOptResponse, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        self.bounded("mos.v1.FlowService/UndoSockOpt", flows.undo_sock_opt(self.request(m))).await
    }

    /// Buffered payload of one side of one flow.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn peek_flow(&self, m: PeekFlowRequest) -> Result<PeekFlowResponse, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        self.bounded("mos.v1.FlowService/PeekFlow", flows.peek_flow(self.request(m))).await
    }

    /// One side's stream as it grows. The timeout bounds the opening of the stream; the stream
    /// itself lasts as long as the flow.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn read_flow(
        &self,
        m: ReadFlowRequest,
    ) -> Result<Streaming<ReadFlowResponse>, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        // No `grpc-timeout`: it would bound the whole stream.
        self.bounded("mos.v1.FlowService/ReadFlow", flows.read_flow(Request::new(m))).await
    }

    /// The flows that are there, and their changes. Opening the stream is bounded in time, the
    /// stream itself is not.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn watch_flows(
        &self,
        m: WatchFlowsRequest,
    ) -> Result<Streaming<WatchFlowsResponse>, CallError> {
        let mut flows = FlowServiceClient::new(self.channel());
        self.bounded("mos.v1.FlowService/WatchFlows", flows.watch_flows(Request::new(m))).await
    }

    /// Events from now on. Opening the stream is bounded in time, the stream itself is not.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn watch_events(
        &self,
        m: WatchEventsRequest,
    ) -> Result<Streaming<WatchEventsResponse>, CallError> {
        let mut events = EventServiceClient::new(self.channel());
        self.bounded("mos.v1.EventService/WatchEvents", events.watch_events(Request::new(m))).await
    }

    /// The policies in match order, one page.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn list_policies(
        &self,
        m: ListPoliciesRequest,
    ) -> Result<ListPoliciesResponse, CallError> {
        let mut policies = PolicyServiceClient::new(self.channel());
        self.bounded("mos.v1.PolicyService/ListPolicies", policies.list_policies(self.request(m)))
            .await
    }

    /// One policy.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn get_policy(&self, m: GetPolicyRequest) -> Result<GetPolicyResponse, CallError> {
        let mut policies = PolicyServiceClient::new(self.channel());
        self.bounded("mos.v1.PolicyService/GetPolicy", policies.get_policy(self.request(m))).await
    }

    /// Adds a policy.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn create_policy(
        &self,
        m: CreatePolicyRequest,
    ) -> Result<CreatePolicyResponse, CallError> {
        let mut policies = PolicyServiceClient::new(self.channel());
        self.bounded("mos.v1.PolicyService/CreatePolicy", policies.create_policy(self.request(m)))
            .await
    }

    /// Removes a policy.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn delete_policy(
        &self,
        m: DeletePolicyRequest,
    ) -> Result<DeletePolicyResponse, CallError> {
        let mut policies = PolicyServiceClient::new(self.channel());
        self.bounded("mos.v1.PolicyService/DeletePolicy", policies.delete_policy(self.request(m)))
            .await
    }

    /// Replaces all policies.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn replace_policies(
        &self,
        m: ReplacePoliciesRequest,
    ) -> Result<ReplacePoliciesResponse, CallError> {
        let mut policies = PolicyServiceClient::new(self.channel());
        self.bounded(
            "mos.v1.PolicyService/ReplacePolicies",
            policies.replace_policies(self.request(m)),
        )
        .await
    }

    /// Confirms, or cancels, a change that waits for that.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn confirm_policies(
        &self,
        m: ConfirmPoliciesRequest,
    ) -> Result<ConfirmPoliciesResponse, CallError> {
        let mut policies = PolicyServiceClient::new(self.channel());
        self.bounded(
            "mos.v1.PolicyService/ConfirmPolicies",
            policies.confirm_policies(self.request(m)),
        )
        .await
    }

    /// Which policy a flow would begin with.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn explain_policy(
        &self,
        m: ExplainPolicyRequest,
    ) -> Result<ExplainPolicyResponse, CallError> {
        let mut policies = PolicyServiceClient::new(self.channel());
        self.bounded("mos.v1.PolicyService/ExplainPolicy", policies.explain_policy(self.request(m)))
            .await
    }

    /// The sets of policies that are kept.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn list_policy_generations(
        &self,
        m: ListPolicyGenerationsRequest,
    ) -> Result<ListPolicyGenerationsResponse, CallError> {
        let mut policies = PolicyServiceClient::new(self.channel());
        self.bounded(
            "mos.v1.PolicyService/ListPolicyGenerations",
            policies.list_policy_generations(self.request(m)),
        )
        .await
    }

    /// Returns to an older set of policies.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn rollback_policies(
        &self,
        m: RollbackPoliciesRequest,
    ) -> Result<RollbackPoliciesResponse, CallError> {
        let mut policies = PolicyServiceClient::new(self.channel());
        self.bounded(
            "mos.v1.PolicyService/RollbackPolicies",
            policies.rollback_policies(self.request(m)),
        )
        .await
    }

    /// Version, limits and features.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn server_info(&self) -> Result<GetServerInfoResponse, CallError> {
        let mut system = SystemServiceClient::new(self.channel());
        let answer = system.get_server_info(self.request(GetServerInfoRequest {}));
        self.bounded("mos.v1.SystemService/GetServerInfo", answer).await
    }

    /// Health in words.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn status(&self) -> Result<GetStatusResponse, CallError> {
        let mut system = SystemServiceClient::new(self.channel());
        let answer = system.get_status(self.request(GetStatusRequest {}));
        self.bounded("mos.v1.SystemService/GetStatus", answer).await
    }

    /// Who one is to mosd, and what one may do.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn caller(&self) -> Result<GetCallerResponse, CallError> {
        let mut system = SystemServiceClient::new(self.channel());
        let answer = system.get_caller(self.request(GetCallerRequest {}));
        self.bounded("mos.v1.SystemService/GetCaller", answer).await
    }

    /// What was entered in the audit, one page.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the server refuses or does not answer in time.
    pub async fn list_audit_entries(
        &self,
        m: ListAuditEntriesRequest,
    ) -> Result<ListAuditEntriesResponse, CallError> {
        let mut system = SystemServiceClient::new(self.channel());
        let answer = system.list_audit_entries(self.request(m));
        self.bounded("mos.v1.SystemService/ListAuditEntries", answer).await
    }

    /// The request with its timeout, which is sent to the server as `grpc-timeout`.
    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }

    /// Waits for `answer` within the timeout: for the message of a unary call, for the opening of a
    /// stream.
    async fn bounded<M>(
        &self,
        method: &str,
        answer: impl Future<Output = Result<Response<M>, Status>>,
    ) -> Result<M, CallError> {
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(CallError::new(method, status, self.timeout)),
            Err(_elapsed) => {
                Err(CallError::TimedOut { method: method.to_owned(), after: self.timeout })
            }
        }
    }
}
