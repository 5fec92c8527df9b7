//! The roles file: who is granted which roles. All grants that fit a caller add up; what none
//! gives, nobody has.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::SystemTime,
};

use mos_text::{Digest, Echo, Prefix, Token};
use prost_types::Timestamp;
use serde::Deserialize;
use toml::{Spanned, value::Datetime};

use super::{
    Proof,
    name::Pattern,
    rates::Pace,
    roles::{Role, Roles},
};

/// The user that stands for users of other namespaces: nobody in particular.
const OVERFLOW_ID: u32 = 65_534;

/// Who is granted which roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    all: Vec<Grant>,
    /// Of the text.
    digest: Digest,
}

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// What people call it; what it fits, where they do not.
    pub(crate) name: String,
    /// What it gives.
    pub(crate) roles: Roles,
    /// Whom.
    pub(crate) to: Grantee,
    /// When it ends.
    pub(crate) expires: Option<SystemTime>,
    /// How fast whom it fits may call.
    pub(crate) pace: Pace,
}

/// Whom a grant fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grantee {
    /// Processes of this user, on a Unix socket.
    Uid(u32),
    /// Processes whose primary group is this one, on a Unix socket.
    Gid(u32),
    /// Everybody who can open this Unix socket.
    Socket(PathBuf),
    /// Everybody who can open any Unix socket of mosd.
    AnySocket,
    /// Everybody who comes from these addresses, in plain text.
    Addresses(Prefix),
    /// Whom a certificate gives such a name.
    Names(Pattern),
    /// Whoever has the token with this digest.
    Token(Digest),
}

/// What is wrong with a roles file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantsError {
    /// The byte of the text at which it is.
    pub start: usize,
    /// What it is.
    pub message: String,
}

impl Grants {
    /// Reads the text of a roles file.
    ///
    /// # Errors
    ///
    /// The first mistake, with its place.
    pub fn parse(text: &str) -> Result<Self, GrantsError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            GrantsError { start, message: error.message().to_owned() }
        })?;
        let read = |written: Spanned<Written>| {
            let start = written.span().start;
            written.into_inner().read().map_err(|message| GrantsError { start, message })
        };
        let all = file.grant.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { all, digest: Digest::of(text.as_bytes()) })
    }

    /// What holds where the configuration names no roles file: root and the user that mosd runs as
    /// (`own`) may do everything, whoever else may open a Unix socket or comes from this machine
    /// sees and changes flows, other hosts only see them, and payload is for the first two.
    #[must_use]
    pub fn built_in(own: u32) -> Self {
        let view = Roles::of(Role::Viewer);
        let change = Roles::of(Role::Operator);
        let hosts = |address: IpAddr, length| Prefix::new(address, length).map(Grantee::Addresses);
        let (v4, v6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
        let mut grants = vec![
            (Roles::ALL, Some(Grantee::Uid(0))),
            (change, Some(Grantee::AnySocket)),
            (change, hosts(Ipv4Addr::LOCALHOST.into(), 8)),
            (change, hosts(Ipv6Addr::LOCALHOST.into(), 128)),
            (view, hosts(v4, 0)),
            (view, hosts(v6, 0)),
        ];
        if own != 0 {
            grants.push((Roles::ALL, Some(Grantee::Uid(own))));
        }
        let named = |(roles, to): (Roles, Option<Grantee>)| {
            to.map(|to| Grant {
                name: "built in".to_owned(),
                roles,
                to,
                expires: None,
                pace: Pace::default(),
            })
        };
        Self { all: grants.into_iter().filter_map(named).collect(), digest: Digest::NONE }
    }

    /// The grants that fit.
    pub(crate) fn fitting(&self, proof: &Proof) -> impl Iterator<Item = &Grant> {
        let now = SystemTime::now();
        self.all.iter().filter(move |grant| grant.to.fits(proof) && !grant.has_expired(now))
    }

    /// How fast who proves this may call.
    pub(crate) fn pace(&self, proof: &Proof) -> Pace {
        let paces = self.fitting(proof).map(|grant| grant.pace);
        paces.reduce(Pace::and).unwrap_or_default()
    }

    /// When the first of the grants that fit ends.
    pub(crate) fn first_expiry(&self, proof: &Proof) -> Option<SystemTime> {
        self.fitting(proof).filter_map(|grant| grant.expires).min()
    }

    /// The roles of who proves this.
    pub(crate) fn roles(&self, proof: &Proof) -> Roles {
        self.fitting(proof).fold(Roles::default(), |roles, grant| roles.and(grant.roles))
    }

    /// All grants, in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.all.iter()
    }

    /// The digest of the text; that of nothing where there is none.
    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }
}

impl Default for Grants {
    fn default() -> Self {
        Self { all: Vec::new(), digest: Digest::NONE }
    }
}

impl Grant {
    /// Whether it gives nothing any more.
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

impl Grantee {
    fn fits(&self, proof: &Proof) -> bool {
        match (self, proof) {
            (Self::Uid(granted), Proof::Socket { uid, .. }) => granted == uid,
            (Self::Gid(granted), Proof::Socket { gid, .. }) => granted == gid,
            (Self::Socket(granted), Proof::Socket { path, .. }) => **granted == **path,
            (Self::AnySocket, Proof::Socket { .. }) => true,
            (Self::Addresses(prefix), Proof::Address(address)) => prefix.contains(*address),
            (Self::Token(granted), Proof::Token { digest, .. }) => {
                constant_time_eq(granted.as_bytes(), digest.as_bytes())
            }
            // A token is all that counts where one is shown.
            (_, Proof::Token { .. }) | (Self::Token(_), _) => false,
            (Self::Names(pattern), proof @ Proof::Tls { .. }) => {
                proof.name().is_some_and(|name| pattern.fits(name))
            }
            (Self::Addresses(_) | Self::Names(_), Proof::Socket { .. })
            | (
                Self::Uid(_) | Self::Gid(_) | Self::Socket(_) | Self::AnySocket | Self::Names(_),
                Proof::Address(_),
            )
            | (
                Self::Uid(_)
                | Self::Gid(_)
                | Self::Socket(_)
                | Self::AnySocket
                | Self::Addresses(_),
                Proof::Tls { .. },
            ) => false,
        }
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Gid(gid) => write!(f, "gid {gid}"),
            Self::Socket(path) => write!(f, "socket {}", path.display()),
            Self::AnySocket => f.write_str("any socket"),
            Self::Addresses(prefix) => write!(f, "address {prefix}"),
            Self::Names(pattern) => pattern.fmt(f),
            Self::Token(digest) => write!(f, "token {}", short(digest)),
        }
    }
}

/// As much of a digest as tells it from others.
fn short(digest: &Digest) -> String {
    digest.to_string().chars().take("sha256:".len() + 8).collect()
}

/// Whether these are the same, in a time that does not depend on where they differ.
fn constant_time_eq(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differences) == 0
}

/// A roles file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    grant: Vec<Spanned<Written>>,
}

/// A grant as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    name: String,
    roles: Vec<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    socket: Option<PathBuf>,
    address: Option<String>,
    uri: Option<String>,
    dns: Option<String>,
    token: Option<String>,
    expires: Option<Datetime>,
    #[serde(default)]
    limits: WrittenLimits,
}

/// How fast the callers of a grant may call, in a second.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WrittenLimits {
    rps: Option<NonZeroU32>,
    changes: Option<NonZeroU32>,
}

impl Written {
    fn read(self) -> Result<Grant, String> {
        let mut roles = Roles::default();
        for word in &self.roles {
            let role = Role::from_word(word).ok_or_else(|| {
                format!("{} is no role: write viewer, operator, payload or admin", Echo(word))
            })?;
            roles = roles.and(Roles::of(role));
        }
        if roles == Roles::default() {
            return Err("this grant gives no role".to_owned());
        }
        let to = self.grantee()?;
        let name = if self.name.is_empty() { to.to_string() } else { self.name };
        let expires = self.expires.as_ref().map(expiry).transpose()?;
        let WrittenLimits { rps: calls, changes } = self.limits;
        Ok(Grant { name, roles, to, expires, pace: Pace { calls, changes } })
    }

    /// Whom the grant fits: exactly one key says it.
    fn grantee(&self) -> Result<Grantee, String> {
        let Self { uid, gid, socket, address, uri, dns, token, .. } = self;
        let said = [
            uid.map(|uid| id(uid).map(Grantee::Uid)),
            gid.map(|gid| id(gid).map(Grantee::Gid)),
            socket.as_deref().map(self::socket),
            address.as_deref().map(|text| {
                text.parse().map(Grantee::Addresses).map_err(|error| format!("{error}"))
            }),
            uri.as_deref().map(|text| {
                let pattern = Pattern::uri(text).map(Grantee::Names);
                pattern.ok_or_else(|| no_pattern("uri", text, "spiffe://example.org/ns/noc/*"))
            }),
            dns.as_deref().map(|text| {
                let pattern = Pattern::dns(text).map(Grantee::Names);
                pattern.ok_or_else(|| no_pattern("dns", text, "*.noc.example.org"))
            }),
            token.as_deref().map(self::token),
        ];
        let mut said = said.into_iter().flatten();
        match (said.next(), said.next()) {
            (Some(grantee), None) => grantee,
            _ => {
                Err("a grant names one of uid, gid, socket, address, uri, dns and token".to_owned())
            }
        }
    }
}

/// A token by its digest. A token itself is no secret any more once it stands in a file.
fn token(text: &str) -> Result<Grantee, String> {
    if Token::is_alike(text) {
        let text = "token = is the token itself, which belongs into no file of mosd: make another \
                    one with `mosctl token create`, and write its digest";
        return Err(text.to_owned());
    }
    text.parse().map(Grantee::Token).map_err(|error| format!("{error}"))
}

/// The moment that a date means, or a date and a time: UTC, unless it says another offset.
fn expiry(written: &Datetime) -> Result<SystemTime, String> {
    let text = match (written.date, written.time, written.offset) {
        (Some(date), None, None) => format!("{date}T00:00:00Z"),
        (Some(_), Some(_), None) => format!("{written}Z"),
        (Some(_), Some(_), Some(_)) => written.to_string(),
        _ => return Err(format!("expires = {written} is no date: write 2027-01-31")),
    };
    let moment: Option<Timestamp> = text.parse().ok();
    let moment = moment.and_then(|moment| SystemTime::try_from(moment).ok());
    moment.ok_or_else(|| format!("expires = {written} is no moment in time"))
}

/// A user or a group that is somebody in particular.
fn id(id: u32) -> Result<u32, String> {
    match id {
        OVERFLOW_ID => Err(format!("{OVERFLOW_ID} stands for everybody of other user namespaces")),
        id => Ok(id),
    }
}

fn socket(path: &Path) -> Result<Grantee, String> {
    if path.is_absolute() {
        Ok(Grantee::Socket(path.to_owned()))
    } else {
        Err(format!("socket = {path:?} is no path from the root, such as /run/mosd.sock"))
    }
}

fn no_pattern(key: &str, text: &str, example: &str) -> String {
    format!("{key} = {} is neither such a name nor a pattern of them: {example}", Echo(text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::Shown;

    fn on(socket: &str, uid: u32, gid: u32) -> Proof {
        Proof::Socket { uid, gid, path: Arc::from(Path::new(socket)) }
    }

    fn from(address: &str) -> Proof {
        Proof::Address(address.parse().unwrap())
    }

    #[test]
    fn grants_that_fit_add_up_and_nobody_else_has_a_role() {
        let grants = Grants::parse(
            "[[grant]]\nroles = [\"viewer\"]\nsocket = \"/a\"\n\
             [[grant]]\nname = \"ops\"\nroles = [\"payload\"]\nuid = 7\n\
             [[grant]]\nroles = [\"operator\"]\ngid = 8\n\
             [[grant]]\nroles = [\"admin\"]\naddress = \"10.0.0.0/8\"\n",
        )
        .unwrap();
        for (proof, roles) in [
            (on("/a", 1, 1), "viewer"),
            (on("/a", 7, 8), "viewer, operator, payload"),
            (on("/b", 7, 1), "payload"),
            (on("/b", 0, 0), "no role"),
            (from("10.1.2.3"), "viewer, operator, admin"),
            (from("127.0.0.1"), "no role"),
            (from("::1"), "no role"),
        ] {
            assert_eq!(grants.roles(&proof).to_string(), roles, "{proof:?}");
        }
        let proof = on("/a", 7, 1);
        let names: Vec<_> = grants.fitting(&proof).map(|grant| grant.name.as_str()).collect();
        assert_eq!(names, ["socket /a", "ops"]);
        assert_eq!(Grants::parse("").unwrap().roles(&on("/a", 0, 0)), Roles::default());
    }

    #[test]
    fn a_grant_that_has_ended_gives_nothing_and_a_token_has_its_own_grants_alone() {
        let token = Token::of("0123abcd", &"x".repeat(43)).unwrap();
        let digest = token.digest();
        let text = |expires: &str| {
            let grant = format!("[[grant]]\nroles = [\"viewer\"]\n{expires}\n");
            format!("{grant}token = \"{digest}\"\n{grant}uid = 7\n")
        };
        let showing = |token: &Token| on("/a", 7, 7).showing(Shown::Token(token.clone())).unwrap();
        let other = Token::of("0123abcd", &"y".repeat(43)).unwrap();
        for (expires, roles) in [
            ("", "viewer"),
            ("expires = 2999-12-31", "viewer"),
            ("expires = 2999-12-31T12:00:00", "viewer"),
            ("expires = 2026-01-31", "no role"),
            ("expires = 2026-01-31T12:00:00+01:00", "no role"),
        ] {
            let grants = Grants::parse(&text(expires)).unwrap();
            assert_eq!(grants.roles(&showing(&token)).to_string(), roles, "{expires}");
            assert_eq!(grants.roles(&on("/a", 7, 7)).to_string(), roles, "{expires}");
            assert_eq!(grants.roles(&showing(&other)).to_string(), "no role");
        }
        let grants = Grants::parse(&text("expires = 2999-12-31")).unwrap();
        let end = grants.first_expiry(&showing(&token)).unwrap();
        assert_eq!(Timestamp::from(end).to_string(), "2999-12-31T00:00:00Z");
    }

    #[test]
    fn without_a_file_payload_is_for_root_and_for_the_user_of_mosd() {
        let grants = Grants::built_in(7);
        for (proof, roles) in [
            (on("/a", 0, 0), Roles::ALL),
            (on("/a", 7, 0), Roles::ALL),
            (on("/a", 1, 7), Roles::of(Role::Operator)),
            (from("127.9.9.9"), Roles::of(Role::Operator)),
            (from("::1"), Roles::of(Role::Operator)),
            (from("192.0.2.1"), Roles::of(Role::Viewer)),
            (from("2001:db8::1"), Roles::of(Role::Viewer)),
        ] {
            assert_eq!(grants.roles(&proof), roles, "{proof:?}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let grant = |text: &str| format!("[[grant]]\n{text}\n");
        for (text, part) in [
            ("roles = [\"root\"]\nuid = 1", "\"root\" is no role"),
            ("roles = [\"anyone\"]\nuid = 1", "\"anyone\" is no role"),
            ("roles = []\nuid = 1", "gives no role"),
            ("roles = [\"viewer\"]", "one of uid, gid"),
            ("roles = [\"viewer\"]\nuid = 1\ngid = 1", "one of uid, gid"),
            ("roles = [\"viewer\"]\nuid = 65534", "other user namespaces"),
            ("roles = [\"viewer\"]\nuid = -1", "u32"),
            ("roles = [\"viewer\"]\nuser = 1", "user"),
            ("roles = [\"viewer\"]\nsocket = \"x\"", "no path from the root"),
            ("roles = [\"viewer\"]\naddress = \"10.0.0.1/8\"", "10.0.0.1/8"),
            ("roles = [\"viewer\"]\nuri = \"*\"", "\"*\" is neither"),
            ("roles = [\"viewer\"]\ndns = \"a.*\"", "\"a.*\" is neither"),
            ("roles = [\"viewer\"]\nuri = \"spiffe://a\"\ndns = \"a\"", "one of uid, gid"),
            ("roles = [\"viewer\"]\ntoken = \"sha256:9f\"", "64 hexadecimal digits"),
            ("roles = [\"viewer\"]\ntoken = \"mosd_0123abcd_xyz\"", "the token itself"),
            ("roles = [\"viewer\"]\nuid = 1\nexpires = 12:00:00", "is no date"),
            ("roles = [\"viewer\"]\nuid = 1\nlimits = { rps = 0 }", "nonzero"),
            ("roles = [\"viewer\"]\nuid = 1\nlimits = { rpm = 1 }", "rpm"),
        ] {
            let text = grant("roles = [\"viewer\"]\nuid = 1") + &grant(text);
            let error = Grants::parse(&text).unwrap_err();
            assert!(error.message.contains(part), "{error:?}");
            assert!(!error.message.contains("xyz"), "no token is repeated: {error:?}");
            assert!(text[..error.start].matches('\n').count() >= 3, "{error:?}");
        }
    }
}
