//! `policy`: what flows to come begin with.

use std::{
    fs, io,
    io::Read as _,
    path::Path,
    time::{Duration, SystemTime},
};

use mos_proto::v1::{
    ConfirmPoliciesRequest, CreatePolicyRequest, DeletePolicyRequest, ExplainPolicyRequest,
    FlowOptions, GetPolicyRequest, ListPoliciesRequest, ListPoliciesResponse,
    ListPolicyGenerationsRequest, OverlapPolicy, PolicyDifference, PolicySetState,
    ReplacePoliciesRequest, RollbackPoliciesRequest, SockOptPolicy, StopScope,
};
use mos_text::{FlowName, OverlapWord, PolicyFile, PolicyText, Size, Span, StopWord};
use prost::Message;

use super::Session;
use crate::{
    args::{ApplyArgs, CreatePolicyArgs, Format, PolicyVerb},
    error::{Exit, Failure},
    render::{
        DryRun, explanation, generation_table, policy_details, policy_short, policy_table, set_text,
    },
};

/// Runs one of the commands.
pub(super) async fn policy(session: &mut Session, verb: &PolicyVerb) -> Result<Exit, Failure> {
    match verb {
        PolicyVerb::List => list(session).await,
        PolicyVerb::Get { name } => get(session, name).await,
        PolicyVerb::Create(args) => create(session, args).await,
        PolicyVerb::Delete { name, dry_run } => delete(session, name, (*dry_run).into()).await,
        PolicyVerb::Apply(args) => apply(session, args).await,
        PolicyVerb::Export => export(session).await,
        PolicyVerb::Explain { flow } => explain(session, flow).await,
        PolicyVerb::History => history(session).await,
        PolicyVerb::Rollback { generation, dry_run } => {
            rollback(session, *generation, (*dry_run).into()).await
        }
        PolicyVerb::Confirm { generation, cancel } => {
            let generation = number(*generation);
            confirm(session, ConfirmPoliciesRequest { generation, cancel: *cancel }).await
        }
    }
}

async fn list(session: &mut Session) -> Result<Exit, Failure> {
    let all = all(session).await?;
    match session.output.format() {
        format @ (Format::Table | Format::Wide) => {
            let text = policy_table(&all.policies, format, session.output.titles())?;
            session.output.text(&text)?;
            let state = all.state.unwrap_or_default();
            session.output.note(&format!("generation {}", state.generation));
            return told(session, &state, DryRun::No);
        }
        Format::Name => {
            for policy in &all.policies {
                session.output.text(&format!("{}\n", policy_short(&policy.name)))?;
            }
        }
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("ListPoliciesResponse", &all)?;
        }
    }
    Ok(Exit::Done)
}

/// All pages as one. A set that changes in between is listed again from its beginning.
async fn all(session: &mut Session) -> Result<ListPoliciesResponse, Failure> {
    let mut request = ListPoliciesRequest { page_size: 1000, page_token: String::new() };
    let mut all = ListPoliciesResponse::default();
    loop {
        session.output.request(
            "mos.v1.PolicyService/ListPolicies",
            "ListPoliciesRequest",
            &request,
        );
        let page = session.client.list_policies(request.clone()).await?;
        all.policies.extend(page.policies);
        all.state = page.state;
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        request.page_token = page.next_page_token;
    }
}

async fn get(session: &mut Session, name: &str) -> Result<Exit, Failure> {
    let request = GetPolicyRequest { name: full(name) };
    session.output.request("mos.v1.PolicyService/GetPolicy", "GetPolicyRequest", &request);
    let policy = session.client.get_policy(request).await?.policy.unwrap_or_default();
    match session.output.format() {
        Format::Table | Format::Wide => session.output.text(&policy_details(&policy)?)?,
        Format::Name => session.output.text(&format!("{}\n", policy_short(&policy.name)))?,
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("SockOptPolicy", &policy)?;
        }
    }
    Ok(Exit::Done)
}

async fn create(session: &mut Session, args: &CreatePolicyArgs) -> Result<Exit, Failure> {
    let options = Some(args.options.message()).filter(|options| *options != FlowOptions::default());
    let expires = args.expires_in.map(|Span(span)| (SystemTime::now() + span).into());
    let policy = SockOptPolicy {
        name: full(&args.name),
        priority: args.priority.into(),
        filter: args.filter.clone(),
        options,
        monitor: Some(!args.no_monitor),
        comment: args.comment.clone(),
        expire_time: expires,
        ..SockOptPolicy::default()
    };
    let request = CreatePolicyRequest { policy: Some(policy), validate_only: args.dry_run };
    session.output.request("mos.v1.PolicyService/CreatePolicy", "CreatePolicyRequest", &request);
    let answer = session.client.create_policy(request).await?;
    let state = answer.state.clone();
    changed(session, "CreatePolicyResponse", &answer, (state, None), args.dry_run.into())
}

async fn delete(session: &mut Session, name: &str, dry_run: DryRun) -> Result<Exit, Failure> {
    let request = DeletePolicyRequest {
        name: full(name),
        validate_only: dry_run.into(),
        ..Default::default()
    };
    session.output.request("mos.v1.PolicyService/DeletePolicy", "DeletePolicyRequest", &request);
    let answer = session.client.delete_policy(request).await?;
    let state = answer.state.clone();
    changed(session, "DeletePolicyResponse", &answer, (state, None), dry_run)
}

async fn apply(session: &mut Session, args: &ApplyArgs) -> Result<Exit, Failure> {
    let request = ReplacePoliciesRequest {
        policies: read(&args.file)?,
        etag: args.etag.clone().unwrap_or_default(),
        validate_only: args.dry_run,
        confirm_timeout: args.confirm_within.map(span),
    };
    let method = "mos.v1.PolicyService/ReplacePolicies";
    session.output.request(method, "ReplacePoliciesRequest", &request);
    let answer = session.client.replace_policies(request).await?;
    let what = (answer.state.clone(), answer.difference.clone());
    changed(session, "ReplacePoliciesResponse", &answer, what, args.dry_run.into())
}

async fn export(session: &mut Session) -> Result<Exit, Failure> {
    let all = all(session).await?;
    let expiring = all.policies.iter().filter(|policy| policy.expire_time.is_some()).count();
    let policies = all.policies.iter().map(text).collect();
    let file = toml::to_string(&PolicyFile { policies }).map_err(|error| {
        Failure::Contract(format!("the policies have no form as a file: {error}"))
    })?;
    session.output.text(&file)?;
    if expiring > 0 {
        session
            .output
            .warning(&format!("{expiring} of the policies expire: a file does not say when"));
    }
    Ok(Exit::Done)
}

async fn explain(session: &mut Session, flow: &FlowName) -> Result<Exit, Failure> {
    let request = ExplainPolicyRequest { flow: flow.to_string() };
    session.output.request("mos.v1.PolicyService/ExplainPolicy", "ExplainPolicyRequest", &request);
    let answer = session.client.explain_policy(request).await?;
    match session.output.format() {
        Format::Table | Format::Wide => session.output.text(&explanation(&answer)?)?,
        Format::Name => session.output.text(&format!("{}\n", policy_short(&answer.policy)))?,
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("ExplainPolicyResponse", &answer)?;
        }
    }
    Ok(Exit::Done)
}

async fn history(session: &mut Session) -> Result<Exit, Failure> {
    let request = ListPolicyGenerationsRequest {};
    let method = "mos.v1.PolicyService/ListPolicyGenerations";
    session.output.request(method, "ListPolicyGenerationsRequest", &request);
    let answer = session.client.list_policy_generations(request).await?;
    match session.output.format() {
        Format::Table | Format::Wide => {
            let text = generation_table(&answer.generations, session.output.titles());
            session.output.text(&text)?;
        }
        Format::Name => {
            for generation in &answer.generations {
                session.output.text(&format!("{}\n", generation.generation))?;
            }
        }
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("ListPolicyGenerationsResponse", &answer)?;
        }
    }
    Ok(Exit::Done)
}

async fn rollback(session: &mut Session, to: u64, dry_run: DryRun) -> Result<Exit, Failure> {
    let request = RollbackPoliciesRequest { generation: number(to), validate_only: dry_run.into() };
    let method = "mos.v1.PolicyService/RollbackPolicies";
    session.output.request(method, "RollbackPoliciesRequest", &request);
    let answer = session.client.rollback_policies(request).await?;
    let what = (answer.state.clone(), answer.difference.clone());
    changed(session, "RollbackPoliciesResponse", &answer, what, dry_run)
}

async fn confirm(session: &mut Session, request: ConfirmPoliciesRequest) -> Result<Exit, Failure> {
    let method = "mos.v1.PolicyService/ConfirmPolicies";
    session.output.request(method, "ConfirmPoliciesRequest", &request);
    let answer = session.client.confirm_policies(request).await?;
    let state = answer.state.clone();
    changed(session, "ConfirmPoliciesResponse", &answer, (state, None), DryRun::No)
}

/// Prints what came of a change.
fn changed(
    session: &mut Session,
    name: &str,
    answer: &impl Message,
    (state, difference): (Option<PolicySetState>, Option<PolicyDifference>),
    dry_run: DryRun,
) -> Result<Exit, Failure> {
    let state = state.unwrap_or_default();
    match session.output.format() {
        Format::Table | Format::Wide => {
            session.output.text(&set_text(&state, difference.as_ref(), dry_run))?;
        }
        Format::Name => session.output.text(&format!("{}\n", state.generation))?,
        Format::Json | Format::Jsonl | Format::Yaml => session.output.document(name, answer)?,
    }
    told(session, &state, dry_run)
}

/// Says what one must know of a set: that it is not everywhere, not kept, or not for good.
fn told(session: &mut Session, state: &PolicySetState, dry_run: DryRun) -> Result<Exit, Failure> {
    if let Some(time) = &state.rollback_time {
        let generation = state.generation;
        session.output.warning(&format!(
            "the set before comes back at {time} unless: mosctl policy confirm {generation}"
        ));
    }
    if !state.durable {
        session.output.note(
            "the policies end with mosd: it has no folder to keep them in ([policies] folder)",
        );
    }
    if state.unreachable.is_empty() || dry_run == DryRun::Yes {
        return Ok(Exit::Done);
    }
    session.output.warning(&format!(
        "no answer from {}: they get the policies as soon as they answer; `mosctl status` shows \
         the cores",
        state.unreachable.join(", ")
    ));
    Ok(Exit::Partial)
}

/// The policies of a file.
fn read(path: &Path) -> Result<Vec<SockOptPolicy>, Failure> {
    let text = match path.to_str() {
        Some("-") => io::read_to_string(io::stdin().take(FILE_MAX)),
        Some(_) | None => {
            fs::File::open(path).and_then(|file| io::read_to_string(file.take(FILE_MAX)))
        }
    };
    let told = |error: String| Failure::Usage(format!("{}: {}", path.display(), error.trim_end()));
    let text = text.map_err(|error| told(error.to_string()))?;
    let file: PolicyFile = toml::from_str(&text).map_err(|error| told(error.to_string()))?;
    Ok(file.policies.into_iter().map(message).collect())
}

/// Bytes of a file that are read: more than a request takes.
const FILE_MAX: u64 = 16 * 1024 * 1024;

fn message(text: PolicyText) -> SockOptPolicy {
    let bytes = |Size(bytes): Size| i64::try_from(bytes).unwrap_or(i64::MAX);
    let overlap = |word| match word {
        OverlapWord::First => OverlapPolicy::First.into(),
        OverlapWord::Last => OverlapPolicy::Last.into(),
        OverlapWord::Linux => OverlapPolicy::Linux.into(),
    };
    let stop = |word| match word {
        StopWord::Client => StopScope::Client.into(),
        StopWord::Server => StopScope::Server.into(),
        StopWord::Both => StopScope::Both.into(),
    };
    let options = FlowOptions {
        client_buffer_bytes: text.client_buffer.map(bytes),
        server_buffer_bytes: text.server_buffer.map(bytes),
        client_overlap: text.client_overlap.map(overlap),
        server_overlap: text.server_overlap.map(overlap),
        stop_monitoring: text.stop_monitoring.map(stop),
    };
    SockOptPolicy {
        name: full(&text.name),
        priority: text.priority.into(),
        filter: text.filter,
        options: Some(options).filter(|options| *options != FlowOptions::default()),
        monitor: Some(text.monitor),
        comment: text.comment,
        ..SockOptPolicy::default()
    }
}

fn text(policy: &SockOptPolicy) -> PolicyText {
    let options = policy.options.unwrap_or_default();
    let bytes = |bytes: i64| Size(u64::try_from(bytes).unwrap_or_default());
    let overlap = |number: i32| match OverlapPolicy::try_from(number) {
        Ok(OverlapPolicy::First) => Some(OverlapWord::First),
        Ok(OverlapPolicy::Last) => Some(OverlapWord::Last),
        Ok(OverlapPolicy::Linux) => Some(OverlapWord::Linux),
        Ok(OverlapPolicy::Unspecified) | Err(_) => None,
    };
    let stop = |number: i32| match StopScope::try_from(number) {
        Ok(StopScope::Client) => Some(StopWord::Client),
        Ok(StopScope::Server) => Some(StopWord::Server),
        Ok(StopScope::Both) => Some(StopWord::Both),
        Ok(StopScope::Unspecified) | Err(_) => None,
    };
    PolicyText {
        name: policy_short(&policy.name).to_owned(),
        priority: u16::try_from(policy.priority).unwrap_or_default(),
        filter: policy.filter.clone(),
        monitor: policy.monitor.unwrap_or(true),
        client_buffer: options.client_buffer_bytes.map(bytes),
        server_buffer: options.server_buffer_bytes.map(bytes),
        client_overlap: options.client_overlap.and_then(overlap),
        server_overlap: options.server_overlap.and_then(overlap),
        stop_monitoring: options.stop_monitoring.and_then(stop),
        comment: policy.comment.clone(),
    }
}

fn full(name: &str) -> String {
    format!("policies/{}", policy_short(name))
}

fn number(generation: u64) -> i64 {
    i64::try_from(generation).unwrap_or(i64::MAX)
}

fn span(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}
