//! The certificate of a caller: the name that it gives, its last day, and whether it is still good.
//!
//! The handshake has verified it against the CAs and the revocation lists of then. A connection may
//! outlive that, so whoever decides about a call has it verified again from time to time.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tokio_rustls::rustls::{
    CertificateError, Error as TlsError, pki_types::CertificateDer, pki_types::UnixTime,
    server::danger::ClientCertVerifier,
};
use x509_cert::{
    Certificate as X509,
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::name::Name;

/// How long it is relied on that a certificate is good.
const VERDICT_MAX: Duration = Duration::from_secs(30);

/// A certificate that the TLS handshake has verified.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The leaf first.
    chain: Vec<CertificateDer<'static>>,
    name: Result<Name, Nameless>,
    not_after: SystemTime,
    verdict: Mutex<Option<Verdict>>,
}

/// What was found when a certificate was last verified.
#[derive(Debug)]
struct Verdict {
    at: Instant,
    by: Weak<Trust>,
    outcome: Result<(), Distrust>,
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Nameless {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable,
    /// There is neither a URI nor a DNS name.
    #[error("it has no URI and no DNS name in subjectAltName (a common name is not looked at)")]
    None,
    /// There is more than one, and no telling which is meant.
    #[error("it has {0} {1}s in subjectAltName, where one is needed")]
    Several(usize, &'static str),
    /// The name does not keep to its rules.
    #[error("its {0} is not written as the rules of such names have it")]
    Malformed(&'static str),
}

/// Why a certificate is not good any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Distrust {
    /// Its last day has passed.
    #[error("has expired")]
    Expired,
    /// Its first day is yet to come, by the clock of mosd.
    #[error("is not valid yet, by the clock of mosd")]
    NotYetValid,
    /// A revocation list has it.
    #[error("is revoked")]
    Revoked,
    /// No CA that mosd trusts has issued it.
    #[error("is from a CA that mosd does not trust")]
    UnknownIssuer,
    /// The revocation list of its CA is too old to tell.
    #[error("cannot be told from a revoked one: the revocation list of its CA has expired")]
    ListExpired,
    /// No revocation list is there for its CA.
    #[error("cannot be told from a revoked one: there is no revocation list of its CA")]
    ListMissing,
    /// Anything else.
    #[error("does not pass verification")]
    Other,
}

/// Whom mosd trusts to issue certificates, and what has been revoked.
#[derive(Debug)]
pub(crate) struct Trust(Arc<dyn ClientCertVerifier>);

impl Certificate {
    /// The certificate of this chain, the leaf first; `None` where the chain is empty.
    pub(crate) fn new(chain: Vec<CertificateDer<'static>>) -> Option<Self> {
        let leaf = X509::from_der(chain.first()?).ok();
        // What cannot be read has ended long ago.
        let not_after = leaf.as_ref().map_or(SystemTime::UNIX_EPOCH, |leaf| {
            leaf.tbs_certificate().validity().not_after.to_system_time()
        });
        let name = leaf.as_ref().map_or(Err(Nameless::Unreadable), name_of);
        Some(Self { chain, name, not_after, verdict: Mutex::default() })
    }

    /// Whom it names.
    pub(crate) const fn name(&self) -> Result<&Name, &Nameless> {
        self.name.as_ref()
    }

    /// The end of its validity.
    pub(crate) const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether it is good by this trust, now or a moment ago.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub(crate) fn verify(&self, trust: &Arc<Trust>) -> Result<(), Distrust> {
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        if now > self.not_after {
            return Err(Distrust::Expired);
        }
        if let Some(Verdict { at, by, outcome }) = &*verdict
            && by.ptr_eq(&Arc::downgrade(trust))
            && at.elapsed() < VERDICT_MAX
        {
            return *outcome;
        }
        let outcome = trust.verify(&self.chain, now);
        *verdict = Some(Verdict { at: Instant::now(), by: Arc::downgrade(trust), outcome });
        outcome
    }
}

impl Trust {
    /// By the word of this verifier.
    pub(crate) fn new(verifier: Arc<dyn ClientCertVerifier>) -> Self {
        Self(verifier)
    }

    fn verify(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<(), Distrust> {
        let Some((leaf, intermediates)) = chain.split_first() else { return Err(Distrust::Other) };
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(since_1970);
        let verified = self.0.verify_client_cert(leaf, intermediates, now);
        match verified {
            Ok(_verified) => Ok(()),
            Err(TlsError::InvalidCertificate(error)) => Err(Distrust::of(&error)),
            Err(_) => Err(Distrust::Other),
        }
    }
}

impl Distrust {
    /// What the error of the verifier means.
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls may find more, which is other")]
    pub(crate) const fn of(error: &CertificateError) -> Self {
        use CertificateError as Found;
        match error {
            Found::Expired | Found::ExpiredContext { .. } => Self::Expired,
            Found::NotValidYet | Found::NotValidYetContext { .. } => Self::NotYetValid,
            Found::Revoked => Self::Revoked,
            Found::UnknownIssuer | Found::BadSignature => Self::UnknownIssuer,
            Found::ExpiredRevocationList | Found::ExpiredRevocationListContext { .. } => {
                Self::ListExpired
            }
            Found::UnknownRevocationStatus => Self::ListMissing,
            _ => Self::Other,
        }
    }

    /// The word for it in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "cert_expired",
            Self::NotYetValid => "cert_not_yet_valid",
            Self::Revoked => "cert_revoked",
            Self::UnknownIssuer => "cert_unknown_ca",
            Self::ListExpired => "crl_expired",
            Self::ListMissing => "crl_missing",
            Self::Other => "cert_bad",
        }
    }
}

/// The name: a URI, or else a DNS name; one of it, and well written.
fn name_of(leaf: &X509) -> Result<Name, Nameless> {
    let names = leaf.tbs_certificate().get_extension::<SubjectAltName>();
    let names = names.map_err(|_unreadable| Nameless::Unreadable)?;
    let names = names.map(|(_critical, SubjectAltName(names))| names).unwrap_or_default();
    let (mut uris, mut hosts) = (Vec::new(), Vec::new());
    for name in &names {
        if let GeneralName::UniformResourceIdentifier(uri) = name {
            uris.push(uri.as_str());
        } else if let GeneralName::DnsName(host) = name {
            hosts.push(host.as_str());
        }
    }
    match (uris.as_slice(), hosts.as_slice()) {
        ([uri], _) => Name::uri(uri).ok_or(Nameless::Malformed("URI")),
        ([], [host]) => Name::dns(host).ok_or(Nameless::Malformed("DNS name")),
        ([], []) => Err(Nameless::None),
        ([], hosts) => Err(Nameless::Several(hosts.len(), "DNS name")),
        (uris, _) => Err(Nameless::Several(uris.len(), "URI")),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    /// A certificate with these names, which nobody has verified.
    fn certificate(names: Vec<SanType>) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "root.example");
        params.subject_alt_names = names;
        let leaf = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::new(vec![leaf.der().clone()]).unwrap()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    #[test]
    fn a_certificate_names_by_its_uri_or_else_its_dns_name_and_never_by_its_common_name() {
        let name = |names| certificate(names).name().map(ToString::to_string).map_err(Clone::clone);
        assert_eq!(name(vec![uri("spiffe://a/x")]).unwrap(), "spiffe://a/x");
        assert_eq!(name(vec![dns("a.example"), uri("spiffe://a/x")]).unwrap(), "spiffe://a/x");
        assert_eq!(name(vec![dns("a.example")]).unwrap(), "a.example");
        let nameless = |names| certificate(names).name().unwrap_err().clone();
        assert_eq!(nameless(Vec::new()), Nameless::None);
        assert_eq!(nameless(vec![SanType::IpAddress([127, 0, 0, 1].into())]), Nameless::None);
        let two = vec![uri("spiffe://a/x"), uri("spiffe://a/y")];
        assert_eq!(nameless(two), Nameless::Several(2, "URI"));
        let two = vec![dns("a.example"), dns("b.example")];
        assert_eq!(nameless(two), Nameless::Several(2, "DNS name"));
        // A URI that is none is not passed over for what stands beside it.
        let odd = vec![uri("spiffe://a/../x"), dns("a.example")];
        assert_eq!(nameless(odd), Nameless::Malformed("URI"));
        assert_eq!(nameless(vec![dns("*.example")]), Nameless::Malformed("DNS name"));
    }

    #[test]
    fn what_is_no_certificate_names_nobody_and_has_expired() {
        let odd = Certificate::new(vec![vec![0; 100].into()]).unwrap();
        assert_eq!(odd.name(), Err(&Nameless::Unreadable));
        assert_eq!(odd.not_after(), SystemTime::UNIX_EPOCH);
        assert!(Certificate::new(Vec::new()).is_none());
    }
}
