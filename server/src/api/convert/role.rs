//! Roles of the contract, and the one that each path needs.

use mos_proto::{Method, v1};

use crate::auth::{Role, Roles};

/// Services of gRPC itself, which everybody may ask whether mosd is well and what it serves.
const FOR_ANYONE: [&str; 3] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// The role that a request to this path needs; `None` where it needs none.
///
/// Where no method is, whoever may see is told so.
pub(crate) fn needed(path: &str) -> Option<Role> {
    match Method::at(path) {
        Some(method) => role(method.role),
        None if FOR_ANYONE.iter().any(|service| path.starts_with(service)) => None,
        None => Some(Role::Viewer),
    }
}

/// The methods that these roles suffice for, as `mos.v1.FlowService/ListFlows`.
pub(crate) fn methods(roles: Roles) -> Vec<String> {
    let suffice = |method: &&Method| role(method.role).is_none_or(|role| roles.have(role));
    let methods = mos_proto::METHODS.iter().filter(suffice);
    methods.map(|method| method.path.trim_start_matches('/').to_owned()).collect()
}

/// The roles as the contract has them.
pub(crate) fn roles(roles: Roles) -> Vec<i32> {
    let told = |role| match role {
        Role::Viewer => v1::Role::Viewer,
        Role::Operator => v1::Role::Operator,
        Role::Payload => v1::Role::Payload,
        Role::Admin => v1::Role::Admin,
    };
    roles.iter().map(|role| told(role).into()).collect()
}

/// `None`: everybody has it. A method without a role is not built; it would be the highest.
const fn role(role: v1::Role) -> Option<Role> {
    match role {
        v1::Role::Anyone => None,
        v1::Role::Viewer => Some(Role::Viewer),
        v1::Role::Operator => Some(Role::Operator),
        v1::Role::Payload => Some(Role::Payload),
        v1::Role::Unspecified | v1::Role::Admin => Some(Role::Admin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_role_there_is_nothing_but_health_reflection_and_who_one_is() {
        let open = mos_proto::METHODS.iter().filter(|method| needed(method.path).is_none());
        let open: Vec<_> = open.map(|method| method.path).collect();
        assert_eq!(open, ["/mos.v1.SystemService/GetCaller"]);
        assert_eq!(methods(Roles::default()), ["mos.v1.SystemService/GetCaller"]);
        for (path, role) in [
            ("/grpc.health.v1.Health/Check", None),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", None),
            ("/grpc.health.v1.HealthX/Check", Some(Role::Viewer)),
            ("/mos.v1.FlowService/SetSockOpt", Some(Role::Operator)),
            ("/mos.v1.FlowService/PeekFlow", Some(Role::Payload)),
            ("/mos.v1.FlowService/Nope", Some(Role::Viewer)),
            ("/mos.v1.SystemService/GetCaller/", Some(Role::Viewer)),
            ("//mos.v1.SystemService/GetCaller", Some(Role::Viewer)),
            ("/", Some(Role::Viewer)),
            ("", Some(Role::Viewer)),
        ] {
            assert_eq!(needed(path), role, "{path}");
        }
    }
}
