//! `PolicyService` over scripted workers: who runs a set, and who may overwrite whose change.

use mos_control::{Command, Reply};
use mos_proto::v1::{
    CreatePolicyRequest, DeletePolicyRequest, GetPolicyRequest, ListPoliciesRequest,
    PolicySetState, ReplacePoliciesRequest, SockOptPolicy, UpdatePolicyRequest,
    policy_service_server::PolicyService as _,
};
use mosd::Service;
use tonic::{Code, Request, Status};

use crate::support::{Outcome, metadata, row, run, service, worker};

/// A worker that takes every table; it gives back what it was given.
fn takes_all(command: Command) -> Outcome {
    let Command::SetPolicies { table } = command else { return None };
    Some(Ok(Reply::Policies(Some(table))))
}

fn policy(name: &str, filter: &str) -> SockOptPolicy {
    SockOptPolicy {
        name: format!("policies/{name}"),
        filter: filter.to_owned(),
        ..SockOptPolicy::default()
    }
}

async fn replace(
    service: &Service,
    policies: Vec<SockOptPolicy>,
    etag: &str,
) -> Result<PolicySetState, Status> {
    let etag = etag.to_owned();
    let request = ReplacePoliciesRequest { policies, etag, ..ReplacePoliciesRequest::default() };
    let answer = service.replace_policies(Request::new(request)).await?;
    Ok(answer.into_inner().state.unwrap_or_default())
}

#[test]
fn a_core_that_does_not_answer_is_named_and_the_others_run_the_set() {
    run(async {
        let service = service(vec![worker(0, takes_all), worker(1, |_| None)]);
        let state = replace(&service, vec![policy("all", "*")], "").await.unwrap();
        assert_eq!((state.generation, state.unreachable), (1, vec!["cores/1".to_owned()]));
        assert!(!state.durable, "it has no folder");
    });
}

#[test]
fn nobody_overwrites_what_another_client_changed_meanwhile() {
    run(async {
        let service = service(vec![worker(0, takes_all)]);
        let first = replace(&service, vec![policy("a", "*")], "").await.unwrap();
        let second = replace(&service, vec![policy("b", "*")], &first.etag).await.unwrap();
        let late = replace(&service, Vec::new(), &first.etag).await.unwrap_err();
        assert_eq!((late.code(), metadata(&late, "currentEtag")), (Code::Aborted, second.etag));
        let get = || GetPolicyRequest { name: "policies/b".to_owned() };
        let read = service.get_policy(Request::new(get())).await.unwrap().into_inner();
        let mut policy = read.policy.unwrap();
        policy.comment = "mine".to_owned();
        let update = |policy: &SockOptPolicy| {
            Request::new(UpdatePolicyRequest { policy: Some(policy.clone()), validate_only: false })
        };
        let answer = service.update_policy(update(&policy)).await.unwrap().into_inner();
        assert_eq!(answer.policy.unwrap().comment, "mine");
        policy.comment = "also mine".to_owned();
        let late = service.update_policy(update(&policy)).await.unwrap_err();
        assert_eq!(row(&late).1, "ETAG_MISMATCH");
        let etag = policy.etag;
        let delete = DeletePolicyRequest { name: policy.name, etag, ..Default::default() };
        let late = service.delete_policy(Request::new(delete)).await.unwrap_err();
        assert_eq!(row(&late).1, "ETAG_MISMATCH");
    });
}

#[test]
fn one_policy_is_created_once_and_deleted_as_often_as_one_likes() {
    run(async {
        let service = service(vec![worker(0, takes_all)]);
        let create = || {
            let policy = Some(policy("a", "vlan = 5"));
            Request::new(CreatePolicyRequest { policy, validate_only: false })
        };
        service.create_policy(create()).await.unwrap();
        let again = service.create_policy(create()).await.unwrap_err();
        assert_eq!((again.code(), row(&again).1.as_str()), (Code::AlreadyExists, "POLICY_EXISTS"));
        let delete = |allow_missing| {
            let name = "policies/a".to_owned();
            Request::new(DeletePolicyRequest { name, allow_missing, ..Default::default() })
        };
        service.delete_policy(delete(false)).await.unwrap();
        let gone = service.delete_policy(delete(false)).await.unwrap_err();
        assert_eq!(row(&gone).1, "POLICY_NOT_FOUND");
        let state = service.delete_policy(delete(true)).await.unwrap().into_inner().state.unwrap();
        assert_eq!(state.generation, 2, "nothing has changed");
    });
}

#[test]
fn pages_belong_to_one_set() {
    run(async {
        let service = service(vec![worker(0, takes_all)]);
        let set = (0..5).map(|n| policy(&format!("p{n}"), "*")).collect();
        replace(&service, set, "").await.unwrap();
        let page = async |token: &str| {
            let request = ListPoliciesRequest { page_size: 2, page_token: token.to_owned() };
            service.list_policies(Request::new(request)).await.map(tonic::Response::into_inner)
        };
        let (mut names, mut token) = (Vec::new(), String::new());
        loop {
            let answer = page(&token).await.unwrap();
            names.extend(answer.policies.into_iter().map(|policy| policy.name));
            if answer.next_page_token.is_empty() {
                break;
            }
            token = answer.next_page_token;
        }
        assert_eq!(names, (0..5).map(|n| format!("policies/p{n}")).collect::<Vec<_>>());
        replace(&service, Vec::new(), "").await.unwrap();
        for stale in [token.as_str(), "x", "1-x", "-1"] {
            assert_eq!(row(&page(stale).await.unwrap_err()).1, "PAGE_TOKEN_INVALID", "{stale}");
        }
    });
}
