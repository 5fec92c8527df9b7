//! Community ID v1, which joins records of Zeek, Suricata and others about one flow.

use std::net::{IpAddr, SocketAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mos_stack::FlowTuple;
use sha1::{Digest as _, Sha1};

const SEED: [u8; 2] = [0; 2];
const TCP: u8 = 6;

/// The community id of a flow, the same for both directions.
#[must_use]
pub(crate) fn community_id(tuple: &FlowTuple) -> String {
    let ends = [ordered(tuple.client), ordered(tuple.server)];
    let [low, high] = if ends[0] <= ends[1] { ends } else { [ends[1].clone(), ends[0].clone()] };
    let digest = Sha1::new()
        .chain_update(SEED)
        .chain_update(&low.0)
        .chain_update(&high.0)
        .chain_update([TCP, 0])
        .chain_update(low.1.to_be_bytes())
        .chain_update(high.1.to_be_bytes())
        .finalize();
    format!("1:{}", STANDARD.encode(digest))
}

fn ordered(end: SocketAddr) -> (Vec<u8>, u16) {
    let address = match end.ip() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    (address, end.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of the reference implementation for this tuple.
    #[test]
    fn the_id_is_that_of_the_reference_and_does_not_depend_on_direction() {
        let (client, server) =
            ("128.232.110.120:34855".parse().unwrap(), "66.35.250.204:80".parse().unwrap());
        for tuple in [
            FlowTuple { client, server, vlan: None },
            FlowTuple { client: server, server: client, vlan: Some(5) },
        ] {
            assert_eq!(community_id(&tuple), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        }
    }
}
