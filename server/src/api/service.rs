//! The tonic traits of `mos.v1`: each method is one call into `rpc/`.

use std::sync::Arc;

use mos_proto::v1::{
    self, event_service_server::EventService, flow_service_server::FlowService,
    policy_service_server::PolicyService, system_service_server::SystemService,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status, codegen::BoxStream};

use crate::{
    api::{
        audited::{self, Audited},
        rejection::Rejection,
        rpc,
        state::Control,
        status::code_of,
    },
    net::call::Call,
};

/// Implements every service over the shared state.
#[derive(Debug, Clone)]
pub struct Service(Arc<Control>);

impl Service {
    /// Services over this state.
    #[must_use]
    pub const fn new(control: Arc<Control>) -> Self {
        Self(control)
    }

    /// Carries out one RPC and records how long it took and how it ended; of a stream, how long
    /// it took to open.
    async fn answer<Q, A>(
        &self,
        method: &'static str,
        request: Request<Q>,
        rpc: impl AsyncFnOnce(&Control, &Call, Q) -> Result<A, Rejection>,
    ) -> Result<Response<A>, Status> {
        let start = Instant::now();
        let call = Call::of(&request);
        let outcome = rpc(&self.0, &call, request.into_inner()).await.map_err(Status::from);
        let code = code_of(&outcome);
        metrics::histogram!(
            "rpc_server_duration_seconds",
            "rpc_method" => method,
            "rpc_grpc_status_code" => i32::from(code).to_string()
        )
        .record(start.elapsed().as_secs_f64());
        if let Err(status) = &outcome {
            let (by, why) = (call.caller(), status.message());
            tracing::debug!(method, ?code, why, by, "request refused");
        }
        outcome.map(Response::new)
    }
}

impl Service {
    /// Carries out one RPC that is entered in the audit: its intent before, its result behind.
    async fn change<Q: Audited, A>(
        &self,
        method: &'static str,
        request: Request<Q>,
        rpc: impl AsyncFnOnce(&Control, &Call, Q) -> Result<A, Rejection>,
    ) -> Result<Response<A>, Status> {
        self.answer(method, request, async |control, call, request| {
            let record = audited::begin(control, call, method, &request).await?;
            let outcome = rpc(control, call, request).await;
            audited::end(record, &outcome).await;
            outcome
        })
        .await
    }
}

#[tonic::async_trait]
impl FlowService for Service {
    async fn list_flows(
        &self,
        request: Request<v1::ListFlowsRequest>,
    ) -> Result<Response<v1::ListFlowsResponse>, Status> {
        self.answer("mos.v1.FlowService/ListFlows", request, rpc::list_flows).await
    }

    async fn get_flow(
        &self,
        request: Request<v1::GetFlowRequest>,
    ) -> Result<Response<v1::GetFlowResponse>, Status> {
        self.answer("mos.v1.FlowService/GetFlow", request, rpc::get_flow).await
    }

    async fn count_flows(
        &self,
        request: Request<v1::CountFlowsRequest>,
    ) -> Result<Response<v1::CountFlowsResponse>, Status> {
        self.answer("mos.v1.FlowService/CountFlows", request, rpc::count_flows).await
    }

    async fn rank_flows(
        &self,
        request: Request<v1::RankFlowsRequest>,
    ) -> Result<Response<v1::RankFlowsResponse>, Status> {
        self.answer("mos.v1.FlowService/RankFlows", request, rpc::rank_flows).await
    }

    type ExportFlowsStream = rpc::ExportFlowsStream;

    async fn export_flows(
        &self,
        request: Request<v1::ExportFlowsRequest>,
    ) -> Result<Response<Self::ExportFlowsStream>, Status> {
        let control = Arc::clone(&self.0);
        self.answer("mos.v1.FlowService/ExportFlows", request, async |_, call, request| {
            rpc::export_flows(control, call, &request)
        })
        .await
    }

    type WatchFlowsStream = rpc::WatchFlowsStream;

    async fn watch_flows(
        &self,
        request: Request<v1::WatchFlowsRequest>,
    ) -> Result<Response<Self::WatchFlowsStream>, Status> {
        let control = Arc::clone(&self.0);
        self.answer("mos.v1.FlowService/WatchFlows", request, async |_, call, request| {
            rpc::watch_flows(control, call, request).await
        })
        .await
    }

    async fn get_sock_opt(
        &self,
        request: Request<v1::GetSockOptRequest>,
    ) -> Result<Response<v1::GetSockOptResponse>, Status> {
        self.answer("mos.v1.FlowService/GetSockOpt", request, rpc::get_sock_opt).await
    }

    async fn set_sock_opt(
        &self,
        request: Request<v1::SetSockOptRequest>,
    ) -> Result<Response<v1::SetSockOptResponse>, Status> {
        self.change("mos.v1.FlowService/SetSockOpt", request, rpc::set_sock_opt).await
    }

    async fn batch_set_sock_opt(
        &self,
        request: Request<v1::BatchSetSockOptRequest>,
    ) -> Result<Response<v1::BatchSetSockOptResponse>, Status> {
        self.change("mos.v1.FlowService/BatchSetSockOpt", request, rpc::batch_set_sock_opt).await
    }

    async fn apply_sock_opt(
        &self,
        request: Request<v1::ApplySockOptRequest>,
    ) -> Result<Response<v1::ApplySockOptResponse>, Status> {
        self.change("mos.v1.FlowService/ApplySockOpt", request, rpc::apply_sock_opt).await
    }

    async fn undo_sock_opt(
        &self,
        request: Request<v1::UndoSockOptRequest>,
    ) -> Result<Response<v1::UndoSockOptResponse>, Status> {
        self.change("mos.v1.FlowService/UndoSockOpt", request, rpc::undo_sock_opt).await
    }

    async fn peek_flow(
        &self,
        request: Request<v1::PeekFlowRequest>,
    ) -> Result<Response<v1::PeekFlowResponse>, Status> {
        self.change("mos.v1.FlowService/PeekFlow", request, rpc::peek_flow).await
    }

    type ReadFlowStream = rpc::ReadFlowStream;

    async fn read_flow(
        &self,
        request: Request<v1::ReadFlowRequest>,
    ) -> Result<Response<Self::ReadFlowStream>, Status> {
        let control = Arc::clone(&self.0);
        self.change("mos.v1.FlowService/ReadFlow", request, async |_, call, request| {
            rpc::read_flow(control, call, request).await
        })
        .await
    }
}

#[tonic::async_trait]
impl EventService for Service {
    type WatchEventsStream = BoxStream<v1::WatchEventsResponse>;

    async fn watch_events(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let control = Arc::clone(&self.0);
        self.answer("mos.v1.EventService/WatchEvents", request, async |_, call, request| {
            rpc::watch_events(control, call, request).await
        })
        .await
    }
}

#[tonic::async_trait]
impl PolicyService for Service {
    async fn list_policies(
        &self,
        request: Request<v1::ListPoliciesRequest>,
    ) -> Result<Response<v1::ListPoliciesResponse>, Status> {
        self.answer("mos.v1.PolicyService/ListPolicies", request, rpc::list_policies).await
    }

    async fn get_policy(
        &self,
        request: Request<v1::GetPolicyRequest>,
    ) -> Result<Response<v1::GetPolicyResponse>, Status> {
        self.answer("mos.v1.PolicyService/GetPolicy", request, rpc::get_policy).await
    }

    async fn create_policy(
        &self,
        request: Request<v1::CreatePolicyRequest>,
    ) -> Result<Response<v1::CreatePolicyResponse>, Status> {
        self.change("mos.v1.PolicyService/CreatePolicy", request, rpc::create_policy).await
    }

    async fn update_policy(
        &self,
        request: Request<v1::UpdatePolicyRequest>,
    ) -> Result<Response<v1::UpdatePolicyResponse>, Status> {
        self.change("mos.v1.PolicyService/UpdatePolicy", request, rpc::update_policy).await
    }

    async fn delete_policy(
        &self,
        request: Request<v1::DeletePolicyRequest>,
    ) -> Result<Response<v1::DeletePolicyResponse>, Status> {
        self.change("mos.v1.PolicyService/DeletePolicy", request, rpc::delete_policy).await
    }

    async fn replace_policies(
        &self,
        request: Request<v1::ReplacePoliciesRequest>,
    ) -> Result<Response<v1::ReplacePoliciesResponse>, Status> {
        self.change("mos.v1.PolicyService/ReplacePolicies", request, rpc::replace_policies).await
    }

    async fn confirm_policies(
        &self,
        request: Request<v1::ConfirmPoliciesRequest>,
    ) -> Result<Response<v1::ConfirmPoliciesResponse>, Status> {
        self.change("mos.v1.PolicyService/ConfirmPolicies", request, rpc::confirm_policies).await
    }

    async fn explain_policy(
        &self,
        request: Request<v1::ExplainPolicyRequest>,
    ) -> Result<Response<v1::ExplainPolicyResponse>, Status> {
        self.answer("mos.v1.PolicyService/ExplainPolicy", request, rpc::explain_policy).await
    }

    async fn list_policy_generations(
        &self,
        request: Request<v1::ListPolicyGenerationsRequest>,
    ) -> Result<Response<v1::ListPolicyGenerationsResponse>, Status> {
        self.answer(
            "mos.v1.PolicyService/ListPolicyGenerations",
            request,
            rpc::list_policy_generations,
        )
        .await
    }

    async fn rollback_policies(
        &self,
        request: Request<v1::RollbackPoliciesRequest>,
    ) -> Result<Response<v1::RollbackPoliciesResponse>, Status> {
        self.change("mos.v1.PolicyService/RollbackPolicies", request, rpc::rollback_policies).await
    }
}

#[tonic::async_trait]
impl SystemService for Service {
    async fn get_server_info(
        &self,
        request: Request<v1::GetServerInfoRequest>,
    ) -> Result<Response<v1::GetServerInfoResponse>, Status> {
        self.answer("mos.v1.SystemService/GetServerInfo", request, async |control, _, _| {
            Ok(rpc::get_server_info(control))
        })
        .await
    }

    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        self.answer("mos.v1.SystemService/GetStatus", request, async |control, _, _| {
            Ok(rpc::get_status(control))
        })
        .await
    }

    async fn get_caller(
        &self,
        request: Request<v1::GetCallerRequest>,
    ) -> Result<Response<v1::GetCallerResponse>, Status> {
        self.answer("mos.v1.SystemService/GetCaller", request, async |control, call, _| {
            Ok(rpc::get_caller(control, call))
        })
        .await
    }

    async fn list_audit_entries(
        &self,
        request: Request<v1::ListAuditEntriesRequest>,
    ) -> Result<Response<v1::ListAuditEntriesResponse>, Status> {
        self.answer("mos.v1.SystemService/ListAuditEntries", request, rpc::list_audit_entries).await
    }
}
